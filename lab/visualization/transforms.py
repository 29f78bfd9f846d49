"""Transforms: random changes of a picture before the network, so that only robust pictures score high.

Each is a frozen, traceable `(images [units, *extent, channels] in 0..1, seed [2]) -> images`. Any function of that form can
be used. All units of a batch get one draw. `View`, `Rotate`, `Zoom` and `Crop` need rows and columns; the others take series
and volumes too.
"""

import math
from dataclasses import dataclass

from lab.environment import tf
from lab.registry import Registry
from lab.visualization.resampling import GREY, gaussian_blur, inverse, place_view

# Sets of transforms by name: `(*extent) -> tuple of transforms`.
transforms = Registry("set of transforms")


@dataclass(frozen=True)
class View:
    """One affine view of the picture on the network's input: scaled, shifted and rotated.

    It is mid-grey outside, bilinear, and antialiased when it shrinks.

    Args:
        rows: of the network's input.
        columns: of the network's input.
        zoom: (lowest, highest) scale.
        jitter: the largest shift of the centre, in pixels.
        rotate: the largest angle, in degrees.
    """

    rows: int
    columns: int
    zoom: tuple = (0.35, 1.15)
    jitter: float = 40.0
    rotate: float = 30.0

    def __call__(self, images, seed):
        draws = tf.random.stateless_uniform([4], seed)
        zoom = self.zoom[0] + (self.zoom[1] - self.zoom[0]) * draws[0]
        shift = self.jitter * (2 * draws[1:3] - 1)
        widest = math.radians(self.rotate)
        angle = widest * (2 * draws[3] - 1)
        return place_view(images, self.rows, self.columns, zoom, shift, angle, zooms=self.zoom, widest=widest)


@dataclass(frozen=True)
class Blur:
    """A Gaussian blur with a standard deviation between `low` and `high` pixels, on a `share` of the draws."""

    low: float = 0.3
    high: float = 3.0
    share: float = 0.5

    def __call__(self, images, seed):
        draws = tf.random.stateless_uniform([2], seed)
        deviation = self.low + (self.high - self.low) * draws[0]
        return tf.cond(
            draws[1] < self.share,
            lambda: gaussian_blur(images, deviation, widest=max(self.low, self.high)),
            lambda: images,
        )


@dataclass(frozen=True)
class Pad:
    """A border of `pixels` on every side, of one value in 0..1."""

    pixels: int = 12
    value: float = GREY

    def __call__(self, images, seed):
        del seed
        sides = [[0, 0], *[[self.pixels, self.pixels]] * (len(images.shape) - 2), [0, 0]]
        return tf.pad(images, sides, constant_values=self.value)


@dataclass(frozen=True)
class Wrap:
    """A border of `pixels` on every side that continues the picture with itself, like tiles: units see no frame."""

    pixels: int

    def __call__(self, images, seed):
        del seed
        for axis in range(1, len(images.shape) - 1):
            side = images.shape[axis]
            images = tf.gather(images, [place % side for place in range(-self.pixels, side + self.pixels)], axis=axis)
        return images


@dataclass(frozen=True)
class Jitter:
    """A window `pixels` smaller than the picture along each axis, at a random place."""

    pixels: int = 8

    def __call__(self, images, seed):
        extent = images.shape[1:-1]
        begin = tf.random.stateless_uniform([len(extent)], seed, 0, self.pixels + 1, tf.int32)
        kept = [side - self.pixels for side in extent]
        window = tf.slice(images, tf.concat([[0], begin, [0]], 0), [-1, *kept, -1])
        return tf.ensure_shape(window, [None, *kept, images.shape[-1]])


@dataclass(frozen=True)
class Zoom:
    """The picture scaled about its centre by a factor between `low` and `high`, on a canvas of its own size."""

    low: float = 0.9
    high: float = 1.1

    def __call__(self, images, seed):
        zoom = self.low + (self.high - self.low) * tf.random.stateless_uniform([], seed)
        zooms = (self.low, self.high)
        return place_view(images, *images.shape[1:3], zoom, tf.zeros(2), tf.constant(0.0), zooms=zooms, widest=0.0)


