"""Tables: a CSV file of numbers -> the rows that belong to some images, in the order of the images."""

import csv
import io
import pathlib

import numpy as np

from lab.refusal import Refused
from lab.remote import as_path, is_file


def read(path, names):
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
    keys = [next((key for key in _spellings(name) if key in by_name), None) for name in names]
    if all(key is not None for key in keys):
        header, rows = header[1:], [by_name[key][1:] for key in keys]
    elif len(rows) != len(names):
        raise Refused(
            f"A table has one row for each image, or image names in its first column. Received: {path} with {len(rows)} rows for {len(names)} images."
        )
    return np.array([_numbers(path, header, row) for row in rows], "float32"), tuple(header)


# What stands for nothing in a cell.
NOTHING = ("", "na", "nan", "n/a", "null", "none", "?")


def read_columns(path):
    """Read a CSV file with a header of columns of any kind.

    Args:
        path: of the file.

    Returns:
        dict of column to list of float, or of str; None for a cell that holds nothing.

    Raises:
        Refused: for a file that is no table, and for two columns of one name.
    """
    header, *rows = read_cells(path)
    if len(set(header)) < len(header):
        name = next(name for name in header if header.count(name) > 1)
        raise Refused(f"Each column of a table has a name of its own. Received: {name!r} twice in {path}. Rename one.")
    return {name: _typed([row[place].strip() for row in rows]) for place, name in enumerate(header)}


def _typed(cells):
    """Cells as numbers, where all that hold something are; else as texts."""
    cells = [None if cell.lower() in NOTHING else cell for cell in cells]
    try:
        return [None if cell is None else float(cell) for cell in cells]
    except ValueError:
        return cells


def rows_of_images(columns, names, path):
    """The rows of a table that belong to some images, told by the column path, or else by the first one.

    Args:
        columns: dict of column to list of cells.
        names: of the images.
        path: of the table, for errors.

    Returns:
        list of dict of column to cell, one an image, without the column of names.

    Raises:
        Refused: for an image without a row.
    """
    key = "path" if "path" in columns else next(iter(columns))
    cells = [f"{cell:.0f}" if isinstance(cell, float) and cell.is_integer() else str(cell) for cell in columns[key]]
    by_name = {spelling: place for place, cell in enumerate(cells) for spelling in _spellings(cell)}
    places = [next((by_name[spelling] for spelling in _spellings(name) if spelling in by_name), None) for name in names]
    owners = {}
    for name, place in zip(names, places):
        if place is None:
            raise Refused(
                f"Metadata have a row for each image, with its name under {key!r}. Received: {path} without {name!r}."
            )
        if owners.setdefault(place, name) != name:
            raise Refused(
                f"A row of metadata belongs to one image. Received: {cells[place]!r} of {path} for {owners[place]!r} and {name!r}. Write names with their folders."
            )
    return [{column: values[place] for column, values in columns.items() if column != key} for place in places]


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


def _spellings(name):
    path = pathlib.PurePath(name)
    return name, path.name, path.stem


def _numbers(path, header, row):
    for column, cell in zip(header, row):
        try:
            finite = np.isfinite(float(cell))
        except ValueError:
            finite = False
        if not finite:
            raise Refused(f"A table's cells are finite numbers. Received: {cell!r} in the column {column!r} of {path}.")
    return [float(cell) for cell in row]
