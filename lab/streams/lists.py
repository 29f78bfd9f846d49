"""Lists: images that a CSV file names, one a row, with the columns path and, where the classes are known, label."""

import csv
import functools
import io
import itertools
from array import array

from lab.data import Data, file_stamp
from lab.images import read
from lab.refusal import Refused
from lab.registry import nearest
from lab.remote import as_path, is_file, is_remote
from lab.sequences import Lazy, Texts


class Listing:
    """The rows of a list: where each image lies, and on which line of the list that is said.

    Args:
        path: `pathlib.Path` of the CSV file.
        labelled: whether it has a column of labels.
    """

    def __init__(self, path, labelled):
        self.path, self.folder, self.paths, self.lines = path, path.parent, Texts(), array("q")
        self.labels = Texts() if labelled else None

    def append(self, row, line):
        """Add a row.

        Args:
            row: dict of column to cell.
            line: int, where it stands.

        Raises:
            Refused: for an empty cell.
        """
        self.paths.append(self._cell(row, "path", line))
        self.lines.append(line)
        if self.labels is not None:
            self.labels.append(self._cell(row, "label", line))

    def _cell(self, row, column, line):
        cell = (row[column] or "").strip()
        if not cell:
            raise Refused(
                f"Every row of a list has a {column}. Received: {self.path}, line {line}, without one. Write it"
                + (", or leave the column label out." if column == "label" else ", or remove the row.")
            )
        return cell

    def file(self, place):
        """The file of a row.

        Args:
            place: int, which row.

        Returns:
            `pathlib.Path`, or `lab.remote.RemotePath`. A relative one begins at the folder of the list.

        Raises:
            Refused: where it is no file.
        """
        file = self._path(place)
        if not is_file(file):
            raise Refused(
                f"A list names files that are there. Received: {self.path}, line {self.lines[place]}: {str(file)!r} is no file. Relative paths begin at the folder of the list."
            )
        return file

    def stamp(self, place):
        """What becomes another text when the label or the file of a row changes.

        Args:
            place: int, which row.

        Returns:
            str.
        """
        return f"{self.labels and self.labels[place]} {file_stamp(self._path(place))}"

    def _path(self, place):
        text = self.paths[place]
        return as_path(text) if is_remote(text) else self.folder / text


def open_list(path, most, *, channels, levels):
    """The images of a CSV list, whose first line is path or path,label -> `Data`. Other columns are passed over.

    Args:
        path: `pathlib.Path` of the list, in UTF-8.
        most: int, how many rows are read at most.
        channels: as of `lab.images.read`.
        levels: as of `lab.images.read`.

    Returns:
        `Data`, whose names are the cells of the column path. A file is looked for when its image is indexed, the first one here.

    Raises:
        Refused: for a file that is no such list, and for a row without path or label, with its line.
    """
    if not is_file(path):
        raise Refused(f"A list of images is a CSV file. Received: {str(path)!r}, which is not a file.")
    try:
        listing = _read_rows(path, most)
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"A list of images is a CSV file in UTF-8. Received: {path}: {error}.") from error
    if not listing.lines:
        raise Refused(f"A list of images has at least one row below its first line. Received: {path}, which has none.")
    listing.file(0)
    rows = range(len(listing.lines))
    image = functools.partial(_read_image, listing, channels, levels)
    stamps, files = Lazy(listing.stamp, rows), Lazy(listing.file, rows)
    return Data(listing.paths, Lazy(image, rows), listing.labels, groups=rows, stamps=stamps, paths=files)


def _read_rows(path, most):
    with io.TextIOWrapper(path.open("rb"), newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        columns = rows.fieldnames or []
        if "path" not in columns:
            raise Refused(
                f"A list of images has a first line with the column path, and label where classes are known. Received: {path} with {', '.join(columns) or 'no columns'}. {nearest('path', columns) if columns else 'Write path,label into its first line.'}"
            )
        listing = Listing(path, "label" in columns)
        for row in itertools.islice(rows, most):
            listing.append(row, rows.line_num)
    return listing


def _read_image(listing, channels, levels, place):
    return read(listing.file(place), channels=channels, levels=levels)
