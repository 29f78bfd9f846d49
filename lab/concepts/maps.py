"""Maps of a concept: where in an input a layer's activations point along its vector."""

import numpy as np

from lab import routines
from lab.objectives import direction
from lab.refusal import Refused


def concept_map(network, inputs, layer, vector):
    """The product of a layer's activation with a concept's vector at every position.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        layer: the address of a layer with positions.
        vector: float [channels].

    Returns:
        float32 [inputs, ..., positions], at the layer's own resolution.

    Raises:
        Refused: for a layer without positions, and for a vector of other channels.
    """
    network.check_positions(layer)
    _refuse_channels(network, layer, vector)
    return (routines.activations(network, inputs, layer) @ np.asarray(vector, "float32")).astype("float32")


def concept_gradient(network, inputs, layer, vector):
    """The gradient of the mean product with a concept's vector at the inputs: what would make an input show more of it.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        layer: the address of a layer.
        vector: float [channels].

    Returns:
        arrays in the structure of the inputs, signed.

    Raises:
        Refused: for a vector of other channels.
    """
    _refuse_channels(network, layer, vector)
    return routines.gradient(network, inputs, direction(layer, vector))[1]


def _refuse_channels(network, layer, vector):
    network.refuse_unknown(layer)
    channels = network.shapes[layer][-1]
    if np.shape(vector) != (channels,):
        raise Refused(
            f"A concept's vector has a number for each channel of its layer. Received: {np.shape(vector)} for {layer!r}, which has {channels}."
        )
