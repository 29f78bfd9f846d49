"""Partners: the column with which another one interacts, as far as its attributions show it."""

from dataclasses import dataclass

import numpy as np

# Rows of a group of like values, fewest rows of a choice, and shuffles that say what chance would give.
_GROUP, FEWEST, _SHUFFLES = 12, 24, 199
# Below this share of the attributions' deviation, what a group leaves over is rounding.
_ROUNDING = 1e-4


@dataclass(frozen=True)
class Partner:
    """The column that explains most of what another column's value leaves open of its attribution.

    Args:
        column: int, its place; None where no column explains more than chance, or there are too few rows.
        share: float, the share of that rest that it explains.
        chance: float, what the best column of shuffled attributions explains in 19 of 20 cases.
    """

    column: int | None
    share: float
    chance: float


def partner(values, attributions, column, *, seed):
    """The column that interacts most with another one.

    Rows are cut into groups of like values of the column. Within each, a line through the value is taken out of attributions
    and of the other columns. What is left is correlated; the share is the mean squared correlation, weighted by the squares
    that are left. The null is that of the largest share of all columns when attributions are shuffled within groups.
    `shap` compares columns in such groups too, by their correlation and without a null. A column that is a curve of the first one is
    no partner, since what it adds cannot be told from that curve.

    Args:
        values: float [rows, columns].
        attributions: float [rows], of the column.
        column: int, its place.
        seed: int, of the shuffles.

    Returns:
        `Partner`.
    """
    known = np.isfinite(attributions) & np.isfinite(values).all(axis=1)
    values, attributions = np.asarray(values, "float64")[known], np.asarray(attributions, "float64")[known]
    if len(values) < FEWEST or values.shape[1] < 2:
        return Partner(None, float("nan"), float("nan"))
    rng, order = np.random.default_rng(seed), np.argsort(values[:, column], kind="stable")
    groups = np.array_split(order, max(2, min(len(order) // _GROUP, int(np.sqrt(len(order))))))
    others = np.delete(np.arange(values.shape[1]), column)
    others = np.array([other for other in others if not _is_decided(values[order, other])], int)
    if not len(others):
        return Partner(None, float("nan"), float("nan"))
    floor = (_ROUNDING * attributions.std()) ** 2
    sums = [_squares(values[rows][:, others], values[rows, column], attributions[rows], floor, rng) for rows in groups]
    explained, left = (np.sum(parts, axis=0) for parts in zip(*sums))
    shares = explained / np.where(left > 0, left, 1.0)[:, None]
    best, chance = int(np.argmax(shares[0])), float(np.quantile(shares[1:].max(axis=1), 0.95))
    share = float(shares[0, best])
    return Partner(int(others[best]) if share > chance else None, share, chance)


# Share of a column's variance that the order of another column decides, from which on they are one column.
_DECIDED = 0.9


def _is_decided(sorted_values):
    """Whether a column goes smoothly with another one, by whose values it is sorted: bool.

    Such as an age and its square: what the one adds cannot be told from a curve of the other.
    """
    variance = sorted_values.var()
    return bool(variance > 0 and 1 - np.diff(sorted_values).var() / (2 * variance) > _DECIDED)


def _squares(others, value, attributions, floor, rng):
    """Squares of attributions that each other column explains in a group, float [1 + shuffles, others], and all, [1 + shuffles].

    The first row is of attributions as they are. What is shuffled loses its line again (Freedman, Lane 1983,
    https://doi.org/10.1080/07350015.1983.10509354), since without it chance would explain too little.
    """
    spread = ((others - others.mean(axis=0)) ** 2).sum(axis=0)
    others, rest = _without_line(others, value), _without_line(attributions[:, None], value)[:, 0]
    if (rest**2).mean() <= floor:
        return np.zeros((1 + _SHUFFLES, others.shape[1])), np.zeros(1 + _SHUFFLES)
    shuffled = _without_line(rng.permuted(np.tile(rest, (_SHUFFLES, 1)), axis=1).T, value)
    rests = np.concatenate([rest[None], shuffled.T])
    sizes = (others**2).sum(axis=0)
    # A column that is constant in the group, or a multiple of the value, leaves nothing to correlate.
    empty = sizes <= _ROUNDING**2 * spread
    return np.where(empty, 0.0, (rests @ others) ** 2 / np.where(empty, 1.0, sizes)), (rests**2).sum(axis=1)


def _without_line(columns, value):
    """Columns less their mean and their line through a value: float [rows, columns]."""
    columns, value = columns - columns.mean(axis=0), value - value.mean()
    size = (value**2).sum()
    slopes = value @ columns / size if size else np.zeros(columns.shape[1])
    return columns - value[:, None] * slopes
