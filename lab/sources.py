"""Sources: what lies at a path or an address, told by its name: images, streams of them, a table, arrays or texts."""

import csv
import io
import itertools
import re

from lab.patterns import is_pattern
from lab.remote import as_path, is_folder

# What a path holds, by its ending. A .csv is a list of images where its first line has the column path, and of texts where it has
# the column text and more than numbers in it.
ENDINGS = {".csv": "table", ".npz": "arrays", ".txt": "text"}
SOURCES = ("images", "table", "arrays", "text")
# The column of the texts of a list.
TEXT = "text"
# Rows by which it is told whether they are words.
LOOKED_AT = 100
# Endings of a list and of a shard of images.
LIST, SHARD = ".csv", ".tar"
_RECORDS = re.compile(r".*(\.tfrec(ord)?s?|-\d{3,}-of-\d{3,})", re.IGNORECASE)


def source_kind(path):
    """What a path holds, by its ending: one of `SOURCES`.

    Args:
        path: of a file or a folder.

    Returns:
        str.
    """
    ending = as_path(path).suffix.lower()
    header = header_of(path) if ending == ".csv" and not is_folder(as_path(path)) else []
    if is_folder(as_path(path)) or ending not in ENDINGS or "path" in header:
        return "images"
    return "text" if TEXT in header and _holds_words(path, header.index(TEXT)) else ENDINGS[ending]


def is_stream(address):
    """Whether an address is a list, a shard or a pattern, and no folder or image: bool. It is told by its name."""
    path = as_path(address)
    is_named_so = is_record_file(path) or path.suffix.lower() in (LIST, SHARD)
    return not is_folder(path) and (is_named_so or is_pattern(address))


def is_record_file(path):
    """Whether a path is called as TFRecord files are, such as a.tfrecord or train-00000-of-00064: bool."""
    return _RECORDS.fullmatch(path.name) is not None


def header_of(path):
    """The names in the first line of a CSV file: list of str, empty for a file that is none.

    Args:
        path: of the file.
    """
    return next(iter(_first_rows(path, 1)), [])


def _first_rows(path, count):
    """The first rows of a CSV file: list of lists of str, empty for a file that is none."""
    try:
        with as_path(path).open("rb") as file:
            text = io.TextIOWrapper(file, newline="", encoding="utf-8-sig")
            return list(itertools.islice(csv.reader(text), count))
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _holds_words(path, place):
    """Whether one of the first cells of a column is no number: bool. Without a cell it is as its name says."""
    cells = [row[place] for row in _first_rows(path, 1 + LOOKED_AT)[1:] if len(row) > place]
    return not cells or not all(map(_is_number, cells))


def _is_number(cell):
    try:
        float(cell or "nan")
    except ValueError:
        return False
    return True
