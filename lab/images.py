"""Images: a file of a camera or scanner, in any usual format -> array in 0..255."""

import io
import warnings
from dataclasses import dataclass

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageOps, UnidentifiedImageError

from lab.refusal import Refused
from lab.remote import as_path, is_file

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp")
# Pillow opens nothing else: left to guess, it starts Ghostscript for PostScript that calls itself .png.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")
MOST_PIXELS = 80_000_000
# ITU-R 601 luma, what Pillow's own conversion to grey uses.
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class _Content:
    """The bytes of an image file that lies in another file, opened as a path is."""

    content: bytes
    name: str

    def open(self, mode):
        return io.BytesIO(self.content)

    def read_bytes(self):
        return self.content


def read(path, *, channels=3, levels=None, name="an image"):
    """The image in a file, turned upright by its EXIF; the first frame of an animation.

    Without `levels` whole numbers above 8 bits are divided by 65535, and floating ones by the largest of them. A warning
    then says which levels were lost.

    Args:
        path: a JPEG, PNG, GIF, BMP, TIFF or WEBP file, its address, such as s3://bucket/photo.png, or the bytes of one.
        channels: 3 for RGB, on white where transparent, grey repeated; 1 for grey. Any other number needs a file
            with as many bands (RGBA, CMYK, TIFF), which are not changed.
        levels: the largest value of images of more than 8 bits, such as 4095 for 12 bits; all levels are kept.
        name: what messages call an image whose bytes are given; a file has its own.

    Returns:
        uint8 [rows, columns, channels], or float32 in 0..255 where `levels` is given.

    Raises:
        Refused: for a file that is missing, truncated, not an image, or of more than 80 million pixels; for values
            that are not finite, negative or above `levels`; and for bands that the file does not have.
    """
    _refuse_levels(levels)
    path = _Content(path, name) if isinstance(path, bytes) else _file(path)
    values, alpha = _open(path, channels)
    _refuse_bands(values.shape[-1] - (alpha and channels in (1, 3)), channels, path.name)
    values = _scale(values, levels, path.name)
    image = as_channels(_blend_on_white(values) if alpha and channels in (1, 3) else values, channels, path.name)
    return np.round(image).astype("uint8") if values.dtype == np.uint8 else image


def _file(path):
    path = as_path(path)
    if not is_file(path):
        raise Refused(f"An image is a file. Received: {str(path)!r}, which is not a file.")
    return path


def as_channels(image, channels, name="an image"):
    """An image with as many bands as a network has channels: grey is repeated, and RGB becomes its luma.

    Warns where colours are lost.

    Args:
        image: [rows, columns, bands].
        channels: how many the network takes.
        name: the image's name in warnings and errors.

    Returns:
        [rows, columns, channels].

    Raises:
        Refused: where the bands cannot become the channels.
    """
    bands = image.shape[-1]
    _refuse_bands(bands, channels, name)
    if bands == channels:
        return image
    return np.repeat(image, 3, axis=-1) if bands == 1 else _to_grey(image, name)


def to_viewable(image):
    """An image in 0..255 of any number of bands as one to display: uint8 [rows, columns, 3].

    It has the first three bands, or the first one repeated.
    """
    bands = image[..., :3] if image.shape[-1] > 2 else np.repeat(image[..., :1], 3, axis=-1)
    return np.round(bands).astype("uint8")


def _refuse_bands(bands, channels, name):
    if bands == channels or (bands, channels) in ((1, 3), (3, 1)):
        return
    kind = {1: "grey", 3: "RGB"}.get(bands, f"{bands} bands")
    raise Refused(
        f"A network of {channels} channels takes images of {channels}. Received: {name} with {bands} ({kind}). "
        f"Give arrays [rows, columns, {channels}] with the bands that the network was trained on, in their order."
    )


def _to_grey(image, name):
    if (image == image[..., :1]).all():
        return image[..., :1]
    warnings.warn(
        f"The network takes one channel, and {name} has colours: only their brightness is kept. "
        "Give grey images to be sure of what the network sees.",
        stacklevel=3,
    )
    return image.astype("float32") @ np.array(LUMA, "float32")[:, None]


def _refuse_levels(levels):
    number = isinstance(levels, (int, float, np.number)) and not isinstance(levels, bool)
    if levels is not None and not (number and np.isfinite(levels) and levels > 0):
        raise Refused(f"levels= is the largest value that images hold, such as 4095 for 12 bits. Received: {levels!r}.")


# Opening ----------------------------------------------------------------------------------------------------------------


