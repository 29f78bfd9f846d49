"""Gates of an audit: conditions of the data without which its questions say nothing."""

import hashlib
from collections import Counter

import numpy as np

from sanity.audit.chance import drawn_tables
from sanity.audit.near_copies import near_copies
from sanity.evidence import Gate

# Share of rows with an exact copy, beyond chance, from which on rows are no units, and the two rows of a pair, which decide nothing.
MOST_COPIES, ONE_PAIR = 0.01, 2


def row_keys(rows, names=None):
    """A mark of each row that equal ones share.

    Args:
        rows: `Rows`.
        names: collection of str, the columns that are compared; None: those that do not number the rows.

    Returns:
        list of hashable.
    """
    return _keys(_table(rows, _telling(rows) if names is None else names))


def _table(rows, names):
    """What rows are compared by: float64 [rows, columns and features]."""
    parts = [column.values for column in rows.columns if column.name in names]
    if rows.features is not None and not any(column.kind == "input" for column in rows.columns):
        parts += list(rows.features.T)
    return np.column_stack(parts) if parts else np.zeros((len(rows), 0))


def _keys(table):
    if not table.shape[1]:
        # Nothing is known by which two rows could be alike.
        return [object() for _ in range(len(table))]
    # Zero has two signs and is one number.
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in np.ascontiguousarray(table + 0.0)]


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
    """Rows without units must not be copies or near copies of each other, nor those of one set copies of those of another one.

    Rows of one person that no unit names lie near each other, also in a file that was shuffled.

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
        gate = _sets_gate(name, rows, other)
        return gate if rows.has_units or gate.status == "failed" else _near_gate(gate, rows, other)
    if rows.has_units:
        return Gate(name, "passed", "units were named or stated")
    return _near_gate(_copies_gate(name, rows), rows)


STATE_UNITS = 'name the column of units with roles = ["unit"], or state rows_are_units = true'


def _copies_gate(name, rows):
    """No more rows are copies of each other than where rows are drawn whose columns depend on each other as much: `Gate`."""
    table = _table(rows, _telling(rows))
    copies = _count_repeated(_keys(table))
    words = f"{copies:,} of {len(rows):,} rows have an exact copy"
    if copies <= max(MOST_COPIES * len(rows), ONE_PAIR):
        return Gate(name, "passed", words)
    most = MOST_COPIES * len(rows)
    usual = _usual((_count_repeated(_keys(drawn)) for drawn in drawn_tables(table, table)), copies - most)
    if copies <= usual + most:
        return Gate(name, "passed", f"{words}; of rows drawn with the same dependence of columns {usual:,} have one")
    return Gate(name, "failed", f"{words}; {STATE_UNITS}")


def _near_gate(gate, *sets):
    """The gate, or one that fails where rows of a set are near copies of each other."""
    for rows in sets if gate.status == "passed" else ():
        near = near_copies(_table(rows, _telling(rows)))
        if near.too_many:
            words = f"{near.count:,} of {near.rows:,} rows lie much nearer to a few others than to the rest, as rows of one person do"
            return Gate(gate.name, "failed", f"{words}; {STATE_UNITS}")
    return gate


def _count_repeated(keys):
    return sum(count for count in Counter(keys).values() if count > 1)


def _sets_gate(name, *sets):
    """Neither set may hold copies of rows of the other, beyond those that a table of few values has by chance: `Gate`."""
    # Of the smaller set, or a few copies of it would be lost among many rows.
    few, many = sorted(sets, key=len)
    names, has_units = _shared(few, many), sets[0].has_units
    table, others = _table(few, names), _table(many, names)
    known = _keys(others)
    present = set(known)
    copies = _count_among(table, present)
    words = f"{copies:,} of {len(few):,} rows have an exact copy in the other set"
    most = MOST_COPIES * len(few)
    if copies > most:
        most += _copied_share(known, many.units) * len(few) if has_units else _usual_among(table, others, copies - most)
    if copies <= most:
        return Gate(name, "passed", words)
    return Gate(name, "failed", f"{words}; {'give rows of another time' if has_units else STATE_UNITS}")


def _count_among(table, present):
    return sum(key in present for key in _keys(table))


def _usual_among(table, others, enough):
    """Rows with a copy in another set by chance: int."""
    present = set(_keys(others))
    return _usual((_count_among(drawn, present) for drawn in drawn_tables(table, others)), enough)


def _usual(counts, enough):
    """The largest count, or the first that is enough, so that no more tables are drawn than decide: int."""
    largest = 0
    for count in counts:
        largest = max(largest, count)
        if largest >= enough:
            break
    return largest


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
