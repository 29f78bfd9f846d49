"""Near copies: rows that lie much nearer to a few others than to the rest, as rows of one person do that no unit names."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

# Values and the largest share of equal ones of a column by which rows can be near, and columns that are looked at.
FEWEST_VALUES, MOST_EQUAL, MOST_COLUMNS = 10, 0.5, 30
# Neighbours that are looked at: at most so many and this share of the rows, and below the fewest nothing is said.
NEIGHBOURS, SHARE, FEWEST_NEIGHBOURS = 20, 0.05, 5
# Rows whose neighbours are looked at, the share of rows that chance sets apart, and what is too many: twice it, and so many
# deviations above it.
MOST_ROWS, CHANCE, DEVIATIONS = 1000, 0.05, 4


@dataclass(frozen=True)
class NearCopies:
    """How many rows have a few neighbours that lie much nearer than the next.

    Args:
        count: int, rows that have.
        rows: int, rows that were looked at; 0 where columns or rows are too few.
    """

    count: int
    rows: int

    @property
    def too_many(self):
        """Whether these are more than rows drawn alike have: bool."""
        if not self.rows:
            return False
        deviation = np.sqrt(CHANCE * (1 - CHANCE) / self.rows)
        return bool(self.count / self.rows > CHANCE + max(CHANCE, DEVIATIONS * deviation))


def near_copies(table, *, seed=0):
    """Count rows that have near copies.

    Of rows drawn alike, k times the logarithm of the ratio of the distances to neighbours k + 1 and k has one exponential
    distribution for all k, whatever the dimension (Facco et al. 2017, https://doi.org/10.1038/s41598-017-11873-y). Rows of one
    person come before the first other person, with a leap between. So do rows of a small cluster, which are no persons: what they
    are must be stated. Persons of more rows than neighbours have no leap among them.

    Args:
        table: float64 [rows, columns], nan where missing. Columns of few values say nothing, since rows share them by chance.
        seed: int.

    Returns:
        `NearCopies`.
    """
    rng = np.random.default_rng(seed)
    scores, neighbours = _normal_scores(table, rng), min(NEIGHBOURS, int(SHARE * len(table)))
    if not scores.shape[1] or neighbours < FEWEST_NEIGHBOURS:
        return NearCopies(0, 0)
    places = rng.choice(len(scores), min(MOST_ROWS, len(scores)), replace=False)
    leaps = largest_leaps(scores, places, neighbours)
    return NearCopies(int((leaps > _leap_by_chance(neighbours, rng)).sum()), len(places))


def largest_leaps(scores, places, neighbours):
    """The largest leap between the distances to neighbours, in medians of all leaps of a row.

    Args:
        scores: float64 [rows, columns], no two rows alike.
        places: int [places], rows that are looked at.
        neighbours: int.

    Returns:
        float64 [places].
    """
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=neighbours + 2, algorithm="brute").fit(scores)
    distances = index.kneighbors(scores[places])[0][:, 1:]
    return _in_medians(np.diff(np.log(np.maximum(distances, 1e-300)), axis=1) * np.arange(1, neighbours + 1))


def _in_medians(leaps):
    return leaps.max(axis=1) / np.maximum(np.median(leaps, axis=1), 1e-300)


def _leap_by_chance(neighbours, rng, draws=20_000):
    """What the largest leap exceeds in a share of CHANCE of rows drawn alike: float."""
    return float(np.quantile(_in_medians(rng.exponential(size=(draws, neighbours))), 1 - CHANCE))


def _normal_scores(table, rng):
    """Random normal scores of the columns that tell rows apart, equal values in any order: float64 [rows, columns]."""
    # A missing cell is a value that many rows share.
    table = np.nan_to_num(table, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    columns = [column for column in table.T if _tells_apart(column)]
    if len(columns) > MOST_COLUMNS:
        columns = [columns[place] for place in rng.permutation(len(columns))[:MOST_COLUMNS]]
    scores = [_normal_score(column, rng) for column in columns]
    return np.stack(scores, axis=1) if scores else np.zeros((len(table), 0))


def _tells_apart(column):
    counts = np.unique(column, return_counts=True)[1]
    return len(counts) >= FEWEST_VALUES and counts.max() <= MOST_EQUAL * len(column)


def _normal_score(column, rng):
    order, scores = np.lexsort((rng.random(len(column)), column)), np.empty(len(column))
    # Of ranks, which are evenly spaced, a single column would have leaps that no chance gives.
    scores[order] = np.sort(ndtri(rng.uniform(1e-12, 1, len(column))))
    return scores
