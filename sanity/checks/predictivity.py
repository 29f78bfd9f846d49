"""Predictivity: can an observer of the picture alone say which of two natural images drives the unit?"""

import numpy as np

from sanity.checks import checks
from sanity.evidence import Evidence
from sanity.pictures import crossing, sources
from sanity.pictures.embedding import describe_images, whiten
from sanity.pictures.rulings import FAILING, judge_crossed_unit, judge_crossed_units
from sanity.pictures.units import CANNOT, COUNTED, by_unit, judge_rows
from sanity.ruling import About, rules
from sanity.statistics import FEWEST

PERMUTATIONS = 9999
FINDINGS = ("PREDICTS", "DOES NOT PREDICT")


@checks.register(claim="pictures")
def predictivity(study, *, seed, share=0.1, most=40, observer=None):
    """Can strong natural images be told from weak ones by a unit's pictures (Borowski et al. 2021, https://arxiv.org/abs/2010.12606)?

    These are two-alternative choices by likeness to the pictures, with a machine for an observer. Every unit's pictures
    choose for every unit. The crossing of units (`crossings`) decides, relative to that of its own strong images, each
    held out.

    Args:
        study: a `Study`.
        seed: int, of the permutations.
        share: float, of the sources of natural images at each end. The two ends share no source.
        most: int, at most so many at each end.
        observer: a `Network` that did not make the pictures, or None: texture and colour.

    Returns:
        list of `Evidence`, of each unit and of all. Samples of all units:
        choices: [units, units], how often the pictures of the second unit choose right for the first.
        contrast: [units], how often contrast or brightness alone do.
        decided: [3, units]; rival, lead, null, known: as of `path`.
    """
    gates = crossing.gates(study)
    number = sources.count(study)
    count = int(np.clip(round(share * number), FEWEST, max(FEWEST, min(most, number // 2))))
    samples = {"units": study.unit_numbers}
    if all(gate.status == "passed" for gate in gates):
        samples |= _study_samples(study, count, observer, seed)
    settings = {"ends": count, "observer": observer.name if observer else "texture and colour", **study.settings}
    sizes = sources.sizes(study)
    evidence = Evidence("predictivity", study.name, study.title, sizes, samples, gates, settings=settings)
    return by_unit(evidence, crossing.OF_UNITS)


def _study_samples(study, count, observer, seed):
    """The samples of a study whose units can be crossed."""
    ends = np.array([sources.strongest_and_weakest(study, unit, count) for unit in study.units])
    indices, places = np.unique(ends, return_inverse=True)
    places = places.reshape(ends.shape)
    images, flat = _thumbnails(study, indices), study.pictures.reshape(-1, *study.pictures.shape[2:])
    natural, drawn = _remove_mean_difference(
        *whiten([describe_images(images, observer), describe_images(flat, observer)])
    )
    drawn = drawn.reshape(*study.pictures.shape[:2], -1).mean(axis=1)
    samples = choice_samples(natural, drawn, places, sources.numbers(study.data)[indices], seed=seed)
    samples["rival"] = study.unit_numbers[samples["rival"]]
    samples["decided"][:, sources.constant_units(study)] = np.nan
    return samples | {"contrast": _contrast_choices(places, images, study.pictures), "units": study.unit_numbers}


def _remove_mean_difference(natural, drawn):
    """Both without the direction between their means, which separates all pictures from all photographs."""
    direction = drawn.mean(axis=0) - natural.mean(axis=0)
    direction = direction / max(np.linalg.norm(direction), 1e-12)
    return tuple(rows - np.outer(rows @ direction, direction) for rows in (natural, drawn))


def choice_samples(natural, drawn, ends, numbered, *, seed):
    """The samples of `predictivity` from what an observer sees.

    Args:
        natural: float [images, numbers].
        drawn: float [units, numbers], the mean of each unit's pictures.
        ends: int [units, 2, images at an end], places of each unit's strong and weak images.
        numbered: int [images], the source of each image.
        seed: int, of the permutations.

    Returns:
        Dict of name to array; rival: places of units.
    """
    by_pictures, held_out = (drawn @ natural.T)[:, ends], _held_out_likeness(natural, ends, numbered)
    both = np.stack([by_pictures, held_out])
    pairs = (both[..., 0, :, None] > both[..., 1, None, :]) + 0.5 * (both[..., 0, :, None] == both[..., 1, None, :])
    owners = numbered[ends]

    # What each image of either end adds, so that a source can be left out without new choices.
    parts = np.stack([pairs.sum(axis=-1), pairs.sum(axis=-2)], axis=-2)
    by_source = np.stack([_choice_crossings(parts, owners == source) for source in np.unique(owners)])
    share, rival, lead = crossing.judge_units(_choice_crossings(parts, owners < 0), by_source, ends.shape[-1])
    choices = pairs[0].mean(axis=(-1, -2)).T
    null, known = (
        crossing.permutation_null(choice_rates.mean(axis=(-1, -2)), seed, PERMUTATIONS) for choice_rates in pairs
    )
    return {"choices": choices, "decided": share, "rival": rival, "lead": lead, "null": null, "known": known}


def _held_out_likeness(natural, ends, numbered):
    """Likeness of a unit's other strong images to the images at both ends of every unit: float [units, units, 2, images]."""
    likeness = []
    for strong in ends[:, 0]:
        different = numbered[strong][:, None] != numbered[None]
        products = np.where(different, natural[strong] @ natural.T, 0).sum(axis=0)
        likeness.append((products / np.maximum(different.sum(axis=0), 1))[ends])
    return np.stack(likeness)


def _choice_crossings(parts, dropped):
    """Crossings of choices, of the pictures and of held-out images, without some images.

    Args:
        parts: [2, units that choose, units, 2 ends, images], sums of choices.
        dropped: bool [units, 2 ends, images], images left out at one end of a unit.

    Returns:
        float64 [2, units, units].
    """
    count = parts.shape[-1]
    right = parts[..., 0, :].sum(axis=-1) - (parts * dropped).sum(axis=(-1, -2))
    choices = right / (count * (count - dropped.sum(axis=(-1, -2))))
    return np.stack([crossing.crossings(choices[0]), crossing.crossings(choices[0], choices[1])])


def _choice_rate(high, low):
    """How often the high ones score above the low ones, ties half: for rows of scores [images, ...] -> [...]."""
    first, second = np.array(high)[:, None], np.array(low)[None]
    return ((first > second) + 0.5 * (first == second)).mean(axis=(0, 1))


def _contrast_choices(ends, images, pictures):
    """How often contrast or brightness alone chooses right, the nearer to the pictures' own: float [units]."""
    plain = np.array([_contrast_and_brightness(image) for image in images])
    goals = np.array([np.mean([_contrast_and_brightness(picture) for picture in row], axis=0) for row in pictures])
    near = [-np.abs(plain[unit] - goal) for unit, goal in zip(ends, goals)]
    return np.array([_choice_rate(*both).max() for both in near])


def _contrast_and_brightness(image):
    grey = image.mean(axis=-1) / 255.0
    return np.array([grey.std(), grey.mean()])


def _thumbnails(study, indices):
    """Natural images as the network saw them: uint8 [images, rows, columns, channels]."""
    return np.round(np.clip(study.network.deprocess(study.natural_inputs(indices)), 0, 255)).astype("uint8")


@rules.register(
    name="predictivity",
    about=About(
        "Predicts",
        FAILING,
        {
            "PREDICTS": "pictures tell strong natural images of their own unit from weak ones, and may still mislead; {why}",
            "DOES NOT PREDICT": "pictures do not tell strong natural images of their own unit from weak ones; {why}",
            "UNDECIDED": "{why}",
        },
        similarity="choices between two natural images by likeness to the pictures, as the crossing of units",
        sampled=False,
        cannot=CANNOT,
        of_part="share of what held-out natural images reach",
        better="lower",
        counted=COUNTED,
    ),
)
def judge_predictivity(family, margins, seed):
    """By the crossing of units; all units together by pictures that are dealt to other units.

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
        lambda samples: judge_crossed_unit(samples, FINDINGS, margins),
        lambda samples: judge_crossed_units(samples, FINDINGS, margins),
    )
