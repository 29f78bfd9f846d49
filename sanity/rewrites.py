"""Rewrites: other implementations of the same function, each verified on the inputs at hand before it is used.

Two are new weights in the same network (`relu_rescale`, `batchnorm_folding`), two are new networks
(`dense_as_convolution`, `input_shift`). Each is (subject) -> `Rewrite`, or None where it does not apply to the network.
"""

from dataclasses import dataclass, field

import numpy as np

from lab import routines
from lab.environment import keras
from lab.network import Network
from lab.registry import Registry

rewrites = Registry("rewrite")
# Float32 rounding through dozens of layers. Anything beyond is another function.
SAME = 1e-4
SHIFT = 0.5


@dataclass(frozen=True)
class Rewrite:
    """Another way to write a subject's network: `network` under `state` at `inputs` computes the same.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        state: dict of variable name to array, the weights that differ.
        shift: float, what was added to the inputs.
        inside: str, the new prefix of the layers' paths.
    """

    network: object
    inputs: object
    state: dict = field(default_factory=dict)
    shift: float = 0.0
    inside: str = ""


def output_difference(subject, rewrite):
    """Relative L2 difference of a rewrite's outputs from the subject's: float.

    Args:
        subject: the `Subject`.
        rewrite: the `Rewrite`.

    Returns:
        float.
    """
    before = _outputs(subject.network, subject.inputs)
    with rewrite.network.weights(rewrite.state):
        after = _outputs(rewrite.network, rewrite.inputs)
    return float(np.linalg.norm(after - before) / max(np.linalg.norm(before), 1e-300))


@rewrites.register
def relu_rescale(subject):
    """Channels times a before a ReLU, the next weights divided by it, for powers of two a (Dinh et al. 2017, https://arxiv.org/abs/1703.04933)."""
    network, rng, state = subject.network, np.random.default_rng(0), {}
    for first, second in _consecutive_kernels(network):
        pair = _rescale(network, {**network.state(), **state}, first, second, rng)
        if pair and output_difference(subject, Rewrite(network, subject.inputs, {**state, **pair})) < SAME:
            state |= pair
    return Rewrite(network, subject.inputs, state) if state else None


@rewrites.register
def batchnorm_folding(subject):
    """BatchNormalization's scale moved into the weights before it, its statistics set to 0 and 1 (Jacob et al. 2018, https://arxiv.org/abs/1712.05877)."""
    network, state = subject.network, {}
    for kernel, norm in _kernel_norm_pairs(network):
        folded = _fold(network, kernel, norm)
        if folded and output_difference(subject, Rewrite(network, subject.inputs, {**state, **folded})) < SAME:
            state |= folded
    return Rewrite(network, subject.inputs, state) if state else None


@rewrites.register
def dense_as_convolution(subject):
    """Each dense layer on a row of numbers written as a convolution of one position."""
    model = subject.network.model
    if not isinstance(model, (keras.Sequential, keras.src.models.Functional)):
        return None
    replaced = [layer for layer in model.layers if type(layer) is keras.layers.Dense and len(layer.input.shape) == 2]
    if not replaced:
        return None
    names = {layer.name for layer in replaced}
    replicate = keras.models.clone_model(
        model, clone_function=lambda layer: _as_convolution(layer) if layer.name in names else _copy(layer)
    )
    for layer in (layer for layer in model.layers if layer.weights):
        weights = layer.get_weights()
        if layer.name in names:
            weights = [weights[0][None], *weights[1:]]
        replicate.get_layer(layer.name).set_weights(weights)
    return _if_equal(subject, Rewrite(_network(subject, replicate), subject.inputs))


@rewrites.register
def input_shift(subject):
    """A constant added to the inputs and taken off again inside (Kindermans et al. 2019, https://arxiv.org/abs/1711.00867)."""
    model, inputs = subject.network.model, subject.inputs
    if not isinstance(inputs, np.ndarray) or inputs.dtype.kind != "f":
        return None
    outer = keras.Input(inputs.shape[1:])
    shifted = keras.Model(outer, model(keras.layers.Rescaling(1.0, offset=-SHIFT, name="shift")(outer)), name="shifted")
    rewrite = Rewrite(_network(subject, shifted), inputs + np.float32(SHIFT), shift=SHIFT, inside=f"{model.name}/")
    return _if_equal(subject, rewrite)


