"""Colour: the correlation of the colours of photographs, which decorrelates the colours of pictures."""

import numpy as np
from scipy.special import logit

from lab.environment import tf

# Square root of the covariance of RGB colours in logit space, over the photographs of the installed packages
# (`python -m tests.bench.colour`), scaled to unit spectral norm. A column is what one coordinate adds to R, G and B.
COLOUR = ((0.579, 0.232, 0.033), (0.585, -0.038, -0.086), (0.568, -0.198, 0.055))

# Black and white have no logit: pixels are kept a fiftieth away from both.
DARK, BRIGHT = 0.02, 0.98


def measure_colours(images):
    """Square root of the mean covariance of RGB colours in logit space, of unit spectral norm, strongest direction first.

    Used as in Olah, Mordvintsev, Schubert 2017, https://distill.pub/2017/feature-visualization.

    Args:
        images: RGB arrays [rows, columns, 3] in 0..255.

    Returns:
        float [3, 3].
    """
    points = [logit(np.clip(image.reshape(-1, 3) / 255.0, DARK, BRIGHT)) for image in images]
    values, vectors = np.linalg.eigh(np.mean([np.cov(pixels.T) for pixels in points], axis=0))
    root = (vectors * np.sqrt(np.maximum(values, 0)))[:, ::-1]
    return root / np.linalg.norm(root, 2)


def to_colours(coordinates, decorrelate):
    """Coordinates [..., channels] as an image in 0..1, in a graph: correlate the colours as in photographs, then a sigmoid.

    Args:
        coordinates: float tensor [..., channels].
        decorrelate: whether three channels are correlated as in photographs.

    Returns:
        tensor in the shape and dtype of the coordinates, in 0..1.
    """
    if decorrelate and coordinates.shape[-1] == 3:
        coordinates = tf.tensordot(coordinates, tf.constant(COLOUR, coordinates.dtype), [[-1], [1]])
    return tf.sigmoid(coordinates)


def from_colours(images, decorrelate):
    """The inverse of `to_colours` for images in 0..1, without pure black and white: float32 of the same shape.

    Args:
        images: [..., channels] in 0..1; values are clipped to DARK..BRIGHT.
        decorrelate: as of `to_colours`.

    Returns:
        float32 [..., channels].
    """
    coordinates = logit(np.clip(np.asarray(images, "float64"), DARK, BRIGHT))
    if decorrelate and coordinates.shape[-1] == 3:
        coordinates = coordinates @ np.linalg.inv(np.array(COLOUR)).T
    return coordinates.astype("float32")
