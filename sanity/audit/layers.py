"""Layers: the layers of a network of tables whose activations can be read and replaced before the rest of the network answers."""

from dataclasses import dataclass

import numpy as np

from lab import routines
from lab.address import layer_path
from lab.defaults import candidates
from lab.environment import tf
from lab.refusal import Refused
from lab.registry import nearest
from sanity.audit.answers import TABLE_CHUNK, last_activations, logits_of


@dataclass(frozen=True)
class Layer:
    """A layer whose activations can be replaced.

    Args:
        name: str, its address.
        mixes: bool, whether it has weights that join several inputs.
        read: float32 [rows, inputs] -> float32 [rows, channels], its activations.
        resume: (float32 [rows, inputs], float32 [rows, channels]) -> float64 [rows, classes], the logits where these are its
            activations.
    """

    name: str
    mixes: bool
    read: object
    resume: object


def inner_layers(network, count):
    """The layers before the last hidden one that give one number a channel for each row.

    The last one is left out: behind it only a linear map is left as a rule, and what an erasure does there follows from the answers.

    Args:
        network: `lab.network.Network` of a table.
        count: int, how many classes it tells, 1 for a number.

    Returns:
        tuple of `Layer`, in the order in which they are called.
    """
    last = last_activations(network)
    if last is None:
        return ()
    addresses = [address for address in candidates(network) if len(network.shapes[address]) == 2 and address != last]
    return tuple(
        Layer(address, _mixes(network, address), _reader(network, address), _resumer(network, address, count))
        for address in addresses
    )


def _mixes(network, address):
    return any(len(weight.shape) > 1 for weight in network.tree[layer_path(address)].weights)


def _reader(network, address):
    def body(batched, _):
        return tf.cast(network.trace(batched[0], [address]).activations[address], tf.float32)

    def read(inputs):
        return routines.run(network, ("read", address), body, (_inputs(network, inputs),), (), most=TABLE_CHUNK)

    return read


def _resumer(network, address, count):
    dtype = network.tree[layer_path(address)].compute_dtype

    def body(batched, _):
        inputs, activations = batched
        trace = network.trace(inputs, replaced={address: tf.cast(activations, dtype)})
        return {name: tf.cast(trace.logits(name), tf.float32) for name in trace.outputs}

    def resume(inputs, activations):
        inputs = _inputs(network, inputs)
        batched = (inputs, np.asarray(activations, "float32"))
        computed = routines.run(network, ("resumed", address), body, batched, (), most=TABLE_CHUNK)
        return logits_of(network, inputs, computed, count)

    return resume


def _inputs(network, inputs):
    return network.inputs(np.asarray(inputs, "float32"))


def find_layer(layers, name):
    """The layer that is asked about.

    Args:
        layers: tuple of `Layer`.
        name: str; None: the first whose weights join inputs.

    Returns:
        `Layer`, or None where there is none and none was named.

    Raises:
        Refused: for a name that none of them has.
    """
    if name is None:
        return next((layer for layer in layers if layer.mixes), None)
    refuse_unknown_layer(layers, name)
    return next(layer for layer in layers if layer.name == name)


def refuse_unknown_layer(layers, name):
    """Refuse the name of a layer that cannot be asked about.

    Args:
        layers: tuple of `Layer`.
        name: str.

    Raises:
        Refused: where none of them has it.
    """
    names = [layer.name for layer in layers]
    if name not in names:
        advice = nearest(name, names) if names else "This network has none; leave it out."
        raise Refused(
            f"A column is erased from a layer of a table's network, before the last hidden one. Received: {name!r}. {advice}"
        )
