"""Entrance: the Rescaling or Normalization at a network's input, and the range of images that it is made for."""

import warnings

import numpy as np

from lab import taps
from lab.environment import keras, tf

SCALERS = (keras.layers.Rescaling, keras.layers.Normalization)
# Ranges in which images are given, the most usual first, and ranges with which networks compute.
RANGES = ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0))
SCALED = ((0.0, 1.0), (-1.0, 1.0), (-0.5, 0.5))
# Operations that keep the values of an image and only move them.
_CARRIERS = {
    "Identity",
    "Cast",
    "Transpose",
    "Reshape",
    "StridedSlice",
    "Pad",
    "ResizeBilinear",
    "ResizeNearestNeighbor",
    "ResizeBicubic",
    "ResizeArea",
    "ScaleAndTranslate",
}


def scaling(network):
    """The scaling that a network applies to its images before anything else.

    Only a Rescaling or Normalization of the network's one image input counts, at any depth of nesting.

    Returns:
        scale and offset, arrays [channels] or [1]; None where there is none.
    """
    if not any(isinstance(layer, SCALERS) for layer in network.tree.values()):
        return None
    first = []

    def trace_call(inputs):
        images = [leaf for leaf in tf.nest.flatten(inputs) if len(leaf.shape) == 4]
        with taps.intercept(network.tree.values(), lambda *called: _note_scaler(images, first, *called)):
            return network.call(inputs)

    tf.function(trace_call, autograph=False).get_concrete_function(network.spec)
    return _scale_and_offset(first[0]) if first else None


def _note_scaler(images, first, layer, call, args, kwargs):
    if isinstance(layer, SCALERS) and len(images) == 1 and args and _source_tensor(args[0]) is images[0]:
        first.append(layer)
    return call(*args, **kwargs)


def _source_tensor(tensor):
    """The tensor that a tensor comes from, through operations that keep values."""
    while getattr(tensor, "op", None) is not None and tensor.op.type in _CARRIERS:
        tensor = tensor.op.inputs[0]
    return tensor


def _scale_and_offset(layer):
    if isinstance(layer, keras.layers.Rescaling):
        scale, offset = _per_channel(layer.scale), _per_channel(layer.offset)
    else:
        mean = _per_channel(layer.mean)
        deviation = np.sqrt(np.maximum(_per_channel(layer.variance), keras.config.epsilon() ** 2))
        scale, offset = (deviation, mean) if layer.invert else (1 / deviation, -mean / deviation)
    scale, offset = np.broadcast_arrays(scale, offset)
    return None if np.allclose(scale, 1) and np.allclose(offset, 0) else (scale, offset)


def _per_channel(value):
    """A layer's number, or the means over positions of an array with channels last: float64 [channels] or [1]."""
    array = np.atleast_1d(keras.ops.convert_to_numpy(value)).astype("float64")
    return array.reshape(-1, array.shape[-1]).mean(axis=0)


def implied_range(scale, offset):
    """The range of inputs that a scaling brings to a usual range of networks: (low, high) of `RANGES`, or None.

    Args:
        scale: float64 [channels] or [1], what the network's own layer multiplies by.
        offset: float64 [channels] or [1], what it adds then.

    Returns:
        (float, float), or None where no range of `RANGES` fits.
    """
    return next((ends for ends in RANGES if _is_usual(*(scale * end + offset for end in ends))), None)


def _is_usual(black, white):
    """Whether images end up in a usual range, standardized, or without their mean colour in 0..255."""
    low, high = np.minimum(black, white), np.maximum(black, white)
    if _is_standard_scale(low, high):
        return True
    standardized = (low > -12) & (low < -0.2) & (high > 0.2) & (high < 12) & (high - low > 1)
    return bool(standardized.all() or _is_mean_subtracted(low, high))


def _is_standard_scale(low, high):
    return any(np.allclose([low, high], [[a], [b]], atol=0.02 * (b - a)) for a, b in SCALED)


def _is_mean_subtracted(low, high):
    return bool((np.isclose(high - low, 255, rtol=0.02) & (low <= 0) & (high >= 0)).all())


def warn_of_contradiction(name, preprocessing, scale, offset):
    """Warn where images leave a network's own scaling in an unlikely range.

    After their preprocessing and that scaling they lie in a range far too narrow, too wide or off-centre. Or they lie in
    none of `SCALED`, although another range of `RANGES` would.

    Args:
        name: str, the network's name in the warning.
        preprocessing: `Preprocessing` of the network.
        scale: float64 [channels] or [1], what the network's own layer multiplies by.
        offset: float64 [channels] or [1], what it adds then.
    """
    ends = preprocessing.apply(np.array([[0.0], [255.0]]) * np.ones(preprocessing.channels))
    low, high = np.sort(ends * scale + offset, axis=0)
    width, centre = high - low, (high + low) / 2
    wide = width.max() > 24 and not _is_mean_subtracted(low, high)
    better = implied_range(scale, offset)
    better_fits = better is not None and _is_standard_scale(*(scale * end + offset for end in better))
    off_scale = better_fits and not _is_standard_scale(low, high)
    if width.max() > 0.1 and not wide and not off_scale and np.abs(centre).min() < 5 * width.max():
        return
    hint = f" It is made for input_range=({better[0]:g}, {better[1]:g})." if better else ""
    warnings.warn(
        f"{name} scales its images by itself. After the given input range and this scaling, images lie in "
        f"{low.min():.3g}..{high.max():.3g}: is the range right?{hint}",
        stacklevel=3,
    )
