"""Facts: what is counted of a network and its data for the record, small cells left out."""

import hashlib
import importlib.metadata

import numpy as np

from sanity.audit.groups import group_by
from sanity.audit.small_counts import FEWEST, hidden_counts

LIBRARIES = ("numpy", "scipy", "scikit-learn", "keras", "tensorflow")
SETS = ("test", "train", "current")


def subject_facts(subject, *, model=None, audited_on=""):
    """What is counted of an audited network and its data.

    Args:
        subject: `sanity.audit.rows.AuditSubject`.
        model: dict of name to text or number that the caller knows of the network: digest, layers, parameters.
        audited_on: str, the day of the audit; "" leaves it out, so that the record of one audit has the same bytes.

    Returns:
        dict of plain values: title, model, versions, audited_on, sets.
    """
    sets = {name: getattr(subject, name) for name in SETS if getattr(subject, name) is not None}
    return {
        "title": subject.title,
        "model": dict(model or {}),
        "versions": library_versions(),
        "audited_on": audited_on,
        "sets": {name: _set_facts(rows) for name, rows in sets.items()},
    }


def library_versions():
    """Versions of the libraries that are installed: dict."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _set_facts(rows):
    return {
        "rows": len(rows),
        "units": rows.unit_count,
        "digest": rows_digest(rows),
        "columns": [_column_facts(column) for column in rows.columns],
        "groups": {column.name: group_counts(column) for column in rows.protected},
    }


def _column_facts(column):
    known = column.values[np.isfinite(column.values)]
    missing = int(column.missing.sum())
    # The smallest and the largest value are those of one row each, so that quantiles stand for them.
    quantiles = np.quantile(known, (0.05, 0.95)) if len(known) >= 2 * FEWEST and not column.is_category else ()
    return {
        "name": column.name,
        "kind": "category" if column.is_category else "number",
        "missing": missing if missing == 0 or missing >= FEWEST else None,
        "range": [float(value) for value in quantiles],
    }


def group_counts(column):
    """How many rows are in each group of a protected column.

    Where one count is left out, the next smallest is, too, or the sum would tell it.

    Args:
        column: `sanity.audit.rows.Column`.

    Returns:
        dict of group to int, None for a count that is left out.
    """
    grouping = group_by(column)
    counts = zip(grouping.names, grouping.counts, hidden_counts(grouping.counts))
    return {name: None if is_hidden else int(count) for name, count, is_hidden in counts}


def rows_digest(rows):
    """A digest of all that is known of rows: str of 32 hex digits.

    Args:
        rows: `sanity.audit.rows.Rows`.
    """
    digest = hashlib.blake2b(digest_size=16)
    for column in (*rows.columns, *rows.protected):
        digest.update(repr((column.name, column.levels, column.kind)).encode())
        digest.update(np.ascontiguousarray(column.values).tobytes())
    for name in ("units", "labels", "logits", "times", "inputs"):
        values = getattr(rows, name)
        digest.update(name.encode() + (b"-" if values is None else np.ascontiguousarray(values).tobytes()))
    return digest.hexdigest()
