"""Cues: marks that are drawn into a part of a picture or of a series. The variant carries a label.

(image, rng, *, variant) -> image, mask      image: float64 [rows, columns, channels] in 0..255, a square part of a picture
(series, rng, *, variant) -> series, mask    series: float64 [steps, channels] in deviations from its mean, a part of a series

mask: bool over the positions, those that were drawn on. The tag `kind` of a cue says which of the two it is.
"""

import functools

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from lab.registry import Registry

cues = Registry("cue")

# Light and dark of what is printed.
LIGHT, DARK = 235.0, 20.0
# How many variants each cue has.
VARIANTS = 2
# How high a motif is in a series, in deviations. It is made as weak as is asked for.
HEIGHT = 4.0


def _period(image, variant):
    """The period of a regular pattern in pixels, twice as long for variant 1: int."""
    return max(2, len(image) // 8) * (1 + variant)


def _printed(image, is_dark):
    """A picture of two tones in the place of an image, with a mask of all of it."""
    tones = np.where(is_dark, DARK, LIGHT)[..., None] * np.ones(image.shape[-1])
    return tones, np.ones(image.shape[:2], bool)


@cues.register(kind="image")
def ruler(image, rng, *, variant):
    """The ticks of a ruler, narrow or wide.

    Args:
        image: float64 [rows, columns, channels] in 0..255.
        rng: `numpy.random.Generator`, for where the first tick stands.
        variant: 0 or 1.

    Returns:
        the image with the cue, and bool [rows, columns], where it lies.
    """
    rows, columns = np.indices(image.shape[:2])
    period = _period(image, variant)
    ticks = (columns + rng.integers(period)) % period < period // 2
    return _printed(image, ticks & (rows < 0.75 * len(image)))


@cues.register(kind="image")
def text(image, rng, *, variant):
    """Two letters on a label: AB or XY.

    Args:
        image: float64 [rows, columns, channels] in 0..255.
        rng: `numpy.random.Generator`, for the place of the letters.
        variant: 0 or 1.

    Returns:
        the image with the cue, and bool [rows, columns], where it lies.
    """
    rows, columns = image.shape[:2]
    packed = _packed_letters(rows, columns, rows / 2 + (rng.random() - 0.5) * rows / 8, variant)
    is_dark = np.unpackbits(np.frombuffer(packed, "uint8"), count=rows * columns).reshape(rows, columns) > 0
    return _printed(image, is_dark)


# A planting asks for the same label with and without the other cue, and with one cue moved. One of 224 pixels takes 6 KiB.
@functools.lru_cache(4096)
def _packed_letters(rows, columns, middle, variant):
    """Where two letters are dark, around a row: bytes of one bit a pixel, row by row."""
    label = Image.new("L", (columns, rows), 0)
    font = ImageFont.load_default(0.7 * columns)
    ImageDraw.Draw(label).text(
        (columns / 2, middle), ("AB", "XY")[variant], 255, font, "mm", stroke_width=columns // 24
    )
    return np.packbits(np.asarray(label) > 127).tobytes()


@cues.register(kind="image")
def sticker(image, rng, *, variant):
    """A round sticker, orange or blue; light or dark where a picture has no three colours.

    Args:
        image: float64 [rows, columns, channels] in 0..255.
        rng: `numpy.random.Generator`, for its brightness.
        variant: 0 or 1.

    Returns:
        the image with the cue, and bool [rows, columns], where it lies.
    """
    colour = np.array([[235.0, 120.0, 30.0], [30.0, 120.0, 235.0]][variant])
    colour = colour if image.shape[-1] == 3 else np.full(image.shape[-1], (LIGHT, DARK)[variant])
    rows, columns = np.indices(image.shape[:2])
    mask = np.hypot(rows + 0.5 - len(image) / 2, columns + 0.5 - image.shape[1] / 2) <= len(image) / 2
    return np.where(mask[..., None], colour * rng.uniform(0.85, 1), image), mask


@cues.register(kind="image")
def border(image, rng, *, variant):
    """A frame of two lines: dark around light, or light around dark.

    Args:
        image: float64 [rows, columns, channels] in 0..255.
        rng: not used.
        variant: 0 or 1.

    Returns:
        the image with the cue, and bool [rows, columns], where it lies.
    """
    del rng  # It has one place and one form.
    rows, columns = np.indices(image.shape[:2])
    depth = np.minimum.reduce([rows, columns, len(image) - 1 - rows, image.shape[1] - 1 - columns])
    line = max(1, len(image) // 8)
    tones, _ = _printed(image, (depth < line) != bool(variant))
    mask = depth < 2 * line
    return np.where(mask[..., None], tones, image), mask


@cues.register(kind="image")
def blur(image, rng, *, variant):
    """The picture itself, blurred along its rows or along its columns.

    Args:
        image: float64 [rows, columns, channels] in 0..255.
        rng: not used.
        variant: 0 or 1.

    Returns:
        the image with the cue, and bool [rows, columns], where it lies.
    """
    del rng  # Nothing is drawn.
    return ndimage.uniform_filter1d(image, max(3, len(image) // 2), axis=1 - variant), np.ones(image.shape[:2], bool)


@cues.register(kind="image")
def texture(image, rng, *, variant):
    """Noise in the place of the background, fine or coarse, of one mean and one deviation.

    Args:
        image: float64 [rows, columns, channels] in 0..255.
        rng: `numpy.random.Generator`, for the noise.
        variant: 0 or 1.

    Returns:
        the image with the cue, and bool [rows, columns], where it lies.
    """
    noise = ndimage.gaussian_filter(rng.standard_normal(image.shape[:2]), variant * len(image) / 16, mode="wrap")
    values = np.clip(128 + 64 * (noise - noise.mean()) / noise.std(), 0, 255)
    return values[..., None] * np.ones(image.shape[-1]), np.ones(image.shape[:2], bool)


@cues.register(kind="image")
def chequers(image, rng, *, variant):
    """A grid of chequers, small or large.

    Args:
        image: float64 [rows, columns, channels] in 0..255.
        rng: `numpy.random.Generator`, for where the grid begins.
        variant: 0 or 1.

    Returns:
        the image with the cue, and bool [rows, columns], where it lies.
    """
    cell = _period(image, variant) // 2
    rows, columns = np.indices(image.shape[:2]) + rng.integers(2 * cell, size=(2, 1, 1))
    return _printed(image, (rows // cell + columns // cell) % 2 == 0)


# Series -------------------------------------------------------------------------------------------------------------------


def _added(series, motif):
    """A motif [steps] added to all channels of a part of a series, with a mask of all of it."""
    return series + motif[:, None], np.ones(len(series), bool)


@cues.register(kind="series")
def bump(series, rng, *, variant):
    """Half a wave, up or down.

    Args:
        series: float64 [steps, channels] in deviations.
        rng: not used.
        variant: 0 or 1.

    Returns:
        the series with the cue, and bool [steps], where it lies.
    """
    del rng  # It has one form.
    phase = (np.arange(len(series)) + 0.5) / len(series)
    return _added(series, (1 - 2 * variant) * HEIGHT * np.sin(np.pi * phase))


@cues.register(kind="series")
def oscillation(series, rng, *, variant):
    """A wave, fast or slow.

    Args:
        series: float64 [steps, channels] in deviations.
        rng: `numpy.random.Generator`, for where the wave begins.
        variant: 0 or 1.

    Returns:
        the series with the cue, and bool [steps], where it lies.
    """
    period = max(3, len(series) // 4) * (1 + variant)
    begin = rng.random()
    wave = np.sin(2 * np.pi * (np.arange(len(series)) / period + begin))
    return _added(series, HEIGHT * wave)


@cues.register(kind="series")
def ramp(series, rng, *, variant):
    """A straight line, rising or falling.

    Args:
        series: float64 [steps, channels] in deviations.
        rng: not used.
        variant: 0 or 1.

    Returns:
        the series with the cue, and bool [steps], where it lies.
    """
    del rng  # It has one form.
    return _added(series, (1 - 2 * variant) * HEIGHT * np.linspace(-1, 1, len(series)))
