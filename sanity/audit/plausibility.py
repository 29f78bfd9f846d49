"""Plausibility: whether rows lie where data lie, by the distance to their fifth neighbour."""

from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import NearestNeighbors

from sanity.audit.neighbours import fifth_neighbours, furthest, split_rows

# The share of real rows that are called plausible, and rows of each half at most.
REAL, MOST = 0.95, 2000


@dataclass(frozen=True)
class Neighbourhood:
    """Rows that others are compared with.

    Args:
        index: `sklearn.neighbors.NearestNeighbors` of scaled rows.
        scale: float64 [inputs], deviations.
        limit: float, the distance within which .95 of held-out rows have their fifth neighbour.
    """

    index: NearestNeighbors
    scale: np.ndarray
    limit: float

    def distances(self, inputs):
        """The distance to the fifth neighbour, in deviations.

        Args:
            inputs: float [rows, inputs].

        Returns:
            float64 [rows].
        """
        return furthest(self.index, np.nan_to_num(inputs / self.scale))

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
    first, other = split_rows(units, MOST, seed=seed)
    scaled = np.nan_to_num(inputs / scale)
    index = fifth_neighbours(scaled[first] if first.any() else scaled[other])
    return Neighbourhood(index, scale, float(np.quantile(furthest(index, scaled[other]), REAL)))
