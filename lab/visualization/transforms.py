"""Transforms: what happens to a picture on its way to the network, so that only robust pictures are rewarded.

Each is a frozen, traceable `(images [units, rows, columns, channels] in 0..1, seed [2]) -> images`. One draw serves all
units of a batch. Resampling is by matrix products, whose gradient is exact and cheap; TensorFlow's own for its image
transform is off by several percent.
"""

import math
from dataclasses import dataclass

from lab.environment import fused, tf

GREY = 0.5


@dataclass(frozen=True)
class View:
    """One affine view: the picture, scaled by `zoom` about a centre jittered by up to `jitter` pixels and rotated by up to
    `rotate` degrees, on the network's input of `rows` x `columns`; mid-grey outside, bilinear, antialiased when shrinking.
    """

    rows: int
    columns: int
    zoom: tuple = (0.4, 1.2)
    jitter: float = 16.0
    rotate: float = 15.0

    def __call__(self, images, seed):
        draws = tf.random.stateless_uniform([4], seed)
        zoom = self.zoom[0] + (self.zoom[1] - self.zoom[0]) * draws[0]
        shift = self.jitter * (2 * draws[1:3] - 1)
        angle = math.radians(self.rotate) * (2 * draws[3] - 1)
        return placed(images, self.rows, self.columns, zoom, shift, angle)


@dataclass(frozen=True)
class Blur:
    """A Gaussian blur with a standard deviation between `low` and `high` pixels, on a `share` of the draws."""

    low: float = 0.3
    high: float = 3.0
    share: float = 0.5

    def __call__(self, images, seed):
        draws = tf.random.stateless_uniform([2], seed)
        deviation = self.low + (self.high - self.low) * draws[0]
        return tf.cond(draws[1] < self.share, lambda: blurred(images, deviation), lambda: images)


def standard(rows, columns):
    """The default transforms for a network that takes rows x columns: a tuple of transforms."""
    return (View(rows, columns), Blur())


def placed(images, rows, columns, zoom, shift, angle):
    """Images [units, r, c, channels] on a rows x columns canvas: scaled, rotated by `angle` radians, shifted by (down, right).

    Two passes of one-dimensional resampling (Catmull, Smith 1980, https://doi.org/10.1145/800250.807505): first every source row onto
    the canvas's columns, then every canvas column onto its rows.
    """
    units, height, width, channels = tf.shape(images)[0], *images.shape[1:]
    cosine, sine = tf.cos(angle), tf.sin(angle)
    down, across = height / (rows * zoom), width / (columns * zoom)
    # Source position of canvas pixel (y, x): row = down * (cosine y + sine x) + top, column = across * (cosine x - sine y) + left.
    y0, x0 = (rows - 1) / 2 + shift[0], (columns - 1) / 2 + shift[1]
    top = (height - 1) / 2 - down * (cosine * y0 + sine * x0)
    y, x = tf.range(rows, dtype=tf.float32), tf.range(columns, dtype=tf.float32)
    source = tf.range(height, dtype=tf.float32)
    # In the first pass y is not known, but the source row is: y = ((row - top) / down - sine x) / cosine.
    met = ((source[:, None] - top) / down - sine * x[None]) / cosine
    columns_at = across * (cosine * (x[None] - x0) - sine * (met - y0)) + (width - 1) / 2
    rows_at = down * (cosine * y[None] + sine * x[:, None]) + top
    across_rows = _weights(columns_at, width, across / cosine)
    down_columns = _weights(rows_at, height, down * cosine)
    lines = tf.reshape(tf.transpose(images - GREY, [1, 2, 0, 3]), [height, width, -1])
    first = tf.transpose(across_rows @ lines, [1, 0, 2])
    second = tf.reshape(down_columns @ first, [columns, rows, units, channels])
    return tf.transpose(second, [2, 1, 0, 3]) + GREY


@fused
def _weights(positions, length, step):
    """Triangle weights of source pixels [lines, targets, length] at fractional positions [lines, targets], wider where `step` > 1."""
    reach = tf.maximum(step, 1.0)
    distance = tf.abs(positions[..., None] - tf.range(length, dtype=tf.float32))
    return tf.nn.relu(1.0 - distance / reach) / reach


def blurred(images, deviation):
    """Images blurred by a Gaussian of `deviation` pixels, the edge weights made to sum to one."""
    down = _along_rows(images, _gaussian(images.shape[1], deviation))
    across = _along_rows(tf.transpose(down, [0, 2, 1, 3]), _gaussian(images.shape[2], deviation))
    return tf.transpose(across, [0, 2, 1, 3])


def _along_rows(images, weights):
    """Weights [rows, rows] times images [units, rows, columns, channels], as one matrix product a unit."""
    flat = tf.reshape(images, [-1, images.shape[1], images.shape[2] * images.shape[3]])
    return tf.reshape(weights @ flat, [-1, *images.shape[1:]])


def _gaussian(length, deviation):
    at = tf.range(length, dtype=tf.float32)
    weights = tf.exp(-0.5 * tf.square((at[:, None] - at[None]) / deviation))
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)
