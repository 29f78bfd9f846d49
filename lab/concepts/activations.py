"""Activations: what several layers hold for each input, in one pass over the data and a bounded memory."""

import numpy as np

from lab import defaults, routines
from lab.environment import tf
from lab.preprocessing import linear_preprocessing
from lab.refusal import Refused

# Inputs that are read and prepared at a time.
BATCH = 64


def read_activations(network, data, layers, *, masks=None, fit="squash", batch=BATCH):
    """Each channel's mean over positions in several layers, in one pass over the data. Masked tokens do not count.

    Args:
        network: a `Network`.
        data: `lab.Data`; `batch` of its inputs are read at a time.
        layers: list of addresses of layers.
        masks: sequence of bool [rows, columns], one an image and of its size: the positions that count. None: all count.
        fit: "squash" or "crop", as of `Network.preprocess`.
        batch: int, inputs that are held in memory at a time.

    Returns:
        dict of address to float32 [inputs, channels].

    Raises:
        Refused: for a layer that the network does not have, for no data, for masks that do not fit, and for activations
            that are not finite.
    """
    refuse_layers(network, layers)
    if not len(data):
        raise Refused("Activations need inputs. Received: none.")
    shares = None if masks is None else _shares(network, data, masks, layers, fit)
    parts = [
        _read_part(network, part, layers, fit, None if shares is None else shares[start * batch : (start + 1) * batch])
        for start, part in enumerate(batches(data, batch))
    ]
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


def pooled(network, inputs, layers, shares=None):
    """Each channel's mean over positions in several layers; masked tokens do not count.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        layers: list of addresses of layers.
        shares: float32 [inputs, rows, columns], how much each position of an image counts; None: all alike.

    Returns:
        dict of address to float32 [inputs, channels].
    """

    def body(batched, _):
        trace = network.trace(batched[0], layers)
        means = masked_mean if shares is None else lambda *values: _mean_within(*values, batched[1])
        return {layer: means(network, batched[0], trace.activations[layer]) for layer in layers}

    batched = (network.inputs(inputs), *([] if shares is None else [shares]))
    return routines.run(network, ("pooled", tuple(layers), len(batched)), body, batched, ())


def _mean_within(_, inputs, activation, shares):
    """The mean over positions, each weighted by its share: float32 tensor [batch, channels]."""
    resized = tf.image.resize(shares[..., None], tf.shape(activation)[1:3], method="area")
    total = tf.maximum(tf.reduce_sum(resized, axis=(1, 2)), 1e-12)
    return tf.reduce_sum(tf.cast(activation, tf.float32) * resized, axis=(1, 2)) / total


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


def _shares(network, data, masks, layers, fit):
    """The masks of images at the size of the network's input: float32 [images, rows, columns]."""
    for layer in layers:
        network.check_positions(layer, 2)
    for name, image, mask in zip(data.names, data.inputs, masks, strict=True):
        if np.shape(mask) != image.shape[:2] or not np.any(mask):
            raise Refused(
                f"A mask has the rows and columns of its image, and marks some of them. Received: {np.shape(mask)} with {np.count_nonzero(mask)} marked for {name!r}, which is {image.shape[:2]}."
            )
    images = [np.where(mask, 255, 0).astype("uint8")[..., None] for mask in masks]
    return np.clip(linear_preprocessing(0, 1, 1).preprocess(images, network.size, fit=fit)[..., 0], 0, 1)


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


def _read_part(network, data, layers, fit, shares):
    values = pooled(network, data.inputs_of(network, fit), layers, shares)
    for layer, rows in values.items():
        refuse_broken(rows, layer, data.names)
    return values
