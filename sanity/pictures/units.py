"""Units: evidence about the pictures of several units as rows, one for each unit and one for all, and their rulings."""

from dataclasses import replace

import numpy as np

# How many units, pictures and natural images a verdict looked at, in words.
COUNTED = {
    "units": "units",
    "pictures": "pictures of each",
    "images": "natural images",
    "sources": "sources",
    "networks": "random networks",
}
CANNOT = "Cannot conclude: that a picture shows all that its unit responds to. A picture may mislead where no check speaks against it. Nothing is said of other units, networks or settings."


def unit_name(unit):
    """What a unit is called in a verdict: str."""
    return f"unit {int(unit)}"


def by_unit(evidence, axes):
    """Evidence about all units as rows: that about each unit, and itself at the end.

    Args:
        evidence: `Evidence` with samples units, int [units].
        axes: dict of sample to the axis of its units. Only these are in the rows of single units.

    Returns:
        list of `Evidence`.
    """
    rows = zip(evidence.samples["units"], unit_samples(evidence.samples, axes))
    return [*(replace(evidence, part=unit_name(unit), samples=samples) for unit, samples in rows), evidence]


def unit_samples(samples, axes):
    """Samples of all units, unit by unit.

    Args:
        samples: dict of name to array, with units.
        axes: dict of sample to the axis of its units.

    Returns:
        list of dict of name to array, without the axis of units.
    """
    measured = {name: axis for name, axis in axes.items() if name in samples}
    return [
        {name: np.take(samples[name], place, axis) for name, axis in measured.items()}
        for place in range(len(samples["units"]))
    ]


def judge_rows(family, judge_unit, judge_all):
    """Rulings on rows of units and of all units.

    Args:
        family: list of `Evidence`, as of `by_unit`.
        judge_unit: samples of one unit -> `Ruling`.
        judge_all: samples of all units -> `Ruling`.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    return [(judge_unit if evidence.part else judge_all)(evidence.samples) for evidence in family]


def count_words(rulings):
    """How many units fail, pass and are undecided, in words: str."""
    outcomes = [ruling.outcome for ruling in rulings]
    counts = {name: outcomes.count(outcome) for name, outcome in _COUNTED_OUTCOMES.items()}
    return f"of {len(rulings)} units " + ", ".join(f"{count} {name}" for name, count in counts.items() if count)


_COUNTED_OUTCOMES = {"fail": "FAIL", "pass": "PASS", "undecided": "INCONCLUSIVE"}
