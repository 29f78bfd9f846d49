"""Picture: what a view looks at: the pixels of an image and what its file says, with what a row of metadata says of it."""

import traceback
from dataclasses import dataclass, field

import numpy as np

from lab.file_headers import Header, read_header
from lab.refusal import Refused, describe
from lab.remote import as_path
from sanity.shortcuts.copies import thumbnail
from sanity.shortcuts.encoding import encode_rows, is_missing


@dataclass(frozen=True)
class Picture:
    """An image with its file.

    Args:
        name: str.
        image: uint8 [rows, columns, 3].
        header: `lab.file_headers.Header`, or None for an image without a file of its own.
        metadata: dict of column to number, text or None.
    """

    name: str
    image: np.ndarray
    header: Header | None = None
    metadata: dict = field(default_factory=dict)


def open_pictures(data, metadata=()):
    """The pictures of some data, one after the other, so that one is in the memory at a time.

    Args:
        data: `lab.data.Data`.
        metadata: sequence of dict, one an image; () for none.

    Returns:
        iterator of `Picture`.

    Raises:
        Refused: for a file that cannot be read.
    """
    for place, name in enumerate(data.names):
        header = None if data.paths is None else read_header(as_path(data.paths[place]).read_bytes())
        yield Picture(name, data.images[place], header, metadata[place] if len(metadata) else {})


def measure_views(pictures, functions):
    """What each view sees of pictures, read one after the other.

    Args:
        pictures: iterator of `Picture`.
        functions: dict of name to view, a function (picture) -> dict of feature to number or text, a number, or several.

    Returns:
        dict of name to (float64 [pictures, features], names of the features); (str, traceback or None) for a view that refuses
        or fails; and float32 [pictures, numbers], the thumbnails that tell copies.

    Raises:
        Refused: for a file that cannot be read.
    """
    rows, faults, thumbnails = {name: [] for name in functions}, {}, []
    for picture in pictures:
        thumbnails.append(thumbnail(picture.image))
        for name, function in functions.items():
            if name not in faults:
                try:
                    rows[name].append(_as_features(function(picture)))
                except Refused as error:
                    faults[name] = (str(error), None)
                except Exception as error:
                    # A view of a user may raise any exception; the others are kept.
                    faults[name] = (describe(error), traceback.format_exc())
    measured = {name: faults.get(name) or _encode(rows[name]) for name in functions}
    return measured, np.stack(thumbnails)


def _encode(rows):
    """The features of a view as numbers, or why there are none, as of a view that fails."""
    try:
        return _without_values(rows) or encode_rows(rows)
    except Exception as error:
        # What a view of a user returned may be anything.
        return describe(error), traceback.format_exc()


def _without_values(rows):
    """Why a view without a value of any picture tells nothing, as of a view that refuses or fails; None where there is a value.

    Nothing at all may be what the pictures hold. Numbers that are not finite are a fault of the view.
    """
    cells = [cell for row in rows for cell in row.values()]
    if not all(map(is_missing, cells)):
        return None
    numbers = ", ".join(sorted({repr(cell) for cell in cells if isinstance(cell, float)}))
    words = (
        f"A view gives a text or a finite number of some picture. Received: {numbers or 'nothing'} of every picture."
    )
    return words, words if numbers else None


def _as_cell(name, value):
    """A number, text or None, as Python has them."""
    cell = value.item() if isinstance(value, (np.generic, np.ndarray)) and np.size(value) == 1 else value
    if cell is not None and not isinstance(cell, (str, int, float)):
        raise Refused(
            f"A feature of a view is a number, a text or None. Received: {type(value).__name__} for {name!r}. Give each number a name of its own."
        )
    return cell


def _as_features(value):
    """What a view returned as a dict of feature to number, text or None."""
    if isinstance(value, dict):
        return {name: _as_cell(name, entry) for name, entry in value.items()}
    values = [value] if isinstance(value, str) else np.ravel(value).tolist()
    return {f"feature {place}": entry for place, entry in enumerate(values)}
