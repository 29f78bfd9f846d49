"""Column views: what a row of a table tells: each column alone, which cells are missing, where the row stands, how often it is there."""

from collections import Counter

import numpy as np

from sanity.shortcuts.encoding import encode_rows, is_missing


def column_views(columns):
    """The views of a table.

    Args:
        columns: dict of column to list of number, text or None, without the target.

    Returns:
        dict of view to (float64 [rows, features], names of the features).
    """
    missing = np.array([[is_missing(cell) for cell in cells] for cells in columns.values()], "float64").T
    return {
        **{f"column {name}": encode_rows([{name: cell} for cell in cells]) for name, cells in columns.items()},
        "missing cells": (missing, [f"{name} is missing" for name in columns]),
        "row order": (np.linspace(0, 1, len(missing))[:, None], ["place in the file"]),
        "equal rows": (_count_copies(columns), ["rows that are equal"]),
    }


def equal_rows(columns):
    """The group of each row of a table; equal rows are one.

    Args:
        columns: dict of column to list of cells, without the target.

    Returns:
        list of str.
    """
    return ["\t".join(map(str, row)) for row in zip(*columns.values())]


def _count_copies(columns):
    rows = equal_rows(columns)
    counts = Counter(rows)
    return np.array([[counts[row]] for row in rows], "float64")
