"""Spectrum: the mean magnitude of every frequency in natural photographs, which MaCo holds fixed."""

import functools

import numpy as np
from skimage.transform import resize

from lab import data
from lab.refusal import Refused
from lab.visualization.colour import from_colours


def magnitude(images, rows, columns, decorrelate=True):
    """Mean magnitude of the spectrum of photographs, in the coordinates of pictures (Fel et al. 2023, https://arxiv.org/abs/2306.06805).

    Args:
        images: an iterable of arrays [r, c, channels] in 0..255, read one at a time. Each one's centre square is resized.
        rows: of the pictures.
        columns: of the pictures.
        decorrelate: whether the pictures' colours are decorrelated.

    Returns:
        float32 [channels, rows, columns // 2 + 1].

    Raises:
        Refused: where there is no photograph.
    """
    total, count = 0.0, 0
    for image in images:
        coordinates = from_colours(resize(_square(image) / 255.0, (rows, columns), anti_aliasing=True), decorrelate)
        total, count = total + np.abs(np.fft.rfft2(coordinates, axes=(0, 1))), count + 1
    if not count:
        raise Refused("A spectrum is measured on at least one photograph. Received: none.")
    return np.transpose(total / count, (2, 0, 1)).astype("float32")


@functools.cache
def natural(rows, columns, channels, decorrelate=True):
    """The spectrum of the photographs of the installed packages, in windows of three scales; see `magnitude`.

    Args:
        rows: int, of the pictures.
        columns: int, of the pictures.
        channels: int, of the pictures; other than 3 get the mean of the colours.
        decorrelate: whether the pictures' colours are decorrelated.

    Returns:
        float32 [channels, rows, columns // 2 + 1], which cannot be written to: it is measured once for each size.
    """
    windows = data.crops(data.photographs()).images
    spectrum = magnitude((_channels(image, channels) for image in windows), rows, columns, decorrelate)
    spectrum.flags.writeable = False
    return spectrum


def _square(image):
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    return image[top : top + side, left : left + side]


def _channels(image, channels):
    return image if channels == image.shape[-1] else np.repeat(image.mean(-1, keepdims=True), channels, axis=-1)
