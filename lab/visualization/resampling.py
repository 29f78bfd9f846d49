"""Resampling: pictures on other canvases and blurred pictures, by products with banded matrices, whose gradient is exact.

It is the gradient by the picture: draws such as a zoom have none.
A pixel reads only the few pixels around one position, so that whole matrices would be zeros for the most part. Targets go in
blocks, and the sources that a block reads lie side by side.
"""

import math
from dataclasses import dataclass

import numpy as np

from lab.environment import tf
from lab.refusal import Refused

GREY = 0.5
# Targets that read one window of sources: of views, where each line has weights of its own, and of blurs.
VIEW_BLOCK, BLUR_BLOCK = 8, 32
# Standard deviations beyond which a Gaussian is less than rounding errors.
DEVIATIONS = 6


@dataclass(frozen=True)
class Band:
    """Where the sources lie that each block of targets reads.

    Args:
        targets: int, how many targets there are.
        block: int, targets of a block.
        width: int, sources that a block reads.
        starts: int array or tensor [lines, blocks] or [blocks], the first of them.
    """

    targets: int
    block: int
    width: int
    starts: object


def place_view(images, rows, columns, zoom, shift, angle, *, zooms, widest):
    """Images on a canvas of other rows and columns: scaled, rotated and shifted.

    Two passes of one-dimensional resampling (Catmull, Smith 1980, https://doi.org/10.1145/800250.807505): first every source
    row onto the canvas's columns, then every canvas column onto its rows.

    Args:
        images: [units, r, c, channels].
        rows: of the canvas.
        columns: of the canvas.
        zoom: scale.
        shift: (down, right) in pixels.
        angle: in radians.
        zooms: two numbers that the zoom lies between.
        widest: the largest magnitude that the angle may have, a number.

    Returns:
        [units, rows, columns, channels].

    Raises:
        Refused: for zooms of zero or less.
    """
    if min(zooms) <= 0:
        raise Refused(f"A zoom is a number above 0. Received: zooms from {min(zooms)} to {max(zooms)}.")
    zoom, shift, angle = map(tf.stop_gradient, (zoom, shift, angle))
    units, height, width, channels = tf.shape(images)[0], *images.shape[1:]
    cosine, sine = tf.cos(angle), tf.sin(angle)
    down, across = height / (rows * zoom), width / (columns * zoom)
    # Source position of canvas pixel (y, x): row = down * (cosine y + sine x) + top, column = across * (cosine x - sine y) + left.
    y0, x0 = (rows - 1) / 2 + shift[0], (columns - 1) / 2 + shift[1]
    top = (height - 1) / 2 - down * (cosine * y0 + sine * x0)
    # In the first pass y is not known, but the source row is: y = ((row - top) / down - sine x) / cosine.
    left = (width - 1) / 2 + across * (sine * (y0 + top / (down * cosine)) - cosine * x0)
    slimmest = math.cos(min(abs(widest), math.pi / 2))
    lines = tf.reshape(tf.transpose(images - GREY, [1, 2, 0, 3]), [height, width, -1])
    steps = width / columns / max(zooms), width / columns / min(zooms) * inverse(slimmest)
    first = _resample(lines, columns, across / cosine, -across * sine / (cosine * down), left, steps)
    steps = height / rows / max(zooms) * slimmest, height / rows / min(zooms)
    second = _resample(tf.transpose(first, [1, 0, 2]), rows, down * cosine, down * sine, top, steps)
    return tf.transpose(tf.reshape(second, [columns, rows, units, channels]), [2, 1, 0, 3]) + GREY


def inverse(number):
    """One over a number of zero or more: float, infinite of zero."""
    return 1 / number if number > 0 else math.inf


def _resample(lines, targets, step, slope, offset, steps):
    """Lines [lines, sources, n] at the sources' position step * target + slope * line + offset: [lines, targets, n].

    Weights fall like a triangle, which is wider where `step` is above one. `steps` are the smallest and the largest magnitude
    that `step` may have.
    """
    count, sources, _ = lines.shape
    reach = tf.maximum(tf.abs(step), 1.0)
    begins = slope * np.arange(count, dtype="float32")[:, None] + offset
    height, scale = 1 / reach, 1 / reach**2
    scaled_begins, scaled_step = tf.reshape(scale * begins, [count, 1, 1, 1]), scale * step

    def weigh(target, source):
        position = scaled_begins + scaled_step * tf.cast(target, tf.float32)
        return tf.nn.relu(height - tf.abs(position - scale * tf.cast(source, tf.float32)))

    (lowest, highest), per_source = steps, 1 / step
    ahead = _band(targets, sources, highest, begins, step, reach)
    # Of a source: the targets whose positions lie around it.
    back = _band(sources, targets, inverse(lowest), -per_source * begins, per_source, tf.abs(per_source) * reach)
    return _multiply(lines, weigh, ahead, back)


