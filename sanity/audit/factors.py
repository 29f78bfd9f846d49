"""Factors: columns that are one reason together, because the sheet says so or because they say the same.

One thing in three near copies was named first for .30 of the refused where its columns stood alone, and for .60 as one factor.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

# From this rank correlation on two columns are one factor.
ALIKE = 0.8
# What the network takes and no column holds.
OTHERS = "other inputs"


@dataclass(frozen=True)
class Factor:
    """Columns that count as one reason.

    Args:
        name: str.
        columns: tuple of str.
        places: tuple of int, where its inputs stand.
    """

    name: str
    columns: tuple
    places: tuple


def group_factors(subject, alike=ALIKE):
    """The factors of a table: columns with one name for it in the sheet, or with a rank correlation of .8 and more.

    Args:
        subject: `sanity.audit.rows.AuditSubject` with input_places.
        alike: float, the absolute Spearman correlation from which on two columns are one factor.

    Returns:
        list of `Factor`, in the order of the columns. Inputs that belong to no column are one of their own.
    """
    names = list(subject.input_places)
    groups = list(subject.sheet.factors(names).values())
    correlations = spearman(subject.test, names)
    for first, name in enumerate(names):
        for second in range(first + 1, len(names)):
            if abs(correlations[first, second]) >= alike:
                groups = _joined(groups, name, names[second])
    factors = [_factor(subject, group) for group in groups]
    known = {place for factor in factors for place in factor.places}
    rest = tuple(place for place in range(subject.test.inputs.shape[1]) if place not in known)
    return [*factors, Factor(OTHERS, (), rest)] if rest else factors


def spearman(rows, names):
    """Rank correlations between columns; 0 where one is a category of three levels and more, or constant.

    Args:
        rows: `sanity.audit.rows.Rows`.
        names: list of str, columns.

    Returns:
        float64 [columns, columns], over rows where both are known.
    """
    columns = [_ordered(rows, name) for name in names]
    matrix, whole = np.eye(len(names)), [_is_whole(column) for column in columns]
    places = np.flatnonzero(whole)
    if len(places) > 1:
        # Ranked once, and not again for each pair.
        matrix[np.ix_(places, places)] = np.corrcoef([rankdata(columns[place]) for place in places])
    for first in range(len(names)):
        for second in range(first):
            if whole[first] and whole[second]:
                continue
            matrix[first, second] = matrix[second, first] = _rank_correlation(columns[first], columns[second])
    return matrix


def _ordered(rows, name):
    """The values of a column that have an order: float64 [rows], or None."""
    column = rows.column(name)
    return None if column.is_category and len(column.levels) > 2 else column.values


def _is_whole(column):
    """Whether a column has an order, differs, and misses no cell: bool."""
    return column is not None and len(column) > 2 and bool(np.isfinite(column).all()) and np.ptp(column) > 0


def _rank_correlation(first, second):
    if first is None or second is None:
        return 0.0
    known = np.isfinite(first) & np.isfinite(second)
    if known.sum() < 3 or np.ptp(first[known]) == 0 or np.ptp(second[known]) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(first[known]), rankdata(second[known]))[0, 1])


def _joined(groups, first, second):
    """Groups of columns of which those of two columns are one."""
    of = {name: place for place, group in enumerate(groups) for name in group}
    low, high = sorted((of[first], of[second]))
    if low == high:
        return groups
    return [group + groups[high] if place == low else group for place, group in enumerate(groups) if place != high]


def _factor(subject, columns):
    names = dict.fromkeys(subject.sheet.column(name).factor or name for name in columns)
    places = tuple(place for name in columns for place in subject.input_places[name])
    return Factor(" + ".join(names), tuple(columns), places)


def members(factors, inputs):
    """The factor of every input.

    Args:
        factors: list of `Factor`.
        inputs: int, how many inputs there are.

    Returns:
        int [inputs].
    """
    numbers = np.full(inputs, -1)
    for number, factor in enumerate(factors):
        numbers[list(factor.places)] = number
    return numbers