def _open(path, channels):
    """-> the values as the file holds them [rows, columns, bands], and whether the last band is opacity."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Open the file here: by its name Pillow maps grey TIFFs into memory, and scrambles rotated ones.
            with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
                _refuse_huge(image.height, image.width, path)
                return _read_bands(image, path, channels)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Refused(f"An image has at most {MOST_PIXELS:,} pixels. Received: {path.name}, which has more.") from None
    except UnidentifiedImageError:
        return _read_unidentified(path, channels)
    except (OSError, SyntaxError) as error:
        raise Refused(f"An image file is whole. Received: {path.name}: {error}.") from error


def _refuse_huge(rows, columns, path):
    if rows * columns > MOST_PIXELS:
        raise Refused(f"An image has at most {MOST_PIXELS:,} pixels. Received: {path.name} with {columns} x {rows}.")


def _read_unidentified(path, channels):
    """Read a TIFF of bands for which Pillow has no mode; refuse everything else."""
    with path.open("rb") as file:
        if file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _read_tiff(path, channels)
    raise Refused(
        f"An image file holds {', '.join(FORMATS[:-1])} or {FORMATS[-1]}. Received: {path.name}, which Pillow does not "
        "recognize as one of them; convert it."
    )


def _read_bands(image, path, channels):
    if image.format == "PNG" and ";16" in str(image.tile[0][3] if image.tile else "") and len(image.getbands()) > 1:
        return _read_png(path, image.getexif().get(0x0112, 1))
    if image.format == "TIFF":
        _check_tiff_tags(image, path)
        if _exceeds_pillow(image, channels):
            return _read_tiff(path, channels)
    return from_pillow(image, channels), False


def from_pillow(image, channels=3):
    """A Pillow image upright, as an array [rows, columns, bands].

    For 1 or 3 channels it is RGB on white. Otherwise, and for more than 8 bits, its own bands are not changed.

    Args:
        image: `PIL.Image.Image`, in any mode.
        channels: int, how many the network takes.

    Returns:
        uint8 [rows, columns, 3] for RGB; else [rows, columns, bands] in the image's own dtype.
    """
    upright = ImageOps.exif_transpose(image)
    plain = channels in (1, 3) and not upright.mode.startswith("I") and upright.mode != "F"
    return _to_rgb(upright) if plain else np.atleast_3d(np.asarray(upright))


def _check_tiff_tags(image, path):
    """Refuse what a TIFF's tags say and Pillow ignores: a white minimum and signed bytes. Warn of several images."""
    if image.tag_v2.get(262) == 0 and max(image.tag_v2.get(258, (1,))) > 8:
        raise Refused(
            f"Black is the smallest value of an image. Received: {path.name}, in which white is the smallest (MINISWHITE): invert "
            "it and save it again."
        )
    if 2 in image.tag_v2.get(339, ()) and max(image.tag_v2.get(258, (1,))) <= 8:
        raise Refused(
            f"Image values are 0 or more. Received: {path.name} of signed bytes, -128 to 127: shift them (values + 128) and save the "
            "image again as unsigned ones."
        )
    if getattr(image, "n_frames", 1) > 1:
        warnings.warn(f"{path.name} holds {image.n_frames} images: the first of them is read.", stacklevel=6)


def _exceeds_pillow(image, channels):
    """Whether Pillow would cut a TIFF's colours to 8 bits, or drop a band."""
    bits, samples = image.tag_v2.get(258, (1,)), image.tag_v2.get(277, 1)
    left_out = samples > len(image.getbands()) and image.mode == "RGB"
    return (samples > 1 and max(bits) > 8) or left_out or samples == channels != len(image.getbands())


