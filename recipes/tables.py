"""Tables: a CSV file of numbers -> the rows that belong to some images, in their order."""

import csv
import pathlib

import numpy as np

from lab.refusal import Refused


def read(path, names):
    """The rows of a CSV file with a header, one for each image -> float32 [images, columns], names of the columns.

    A first column that holds the images' names, with or without folder and ending, says which row is whose; otherwise the rows are
    those of the images in their order. Raises Refused for a file that is none, for other numbers of rows, and for cells that are
    no finite numbers.
    """
    header, *rows = _cells(path)
    by_name = {name: row for row in rows for name in (row[0], pathlib.PurePath(row[0]).stem)}
    keys = [next((key for key in _spellings(name) if key in by_name), None) for name in names]
    if all(key is not None for key in keys):
        header, rows = header[1:], [by_name[key][1:] for key in keys]
    elif len(rows) != len(names):
        raise Refused(
            f"A table has one row an image, or the images' names in its first column. Received: {path} with {len(rows)} rows for {len(names)} images."
        )
    return np.array([_numbers(path, header, row) for row in rows], "float32"), tuple(header)


def _cells(path):
    """Every row of a file, as long as its header: list of lists of str."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise Refused(f"A table is a CSV file. Received: {str(path)!r}, which is none.")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"A table is a CSV file in UTF-8. Received: {path}: {error}.") from error
    short = [number for number, row in enumerate(rows, start=1) if len(row) != len(rows[0])]
    if len(rows) < 2 or short:
        raise Refused(
            f"A table has a header and rows of as many cells. Received: {path} with {len(rows)} rows{f', row {short[0]} of another length' if short else ''}."
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
