"""Gates of an audit: conditions of the data without which its questions say nothing."""

import hashlib

import numpy as np

from sanity.evidence import Gate

# Share of rows with an exact copy from which on rows are no units.
MOST_COPIES = 0.01


def row_keys(rows):
    """A mark of each row that equal ones share: list of bytes.

    Args:
        rows: `Rows`.
    """
    parts = [column.values for column in rows.columns]
    if rows.features is not None and not any(column.kind == "input" for column in rows.columns):
        parts += list(rows.features.T)
    table = np.ascontiguousarray(np.column_stack(parts) if parts else np.arange(len(rows))[:, None])
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in table]


def units_gate(rows, other=None):
    """Rows without units must not be copies of each other.

    Args:
        rows: `Rows`.
        other: `Rows` that they are compared with; None: they are compared among themselves.

    Returns:
        `Gate`.
    """
    name = "rows are units"
    if rows.has_units:
        return Gate(name, "passed", "units were named or stated")
    keys = row_keys(rows)
    if other is None:
        _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
        copies = int((counts[inverse] > 1).sum())
    else:
        known = set(row_keys(other))
        copies = sum(key in known for key in keys)
    words = f"{copies:,} of {len(rows):,} rows have an exact copy"
    if copies <= MOST_COPIES * len(rows):
        return Gate(name, "passed", words)
    return Gate(
        name, "failed", f'{words}; name the column of units with roles = ["unit"], or state rows_are_units = true'
    )


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
    keys = row_keys(subject.train)
    known = set(keys)
    copies = sum(key in known for key in row_keys(test))
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
