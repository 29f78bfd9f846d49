"""Regularizers: penalties on a picture, and terms that couple the pictures of a batch.

Each is a frozen object with a `weight` and a traceable `(scene) -> penalty [rows]`; weight * penalty is subtracted from the
objective. A scene holds the picture itself and the network's activations on its transformed view. Rows are ordered by
unit, the facets of a unit together.
"""

from dataclasses import dataclass, replace

import numpy as np

from lab.environment import tf
from lab.refusal import Refused
from lab.registry import Registry
from lab.visualization.resampling import GREY, gaussian_blur

regularizers = Registry("regularizer")


@dataclass(frozen=True)
class Scene:
    """What a regularizer is called with.

    Args:
        picture: [rows, *extent, channels] in 0..1.
        activations: dict of path to tensor.
        facets: how many facets a unit has.
        targets: the arrays of the regularizer's own `targets`.
    """

    picture: object
    activations: dict
    facets: int
    targets: tuple


@dataclass(frozen=True)
class Regularizer:
    """What all regularizers have.

    Args:
        weight: a number.
        layer: the path of a layer whose activations are read, or None.
    """

    weight: float
    layer: str | None = None

    coupled = False

    @property
    def structure(self):
        """The regularizer without its numbers: what a trace depends on."""
        return replace(self, weight=0.0)

    def targets(self, rows):
        """Arrays that are passed as tensors, each with one row or `rows`."""
        del rows
        return ()


@dataclass(frozen=True)
class TotalVariation(Regularizer):
    """The penalty of `total_variation`: mean absolute differences between neighbours, summed over the axes."""

    def __call__(self, scene):
        return sum(_mean(tf.abs(step)) for step in _neighbour_differences(scene.picture))


@dataclass(frozen=True)
class Norm(Regularizer):
    """The penalty of `l1`, `l2` and `linf`: how far a picture is from grey.

    Args:
        order: float, the exponent of the distance; infinity for the largest one.
    """

    order: float = 2.0

    def __call__(self, scene):
        away = tf.abs(scene.picture - GREY)
        if np.isinf(self.order):
            return tf.reduce_max(away, axis=range(1, len(away.shape)))
        return _mean(away**self.order)


@dataclass(frozen=True)
class Roughness(Regularizer):
    """The penalty of `blur`: the mean square distance of a picture from its blurred self.

    Args:
        deviation: float, of the Gaussian blur, in pixels.
    """

    deviation: float = 1.0

    def __call__(self, scene):
        smooth = tf.stop_gradient(gaussian_blur(scene.picture, self.deviation, widest=self.deviation))
        return _mean(tf.square(scene.picture - smooth))


@dataclass(frozen=True)
class Near(Regularizer):
    """The penalty of `near`: the mean square distance from pictures or activations that are known.

    Args:
        goal: tuple of one array [n, ...], one for all pictures or one for each.
    """

    goal: tuple = ()

    @property
    def structure(self):
        """The regularizer without the goal, which is passed as a tensor."""
        return replace(self, weight=0.0, goal=())

    def targets(self, rows):
        """The pictures or activations to stay near."""
        goal = np.asarray(self.goal[0])
        if len(goal) not in (1, rows):
            raise Refused(f"near(...) takes one goal, or one a picture. Received: {len(goal)} for {rows} pictures.")
        return (np.repeat(goal, rows, axis=0) if len(goal) == 1 else goal,)

    def __call__(self, scene):
        values = scene.picture if self.layer is None else scene.activations[self.layer]
        return _mean(tf.square(values - tf.reshape(scene.targets[0], tf.shape(values))))


@dataclass(frozen=True)
class Alignment(Regularizer):
    """The penalty of `alignment`: the mean square distance of a picture from its neighbours in the batch."""

    coupled = True

    def __call__(self, scene):
        values = scene.picture if self.layer is None else scene.activations[self.layer]
        apart = _mean(tf.square(values[1:] - values[:-1]))
        return 0.5 * (tf.pad(apart, [[1, 0]]) + tf.pad(apart, [[0, 1]]))


@dataclass(frozen=True)
class Diversity(Regularizer):
    """The penalty of `diversity`: the mean cosine between Gram matrices of a unit's facets."""

    def __call__(self, scene):
        values = scene.activations[self.layer]
        flat = tf.reshape(values, [tf.shape(values)[0], -1, values.shape[-1]])
        gram = tf.reshape(tf.matmul(flat, flat, transpose_a=True), [-1, scene.facets, values.shape[-1] ** 2])
        unit = gram / tf.sqrt(tf.reduce_sum(gram**2, axis=2, keepdims=True) + 1e-12)
        alike = tf.reduce_sum(tf.matmul(unit, unit, transpose_b=True), axis=2) - 1.0
        return tf.reshape(alike, [-1]) / max(1, scene.facets - 1)


