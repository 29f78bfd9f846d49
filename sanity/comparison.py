"""Comparison: maps of networks and groups of networks, map by map, under every similarity."""

import numpy as np

from lab.environment import tf
from sanity.similarity import measures
from sanity.statistics import bootstrap_interval
from sanity.threads import in_threads

# Maps of fewer positions are compared one after another: threads would wait for each other longer than they compute.
FEW_POSITIONS = 10_000


def similarities(first, second):
    """Every similarity of two lists of pooled maps, sample by sample.

    Args:
        first: list of `PooledMap`, None where a map is unusable.
        second: another of the same length.

    Returns:
        dict of measure to float64 [samples]; nan where either map is unusable.
    """

    def measure(pair):
        return [np.nan if None in pair else measures.get(name)(*pair) for name in measures]

    pairs = list(zip(first, second))
    positions = max((part.unsigned.size for part in first if part is not None), default=0)
    rows = list(map(measure, pairs)) if positions < FEW_POSITIONS else in_threads(measure, pairs, limited=False)
    names = list(measures)
    return dict(zip(names, np.array(rows, "float64").reshape(-1, len(names)).T))


def similarities_within(group):
    """Networks of a group with each other.

    Args:
        group: list of lists of pooled maps, one list a network.

    Returns:
        dict of measure to float64 [networks, networks, samples], the diagonal nan.
    """
    count = len(group)
    matrices = {name: np.full((count, count, len(group[0])), np.nan) for name in measures}
    for a in range(count):
        for b in range(a):
            for name, row in similarities(group[a], group[b]).items():
                matrices[name][a, b] = matrices[name][b, a] = row
    return matrices


def similarities_between(first, second, known=()):
    """Networks of one group with those of another.

    Args:
        first: list of lists of pooled maps, one list a network.
        second: the same for the other group.
        known: lists of what `similarities` gives for the first networks and all others, where it was computed before.

    Returns:
        dict of measure to float64 [networks, others, samples].
    """
    rows = [*known, *([similarities(a, b) for b in second] for a in first[len(known) :])]
    return {name: np.array([[pair[name] for pair in row] for row in rows]) for name in measures}


def prefix_keys(prefix, values):
    """The same dict with keys "prefix/key".

    Args:
        prefix: str.
        values: dict with keys of str.

    Returns:
        dict.
    """
    return {f"{prefix}/{name}": value for name, value in values.items()}


def distances(first, second):
    """Relative L2 distance of raw maps from others of their structure, in units of their own norm.

    Args:
        first: arrays [samples, ...].
        second: arrays of the same structure.

    Returns:
        float64 [samples].
    """
    first, second = _flatten_maps(first), _flatten_maps(second)
    return np.linalg.norm(first - second, axis=1) / np.maximum(np.linalg.norm(first, axis=1), 1e-300)


def scale_factors(first, second):
    """The factor that brings the second maps nearest to the first, by least squares.

    Args:
        first: arrays [samples, ...].
        second: arrays of the same structure.

    Returns:
        float64 [samples]; nan where either map is all zeros.
    """
    first, second = _flatten_maps(first), _flatten_maps(second)
    size = (second**2).sum(axis=1)
    # Only a factor of zero fits a map of zeros, and that fits any other map as well.
    return (first * second).sum(axis=1) / np.where((size > 0) & first.any(axis=1), size, np.nan)


def rescale(maps, factors):
    """Maps times a factor for each sample.

    Args:
        maps: arrays, as a method gives them.
        factors: float [samples]; an undefined factor leaves its map as it is.

    Returns:
        float64 arrays in the structure of the maps.
    """
    factors = np.where(np.isfinite(factors), factors, 1.0)
    return tf.nest.map_structure(lambda leaf: leaf * factors.reshape(-1, *[1] * (leaf.ndim - 1)), maps)


def _flatten_maps(maps):
    """All of each sample's map: float64 [samples, values]."""
    return np.concatenate(
        [np.asarray(leaf, "float64").reshape(len(leaf), -1) for leaf in tf.nest.flatten(maps)], axis=1
    )


def distance_intervals(samples, seed):
    """Every measured distance: dict of name to `Interval`.

    Args:
        samples: dict of name to array; those named "distance/NAME" are read, float [samples] each.
        seed: int, of the bootstrap.

    Returns:
        dict of NAME to `Interval`.
    """
    distances_by_name = {
        name.partition("/")[2]: values for name, values in samples.items() if name.startswith("distance/")
    }
    return {name: bootstrap_interval(values[None], seed=seed) for name, values in distances_by_name.items()}
