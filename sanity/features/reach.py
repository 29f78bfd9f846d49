"""Reach: how far beyond natural images a picture drives its unit. Reported, never flagged: honest pictures do it too."""

import numpy as np

from lab import routines
from lab.objectives import goal
from sanity.evidence import Evidence
from sanity.features import features


@features.register(about="Activation")
def reach(study, *, seed):
    """The pictures' scores over the highest natural score, and the percentile of natural scores they reach.

    -> Evidence with samples ratio and percentile [units, pictures]. seed: unused, nothing is drawn.
    """
    del seed
    shown, units = study.network_inputs(), list(study.units)
    repeated = np.repeat(units, shown.shape[1])
    scores = routines.scores(study.network, shown.reshape(-1, *shown.shape[2:]), goal(study.layer, repeated))
    scores = scores.reshape(shown.shape[:2])
    best = study.survey.top_scores[units, :1]
    natural = study.survey.kept_scores[:, units]
    samples = {
        "scores": scores,
        "ratio": np.where(best > 0, scores / np.where(best > 0, best, 1.0), np.nan),
        "percentile": 100.0 * (natural[:, :, None] < scores[None]).mean(axis=0),
        "units": np.array(units),
    }
    return Evidence("reach", study.name, study.subject, study.sizes, samples, (), settings=study.settings)