def _to_rgb(image):
    if image.mode in ("LAB", "HSV"):
        raise Refused(f"Images are RGB, grey or CMYK. Received: one in {image.mode}; convert it to RGB.")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        return np.asarray(Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def _read_png(path, orientation):
    """Colours of 16 bits, which Pillow would cut to 8."""
    values = cv2.imdecode(np.frombuffer(path.read_bytes(), "uint8"), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise Refused(f"An image file is whole. Received: {path.name}, which OpenCV cannot read.")
    values = np.atleast_3d(values)
    order = [2, 1, 0, 3][: values.shape[-1]] if values.shape[-1] > 2 else slice(None)
    return _turn_upright(values[..., order], orientation), values.shape[-1] in (2, 4)


def _read_tiff(path, channels):
    try:
        with path.open("rb") as opened, tifffile.TiffFile(opened) as file:
            page = file.pages[0]
            _refuse_huge(page.imagelength, page.imagewidth * -(-page.samplesperpixel // 4), path)
            _refuse_colours(path, page.photometric, channels)
            values, axes = page.asarray(), page.axes
            alpha = any(int(kind) in (1, 2) for kind in page.extrasamples)
            colours = int(page.photometric) == 2 and not alpha
            orientation = page.tags.valueof(274, 1)
    except Refused:
        raise
    except Exception as error:
        raise Refused(
            f"An image file is whole, and of a known compression. Received: {path.name}: {error}. "
            "Save it uncompressed, or pip install imagecodecs."
        ) from error
    if axes not in ("YX", "YXS", "SYX"):
        raise Refused(f"A TIFF holds rows, columns and bands. Received: {path.name} with axes {axes}.")
    values = np.moveaxis(values, 0, -1) if axes == "SYX" else np.atleast_3d(values)
    if colours and channels in (1, 3) and values.shape[-1] > 3:
        warnings.warn(
            f"{path.name} has {values.shape[-1]} bands: only the first three, red, green and blue, are kept.",
            stacklevel=5,
        )
        values = values[..., :3]
    return _turn_upright(values, orientation), alpha


def _refuse_colours(path, kind, channels):
    if channels in (1, 3) and int(kind) not in (1, 2):
        raise Refused(
            f"Colours of more than 8 bits are read as RGB or grey. Received: {path.name} of {kind.name}; convert it."
        )


def _turn_upright(values, orientation):
    """Rows and columns turned as EXIF's orientation (1 to 8) says."""
    values = values.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else values
    values = values[::-1] if orientation in (3, 4, 7, 8) else values
    return values[:, ::-1] if orientation in (2, 3, 6, 7) else values


# Scaling ----------------------------------------------------------------------------------------------------------------


def _scale(values, levels, name):
    """A file's values -> 0..255: uint8, or float32 where `levels` gives the largest value."""
    _refuse_invalid_values(values, name)
    if levels is not None:
        return _scale_by_levels(values, levels, name)
    if values.dtype == np.uint8:
        return values
    top = _full_scale(values, name)
    scaled = np.round(255 * np.clip(values / top, 0, 1)).astype("uint8")
    _warn_of_lost_levels(values, scaled, top, name)
    return scaled


def _refuse_invalid_values(values, name):
    if values.dtype.kind not in "uif":
        raise Refused(f"An image holds whole or floating numbers. Received: {name} of {values.dtype}.")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise Refused(
            f"Image values are finite. Received: {name}, in which {bad:,} of {values.size:,} are NaN or infinite. "
            "Fill them (numpy.nan_to_num, or the value of your background) and save the image again."
        )
    if values.min() < 0:
        raise Refused(
            f"Image values are 0 or more. Received: {name} with values from {values.min():g} to {values.max():g}. "
            "Shift or window them (values - lowest) and save the image again."
        )


def _scale_by_levels(values, levels, name):
    if values.dtype == np.uint8 and levels > 255:
        warnings.warn(
            f"levels={levels:g} is for images of more than 8 bits: {name} has 8, and is taken as 0..255.", stacklevel=4
        )
        return values.astype("float32")
    if values.max() > levels:
        raise Refused(
            f"levels= is the largest value of the images, {levels:g}. Received: {name} with {values.max():g}."
        )
    return (values * (255.0 / levels)).astype("float32")


def _full_scale(values, name):
    if values.dtype.kind == "f":
        return max(float(values.max()), 1e-12)
    if values.max() > 65535:
        raise Refused(
            f"Whole numbers above 65535 need levels=, the largest value of the images. Received: {name} with {values.max():,}."
        )
    return 65535.0


def _warn_of_lost_levels(values, scaled, top, name):
    before, after = len(np.unique(values)), len(np.unique(scaled))
    lost = f", and its {before:,} levels became {after:,}" if after < before else ""
    if values.dtype.kind == "f" and values.any():
        message = f"{name} holds floating values: it was divided by the largest of them, {top:g}{lost}"
    elif lost:
        message = f"{name} holds more than 8 bits: it was divided by {top:g}{lost}"
    else:
        return
    example = "1 for values in 0..1" if values.dtype.kind == "f" else "4095 for 12 bits"
    warnings.warn(
        f"{message}. Give levels=, the largest value that such images can hold ({example}), to keep all levels and to "
        "divide all images alike.",
        stacklevel=4,
    )


def _blend_on_white(values):
    """Colours over white, with the last band as opacity in 0..255."""
    opacity = values[..., -1:].astype("float32") / 255
    blended = values[..., :-1] * opacity + 255 * (1 - opacity)
    return blended.astype("float32")
