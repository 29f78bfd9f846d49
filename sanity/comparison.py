"""Comparison: groups of networks by the maps that a method makes of them, map by map, under every similarity."""

import numpy as np

from lab.environment import tf
from sanity.similarity import measures
from sanity.statistics import two_way


def similarities(first, second):
    """Every measure, sample by sample: dict of name to float64 [samples]; nan where either map is unusable."""
    pairs = list(zip(first, second))
    return {
        name: np.array([np.nan if None in pair else measures.get(name)(*pair) for pair in pairs]) for name in measures
    }


def similarities_within(group):
    """Networks with each other: dict of measure to float64 [networks, networks, samples], the diagonal nan. group: pooled maps by network."""
    count = len(group)
    found = {name: np.full((count, count, len(group[0])), np.nan) for name in measures}
    for a in range(count):
        for b in range(a):
            for name, row in similarities(group[a], group[b]).items():
                found[name][a, b] = found[name][b, a] = row
    return found


def similarities_between(first, second):
    """Networks of one group with those of another: dict of measure to float64 [networks, others, samples]."""
    rows = [[similarities(a, b) for b in second] for a in first]
    return {name: np.array([[cell[name] for cell in row] for row in rows]) for name in measures}


def prefix_keys(prefix, found):
    """The same dict under "prefix/measure"."""
    return {f"{prefix}/{name}": value for name, value in found.items()}


def distances(first, second):
    """How far raw maps are from others of their structure, relative to their own size, L2: float64 [samples]."""
    first, second = _flatten_maps(first), _flatten_maps(second)
    return np.linalg.norm(first - second, axis=1) / np.maximum(np.linalg.norm(first, axis=1), 1e-300)


def scale_factors(first, second):
    """The factor that brings the second maps nearest to the first, least squares: float64 [samples]; nan where either is all zeros."""
    first, second = _flatten_maps(first), _flatten_maps(second)
    size = (second**2).sum(axis=1)
    # No factor but zero makes a map of zeros of another, and that would make one of any.
    return (first * second).sum(axis=1) / np.where((size > 0) & first.any(axis=1), size, np.nan)


def rescale(maps, factors):
    """Maps times a factor a sample, float64; a factor that is undefined leaves them as they are."""
    factors = np.where(np.isfinite(factors), factors, 1.0)
    return tf.nest.map_structure(lambda leaf: leaf * factors.reshape(-1, *[1] * (leaf.ndim - 1)), maps)


def _flatten_maps(maps):
    """All of each sample's map: float64 [samples, values]."""
    return np.concatenate(
        [np.asarray(leaf, "float64").reshape(len(leaf), -1) for leaf in tf.nest.flatten(maps)], axis=1
    )


def distance_intervals(samples, seed):
    """Every distance that was measured: dict of name to `Interval`."""
    named = {name.partition("/")[2]: values for name, values in samples.items() if name.startswith("distance/")}
    return {name: two_way(values[None], seed=seed) for name, values in named.items()}
