"""Metadata: columns of any kind from a CSV file, and the rows that belong to some images."""

from lab.refusal import Refused
from lab.tables import MISSING, read_cells, spellings


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
    cells = [None if cell.lower() in MISSING else cell for cell in cells]
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
    by_name = {spelling: place for place, cell in enumerate(cells) for spelling in spellings(cell)}
    places = [next((by_name[spelling] for spelling in spellings(name) if spelling in by_name), None) for name in names]
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
