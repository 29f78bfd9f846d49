"""File views: what the file of a picture says beside its pixels, `(picture) -> dict of feature to number or text`."""

import math

from lab.refusal import Refused
from sanity.shortcuts import views


@views.register
def file_size(picture):
    """How many bytes the file has, as a logarithm.

    Args:
        picture: `Picture`.

    Returns:
        dict of feature to float.
    """
    return {"bytes": math.log(max(1, _header(picture).bytes))}


@views.register
def resolution(picture):
    """Rows, columns and their ratio, as logarithms.

    Args:
        picture: `Picture`.

    Returns:
        dict of feature to float.
    """
    rows, columns = picture.image.shape[:2]
    return {"rows": math.log(rows), "columns": math.log(columns), "aspect": math.log(columns / rows)}


@views.register
def compression(picture):
    """The format, the bands, the JPEG tables, and the bytes of a pixel.

    Args:
        picture: `Picture`.

    Returns:
        dict of feature to float or str.
    """
    header, (rows, columns) = _header(picture), picture.image.shape[:2]
    tables = [math.log(sum(table)) for table in header.quantization[:2]]
    return {
        "format": header.format or "unknown",
        "bands": header.mode or "unknown",
        "bytes of a pixel": math.log(max(1, header.bytes) / (rows * columns)),
        "luma table": tables[0] if tables else None,
        "colour table": tables[1] if len(tables) > 1 else None,
    }


@views.register
def exif(picture):
    """The tags that the camera wrote, and how many there are.

    Args:
        picture: `Picture`.

    Returns:
        dict of feature to float or str.
    """
    tags = _header(picture).exif
    return {"tags": float(len(tags)), **tags}


def _header(picture):
    if picture.header is None:
        raise Refused(
            "This view looks at the file of each image. Received: images without files of their own, as in shards. Give a folder or a list."
        )
    return picture.header