def _if_equal(subject, rewrite):
    return rewrite if output_difference(subject, rewrite) < SAME else None


def _outputs(network, inputs):
    return routines.logits(network, inputs).astype("float64")


def _network(subject, model):
    network = subject.network
    settings = {name: getattr(network, name) for name in ("name", "preprocessing", "classes", "memory", "background")}
    return Network(model, **settings)


def _copy(layer):
    return type(layer).from_config(layer.get_config())


def _as_convolution(layer):
    """A dense layer as reshape, convolution over one position, reshape, under its own name."""
    convolution = keras.layers.Conv1D(
        layer.units, 1, activation=layer.activation, use_bias=layer.use_bias, name="kernel"
    )
    parts = [keras.layers.Reshape((1, layer.kernel.shape[0])), convolution, keras.layers.Reshape((layer.units,))]
    return keras.Sequential(parts, name=layer.name)


def _kernel_layers(network):
    """Layers with a kernel and those that normalize, in the order of their calls: list of (path, layer)."""
    kinds = (keras.layers.Dense, keras.layers.BatchNormalization, *_CONVOLUTIONS)
    return [
        (layer.path, network.tree[layer.path])
        for layer in network.layers()
        if isinstance(network.tree[layer.path], kinds)
    ]


_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


def _consecutive_kernels(network):
    """Pairs (layer whose outputs are scaled, next layer with a kernel).

    A normalization replaces the kernel before it.
    """
    pairs, last = [], None
    for path, layer in _kernel_layers(network):
        norm = isinstance(layer, keras.layers.BatchNormalization)
        if last is not None and not norm:
            pairs.append((last, path))
        last = path
    return pairs


def _kernel_norm_pairs(network):
    layers = _kernel_layers(network)
    norms = keras.layers.BatchNormalization
    return [
        (a, b)
        for (a, first), (b, second) in zip(layers, layers[1:])
        if isinstance(second, norms) and not isinstance(first, norms)
    ]


def _rescale(network, weights, first, second, rng):
    """New weights of two layers, or None where their shapes do not meet."""
    names = [
        name for name in (f"{first}/gamma", f"{first}/beta", f"{first}/kernel", f"{first}/bias") if name in weights
    ]
    if isinstance(network.tree[first], keras.layers.BatchNormalization) and len(names) != 2:
        return None
    channels = network.tree[first].compute_output_shape((None, *_shape(network, first)))[-1]
    scale = (2.0 ** rng.integers(-2, 3, channels)).astype("float32")
    kernel = weights[f"{second}/kernel"]
    if kernel.ndim < 2 or kernel.shape[-2] % channels:
        return None
    repeated = np.tile(scale, kernel.shape[-2] // channels)
    scaled = {name: _scale_channels(network.tree[first], weights[name], scale) for name in names}
    return {**scaled, f"{second}/kernel": kernel / repeated[:, None]}


def _shape(network, path):
    return network.tree[path].input.shape[1:]


def _scale_channels(layer, value, scale):
    """A layer's weight with every output channel scaled; a depthwise kernel keeps its channels on the axis before the last."""
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D) and value.ndim == 4
    return (value * scale.reshape(value.shape[-2:]) if depthwise else value * scale).astype(value.dtype)


def _fold(network, kernel, norm):
    layer, weights = network.tree[norm], network.state()
    if f"{norm}/gamma" not in weights or f"{norm}/beta" not in weights:
        return None
    mean, variance = weights[f"{norm}/moving_mean"], weights[f"{norm}/moving_variance"]
    deviation = np.sqrt(variance + layer.epsilon)
    scale = weights[f"{norm}/gamma"] / deviation
    names = [name for name in (f"{kernel}/kernel", f"{kernel}/bias") if name in weights]
    scaled = {name: _scale_channels(network.tree[kernel], weights[name], scale) for name in names}
    reset = {f"{norm}/gamma": deviation, f"{norm}/moving_mean": np.zeros_like(mean)}
    return {**scaled, **reset, f"{norm}/beta": weights[f"{norm}/beta"] - mean * scale}
