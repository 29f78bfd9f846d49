"""Encoding: features of any kind -> columns of numbers. Numbers stay, text becomes categories, and what is missing says so."""

import math
import re
from collections import Counter

import numpy as np

# Categories of a feature; rarer ones are one.
LEVELS = 20
# Pieces of texts, each in a share of the rows that is not below this, nor above the rest.
PIECES, RARE = 50, 0.02


def encode_rows(rows):
    """Features of several rows as numbers.

    A feature with a text in any row is a category. A number that is missing is the median, and has a column that says so.

    Args:
        rows: list of dict of feature to number, text or None; a feature may be missing.

    Returns:
        float64 [rows, columns], and list of str, the names of the columns.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = [column for name in names for column in encode_column(name, [row.get(name) for row in rows])]
    if not columns:
        return np.zeros((len(rows), 0)), []
    return np.stack([values for _, values in columns], axis=1), [name for name, _ in columns]


def encode_column(name, cells):
    """One feature as columns of numbers.

    Args:
        name: str.
        cells: list of number, text or None.

    Returns:
        list of (str, float64 [rows]).
    """
    missing = np.array([is_missing(cell) for cell in cells])
    present = [cell for cell, gone in zip(cells, missing) if not gone]
    columns = _categories(name, cells, present) if any(isinstance(cell, str) for cell in present) else []
    if not columns and present:
        middle = float(np.median(np.array(present, "float64")))
        columns = [(name, np.array([middle if gone else float(cell) for cell, gone in zip(cells, missing)], "float64"))]
    return [*columns, *([(f"{name} is missing", missing.astype("float64"))] if missing.any() else [])]


def is_missing(cell):
    """Whether a cell holds nothing: bool. A number that is not finite is none."""
    if isinstance(cell, str):
        return not cell
    return cell is None or not math.isfinite(cell)


def _categories(name, cells, present):
    """A column of 0 and 1 for each of the most frequent texts. Where nearly all differ, their length, first letter and pieces."""
    if len(set(map(str, present))) > max(LEVELS, len(present) // 2):
        lengths = np.array([len(str(cell or "")) for cell in cells], "float64")
        first = [str(cell or " ")[0] for cell in cells]
        return [(f"length of {name}", lengths), *_levels(f"first letter of {name}", first), *_pieces(name, cells)]
    return _levels(name, [None if is_missing(cell) else str(cell) for cell in cells])


def _pieces(name, cells):
    """A column of 0 and 1 for each of the most frequent words and numbers inside texts, but for those in nearly all or none."""
    texts = [set(re.findall(r"[^\W\d_]+|\d+", str(cell or ""))) for cell in cells]
    counts = Counter(piece for pieces in texts for piece in pieces).most_common()
    shared = [piece for piece, count in counts if RARE * len(cells) <= count <= (1 - RARE) * len(cells)][:PIECES]
    return [
        (f"{piece!r} in {name}", np.array([piece in pieces for pieces in texts], "float64")) for piece in sorted(shared)
    ]


def _levels(name, texts):
    common = [text for text, _ in Counter(text for text in texts if text is not None).most_common(LEVELS)]
    return [(f"{name} = {text}", np.array([cell == text for cell in texts], "float64")) for text in common]