@dataclass(frozen=True)
class Rotate:
    """The picture turned about its centre by up to `degrees` either way."""

    degrees: float = 10.0

    def __call__(self, images, seed):
        widest = math.radians(self.degrees)
        angle = widest * (2 * tf.random.stateless_uniform([], seed) - 1)
        return place_view(
            images, *images.shape[1:3], tf.constant(1.0), tf.zeros(2), angle, zooms=(1.0, 1.0), widest=widest
        )


@dataclass(frozen=True)
class Flip:
    """The picture mirrored along its last axis (left and right of an image) on a `share` of the draws."""

    share: float = 0.5

    def __call__(self, images, seed):
        turned = tf.random.stateless_uniform([], seed) < self.share
        return tf.cond(turned, lambda: tf.reverse(images, [len(images.shape) - 2]), lambda: images)


@dataclass(frozen=True)
class Crop:
    """A square window at a random place, enlarged to the full size; its side is a share between `low` and `high`."""

    low: float = 0.25
    high: float = 0.9

    def __call__(self, images, seed):
        draws = tf.random.stateless_uniform([3], seed)
        share = self.low + (self.high - self.low) * draws[0]
        rows, columns = images.shape[1:3]
        shift = (1 - share) / share * (draws[1:3] - 0.5) * tf.constant([rows, columns], tf.float32)
        zooms = (inverse(self.high), inverse(self.low))
        return place_view(images, rows, columns, 1.0 / share, shift, tf.constant(0.0), zooms=zooms, widest=0.0)


@dataclass(frozen=True)
class Noise:
    """Normal noise of a standard deviation between `low` and `high`."""

    low: float = 0.0
    high: float = 0.1

    def __call__(self, images, seed):
        deviation = self.low + (self.high - self.low) * tf.random.stateless_uniform([], seed)
        # The same for every unit, so that a unit's picture does not depend on the others in its batch.
        drawn = tf.random.stateless_normal(images.shape[1:], tf.random.experimental.stateless_fold_in(seed, 1))
        return images + deviation * drawn[None]


@transforms.register
def robust(*extent):
    """Wide views and random blur: what the lab starts with, because its pictures are recognized by other networks too."""
    if len(extent) != 2:
        return (Pad(2), Jitter(4), Blur(0.3, 1.0))
    # In pixels of a network that takes 224; others see the same share of their side.
    scale = min(extent) / 224
    return (View(*extent, jitter=40.0 * scale), Blur(0.3, max(0.5, 3.0 * scale)))


@transforms.register
def tiled(*extent):
    """Views of the picture as a tile among its own copies, and random blur: for units inside, which answer to frames and margins."""
    if len(extent) != 2:
        return (Wrap(4), Jitter(8), Blur(0.3, 1.0))
    # Half a picture on each side, which the views never leave: .73 to 1.2 of the network's scale.
    scale = min(extent) / 224
    view = View(*extent, (1.45, 2.4), 24.0 * scale, 15.0)
    return (Wrap(min(extent) // 2), view, Blur(0.3, max(0.5, 3.0 * scale)))


@transforms.register
def textbook(*extent):
    """Small views alone: zoom .9 to 1.1, rotation by 10 degrees, jitter of 6 pixels (Olah et al. 2017)."""
    return (View(*extent, (0.9, 1.1), 6.0, 10.0),) if len(extent) == 2 else (Pad(2), Jitter(4))


@transforms.register
def crops(*extent):
    """Windows with noise, as MaCo is climbed (Fel et al. 2023, https://arxiv.org/abs/2306.06805)."""
    return (Crop(), Noise(0.0, 0.1)) if len(extent) == 2 else (Pad(2), Jitter(4), Noise(0.0, 0.1))


@transforms.register
def none(*extent):
    """None at all: the picture as it is, an adversarial pattern before anything else."""
    del extent
    return ()