def _band(targets, sources, steepest, begins, step, reach):
    """The band of targets at the sources' position begins + step * target, each reading as far as `reach` from there.

    `steepest` is the largest absolute value that `step` has, and the larger of it and one the largest that `reach` has.
    """
    to_edge = (VIEW_BLOCK - 1) / 2
    span = 2 * (steepest * to_edge + max(1.0, steepest))
    width = sources if span + 1 >= sources else math.ceil(span) + 1
    middles = np.arange(0, targets, VIEW_BLOCK, dtype="float32") + to_edge
    lowest = begins + (step * middles - (to_edge * tf.abs(step) + reach))
    starts = tf.cast(tf.clip_by_value(tf.math.ceil(lowest), 0, sources - width), tf.int32)
    return Band(targets, VIEW_BLOCK, width, starts)


def gaussian_blur(images, deviation, *, widest):
    """Images [units, *extent, channels] blurred by a Gaussian of `deviation` pixels; weights at the edges sum to one too.

    Args:
        images: float tensor [units, *extent, channels].
        deviation: float, standard deviation in pixels.
        widest: the largest deviation that there may be, a number.

    Returns:
        tensor in the shape of the images.
    """
    deviation = tf.stop_gradient(deviation)
    for axis in range(1, len(images.shape) - 1):
        images = _blur_axis(images, axis, deviation, math.ceil(DEVIATIONS * widest))
    return images


def _blur_axis(images, axis, deviation, reach):
    """Images blurred along one axis, which stands in front meanwhile."""
    order = [0, axis, *(other_axis for other_axis in range(1, len(images.shape)) if other_axis != axis)]
    front = tf.transpose(images, order) if axis > 1 else images
    side, *rest = front.shape[1:]
    width, firsts = min(side, BLUR_BLOCK + 2 * reach), np.arange(0, side, BLUR_BLOCK)
    band = Band(side, BLUR_BLOCK, width, np.clip(firsts - reach, 0, side - width))

    def gaussian(one, other):
        return tf.exp(-0.5 * tf.square((one - other).astype("float32") / deviation))

    at = np.arange(side)
    sums = tf.reduce_sum(gaussian(at[:, None], at[None]), axis=1)

    def weigh(target, source):
        return gaussian(target, source) / tf.gather(sums, np.minimum(target, side - 1))

    blurred = _multiply(tf.reshape(front, [-1, side, math.prod(rest)]), weigh, band, band)
    blurred = tf.reshape(blurred, [-1, side, *rest])
    return tf.transpose(blurred, [order.index(other_axis) for other_axis in range(len(order))]) if axis > 1 else blurred


def _multiply(values, weigh, ahead, back):
    """Values [lines, sources, n] times a banded matrix, or one for each line: [lines, targets, n].

    Args:
        values: float32 tensor.
        weigh: `(targets [..., blocks, block, 1], sources [..., blocks, 1, width]) -> weights`, of numbers of targets and sources.
        ahead: `Band` of the targets.
        back: `Band` of the sources, for the gradient: the targets that each of them is read by.

    Returns:
        float32 tensor.
    """

    @tf.custom_gradient
    def product(values):
        def gradient(slope):
            return _product(slope, lambda source, target: weigh(target, source), back)

        return _product(values, weigh, ahead), gradient

    return product(values)


def _product(values, weigh, band):
    places = band.starts[..., None] + np.arange(band.width)
    blocks = -(-band.targets // band.block)
    targets = np.arange(blocks * band.block).reshape(blocks, band.block, 1)
    weights = weigh(targets, places[..., None, :])
    windows = tf.gather(values, places, axis=1, batch_dims=len(places.shape) - 2)
    lines, _, rest = (-1 if side is None else side for side in values.shape)
    return tf.reshape(weights @ windows, [lines, blocks * band.block, rest])[:, : band.targets]
