"""Reach: how far beyond natural images a picture drives its unit. It is never flagged, since honest pictures do it too."""

import numpy as np

from lab import routines
from lab.objectives import goal
from sanity.evidence import Evidence
from sanity.features import features


@features.register(about="Activation")
def reach(study, *, seed):
    """The pictures' scores over the highest natural score, and the percentile of natural scores they reach.

    Args:
        study: a `Study`.
        seed: unused, nothing is drawn.

    Returns:
        `Evidence` with samples ratio and percentile [units, pictures].
    """
    del seed
    inputs, units = study.network_inputs(), list(study.units)
    repeated = np.repeat(units, inputs.shape[1])
    scores = routines.scores(study.network, inputs.reshape(-1, *inputs.shape[2:]), goal(study.layer, repeated))
    scores = scores.reshape(inputs.shape[:2])
    highest = study.survey.top_scores[units, :1]
    natural = study.survey.kept_scores[:, units]
    samples = {
        "scores": scores,
        "ratio": np.where(highest > 0, scores / np.where(highest > 0, highest, 1.0), np.nan),
        "percentile": 100.0 * (natural[:, :, None] < scores[None]).mean(axis=0),
        "units": np.array(units),
    }
    return Evidence("reach", study.name, study.subject, study.sizes, samples, (), settings=study.settings)