@dataclass(frozen=True)
class Opacity(Regularizer):
    """The penalty of `opacity`: the mean of the alpha channel."""

    def __call__(self, scene):
        return _mean(scene.picture[..., -1:])


@regularizers.register
def total_variation(weight):
    """Mean absolute difference between neighbours: against noise (Mahendran, Vedaldi 2015, https://arxiv.org/abs/1412.0035).

    Args:
        weight: a finite number, how much the penalty counts.
    """
    return TotalVariation(_weight(weight))


@regularizers.register
def l1(weight):
    """Mean absolute distance from grey: against needless contrast.

    Args:
        weight: a finite number, how much the penalty counts.
    """
    return Norm(_weight(weight), order=1.0)


@regularizers.register
def l2(weight):
    """Mean square distance from grey (Simonyan, Vedaldi, Zisserman 2013, https://arxiv.org/abs/1312.6034).

    Args:
        weight: a finite number, how much the penalty counts.
    """
    return Norm(_weight(weight), order=2.0)


@regularizers.register
def linf(weight):
    """Largest distance from grey.

    Args:
        weight: a finite number, how much the penalty counts.
    """
    return Norm(_weight(weight), order=float("inf"))


@regularizers.register
def blur(weight, deviation=1.0):
    """Mean square distance from the blurred picture: against high frequencies (Yosinski et al. 2015, https://arxiv.org/abs/1506.06579).

    Args:
        weight: a finite number, how much the penalty counts.
        deviation: float, of the Gaussian blur, in pixels.

    Returns:
        `Roughness`.
    """
    return Roughness(_weight(weight), deviation=float(deviation))


@regularizers.register
def near(weight, goal, layer=None):
    """Mean square distance from pictures, or from activations of a layer: stay near an input.

    Args:
        weight: a finite number, how much the penalty counts.
        goal: pictures [n, *shape] in 0..1, or activations of the layer [n, ...]; n is 1 or the number of pictures.
        layer: the path of a layer; None: the picture itself.

    Returns:
        `Near`.

    Raises:
        Refused: for a goal that is not finite or has no row for each picture.
    """
    return Near(_weight(weight), layer, goal=(_Array(goal),))


@regularizers.register
def alignment(weight, layer=None):
    """Mean square distance between neighbours in the batch, at a layer or in the picture: one thing in one place (Mordvintsev et al. 2018).

    Args:
        weight: a finite number, how much the penalty counts.
        layer: the path of a layer; None: the picture itself.

    Returns:
        `Alignment`.
    """
    return Alignment(_weight(weight), layer)


@regularizers.register
def diversity(weight, layer):
    """Mean cosine between the Gram matrices of a unit's facets at a layer: several answers to one question (Olah et al. 2017).

    It needs `facets` of 2 or more in `maximize`.

    Args:
        weight: a finite number, how much the penalty counts.
        layer: the path of a layer.

    Returns:
        `Diversity`.
    """
    return Diversity(_weight(weight), layer)


@regularizers.register
def opacity(weight):
    """Mean opacity of a picture with an alpha channel: shows only what the unit needs.

    Args:
        weight: a finite number, how much the penalty counts.
    """
    return Opacity(_weight(weight))


class _Array(np.ndarray):
    """An array that can be part of a frozen record: equal and hashed by its bytes."""

    def __new__(cls, values):
        array = np.asarray(values, "float32").view(cls)
        if not np.isfinite(array).all() or array.ndim < 2:
            raise Refused(f"near(...) takes an array [n, ...] of finite numbers. Received: shape {array.shape}.")
        return array

    def __hash__(self):
        return hash((self.shape, self.tobytes()))

    def __eq__(self, other):
        return isinstance(other, np.ndarray) and self.shape == other.shape and self.tobytes() == other.tobytes()


def _weight(value):
    if not np.isscalar(value) or not np.isreal(value) or not np.isfinite(value):
        raise Refused(f"A regularizer's weight is a number. Received: {value!r}.")
    return float(value)


def _mean(values):
    return tf.reduce_mean(values, axis=range(1, len(values.shape)))


def _neighbour_differences(picture):
    """Differences between neighbours along each axis of the extent."""
    for axis in range(1, len(picture.shape) - 1):
        side = picture.shape[axis]
        yield tf.gather(picture, range(1, side), axis=axis) - tf.gather(picture, range(side - 1), axis=axis)
