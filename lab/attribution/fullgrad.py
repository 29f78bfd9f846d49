"""FullGrad: the contributions of the input and of every bias to a score, resized to the input."""

import numpy as np

from lab import routines
from lab.address import Address
from lab.attribution import explainers
from lab.environment import keras, tf
from lab.maps import resized
from lab.refusal import Refused
from lab.scoring import score
from lab.taps import affine

# Above this share of the score that is left out, a warning says so.
WARN_ABOVE = 0.01


def left_out_share(network, inputs, objective):
    """The share of the score that FullGrad's map leaves out, of the larger of the score and the map's sum.

    Biases of layers without positions have no place on the map. Smooth activations (GELU, softmax) and what a user's own
    layer adds are in none of the parts.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.

    Returns:
        float32 [batch].
    """
    arrays = network.inputs(inputs)
    parts, _ = decompose(network, arrays, objective)
    sums = [
        part.reshape(len(part), -1).sum(axis=1, dtype="float64") for part in parts.values() if part.ndim == arrays.ndim
    ]
    scores, total = routines.scores(network, arrays, objective), np.sum(sums, axis=0)
    size = np.maximum(np.abs(total), np.abs(scores))
    return (np.abs(scores - total) / np.where(size > 0, size, 1)).astype("float32")


def map_warnings(network, inputs, objective):
    """A warning where FullGrad left out more than a hundredth of the score: tuple over samples of tuples of words.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.

    Returns:
        tuple over samples of tuples of str.
    """
    return tuple(
        (f"{share:.0%} of the score left out",) if share > WARN_ABOVE else ()
        for share in left_out_share(network, inputs, objective)
    )


@explainers.register(map_warnings=map_warnings)
def fullgrad(network, inputs, objective):
    """FullGrad, gradient times input and gradient times bias of every layer with positions (Srinivas, Fleuret 2019, https://arxiv.org/abs/1905.00780).

    As in the paper, each part's magnitudes are scaled to 0..1 over its layer, summed over channels, resized to the input
    and added. Biases of Dense layers have no place on the map; `left_out_share` measures what it leaves out.

    Args:
        inputs: one array with positions, [batch, ..., channels].

    Returns:
        float32 [batch, ...] without channels, never negative.

    Raises:
        Refused: for other inputs, and for a network without biases.
    """
    arrays = network.inputs(inputs)
    if not isinstance(arrays, np.ndarray) or arrays.ndim < 3 or arrays.dtype.kind != "f":
        raise Refused(
            f"FullGrad explains one input with positions. Received: {tf.nest.map_structure(np.shape, arrays)}."
        )
    parts, _ = decompose(network, arrays, objective)
    extent = arrays.shape[1:-1]
    return np.sum(
        [resized(_scale_magnitudes(part), *extent) for part in parts.values() if part.ndim == len(extent) + 2], axis=0
    )


def decompose(network, inputs, objective):
    """Gradient times input, gradient times bias of each layer, and the score that they leave over.

    Args:
        network: a `Network` with channels last.
        inputs: arrays that it takes.
        objective: an `Objective`.

    Returns:
        dict of address ("" is the input) to float32 [batch, ..., channels], and the remaining scores [batch]. The
        remainder is rounding alone where every activation is piecewise linear.

    Raises:
        Refused: for a network with channels first.
    """

    if network.channels_first:
        raise Refused(f"FullGrad explains channels-last networks. Received: {network.name}, which is channels-first.")

    def body(batched, weights):
        inputs, numbers = batched
        biases = Biases(network.tree)
        trace = network.trace(inputs, objective.paths, interceptors=[biases])
        scores = score(objective.structure, weights, numbers, trace)
        records = biases.records
        slopes = tf.gradients(scores, [inputs, *(tensor for tensor, _ in records.values())])
        parts = {"": tf.cast(inputs * slopes[0], tf.float32)}
        for (address, (_, bias)), slope in zip(records.items(), slopes[1:]):
            if slope is not None:
                parts[address] = tf.cast(slope * tf.cast(bias, slope.dtype), tf.float32)
        total = tf.add_n([tf.reduce_sum(tf.reshape(part, [tf.shape(part)[0], -1]), axis=1) for part in parts.values()])
        return parts, tf.cast(scores, tf.float32) - total

    (arrays, numbers), weights = routines.prepare(network, inputs, objective)
    return routines.run(network, ("fullgrad", objective.structure), body, (arrays, numbers), weights)


class Biases:
    """Interceptor that keeps each layer's output before its activation, and its bias: `records`, dict of address to (tensor, bias)."""

    def __init__(self, tree):
        self.paths = {id(layer): path for path, layer in tree.items()}
        self.records = {}

    def __call__(self, layer, call, args, kwargs):
        bias = _bias(layer)
        if bias is None:
            return call(*args, **kwargs)
        outputs = _preactivation(layer, call, args, kwargs)
        path, calls = self.paths[id(layer)], 0
        while str(Address(path, calls)) in self.records:
            calls += 1
        self.records[str(Address(path, calls))] = (outputs, bias)
        activation = getattr(layer, "activation", None)
        return outputs if activation is None else activation(outputs)


def _bias(layer):
    """What a layer adds to each channel whatever it is given: a tensor [channels], or None."""
    if type(layer) is keras.layers.BatchNormalization:
        return affine(layer)[1]
    if type(layer) is keras.layers.LayerNormalization:
        return layer.beta.value if layer.beta is not None else None
    if isinstance(layer, _BIASED) and getattr(layer, "bias", None) is not None:
        return layer.bias.value
    return None


def _preactivation(layer, call, args, kwargs):
    """A layer's output before its activation, which is taken off while it runs."""
    if "activation" not in layer.__dict__:
        return call(*args, **kwargs)
    activation = layer.__dict__["activation"]
    layer.__dict__["activation"] = keras.activations.linear
    try:
        return call(*args, **kwargs)
    finally:
        layer.__dict__["activation"] = activation


def _scale_magnitudes(part):
    """Magnitudes of each sample scaled to 0..1, summed over channels: float32 [batch, ...]."""
    sizes = np.abs(part)
    axes = tuple(range(1, sizes.ndim))
    low, high = sizes.min(axes, keepdims=True), sizes.max(axes, keepdims=True)
    return ((sizes - low) / np.where(high > low, high - low, 1)).sum(axis=-1)


_BIASED = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    *(
        getattr(keras.layers, f"{kind}{axes}D")
        for kind in ("Conv", "SeparableConv", "DepthwiseConv")
        for axes in (1, 2)
    ),
    keras.layers.Conv3D,
    *(getattr(keras.layers, f"Conv{axes}DTranspose") for axes in (1, 2, 3)),
)
