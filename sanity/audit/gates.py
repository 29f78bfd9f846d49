"""Gates of an audit: conditions of the data without which its questions say nothing."""

import hashlib
from collections import Counter

import numpy as np

from sanity.evidence import Gate

# Share of rows with an exact copy from which on rows are no units.
MOST_COPIES = 0.01


def row_keys(rows, names=None):
    """A mark of each row that equal ones share.

    Args:
        rows: `Rows`.
        names: collection of str, the columns that are compared; None: those that do not number the rows.

    Returns:
        list of hashable.
    """
    names = _telling(rows) if names is None else names
    parts = [column.values for column in rows.columns if column.name in names]
    if rows.features is not None and not any(column.kind == "input" for column in rows.columns):
        parts += list(rows.features.T)
    if not parts:
        # Nothing is known by which two rows could be alike.
        return [object() for _ in range(len(rows))]
    table = np.ascontiguousarray(np.column_stack(parts))
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in table]


def _telling(rows):
    """Columns that hold something, without those beside the inputs that number the rows: set of str.

    A saved index would make every row another one.
    """
    return {column.name for column in rows.columns if not column.missing.all() and not _numbers_rows(column)}


def _numbers_rows(column):
    values = column.values
    is_whole = np.isfinite(values).all() and (values == np.round(values)).all()
    return column.kind != "input" and not column.is_category and is_whole and len(np.unique(values)) == len(values)


def _shared(first, second):
    """Columns by which rows of two sets are compared: set of str."""
    return _telling(first) & _telling(second)


def units_gate(rows, other=None, *, are_named=None):
    """Rows without units must not be copies of each other, nor those of one set of those of another one.

    Args:
        rows: `Rows`.
        other: `Rows` that they are compared with; None: they are compared among themselves.
        are_named: whether a column names the units; None: as rows have units. That rows are units is a statement about both sets,
            which copies contradict.

    Returns:
        `Gate`.
    """
    name = "rows are units"
    if rows.has_units if are_named is None else are_named:
        return Gate(name, "passed", "units were named or stated")
    if other is not None:
        return _sets_gate(name, rows, other)
    if rows.has_units:
        return Gate(name, "passed", "units were named or stated")
    copies = _count_repeated(row_keys(rows))
    words = f"{copies:,} of {len(rows):,} rows have an exact copy"
    if copies <= MOST_COPIES * len(rows):
        return Gate(name, "passed", words)
    return Gate(
        name, "failed", f'{words}; name the column of units with roles = ["unit"], or state rows_are_units = true'
    )


def _count_repeated(keys):
    return sum(count for count in Counter(keys).values() if count > 1)


def _sets_gate(name, rows, other):
    """Neither set may hold copies of rows of the other, beyond those that a table of few values has by chance: `Gate`."""
    names = _shared(rows, other)
    # Of the smaller set, or a few copies of it would be lost among many rows.
    few, many = sorted((rows, other), key=len)
    keys, known = row_keys(few, names), row_keys(many, names)
    present = set(known)
    copies = sum(key in present for key in keys)
    words = f"{copies:,} of {len(few):,} rows have an exact copy in the other set"
    usual = _copied_share(known, many.units) if rows.has_units else 0.0
    if copies <= (MOST_COPIES + usual) * len(few):
        return Gate(name, "passed", words)
    advice = "give rows of another time"
    if not rows.has_units:
        advice = 'name the column of units with roles = ["unit"], or state rows_are_units = true'
    return Gate(name, "failed", f"{words}; {advice}")


def labels_gate(rows, fewest=30):
    """There are enough labelled rows, and not all are right or all wrong.

    Args:
        rows: `Rows`.
        fewest: int.

    Returns:
        `Gate`.
    """
    count = int(rows.labelled.sum())
    if count < fewest:
        return Gate("rows are labelled", "failed", f"{count} labelled rows; {fewest} are needed")
    if np.ptp(rows.errors[rows.labelled]) == 0:
        return Gate("errors differ", "failed", f"all {count} rows have the same error, so that none is weaker")
    return Gate("rows are labelled", "passed", f"{count} labelled rows")


def answers_gate(rows):
    """The network gave finite numbers.

    Args:
        rows: `Rows`.

    Returns:
        `Gate`.
    """
    count = int((~np.isfinite(rows.logits).all(axis=1)).sum())
    words = f"{count:,} of {len(rows):,} answers are no finite numbers"
    return Gate("answers are finite", "failed" if count else "passed", words)


def trained_gates(subject):
    """The test rows must not be among the rows that the network was trained on.

    In tables of few distinct values rows are alike by chance. The share of training rows that are copies of those of other
    units says how often.

    Args:
        subject: `AuditSubject`.

    Returns:
        tuple of `Gate`, empty where the training rows are not known.
    """
    if subject.train is None:
        return ()
    name, test = "test rows are no training rows", subject.test
    names = _shared(subject.train, test)
    keys = row_keys(subject.train, names)
    known = set(keys)
    copies = sum(key in known for key in row_keys(test, names))
    usual = _copied_share(keys, subject.train.units)
    words = f"{copies:,} of {len(test):,} test rows are copies of training rows"
    if copies <= (MOST_COPIES + usual) * len(test):
        return (Gate(name, "passed", words),)
    return (Gate(name, "failed", f"{words}; remove them from the test rows"),)


def _copied_share(keys, units):
    """The share of rows with a copy among the rows of other units: float."""
    units_of = {}
    for key, unit in zip(keys, units):
        units_of.setdefault(key, set()).add(int(unit))
    return float(np.mean([len(units_of[key]) > 1 for key in keys]))
