"""Stability: do pictures of one unit from different seeds look more alike than pictures of different units?"""

import numpy as np

from sanity.checks import checks
from sanity.evidence import Evidence, Gate
from sanity.pictures.embedding import describe_images, whiten
from sanity.pictures.rulings import judge_above_zero
from sanity.pictures.units import CANNOT, COUNTED, by_unit, judge_rows
from sanity.ruling import About, rules

FINDINGS = ("SEEDS AGREE", "SEEDS DISAGREE")


@checks.register(claim="pictures")
def stability(study, *, seed, observer=None):
    """Are a unit's pictures from different seeds nearer to each other than to those of other units?

    The number is (between - within) / the larger of both, a silhouette (Rousseeuw 1987) against all other units. Above
    zero seeds agree.

    Args:
        study: a `Study`.
        seed: unused, nothing is drawn.
        observer: a `Network` that did not make the pictures, or None: texture and colour.

    Returns:
        list of `Evidence`, of each unit and of all, with samples silhouette [units, pictures].
    """
    del seed
    units, seeds = study.pictures.shape[:2]
    flat = study.pictures.reshape(-1, *study.pictures.shape[2:])
    (rows,) = whiten([describe_images(flat, observer)])
    distances = (1.0 - rows @ rows.T).reshape(units, seeds, units, seeds)
    enough = units > 1 and seeds > 1
    gate = Gate(
        "several units and seeds", "passed" if enough else "not applicable", f"{units} units, {seeds} pictures each"
    )
    samples = {"silhouette": silhouettes(distances) if enough else np.full((units, seeds), np.nan)}
    samples["units"] = study.unit_numbers
    settings = {"observer": observer.name if observer else "texture and colour", **study.settings}
    evidence = Evidence("stability", study.name, study.title, study.sizes, samples, (gate,), settings=settings)
    return by_unit(evidence, {"silhouette": 0})


def silhouettes(distances):
    """Silhouette of each picture against all other units.

    Args:
        distances: float [units, seeds, units, seeds].

    Returns:
        float64 [units, seeds].
    """
    units, seeds = distances.shape[:2]
    values = np.empty((units, seeds))
    for unit in range(units):
        for number in range(seeds):
            distances_of_picture = distances[unit, number]
            within = np.delete(distances_of_picture[unit], number).mean()
            between = np.delete(distances_of_picture, unit, axis=0).mean()
            values[unit, number] = (between - within) / max(within, between, 1e-12)
    return values


@rules.register(
    name="stability",
    about=About(
        "Seeds agree",
        "silhouette",
        {
            "SEEDS AGREE": "pictures of a unit look more alike than those of other units do, and may still mislead",
            "SEEDS DISAGREE": "pictures of a unit look no more alike than those of other units do",
            "UNDECIDED": "{why}",
        },
        similarity="silhouette of each picture against all other units",
        sampled=False,
        cannot=CANNOT,
        better="higher",
        counted=COUNTED,
    ),
)
def judge_stability(family, margins, seed):
    """By the interval of the silhouette, which must lie above zero, over pictures and over units.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, not used.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    del seed  # Nothing is drawn.
    return judge_rows(
        family,
        lambda samples: judge_above_zero(samples["silhouette"], FINDINGS, "pictures"),
        lambda samples: judge_above_zero(samples["silhouette"].mean(axis=1), FINDINGS, "units"),
    )
