"""Reach: how far beyond natural images a picture drives its unit. It is not judged, since honest pictures do it too."""

import numpy as np

from lab import routines
from lab.objectives import goal
from sanity.checks import checks
from sanity.evidence import Evidence
from sanity.pictures.rulings import range_of
from sanity.pictures.units import CANNOT, COUNTED, by_unit, judge_rows
from sanity.ruling import About, Ruling, rules


@checks.register(claim="pictures")
def reach(study, *, seed):
    """The pictures' scores over the highest natural score, and the percentile of natural scores they reach.

    Args:
        study: a `Study`.
        seed: unused, nothing is drawn.

    Returns:
        list of `Evidence`, of each unit and of all, with samples scores, ratio and percentile [units, pictures].
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
        "units": study.unit_numbers,
    }
    evidence = Evidence("reach", study.name, study.title, study.sizes, samples, (), settings=study.settings)
    return by_unit(evidence, {"ratio": 0, "percentile": 0})


@rules.register(
    name="reach",
    about=About(
        "Activation",
        "share of the highest natural score",
        {
            "MEASURED": "measured, not judged: the pictures score above {why}",
        },
        similarity="score of the pictures over the highest score of natural images",
        sampled=False,
        cannot=CANNOT,
        counted=COUNTED,
    ),
)
def judge_reach(family, margins, seed):
    """What was measured, never more than inconclusive: mean, lowest and highest over pictures.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, not used.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    del seed  # Nothing is drawn.
    return judge_rows(family, _measured, _measured)


def _measured(samples):
    why = f"{samples['percentile'].mean():.0f}% of natural images"
    return Ruling("INCONCLUSIVE", "MEASURED", range_of(samples["ratio"]), why=why)
