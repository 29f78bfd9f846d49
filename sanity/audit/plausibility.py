"""Plausibility: whether rows lie where data lie, by the distance to their fifth neighbour."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from sanity.audit.permutation import halves

# The neighbour whose distance counts, the share of real rows that are called plausible, and rows at most.
NEIGHBOUR, REAL, MOST = 5, 0.95, 2000


@dataclass(frozen=True)
class Neighbourhood:
    """Rows that others are compared with.

    Args:
        tree: `scipy.spatial.cKDTree` of scaled rows.
        scale: float64 [inputs], deviations.
        limit: float, the distance within which .95 of held-out rows have their fifth neighbour.
    """

    tree: cKDTree
    scale: np.ndarray
    limit: float

    def distances(self, inputs):
        """The distance to the fifth neighbour, in deviations.

        Args:
            inputs: float [rows, inputs].

        Returns:
            float64 [rows].
        """
        return _fifth(self.tree, np.nan_to_num(inputs / self.scale))

    def is_plausible(self, inputs):
        """Whether rows lie no farther than real ones do: bool [rows]."""
        return self.distances(inputs) <= self.limit


def neighbourhood(inputs, units, *, seed):
    """Neighbours of one half of the units, and how far the other half lies from them.

    Args:
        inputs: float [rows, inputs].
        units: int [rows].
        seed: int.

    Returns:
        `Neighbourhood`.
    """
    inputs = np.asarray(inputs, "float64")
    deviation = np.nanstd(inputs, axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    first = halves(units, seed=seed)
    sides = [np.nan_to_num(inputs[side][:MOST] / scale) for side in (first, ~first)]
    tree = cKDTree(sides[0] if len(sides[0]) else sides[1])
    return Neighbourhood(tree, scale, float(np.quantile(_fifth(tree, sides[1]), REAL)))


def _fifth(tree, points):
    return tree.query(points, k=[min(NEIGHBOUR, tree.n)])[0][:, 0]
