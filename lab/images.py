"""Images: a file -> RGB array in 0..255, whatever a camera or a scanner has put in it."""

import pathlib
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lab.refusal import Refused

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp")
MOST_PIXELS = 80_000_000


def read(path):
    """The image in a file, uint8 [rows, columns, 3]: turned upright by its EXIF, on white where transparent, 16 bit scaled to 8,
    CMYK and grey converted, the first frame of an animation.

    Raises Refused for a file that is missing, truncated, no image, or of more than 80 million pixels.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise Refused(f"An image is a file. Received: {str(path)!r}, which is none.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                _refuse_huge(image, path)
                return _rgb(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Refused(f"An image has at most {MOST_PIXELS:,} pixels. Received: {path.name}, which has more.") from None
    except UnidentifiedImageError:
        raise Refused(
            f"An image file holds an image. Received: {path.name}, which Pillow does not recognize."
        ) from None
    except (OSError, SyntaxError) as error:
        raise Refused(f"An image file is whole. Received: {path.name}: {error}.") from error


def _refuse_huge(image, path):
    if image.width * image.height > MOST_PIXELS:
        raise Refused(
            f"An image has at most {MOST_PIXELS:,} pixels. Received: {path.name} with {image.width} x {image.height}."
        )


def _rgb(image):
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled(np.asarray(image))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        return np.asarray(Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def _scaled(values):
    """Deep grey -> 8 bit RGB: by 65535 for whole numbers, by the largest value for floating ones."""
    top = 65535.0 if values.dtype.kind in "iu" else max(float(np.nanmax(values)), 1e-12)
    grey = np.clip(np.nan_to_num(values / top), 0, 1)
    return np.repeat(np.round(255 * grey).astype("uint8")[..., None], 3, axis=-1)
