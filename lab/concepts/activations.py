"""Activations: what several layers hold for each input, in one pass over the data and a bounded memory."""

import numpy as np

from lab import defaults, routines
from lab.environment import tf
from lab.refusal import Refused

# Inputs that are read and prepared at a time.
BATCH = 64


def read_activations(network, data, layers, *, fit="squash", batch=BATCH):
    """Each channel's mean over positions in several layers, in one pass over the data. Masked tokens do not count.

    Args:
        network: a `Network`.
        data: `lab.Data`; `batch` of its inputs are read at a time.
        layers: list of addresses of layers.
        fit: "squash" or "crop", as of `Network.preprocess`.
        batch: int, inputs that are held in memory at a time.

    Returns:
        dict of address to float32 [inputs, channels].

    Raises:
        Refused: for a layer that the network does not have, for no data, and for activations that are not finite.
    """
    refuse_layers(network, layers)
    if not len(data):
        raise Refused("Activations need inputs. Received: none.")
    parts = [_read_part(network, part, layers, fit) for part in batches(data, batch)]
    return {layer: np.concatenate([part[layer] for part in parts]) for layer in layers}


def batches(data, batch=BATCH):
    """Parts of the data, in their order.

    Args:
        data: `lab.Data`.
        batch: int, inputs of a part.

    Returns:
        iterator of `lab.Data`.
    """
    return (data.part(slice(start, start + batch)) for start in range(0, len(data), batch))


def pooled(network, inputs, layers):
    """Each channel's mean over positions in several layers; masked tokens do not count.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        layers: list of addresses of layers.

    Returns:
        dict of address to float32 [inputs, channels].
    """

    def body(batched, _):
        trace = network.trace(batched[0], layers)
        return {layer: masked_mean(network, batched[0], trace.activations[layer]) for layer in layers}

    return routines.run(network, ("pooled", tuple(layers)), body, (network.inputs(inputs),), ())


def masked_mean(network, inputs, activation):
    """The mean over positions inside a trace; tokens that the network masks do not count.

    Args:
        network: a `Network`.
        inputs: tensors that it takes.
        activation: tensor [batch, ..., channels].

    Returns:
        float32 tensor [batch, channels].
    """
    flat = tf.cast(tf.reshape(activation, [tf.shape(activation)[0], -1, activation.shape[-1]]), tf.float32)
    weights = position_weights(network, inputs, activation)
    return tf.reduce_mean(flat, axis=1) if weights is None else tf.reduce_sum(flat * weights[..., None], axis=1)


def position_weights(network, inputs, activation):
    """The share of each token in a mean over tokens, inside a trace.

    Args:
        network: a `Network`.
        inputs: tensors that it takes.
        activation: tensor [batch, tokens, channels], or of another shape.

    Returns:
        float32 tensor [batch, tokens], zero where a token is masked; None where the network masks nothing of that length.
    """
    masks = [mask for mask in network.masks(inputs) if mask is not None]
    masks = [mask for mask in masks if len(activation.shape) == 3 and mask.shape[1] == activation.shape[1]]
    if not masks:
        return None
    kept = tf.cast(~tf.reduce_any(tf.reshape(masks[0], [*tf.unstack(tf.shape(masks[0])[:2]), -1]), axis=-1), tf.float32)
    return kept / tf.maximum(tf.reduce_sum(kept, axis=1, keepdims=True), 1.0)


def refuse_layers(network, layers):
    """Raise Refused for a network without layers, for no layers, and for an address that it does not have.

    Args:
        network: a `Network`.
        layers: list of addresses.
    """
    network.refuse_without("layers", "A concept")
    if not layers:
        raise Refused("Name at least one layer. Received: none. `lab list layers` shows them.")
    for layer in layers:
        network.refuse_unknown(layer)


def default_layers(network, count=5):
    """Layers at equal distances through the network, the last hidden one among them.

    Args:
        network: a `Network`.
        count: int, how many.

    Returns:
        list of addresses.
    """
    last = network.last_hidden()
    addresses = [address for address in defaults.candidates(network) if network.shapes[address][-1]]
    addresses = addresses[: addresses.index(last) + 1] if last in addresses else [*addresses, last]
    places = np.linspace(0, len(addresses) - 1, min(count + 1, len(addresses))).round().astype(int)
    return [addresses[place] for place in places[-count:]]


def refuse_broken(rows, layer, names):
    """Raise Refused for activations that are not finite.

    Args:
        rows: float [rows, channels].
        layer: str, where they are from.
        names: sequence, the input of each row.
    """
    broken = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(broken):
        raise Refused(
            f"Activations are finite numbers. Received: NaN or infinity in {layer!r} for {names[broken[0]]!r}. Leave that input out, or use a model whose activations are finite."
        )


def _read_part(network, data, layers, fit):
    values = pooled(network, data.inputs_of(network, fit), layers)
    for layer, rows in values.items():
        refuse_broken(rows, layer, data.names)
    return values
