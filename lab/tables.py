"""Tables: rows of numbers with the names of their columns, from CSV files and data frames.

open_table(path)              -> Data                  every row of a file, with labels and groups by column
read_beside(path, names)      -> (numbers, columns)    the rows that belong to some images, in the order of the images
"""

import csv
import io
import pathlib
from collections import Counter

import numpy as np

from lab.data import Data
from lab.refusal import Refused
from lab.registry import nearest
from lab.remote import as_path, is_file

# How a cell says that its value is not known.
MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}


def open_table(path, *, label=None, group=None, columns=None):
    """The rows of a CSV file with a header -> `Data` of the kind table.

    Args:
        path: of the file, in UTF-8.
        label: str, the column with each row's class; None: no labels.
        group: str, the column with each row's source; None: equal rows are of one source.
        columns: list of str, the columns that a network takes, in their order; None: all others, in the order of the file.

    Returns:
        `Data` with float32 inputs [rows, columns].

    Raises:
        Refused: for a file that is no table, an unknown column, a missing value, and text in a column of numbers.
    """
    header, *rows = read_cells(path)
    return from_rows(header, rows, str(path), label=label, group=group, columns=columns)


def from_frame(frame, *, label=None, group=None, columns=None):
    """The rows of a pandas data frame -> `Data` of the kind table. The index names the rows.

    Args:
        frame: `pandas.DataFrame`.
        label: as of `open_table`.
        group: as of `open_table`.
        columns: as of `open_table`.

    Returns:
        `Data`.

    Raises:
        Refused: as of `open_table`.
    """
    header, rows = [str(name) for name in frame.columns], frame.to_numpy(dtype=object).tolist()
    names = tuple(f"row {name}" for name in frame.index)
    return from_rows(header, rows, "the data frame", label=label, group=group, columns=columns, names=names)


def from_rows(header, rows, source, *, label=None, group=None, columns=None, names=None):
    """Rows of cells -> `Data` of the kind table.

    Args:
        header: list of str, the names of the columns.
        rows: list of lists of cells, text or numbers.
        source: str, where they come from, in errors.
        label: as of `open_table`.
        group: as of `open_table`.
        columns: as of `open_table`.
        names: of the rows; None: their numbers, from 1.

    Returns:
        `Data`.

    Raises:
        Refused: as of `open_table`.
    """
    refuse_repeated_columns(header, source)
    for name in [name for name in (label, group, *(columns or ())) if name is not None]:
        if name not in header:
            raise Refused(
                f"A column is named as in the first line of {source}. Received: {name!r}. {nearest(name, header)}"
            )
    columns = list(columns or [name for name in header if name not in (label, group)])
    if label in columns:
        raise Refused(
            f"The column of the labels is none that the network takes. Received: {label!r} in both. Leave it out of columns=."
        )
    places = [header.index(name) for name in columns]
    numbers = np.array(
        [_numbers(source, columns, [row[place] for place in places], line) for line, row in enumerate(rows, 2)],
        "float64",
    ).reshape(len(rows), len(columns))
    refuse_lost(numbers, columns, source)
    numbers = numbers.astype("float32")
    return Data(
        names or tuple(f"row {number}" for number in range(1, len(rows) + 1)),
        numbers,
        None if label is None else _labels(rows, header.index(label), label, source),
        groups=_equal_rows(numbers) if group is None else tuple(str(row[header.index(group)]) for row in rows),
        columns=tuple(columns),
        label=label,
        kind="table",
    )


# How much of a column's deviation float32 may lose.
LOST = 1e-2


def refuse_lost(numbers, columns, source):
    """Raise Refused for a column of which float32 loses what it varies by, such as seconds since 1970.

    Args:
        numbers: float64 [rows, columns].
        columns: list of str, their names.
        source: str, where they come from, in errors.
    """
    with np.errstate(over="ignore"):
        lost = np.abs(numbers.astype("float32").astype("float64") - numbers).max(axis=0, initial=0)
    spread = numbers.std(axis=0) if len(numbers) else np.zeros(len(columns))
    for place in np.flatnonzero((lost > LOST * spread) & (spread > 0)):
        raise Refused(
            f"Numbers are kept as float32, about seven digits. Received: the column {columns[place]!r} of {source}, which varies by {spread[place]:.3g} around {numbers[:, place].mean():.6g}. Subtract a constant from it."
        )


