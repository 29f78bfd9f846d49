"""File headers: what an image file says beside its pixels: how large it is, how it was compressed, and what the camera wrote."""

import io
from dataclasses import dataclass, field

from PIL import ExifTags, Image

from lab.images import FORMATS

# Tags with a text longer than this are no labels of anything, such as an embedded preview.
LONGEST = 200


@dataclass(frozen=True)
class Header:
    """What an image file says beside its pixels.

    Args:
        bytes: int, its size.
        format: str, such as "JPEG"; "" for one that Pillow does not know.
        mode: str, the bands as Pillow names them.
        quantization: tuple of tuples of int, the tables of a JPEG; lossless files have none.
        exif: dict of tag to number or text.
    """

    bytes: int
    format: str = ""
    mode: str = ""
    quantization: tuple = ()
    exif: dict = field(default_factory=dict)


def read_header(content):
    """The header of an image file.

    Args:
        content: bytes of the file.

    Returns:
        `Header`, with its size alone where Pillow does not know the format.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            tables = getattr(image, "quantization", None) or {}
            quantization = tuple(tuple(tables[key]) for key in sorted(tables))
            return Header(len(content), image.format, image.mode, quantization, _exif(image))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        # Pixels are read, or refused, elsewhere.
        return Header(len(content))


def _exif(image):
    """The tags of the camera, those of its exposure included, as numbers and texts."""
    tags = image.getexif()
    rows = {**tags, **tags.get_ifd(ExifTags.IFD.Exif)}
    values = {ExifTags.TAGS.get(tag, str(tag)): _plain(value) for tag, value in rows.items()}
    return {name: value for name, value in sorted(values.items()) if value is not None}


def _plain(value):
    """A number or a short text; None for everything else."""
    if isinstance(value, bytes):
        return None
    if isinstance(value, str):
        text = value.strip("\0 ")
        return text if 0 < len(text) <= LONGEST else None
    try:
        return float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
