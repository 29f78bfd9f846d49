"""Locality: every localisation score, where a mask is known."""

import numpy as np

from lab.kinds import IMAGE, kind_of
from sanity.localisation import localisations, relevances, signed_relevances
from sanity.metrics import metrics
from sanity.seeds import derive_seed


def _register_in_mask(name):
    def metric(bound, maps, seed):
        del seed  # Nothing is drawn.
        truth = bound.subject.truth
        if truth is None:
            return np.full(len(bound.subject.names), np.nan)
        one_sided = name == "attribution_localisation"
        shape = truth.masks.shape
        relevance = np.maximum(signed_relevances(maps, shape), 0) if one_sided else relevances(maps, shape)
        return np.array([localisations.get(name)(*pair) for pair in zip(relevance, truth.masks)])

    metric.__name__ = f"{name}_in_mask"
    metric.__doc__ = localisations.get(name).__doc__.partition("\n\n")[0]
    return metrics.register(metric, better="high")


for _name in localisations:
    _register_in_mask(_name)


@metrics.register(better="high")
def focus(bound, maps, seed):
    """Focus: share of positive relevance on one's own half of a mosaic of two samples (Arias-Duart et al. 2022, https://arxiv.org/abs/2109.15035).

    Two samples of different targets are laid above each other at half the rows each, for inputs of rows and columns
    only. It is nan for a sample that has no other of another target.

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], in 0..1.
    """
    del maps  # The mosaics are explained anew.
    subject = bound.subject
    if kind_of(subject.inputs) is not IMAGE:
        return np.full(len(subject.names), np.nan)
    targets = np.array(subject.objective.numbers(len(subject.names))[0][0])
    paired = np.array([(targets != target).any() for target in targets])
    other = np.array([_other_target(targets, row, seed) if paired[row] else row for row in range(len(targets))])
    half = subject.inputs.shape[1] // 2
    mosaics = subject.inputs.copy()
    mosaics[:, :half] = subject.inputs[:, ::2][:, :half]
    mosaics[:, half : 2 * half] = subject.inputs[other][:, ::2][:, :half]
    relevance = np.maximum(signed_relevances(bound.maps(mosaics), mosaics.shape[:-1]), 0)
    total = relevance[:, : 2 * half].sum(axis=(1, 2))
    return relevance[:, :half].sum(axis=(1, 2)) / np.where(paired & (total > 0), total, np.nan)


def _other_target(targets, row, seed):
    unlike = np.flatnonzero(targets != targets[row])
    return np.random.default_rng(derive_seed(seed, "mosaic", row)).choice(unlike)
