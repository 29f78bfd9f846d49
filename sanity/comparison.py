"""Comparison: groups of networks by the maps that a method makes of them, map by map, under every similarity."""

import numpy as np

from sanity.similarity import measures


def similar(first, second):
    """Every measure, sample by sample: dict of name to float64 [samples]; nan where either map is unusable."""
    pairs = list(zip(first, second))
    return {
        name: np.array([np.nan if None in pair else measures.get(name)(*pair) for pair in pairs]) for name in measures
    }


def among(group):
    """Networks with each other: dict of measure to float64 [networks, networks, samples], the diagonal nan. group: planes by network."""
    count = len(group)
    found = {name: np.full((count, count, len(group[0])), np.nan) for name in measures}
    for a in range(count):
        for b in range(a):
            for name, row in similar(group[a], group[b]).items():
                found[name][a, b] = found[name][b, a] = row
    return found


def across(first, second):
    """Networks of one group with those of another: dict of measure to float64 [networks, others, samples]."""
    rows = [[similar(a, b) for b in second] for a in first]
    return {name: np.array([[cell[name] for cell in row] for row in rows]) for name in measures}


def named(prefix, found):
    """The same dict under "prefix/measure"."""
    return {f"{prefix}/{name}": value for name, value in found.items()}
