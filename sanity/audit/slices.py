"""Slices: groups of rows by values of their columns, by one condition or two joined, and how many rows and units each has."""

from dataclasses import dataclass, replace

import numpy as np

from sanity.audit.rows import Column

# Least rows, share and units of a slice; values of a number that are not cut into quartiles.
ROWS, SHARE, UNITS, FEW = 30, 0.03, 10, 4
# A value of a number that holds for so many of its rows is a condition of its own.
SPIKE = 0.25
# Slices at a time, and cells of an array of them.
CHUNK, CELLS = 512, 2**25


@dataclass(frozen=True)
class Predicates:
    """Conditions on one column each.

    Args:
        names: list of str.
        columns: int [conditions], the column of each.
        holds: bool [conditions, rows].
    """

    names: list
    columns: np.ndarray
    holds: np.ndarray


def predicates(rows):
    """Conditions on columns: each value of a category, each quartile of a number, and whether a value is missing.

    Args:
        rows: `Rows`.

    Returns:
        `Predicates`, those that hold often enough.
    """
    names, owners, holds, units = [], [], [], np.unique(rows.units, return_inverse=True)[1]
    for place, column in enumerate(rows.columns):
        for name, mask in _conditions(column):
            if _is_large(mask, units) and _is_large(~mask, units):
                names.append(name)
                owners.append(place)
                holds.append(mask)
    return Predicates(names, np.array(owners, int), np.array(holds, bool).reshape(len(names), len(rows)))


def _is_large(mask, units):
    """Whether rows are enough, and of ten units at least, which are numbered from 0 on."""
    return mask.sum() >= max(ROWS, SHARE * len(mask)) and (np.bincount(units[mask]) > 0).sum() >= UNITS


def _conditions(column):
    """Names and masks of the conditions on a column: iterator of (str, bool [rows])."""
    values, known = column.values, ~column.missing
    if not known.all():
        yield f"{column.name} missing", ~known
    if column.is_category:
        for place, level in enumerate(column.levels):
            yield f"{column.name} = {level}", values == place
        return
    distinct, counts = np.unique(values[known], return_counts=True)
    spikes = distinct if len(distinct) <= FEW else distinct[counts >= SPIKE * counts.sum()]
    for value in spikes:
        yield f"{column.name} = {value:g}", values == value
    rest = known & ~np.isin(values, spikes)
    if rest.any():
        yield from _quartiles(column.name, values, rest)


def _quartiles(name, values, rest):
    """Names and masks of the quartiles of some rows' numbers. Their edges are values, so that no rounding moves a row."""
    edges = np.unique(np.quantile(values[rest], [0, 0.25, 0.5, 0.75, 1], method="lower"))
    for number, (low, high) in enumerate(zip(edges[:-1], edges[1:])):
        above = values >= low if number == 0 else values > low
        yield f"{name} {quartile_words(number, edges)}", rest & above & (values <= high)


def quartile_words(number, edges):
    """A quartile in words. The smallest and the largest value are those of one row each, and are not said.

    Args:
        number: int, of the quartile.
        edges: float64 [quartiles + 1].

    Returns:
        str.
    """
    if number == 0:
        return f"up to {edges[1]:.4g}" if len(edges) > 2 else "of another value"
    last = number == len(edges) - 2
    return f"above {edges[number]:.4g}" + ("" if last else f" to {edges[number + 1]:.4g}")


