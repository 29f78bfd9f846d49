"""Cells: the cells of a column of a data frame as numbers, as places of levels, or as times."""

import numpy as np
import pandas as pd

from lab.refusal import Refused
from lab.registry import nearest
from lab.tables import MISSING

# Values of a category without stated levels, at most.
MOST_LEVELS = 100


def cell_words(cells):
    """The cells as words, whole numbers without their point: pandas Series of str, missing ones remain missing.

    Args:
        cells: pandas Series.
    """
    missing = cells.isna().to_numpy()
    if pd.api.types.is_float_dtype(cells) and (cells[~missing] % 1 == 0).all():
        cells = cells.where(~missing, 0).astype("int64")
    words = [None if gap else str(cell).strip() for cell, gap in zip(cells, missing)]
    words = [None if word is None or word.lower() in MISSING else word for word in words]
    return pd.Series(words, dtype="object")


def holds_numbers(cells):
    """Whether all cells that hold something are numbers, or yes and no of Python: bool.

    Args:
        cells: pandas Series.
    """
    if pd.api.types.is_bool_dtype(cells) or pd.api.types.is_numeric_dtype(cells):
        return True
    known = cells.dropna()
    return not len(known) or bool(pd.to_numeric(known, errors="coerce").notna().all())


def are_dates(cells):
    """Whether cells that are no numbers read as dates: bool.

    Args:
        cells: pandas Series.
    """
    if pd.api.types.is_datetime64_any_dtype(cells):
        return True
    words = cell_words(cells).dropna()[:200]
    return bool(len(words)) and bool(words.str.match(r"\d{4}-\d{2}-\d{2}|\d{1,2}[./]\d{1,2}[./]\d{2,4}").all())


def number_cells(cells, name, source):
    """Cells as numbers.

    Args:
        cells: pandas Series.
        name: str, the column.
        source: str, where it comes from, in errors.

    Returns:
        float64 [rows], nan where nothing is held.

    Raises:
        Refused: for text among them, and for infinity.
    """
    values = pd.to_numeric(cells, errors="coerce").to_numpy("float64", na_value=np.nan)
    lost = np.isnan(values) & _holds_words(cells)
    if lost.any():
        line = int(np.flatnonzero(lost)[0]) + 2
        raise Refused(
            f"The column {name!r} holds numbers. Received: text in {int(lost.sum()):,} of {len(values):,} rows of {source}, first in line {line}. {_number_advice(cells)}"
        )
    if np.isinf(values).any():
        raise Refused(
            f"The column {name!r} holds finite numbers. Received: infinity in {int(np.isinf(values).sum()):,} rows of {source}. Leave these cells empty."
        )
    return values


def _holds_words(cells):
    if pd.api.types.is_numeric_dtype(cells):
        return np.zeros(len(cells), bool)
    return cell_words(cells).notna().to_numpy()


def _number_advice(cells):
    if are_dates(cells):
        return 'Dates are no numbers: write days since a date, or give the column the role "time".'
    return (
        'Write categories as levels = ["a", "b"] in the order in which the network knows them, or correct these cells.'
    )


def time_cells(cells, name, source):
    """Cells as times: numbers as they are, dates as seconds since 1970.

    Args:
        cells: pandas Series.
        name: str, the column.
        source: str, where it comes from, in errors.

    Returns:
        float64 [rows], nan where nothing is held.

    Raises:
        Refused: for text that is no date, or whose order of day and month differs between rows.
    """
    if holds_numbers(cells):
        return number_cells(cells, name, source)
    words = cells if pd.api.types.is_datetime64_any_dtype(cells) else cell_words(cells)
    dates = pd.to_datetime(words, errors="coerce", utc=True)
    lost = (dates.isna() & words.notna()).to_numpy()
    if lost.any():
        raise Refused(
            f"The column {name!r} holds times: numbers, or dates in one form. Received: {int(lost.sum()):,} of {len(words):,} rows of {source} in another, first in line {int(np.flatnonzero(lost)[0]) + 2}. Write dates as 2026-03-31."
        )
    seconds = dates.dt.tz_localize(None).to_numpy("datetime64[ns]").astype("int64") / 1e9
    return np.where(dates.isna(), np.nan, seconds)


def level_cells(cells, levels, name, source):
    """Cells as places of levels.

    Args:
        cells: pandas Series.
        levels: tuple of str.
        name: str, the column.
        source: str, where it comes from, in errors.

    Returns:
        float64 [rows], nan where nothing is held.

    Raises:
        Refused: for a value that is none of the levels, with the nearest.
    """
    known = set(levels)
    texts = [None if gap else str(cell).strip() for cell, gap in zip(cells, cells.isna())]
    # A level may read as if nothing was held.
    words = [text if text in known else word for text, word in zip(texts, cell_words(cells))]
    lookup = {level: float(place) for place, level in enumerate(levels)}
    values = np.array([np.nan if word is None else lookup.get(word, -1.0) for word in words])
    unseen = values < 0
    if unseen.any():
        value, count = words[int(np.flatnonzero(unseen)[0])], int(unseen.sum())
        raise Refused(
            f"The column {name!r} has the levels that were stated, or that training rows have. Received: {value!r} and no level, {count:,} of {len(values):,} rows of {source}. {nearest(value, levels)} Correct these rows, or add the level if the network was trained on it."
        )
    return values


def distinct_words(cells):
    """The values of a category in their order: tuple of str.

    Args:
        cells: list of pandas Series, the column in each file.
    """
    words = {word for series in cells for word in cell_words(series).dropna().unique()}
    return tuple(sorted(words))
