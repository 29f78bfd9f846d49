"""Embedding: a fixed measure of how alike two pictures look, independent of the network under study."""

import numpy as np
from skimage.color import rgb2lab
from skimage.transform import resize

from lab import routines

SIDE, RINGS, WEDGES = 96, 6, 8


def descriptors(images):
    """Texture and colour of images, wherever in them they lie.

    They are log power in rings and wedges of the spectrum of lightness and both colour axes, and the colours' means and
    deviations.

    Args:
        images: uint8 [images, rows, columns, channels].

    Returns:
        float64 [images, numbers].
    """
    return np.stack([_describe(image) for image in images])


def embed(network, images, fit="squash"):
    """Means over positions of the last spatial layer of a network that did not make the images.

    Args:
        network: a `Network`.
        images: list of uint8 images.
        fit: how images are brought to the network's size.

    Returns:
        float32 [images, channels].
    """
    inputs = network.preprocess(list(images), fit=fit)
    return routines.activations(network, inputs, network.last_spatial(), pool=True)


def describe_images(images, observer=None):
    """Images as an observer describes them: float [images, numbers].

    Args:
        images: uint8 [images, rows, columns, channels].
        observer: `Network` that describes them, as of `embed`; None: texture and colour, as of `descriptors`.

    Returns:
        float [images, numbers].
    """
    return descriptors(images) if observer is None else embed(observer, images)


def whiten(sets):
    """Several sets of descriptors on one scale: each number less its mean, over its deviation in all sets together.

    Args:
        sets: list of float [images, numbers].

    Returns:
        list of float64 [images, numbers], rows of length one.
    """
    joined = np.concatenate(sets).astype("float64")
    mean, deviation = joined.mean(axis=0), joined.std(axis=0)
    scaled = [(rows - mean) / np.where(deviation > 1e-9, deviation, 1.0) for rows in sets]
    return [rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12) for rows in scaled]


def _describe(image):
    small = resize(image / 255.0, (SIDE, SIDE), anti_aliasing=True)
    colours = rgb2lab(small if small.shape[-1] == 3 else np.repeat(small[..., :1], 3, axis=-1)) / 100.0
    window = np.hanning(SIDE)[:, None] * np.hanning(SIDE)[None]
    planes = colours - colours.mean((0, 1))
    powers = np.abs(np.fft.fft2(planes * window[..., None], axes=(0, 1))) ** 2
    cells = [np.log(_cell_powers(powers[..., plane]) + 1e-6) for plane in range(3)]
    return np.concatenate([*cells, colours.mean((0, 1)), colours.std((0, 1))])


def _cell_powers(power):
    """Mean power in each ring and wedge of half the spectrum."""
    return (np.bincount(_PLACES, power.ravel(), RINGS * WEDGES + 1) / np.maximum(_SIZES, 1))[:-1]


def _cell_places():
    down, across = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), indexing="ij")
    radius, angle = np.hypot(down, across), np.arctan2(down, across) % np.pi
    rings = np.digitize(radius, np.geomspace(1 / SIDE, 0.5, RINGS + 1)) - 1
    wedges = np.minimum((angle / np.pi * WEDGES).astype(int), WEDGES - 1)
    outside = (rings < 0) | (rings >= RINGS)
    return np.where(outside, RINGS * WEDGES, rings * WEDGES + wedges).ravel()


_PLACES = _cell_places()
_SIZES = np.bincount(_PLACES, minlength=RINGS * WEDGES + 1)
