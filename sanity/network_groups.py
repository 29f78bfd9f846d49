"""Network groups: how alike maps are within and between groups of networks, and an exact test of their difference."""

import math

import numpy as np

from sanity.comparison import prefix_keys, similarities_between, similarities_within
from sanity.controls import families
from sanity.ruling import MEASURE, Ruling
from sanity.statistics import Interval, bootstrap_interval, group_difference_interval, max_t, pair_interval


def maps_of_networks(bound, states, kind):
    """Pooled maps on several networks.

    Args:
        bound: a `BoundExplainer`.
        states: list of weights.
        kind: str, the kind of each network's state, whose index is its place.

    Returns:
        list of lists of `PooledMap` or None, one list a network.
    """
    maps = []
    for turn, weights in enumerate(states):
        with bound.subject.network.weights(weights):
            maps.append(bound.pooled_maps(state=(kind, turn)))
    return maps


# What a verdict needs whose groups are too small for any p below .05.
FOUR_NETWORKS = "Compare four networks with four: that allows a smaller p."


def smallest_p(first, second):
    """The smallest p that a permutation of two groups of networks allows.

    Args:
        first: int, networks of one group.
        second: int, networks of the other.

    Returns:
        float. Of groups of one size each split is its own mirror image.
    """
    return (1 + (first == second)) / math.comb(first + second, first)


def group_similarities(first, second):
    """Similarity within and between two groups of networks.

    Args:
        first: list of lists of pooled maps, one list a network.
        second: the same of the other group.

    Returns:
        dict of `ceiling/MEASURE` (within the first), `between/MEASURE` and `random/MEASURE` (within the second) to
        float64 [networks, networks, samples].
    """
    return {
        **prefix_keys("ceiling", similarities_within(first)),
        **prefix_keys("between", similarities_between(first, second)),
        **prefix_keys("random", similarities_within(second)),
    }


def intervals(samples, measure, seed):
    """Intervals of the similarity between and within groups of networks.

    Args:
        samples: dict of name to array, of an `Evidence`.
        measure: str, the name of a similarity.
        seed: int.

    Returns:
        four `Interval`s: trained with random, the ceiling, random with random, and the last less the ceiling.
    """
    between, random = samples[f"between/{measure}"], samples[f"random/{measure}"]
    effect, null = bootstrap_interval(between, seed=seed), pair_interval(random, seed=seed)
    if f"ceiling/{measure}" in samples:
        ceiling = samples[f"ceiling/{measure}"]
        return effect, pair_interval(ceiling, seed=seed), null, group_difference_interval(random, ceiling, seed=seed)
    ceiling = bootstrap_interval(samples[f"itself/{measure}"], seed=seed)
    # One trained network has no pairs to resample, so that the bounds are compared as they stand.
    excess = Interval(null.mean - ceiling.mean, null.low - ceiling.high, null.high - ceiling.low)
    return effect, ceiling, null, excess


def adjusted_p(family):
    """Exact p by max-T over the methods, each control by itself.

    Args:
        family: list of `Evidence`.

    Returns:
        list of float, None where there are no replicates.
    """
    p_values = [None] * len(family)
    tested = [place for place, evidence in enumerate(family) if f"ceiling/{MEASURE}" in evidence.samples]
    for group in [[tested[place] for place in places] for places in families([family[place] for place in tested])]:
        matrices = [_matrix(family[place].samples) for place in group]
        for place, p in zip(group, max_t(matrices, len(family[group[0]].samples[f"ceiling/{MEASURE}"]))):
            p_values[place] = float(p)
    return p_values


def _matrix(samples):
    """Similarity of all networks, trained ones first, mean over samples: float64 [networks, networks]."""
    ceiling, between, random = (
        np.nan_to_num(_mean_over_images(samples[f"{name}/{MEASURE}"])) for name in ("ceiling", "between", "random")
    )
    return np.block([[ceiling, between], [between.T, random]])


def _mean_over_images(values):
    finite = np.isfinite(values)
    return np.where(finite, values, 0).sum(-1) / np.maximum(finite.sum(-1), 1)


def no_signal(numbers, margins):
    """The ruling for maps that do not agree with themselves: `Ruling`.

    Args:
        numbers: dict of the fields effect, ceiling and null of `Ruling`.
        margins: `Margins`.

    Returns:
        `Ruling`, INVALID.
    """
    why = f"the lower bound of their similarity is not above {margins.floor}"
    return Ruling("INVALID", "NO REPRODUCIBLE SIGNAL", **numbers, why=why)