def refuse_repeated_columns(header, source):
    """Raise Refused for a table of which two columns have one name.

    Args:
        header: list of str, the names.
        source: where the table is, in errors.
    """
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated:
        raise Refused(f"Each column of a table has its own name. Received: {repeated[0]!r} more than once in {source}.")


def _labels(rows, place, label, source):
    """The class of every row as text; whole numbers such as 1.0 without their fraction: tuple of str."""
    cells = [str(row[place]).strip() for row in rows]
    missing = [number for number, cell in enumerate(cells, 2) if cell.lower() in MISSING]
    if missing:
        raise Refused(
            f"Every row has a label. Received: none in line {missing[0]} of {source}, column {label!r}. Fill it in, or remove the row."
        )
    return tuple(
        cell.removesuffix(".0") if cell.removesuffix(".0").lstrip("+-").isdecimal() else cell for cell in cells
    )


def _equal_rows(numbers):
    """The place of the first row that is equal to each one: tuple of int. Equal rows are no two samples."""
    first = {}
    return tuple(first.setdefault(row.tobytes(), place) for place, row in enumerate(numbers))


def read_beside(path, names):
    """Read the rows of a CSV file with a header, one for each image.

    A first column with the images' names, with or without folder and ending, says which row belongs to which image.
    Otherwise the rows are in the order of the images.

    Args:
        path: of the file.
        names: of the images.

    Returns:
        float32 [images, columns], and tuple of column names.

    Raises:
        Refused: for a file that is no table, for another number of rows, and for cells that are no finite numbers.
    """
    header, *rows = read_cells(path)
    by_name = {name: row for row in rows for name in (row[0], pathlib.PurePath(row[0]).stem)}
    keys = [next((key for key in spellings(name) if key in by_name), None) for name in names]
    if all(key is not None for key in keys):
        header, rows = header[1:], [by_name[key][1:] for key in keys]
    elif len(rows) != len(names):
        raise Refused(
            f"A table has one row for each image, or image names in its first column. Received: {path} with {len(rows)} rows for {len(names)} images."
        )
    return np.array([_numbers(path, header, row) for row in rows], "float32"), tuple(header)


def read_cells(path):
    """Every row of a file, each as long as the header.

    Args:
        path: of the file.

    Returns:
        list of lists of str.

    Raises:
        Refused: for a file that is no table.
    """
    path = as_path(path)
    if not is_file(path):
        raise Refused(f"A table is a CSV file. Received: {str(path)!r}, which is no file.")
    try:
        text = io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")
        rows = [row for row in csv.reader(text) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"A table is a CSV file in UTF-8. Received: {path}: {error}.") from error
    uneven = [number for number, row in enumerate(rows, start=1) if len(row) != len(rows[0])]
    if len(rows) < 2 or uneven:
        raise Refused(
            f"A table has a header and rows of the same length. Received: {path} with {len(rows)} rows{f', row {uneven[0]} of another length' if uneven else ''}."
        )
    return rows


def spellings(name):
    """How the name of an image may be written in a table: as it is, without its folder, and without its ending.

    Args:
        name: str.

    Returns:
        tuple of str.
    """
    path = pathlib.PurePath(name)
    return name, path.name, path.stem


def _numbers(path, header, row, line=None):
    """The cells of a row as finite numbers: list of float."""
    for column, cell in zip(header, row):
        try:
            # The network takes float32, which ends at 3e38; an underscore is no part of a number.
            finite = "_" not in str(cell) and abs(float(cell)) <= np.finfo("float32").max
        except (TypeError, ValueError):
            finite = False
        if not finite:
            where = "" if line is None else f", line {line}"
            raise Refused(
                f"A table's cells are finite numbers. Received: {cell!r} in the column {column!r} of {path}{where}.{'' if line is None else _advice(cell)}"
            )
    return [float(cell) for cell in row]


def _advice(cell):
    """What to do about a cell that is no number: str."""
    if str(cell).strip().lower() in MISSING | {"inf", "-inf"}:
        return " Fill in what is missing as it was done in training, or remove the row."
    return (
        " Encode text as numbers as it was done in training, or name the columns that the network takes with columns=."
    )
