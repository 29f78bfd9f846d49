"""Sources: what natural images were taken from. Crops of one photograph are one sample, not many."""

import numpy as np

from sanity.evidence import Gate
from sanity.statistics import number_groups

# Fewer sources allow no contrast between the natural images of several units.
FEWEST_SOURCES = 12


def count(study):
    """How many sources the natural images of a study come from: int."""
    return len(set(study.data.groups))


def sizes(study):
    """The sizes of a study, its sources among them: dict of name to int."""
    return {**study.sizes, "sources": count(study)}


def gate(study):
    """Whether the natural images come from enough sources: `Gate`."""
    number = count(study)
    words = f"{number} {'source' if number == 1 else 'sources'} of natural images"
    if number >= FEWEST_SOURCES:
        return Gate("sources of natural images", "passed", words)
    return Gate(
        "sources of natural images",
        "failed",
        f"{words}; needed: {FEWEST_SOURCES}, crops of one photograph being one. The packages' photographs are too few: "
        "name a folder of your own, --images FOLDER or in a recipe [images] folder",
    )


def numbers(data):
    """The source of each image as a number, equal for crops of one photograph: int [images]."""
    return number_groups(data.groups)


def strongest_images(study, unit, most):
    """The images that a unit responds to most, one of each source, best first: int [at most `most`].

    Args:
        study: the `Study`.
        unit: int, the place of the unit in the survey.
        most: int, images at most.

    Returns:
        int [at most `most`], indices of natural images.
    """
    survey = study.survey
    kept = survey.kept[np.argsort(-survey.kept_scores[:, unit], kind="stable")]
    return _first_per_source(np.concatenate([survey.top[unit], kept]), numbers(study.data))[:most]


def strongest_and_weakest(study, unit, most):
    """The surveyed images that a unit responds to most and least, no source twice: two int [at most `most`].

    Args:
        study: the `Study`.
        unit: int, the place of the unit in the survey.
        most: int, images at most on either side.

    Returns:
        two int [at most `most`], indices of natural images, the most extreme first.
    """
    numbered = numbers(study.data)
    kept = study.survey.kept[np.argsort(-study.survey.kept_scores[:, unit], kind="stable")]
    high = _first_per_source(kept, numbered)[:most]
    rest = kept[~np.isin(numbered[kept], numbered[high])]
    return high, _first_per_source(rest[::-1], numbered)[:most]


def constant_units(study):
    """Units that respond alike to all natural images, so that none of these are their own: bool [units]."""
    return np.ptp(study.survey.kept_scores[:, list(study.units)], axis=0) == 0


def _first_per_source(indices, numbered):
    """The first image of each source, in their order."""
    _, first = np.unique(numbered[indices], return_index=True)
    return indices[np.sort(first)]
