"""Legitimate columns: what they say of a protected one, and that one drawn anew from what they say.

A protected column that says nothing beyond them cannot be told from one that is drawn from P(A | L). Class balance, what it shares
with the label, and the strength of a probe are the same for both.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import expit

from sanity.audit.groups import FEW, group_by
from sanity.audit.logistic import fit_logistic
from sanity.audit.permutation import halves, rolled_rows
from sanity.evidence import Gate
from sanity.seeds import derive_seed

# Rows that either side of a contrast needs, columns up to which products are formed, and ridge of a fit.
ROWS, PRODUCTS, RIDGE = 30, 12, 1.0
# Bins of P(A | L), redraws, and the level of the gate on it.
BINS, REDRAWS, LEVEL = 10, 199, 0.01


@dataclass(frozen=True)
class Contrast:
    """One group of a protected column against the rest.

    Args:
        name: str.
        column: str.
        places: int [rows], rows where the column is known.
        members: float64 [rows], 1 in the group and 0 elsewhere.
    """

    name: str
    column: str
    places: np.ndarray
    members: np.ndarray


def list_contrasts(column):
    """Each group of a protected column against the rest, of two groups the last; of a number those above its median.

    Args:
        column: `sanity.audit.rows.Column`.

    Returns:
        list of `Contrast`, and list of str, groups with too few rows.
    """
    places = np.flatnonzero(~column.missing)
    grouping = group_by(column)
    codes, names = grouping.codes[places], [name for name in grouping.names if name != "missing"]
    if not column.is_category and len(np.unique(column.values[places])) > FEW:
        middle = float(np.median(column.values[places]))
        codes, names = (column.values[places] > middle).astype(int), ["lower", f"above {middle:.4g}"]
    compared = range(len(names)) if len(names) > 2 else range(len(names) - 1, len(names))
    contrasts = [
        Contrast(f"{column.name} = {names[code]}", column.name, places, (codes == code).astype("float64"))
        for code in compared
    ]
    large = [contrast for contrast in contrasts if ROWS <= contrast.members.sum() <= len(places) - ROWS]
    return large, [contrast.name for contrast in contrasts if contrast not in large]


def design(rows, names):
    """Columns as numbers, with their squares and products: categories as one number a level, what is missing as one more.

    Args:
        rows: `Rows`.
        names: list of str.

    Returns:
        float64 [rows, features], of mean 0 and deviation 1, a first one of 1.
    """
    parts, squares = [], []
    for column in map(rows.column, names):
        if column.is_category:
            parts += [column.values == place for place in range(len(column.levels))]
        else:
            values = np.where(
                column.missing, np.nanmean(column.values) if (~column.missing).any() else 0, column.values
            )
            values = _standardize(values.astype("float64"))
            parts.append(values)
            squares.append(values**2)
        if column.missing.any():
            parts.append(column.missing)
    products = [one * other for one, other in combinations(parts, 2)] if len(parts) <= PRODUCTS else []
    features = [_standardize(np.asarray(part, "float64")) for part in (*parts, *squares, *products)]
    return np.column_stack([np.ones(len(rows)), *(part for part in features if part.any())])


def _standardize(values):
    spread = values.std()
    return (values - values.mean()) / spread if spread > 1e-9 * max(abs(values).max(initial=0), 1e-300) else 0 * values


def fit_odds(features, members, fitted):
    """The chance of membership by logistic regression with a small ridge.

    Args:
        features: float64 [rows, features].
        members: float64 [rows], 0 or 1.
        fitted: bool [rows], the rows that it is fitted on.

    Returns:
        float64 [rows], between .001 and .999, of all rows.
    """
    ridge = np.array([1e-6, *np.full(features.shape[1] - 1, RIDGE)])
    return np.clip(expit(features @ fit_logistic(features[fitted], members[fitted], ridge)), 1e-3, 1 - 1e-3)


def smaller_side(members, units):
    """How many units the smaller of two sides has.

    Args:
        members: float64 [rows], 0 or 1.
        units: int [rows].

    Returns:
        int.
    """
    return min(len(np.unique(units[members == side])) for side in (0, 1))


@dataclass(frozen=True)
class Odds:
    """What legitimate columns say of a contrast.

    Args:
        chance: float64 [rows], P(A | L).
        units: int [rows], from 0 on.
        by_unit: whether all rows of each unit are on one side, so that one draw is made for each.
    """

    chance: np.ndarray
    units: np.ndarray
    by_unit: bool

    def draw(self, draws, *, seed):
        """Memberships drawn anew; rows of one unit share their draw.

        Args:
            draws: int.
            seed: int.

        Returns:
            float64 [draws, rows], 0 or 1.
        """
        uniform = np.random.default_rng(seed).random((draws, self.units.max() + 1))
        return (uniform[:, self.units] < self.chance).astype("float64")

    def roll(self, members, *, seed):
        """Memberships in which what they say beyond the legitimate columns comes from rows farther down the file.

        What links neighbours is kept, so that rows that belong together though no unit says so show themselves.

        Args:
            members: float64 [rows].
            seed: int.

        Returns:
            float64 [rows], 0 or 1.
        """
        uniform = np.random.default_rng(derive_seed(seed, "uniform")).random(self.units.max() + 1)[self.units]
        place = np.where(members == 1, uniform * self.chance, self.chance + uniform * (1 - self.chance))
        return (place[rolled_rows(self.units, seed=seed)] < self.chance).astype("float64")


def odds_on_half(features, members, units, fitted):
    """What legitimate columns say, learned from some rows.

    Args:
        features: float64 [rows, features], as of `design`.
        members: float64 [rows].
        units: int [rows].
        fitted: bool [rows].

    Returns:
        `Odds`.
    """
    return _as_odds(fit_odds(features, members, fitted), members, units)


def odds_across_halves(features, members, units, *, seed):
    """What legitimate columns say of each half of the units, learned from the other.

    Args:
        features: float64 [rows, features], as of `design`.
        members: float64 [rows].
        units: int [rows].
        seed: int.

    Returns:
        `Odds`.
    """
    first = halves(units, seed=seed)
    chance = np.where(first, fit_odds(features, members, ~first), fit_odds(features, members, first))
    return _as_odds(chance, members, units)


def _as_odds(chance, members, units):
    units = np.unique(units, return_inverse=True)[1]
    counts = np.bincount(units)
    means = np.bincount(units, members) / counts
    by_unit = bool(np.isin(means, (0.0, 1.0)).all())
    return Odds((np.bincount(units, chance) / counts)[units] if by_unit else chance, units, by_unit)


def odds_gate(features, members, odds, fitted, *, seed):
    """P(A | L) must hold on rows that it was not fitted on, as redrawn and refitted ones do.

    Args:
        features: float64 [rows, features], as of `design`.
        members: float64 [rows].
        odds: `Odds`, fitted on one half.
        fitted: bool [rows].
        seed: int.

    Returns:
        `Gate`.
    """
    bins = _bins(features, odds.chance)
    drawn = np.vstack([members, odds.draw(REDRAWS, seed=seed)])
    misfits = np.array([_misfit(bins, features, row, odds, fitted) for row in drawn])
    p = float((misfits >= misfits[0] - 1e-9).mean())
    words = f"P(A | L) against the other half of the units: p = {p:.2g}"
    return Gate("legitimate columns say what is expected", "passed" if p > LEVEL else "failed", words)


def _bins(features, chance):
    """Rows by tenths of the chance, and by both halves of every feature: float64 [rows, bins]."""
    edges = np.unique(np.quantile(chance, np.linspace(0, 1, BINS + 1)[1:-1]))
    tenths = np.searchsorted(edges, chance)[:, None] == np.arange(len(edges) + 1)
    upper = features > np.median(features, axis=0)
    return np.column_stack([tenths, upper, ~upper]).astype("float64")


def _misfit(bins, features, members, odds, fitted):
    """The largest distance of members from what is expected, over bins of rows that were not fitted: float."""
    chance = odds_on_half(features, members, odds.units, fitted).chance[~fitted]
    excess = (members[~fitted] - chance) @ bins[~fitted]
    spread = np.sqrt((chance * (1 - chance)) @ bins[~fitted])
    return float(np.max(np.abs(excess)[spread > 1e-9] / spread[spread > 1e-9], initial=0))
