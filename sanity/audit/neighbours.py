"""Neighbours: how far each row lies from the rows of the reference, with p from reference rows that were held out.

A threshold from the rows that are searched, or from a chi-square, flags half of all rows where nothing is, at 64 columns and 300
rows (`sanity/CALIBRATION.md`).
"""

from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import NearestNeighbors

from sanity.audit.permutation import halves, p_among

# Which neighbour a distance is measured to, rows of each half that are looked at, and the rate of false flags among flags.
NEIGHBOUR, MOST_ROWS, RATE = 5, 20_000, 0.1


@dataclass(frozen=True)
class Distances:
    """Distances of held-out reference rows and of others to the other half of the reference.

    Args:
        held_out: float64 [held-out rows].
        others: float64 [rows].
        is_held_out: bool [reference rows], those that were held out and, of very many, drawn.
    """

    held_out: np.ndarray
    others: np.ndarray
    is_held_out: np.ndarray

    @property
    def p(self):
        """For each other row the share of held-out rows that lie as far, the row counted: float64 [rows]."""
        return conformal_p(self.held_out, self.others)


def conformal_p(held_out, others):
    """p of each distance among held-out ones (Bates et al. 2023, https://arxiv.org/abs/2104.08279).

    Args:
        held_out: float64 [held-out rows].
        others: float64 [rows].

    Returns:
        float64 [rows], (1 + held-out rows that lie as far) / (1 + held-out rows).
    """
    return p_among(np.sort(held_out), others, rounding=0)


def neighbour_distances(reference, units, others, *, seed):
    """The distance of rows to their fifth neighbour in one half of the reference.

    Args:
        reference: float [rows, columns], standardized.
        units: int [rows], kept whole in the halves.
        others: float [rows, columns].
        seed: int.

    Returns:
        `Distances`.
    """
    searched, held_out = split_rows(units, MOST_ROWS, seed=seed)
    index = fifth_neighbours(reference[searched])
    return Distances(furthest(index, reference[held_out]), furthest(index, others), held_out)


def split_rows(units, most, *, seed):
    """Rows of two halves of the units, drawn where there are very many.

    Args:
        units: int [rows], kept whole in the halves.
        most: int, rows of a half.
        seed: int.

    Returns:
        two of bool [rows].
    """
    first = halves(units, seed=seed)
    return _draw_rows(first, most, seed), _draw_rows(~first, most, seed)


def _draw_rows(rows, most, seed):
    """The rows of a mask, or as many as are looked at, drawn: bool [rows]."""
    places = np.flatnonzero(rows)
    if len(places) <= most:
        return rows
    kept = np.zeros(len(rows), bool)
    kept[np.random.default_rng(seed).choice(places, most, replace=False)] = True
    return kept


def fifth_neighbours(rows):
    """An index of rows for distances to the fifth of them.

    Args:
        rows: float [rows, columns].

    Returns:
        `sklearn.neighbors.NearestNeighbors`; of fewer than five rows the last of them counts.
    """
    return NearestNeighbors(n_neighbors=min(NEIGHBOUR, len(rows))).fit(rows)


def furthest(index, rows):
    """The distance of rows to the furthest neighbour that an index counts.

    Args:
        index: `NearestNeighbors`, as of `fifth_neighbours`.
        rows: float [rows, columns].

    Returns:
        float64 [rows].
    """
    return index.kneighbors(rows)[0][:, -1].astype("float64") if len(rows) else np.zeros(0)


def flag_rows(p, rate=RATE):
    """Rows that stand out, of which this share is expected to be flagged wrongly (Benjamini, Hochberg 1995).

    Args:
        p: float [rows].
        rate: float.

    Returns:
        bool [rows].
    """
    order = np.sort(p)
    below = np.flatnonzero(order <= rate * np.arange(1, len(order) + 1) / max(len(order), 1) + 1e-12)
    return p <= order[below[-1]] if len(below) else np.zeros(len(p), bool)
