"""Network groups: how alike maps are within and between groups of networks, and the exact test of whether the groups differ."""

import numpy as np

from sanity.controls import families
from sanity.ruling import MEASURE, Ruling
from sanity.statistics import Interval, between_groups, max_t, over_pairs, two_way


def intervals(samples, measure, seed):
    """-> between, ceiling, random-random, and random-random less the ceiling; each `Interval`."""
    between, random = samples[f"between/{measure}"], samples[f"random/{measure}"]
    effect, null = two_way(between, seed=seed), over_pairs(random, seed=seed)
    if f"ceiling/{measure}" in samples:
        ceiling = samples[f"ceiling/{measure}"]
        return effect, over_pairs(ceiling, seed=seed), null, between_groups(random, ceiling, seed=seed)
    ceiling = two_way(samples[f"itself/{measure}"], seed=seed)
    # Of one network there are no pairs to resample beside the random ones': the bounds are compared as they stand.
    apart = Interval(null.mean - ceiling.mean, null.low - ceiling.high, null.high - ceiling.low)
    return effect, ceiling, null, apart


def adjusted_p(family):
    """Exact p by max-T over the methods, controls each by themselves: list of float, None where there are no replicates."""
    found = [None] * len(family)
    tested = [place for place, each in enumerate(family) if f"ceiling/{MEASURE}" in each.samples]
    for group in [[tested[place] for place in places] for places in families([family[place] for place in tested])]:
        matrices = [_matrix(family[place].samples) for place in group]
        for place, p in zip(group, max_t(matrices, len(family[group[0]].samples[f"ceiling/{MEASURE}"]))):
            found[place] = float(p)
    return found


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
    why = f"the lower bound of their similarity is not above {margins.floor}"
    return Ruling("INVALID", "NO REPRODUCIBLE SIGNAL", **numbers, why=why)
