"""Complexity: over how many positions a map is spread."""

import numpy as np

from sanity.localisation import relevances
from sanity.metrics import metrics
from sanity.removal import extent


@metrics.register
def sparseness(bound, maps, seed):
    """Gini index of absolute values: 0 where all are equal, near 1 where one has all (Chalasani et al. 2020, https://arxiv.org/abs/1810.06583).

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], in 0..1.
    """
    del seed  # Nothing is drawn.
    values = np.sort(_flat_relevance(bound, maps), axis=1)
    count = values.shape[1]
    place = 2 * np.arange(1, count + 1) - count - 1
    return (values * place).sum(axis=1) / (count * _totals(values)[:, 0])


@metrics.register
def complexity(bound, maps, seed):
    """Entropy in nats of the shares of absolute value (Bhatt, Weller, Moura 2020, https://arxiv.org/abs/2005.00631).

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], in nats.
    """
    del seed  # Nothing is drawn.
    values = _flat_relevance(bound, maps)
    shares = values / _totals(values)
    return -(shares * np.log(np.where(shares > 0, shares, 1))).sum(axis=1)


@metrics.register
def effective_complexity(bound, maps, seed, share=1e-2):
    """Positions above a hundredth of the largest absolute value (after Nguyen, Martinez 2020, https://arxiv.org/abs/2007.07584).

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.
        share: float, of the largest absolute value.

    Returns:
        float64 [samples], a count of positions.
    """
    del seed  # Nothing is drawn.
    values = _flat_relevance(bound, maps)
    return (values > share * values.max(axis=1, keepdims=True)).sum(axis=1).astype("float64")


def _totals(values):
    """Sum of each sample, nan where it is zero: float64 [samples, 1]."""
    total = values.sum(axis=1, keepdims=True)
    return np.where(total > 0, total, np.nan)


def _flat_relevance(bound, maps):
    shape = (len(bound.subject.names), *extent(bound.subject.inputs))
    return relevances(maps, shape).reshape(len(bound.subject.names), -1)