@dataclass(frozen=True)
class Slices:
    """Groups of rows by one condition or two joined.

    Args:
        conditions: `Predicates`.
        pairs: int [slices, 2], conditions of each; the same twice for one condition.
    """

    conditions: Predicates
    pairs: np.ndarray

    def __len__(self):
        return len(self.pairs)

    def name(self, place):
        """The conditions of a slice in words: str."""
        first, second = self.pairs[place]
        names = self.conditions.names
        return names[first] if first == second else f"{names[first]} and {names[second]}"

    def take(self, rows):
        """The same slices of some rows: `Slices`.

        Args:
            rows: int [rows that are kept].
        """
        return replace(self, conditions=replace(self.conditions, holds=self.conditions.holds[:, rows]))

    def masks(self, places):
        """Rows of some slices: bool [slices, rows]."""
        first, second = self.pairs[places].T
        return self.conditions.holds[first] & self.conditions.holds[second]

    def sums(self, values=None, rows=None):
        """The sum of values in each slice, of all slices at once: that of one row belongs to every pair of its conditions.

        Args:
            values: float64 [rows], or None for the number of rows.
            rows: bool [rows], those that count; None: all.

        Returns:
            float64 [slices], exact for whole numbers.
        """
        holds = self.conditions.holds if rows is None else self.conditions.holds[:, rows]
        # Counts of fewer rows are exact in float32.
        is_exact = values is None and holds.shape[1] < 2**24
        right = holds = holds.astype("float32" if is_exact else "float64")
        if values is not None:
            right = holds * (values if rows is None else values[rows])
        if (self.pairs[:, 0] == self.pairs[:, 1]).all():
            return right.sum(axis=1)[self.pairs[:, 0]].astype("float64")
        return (holds @ right.T)[self.pairs[:, 0], self.pairs[:, 1]].astype("float64")

    def chunks(self):
        """Slices some at a time: iterator of (int [slices of it], bool [slices of it, rows])."""
        step = max(1, min(CHUNK, CELLS // max(self.conditions.holds.shape[1], 1)))
        for start in range(0, len(self), step):
            places = np.arange(start, min(start + step, len(self)))
            yield places, self.masks(places)


def list_slices(rows):
    """All slices of one condition or two of different columns that are large enough.

    Args:
        rows: `Rows`.

    Returns:
        `Slices`.
    """
    conditions = predicates(rows)
    count = len(conditions.names)
    first, second = np.triu_indices(count)
    allowed = (first == second) | (conditions.columns[first] != conditions.columns[second])
    pairs = np.stack([first[allowed], second[allowed]], axis=1)
    overlap = conditions.holds.astype("float32") @ conditions.holds.T.astype("float32")
    counts = overlap[pairs[:, 0], pairs[:, 1]]
    is_large = counts >= max(ROWS, SHARE * len(rows))
    slices = Slices(conditions, pairs[is_large])
    if rows.unit_count == len(rows):
        return slices
    return Slices(conditions, slices.pairs[_have_units(slices, counts[is_large], rows.units)])


def _have_units(slices, counts, units):
    """Whether each slice has rows of ten units: bool [slices]."""
    sizes = np.sort(np.unique(units, return_counts=True)[1])
    # More rows than the nine largest units have together are of ten.
    kept = counts > sizes[-(UNITS - 1) :].sum()
    kept[~kept] = count_units(Slices(slices.conditions, slices.pairs[~kept]), units) >= UNITS
    return kept


def count_units(slices, units):
    """How many units have a row in every slice.

    Args:
        slices: `Slices`.
        units: int [rows].

    Returns:
        int [slices].
    """
    order = np.argsort(units, kind="stable")
    starts = np.flatnonzero(np.diff(units[order], prepend=units[order[:1]] - 1))
    by_unit = Slices(replace(slices.conditions, holds=slices.conditions.holds[:, order]), slices.pairs)
    counts = [np.logical_or.reduceat(masks, starts, axis=1).sum(axis=1) for _, masks in by_unit.chunks()]
    return np.concatenate([np.zeros(0, int), *counts])


def list_conditions(rows):
    """Slices of one condition each, on columns and on the predicted class.

    Args:
        rows: `Rows`.

    Returns:
        `Slices`.
    """
    known = rows.columns
    if not rows.is_regression:
        levels = tuple(str(place) for place in range(rows.logits.shape[1]))
        known = (*known, Column("predicted class", rows.predicted.astype("float64"), levels))
    conditions = predicates(replace(rows, columns=known))
    places = np.arange(len(conditions.names))
    return Slices(conditions, np.stack([places, places], axis=1))


def shares_of(slices):
    """The share of rows in every slice: float64 [slices]."""
    return slices.sums() / slices.conditions.holds.shape[1]


def shares_within(slices, groups):
    """The part of the variance of each slice that lies within groups: 0 for a slice that is made of groups.

    Args:
        slices: `Slices`.
        groups: int [rows], from 0 on.

    Returns:
        float64 [slices].
    """
    share, rows, between = shares_of(slices), len(groups), np.zeros(len(slices))
    for group in np.unique(groups):
        members = groups == group
        between += slices.sums(rows=members) ** 2 / (members.sum() * rows)
    return (share - between) / (share * (1 - share))
