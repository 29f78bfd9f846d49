"""Predictivity: can an observer who has seen only the picture say which of two natural images drives the unit?"""

import numpy as np

from sanity.evidence import Evidence, Gate
from sanity.features import features
from sanity.features.embedding import whitened
from sanity.features.stability import look

PERMUTATIONS = 9999


@features.register(about="Predicts")
def predictivity(study, *, seed, share=0.1, most=40, observer=None):
    """Can strong natural images be told from weak ones by a unit's pictures (Borowski et al. 2021, https://arxiv.org/abs/2010.12606)?

    Two-alternative choices, with a machine for an observer, by likeness to the pictures.

    share: of the natural images at each end; most: at most so many. observer: a `Network` that did not make the pictures (None:
    texture and colour). The same choices are made from other units' pictures, by contrast and by brightness, because these alone
    predict something. -> Evidence with samples choices [units, units]: how often the pictures of the second unit choose right
    for the first; contrast [units]; gain [units]; null [permutations], mean gains under pictures dealt to units at random.
    """
    count = int(np.clip(round(share * study.survey.count), 2, most))
    ends = [_ends(study, unit, count) for unit in study.units]
    indices = np.unique(np.concatenate([np.concatenate(pair) for pair in ends]))
    images = _thumbnails(study, indices)
    flat = study.pictures.reshape(-1, *study.pictures.shape[2:])
    natural, made = whitened([look(images, observer), look(flat, observer)])
    made = made.reshape(*study.pictures.shape[:2], -1).mean(axis=1)
    likeness = dict(zip(indices, natural @ made.T))
    choices = np.array([_chosen([likeness[i] for i in high], [likeness[i] for i in low]) for high, low in ends])
    contrast = _simple(ends, dict(zip(indices, images)), study.pictures)
    units = len(study.units)
    enough = units > 1 and study.survey.count >= 8
    gate = Gate(
        "units and images to choose from",
        "passed" if enough else "not applicable",
        f"{units} units, {study.survey.count} images",
    )
    samples = {"choices": choices, "contrast": contrast, "units": np.array(study.units)}
    samples |= {"gain": gains(choices, contrast), "null": _null(choices, seed)} if enough else {}
    settings = {"ends": count, "observer": observer.name if observer else "texture and colour", **study.settings}
    return Evidence("predictivity", study.name, study.subject, study.sizes, samples, (gate,), settings=settings)


def gains(choices, contrast):
    """How much more often a unit's own pictures choose right than other units' pictures, or contrast or brightness alone: float [units]."""
    own = np.diag(choices)
    other = (choices.sum(axis=1) - own) / (len(choices) - 1)
    return own - np.maximum(other, contrast)


def _null(choices, seed):
    """Mean own choice less the others', under pictures dealt to the units at random; the first entry is as they are: float [1 + draws]."""
    rng = np.random.default_rng(seed)
    orders = [np.arange(len(choices)), *(rng.permutation(len(choices)) for _ in range(PERMUTATIONS))]
    return np.array([choices[np.arange(len(choices)), order].mean() for order in orders]) - choices.mean()


def _ends(study, unit, count):
    """The natural images that the unit answers to most and least, among those kept: two int [count]."""
    order = np.argsort(-study.survey.kept_scores[:, unit], kind="stable")
    return study.survey.kept[order[:count]], study.survey.kept[order[-count:]]


def _chosen(high, low):
    """How often the high ones score above the low ones, ties half: for rows of scores [images, ...] -> [...]."""
    first, second = np.array(high)[:, None], np.array(low)[None]
    return ((first > second) + 0.5 * (first == second)).mean(axis=(0, 1))


def _simple(ends, images, pictures):
    """How often contrast alone, or brightness alone, chooses right: the image whose contrast is nearer to the pictures': float [units]."""
    found = []
    for (high, low), own in zip(ends, pictures):
        goal = np.mean([_plain(each) for each in own], axis=0)
        near = [[-np.abs(_plain(images[index]) - goal) for index in end] for end in (high, low)]
        found.append(_chosen(*near).max())
    return np.array(found)


def _plain(image):
    grey = image.mean(axis=-1) / 255.0
    return np.array([grey.std(), grey.mean()])


def _thumbnails(study, indices):
    """Natural images as the network saw them: uint8 [images, rows, columns, channels]."""
    return np.round(np.clip(study.network.deprocess(study.natural(indices)), 0, 255)).astype("uint8")
