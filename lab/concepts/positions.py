"""Positions: a layer's activations at every position of every input, read batch by batch into a bounded array."""

from dataclasses import dataclass

import numpy as np

from lab import routines
from lab.concepts.activations import BATCH, batches, position_weights, refuse_broken, refuse_layers
from lab.environment import tf
from lab.refusal import Refused

# Positions that are kept at most: 100,000 of 1,280 channels are half a GiB.
MOST = 100_000


@dataclass(frozen=True)
class Rows:
    """Activations without their places.

    Args:
        values: float32 [rows, channels].
        inputs: int [rows], which input each comes from.
    """

    values: np.ndarray
    inputs: np.ndarray

    def split(self, every=5):
        """Rows of most inputs, and those of every fifth one by default: two `Rows`.

        Args:
            every: int.

        Returns:
            (`Rows`, `Rows`), of different inputs.
        """
        held_out = self.inputs % every == every - 1
        return tuple(Rows(self.values[kept], self.inputs[kept]) for kept in (~held_out, held_out))


def read_positions(network, data, layer, *, most=MOST, fit="squash", batch=BATCH, seed):
    """A layer's activations at all positions of all inputs; of more than `most`, equally many of each input are drawn.

    Args:
        network: a `Network`.
        data: `lab.Data`; `batch` of its inputs are read at a time.
        layer: the address of a layer.
        most: int, rows that are kept at most, but one an input at least.
        fit: "squash" or "crop", as of `Network.preprocess`.
        batch: int, inputs that are held in memory at a time.
        seed: int, of the draw.

    Returns:
        `Rows`. Masked tokens are left out.

    Raises:
        Refused: for an unknown layer, fewer than two inputs, and activations that are not finite.
    """
    refuse_layers(network, [layer])
    if len(data) < 2:
        raise Refused(f"A dictionary is learned from two inputs or more. Received: {len(data)}. Give more images.")
    share, parts, owners = max(1, most // len(data)), [], []
    for number, (values, kept) in enumerate(layer_batches(network, data, layer, fit=fit, batch=batch)):
        for place, (rows, mask) in enumerate(zip(values, kept), number * batch):
            parts.append(_draw(rows[mask], share, (seed, place)))
            owners.append(np.full(len(parts[-1]), place))
    return Rows(np.concatenate(parts), np.concatenate(owners))


def _draw(rows, share, seed):
    """At most so many of an input's rows, in their order."""
    if len(rows) <= share:
        return rows
    return rows[np.sort(np.random.default_rng(seed).choice(len(rows), share, replace=False))]


def draw_positions(network, data, layers, *, seed, most=8, fit="squash", batch=BATCH):
    """Activations at single positions of several layers, in one pass over the data. Masked tokens are left out.

    Args:
        network: a `Network`.
        data: `lab.Data`.
        layers: list of addresses of layers.
        seed: int, of the choice of positions.
        most: int, positions of an input that are drawn at most.
        fit: "squash" or "crop", as of `Network.preprocess`.
        batch: int, inputs that are held in memory at a time.

    Returns:
        dict of address to (float32 [rows, channels], int [rows], int [rows]): activations, the place of the input of each row,
            and its position among all of that input.

    Raises:
        Refused: as `lab.concepts.read_activations`.
    """
    refuse_layers(network, layers)
    generator, drawn = np.random.default_rng(seed), {layer: [] for layer in layers}
    for number, values in enumerate(_batches(network, data, layers, fit, batch)):
        for layer, (activations, kept) in values.items():
            inputs, positions = _draw_places(kept, most, generator)
            drawn[layer].append((activations[inputs, positions], inputs + number * batch, positions))
    return {layer: tuple(map(np.concatenate, zip(*parts))) for layer, parts in drawn.items()}


def _draw_places(kept, most, generator):
    """Some positions of each input: int [rows], int [rows], inputs and positions in their order."""
    keys = np.where(kept, generator.random(kept.shape), np.inf)
    count = min(most, kept.shape[1])
    return np.nonzero((keys <= np.sort(keys, axis=1)[:, count - 1 : count]) & kept)


def layer_batches(network, data, layer, *, fit="squash", batch=BATCH):
    """A layer's activations with flat positions, one batch of inputs after another.

    Args:
        network: a `Network`.
        data: `lab.Data`.
        layer: the address of a layer.
        fit: as of `read_positions`.
        batch: int, inputs of a batch.

    Returns:
        iterator of float32 [inputs, positions, channels] and bool [inputs, positions], which are not masked.

    Raises:
        Refused: for activations that are not finite.
    """
    return (values[layer] for values in _batches(network, data, [layer], fit, batch))


def _batches(network, data, layers, fit, batch):
    """Dicts of address to activations and what is not masked, one a batch of inputs."""
    for part in batches(data, batch):
        values = _positions(network, part.inputs_of(network, fit), layers)
        for layer, (activations, _) in values.items():
            refuse_broken(activations.reshape(len(activations), -1), layer, part.names)
        yield values


def _positions(network, inputs, layers):
    def body(batched, _):
        trace = network.trace(batched[0], layers)
        return {layer: _flat(network, batched[0], trace.activations[layer]) for layer in layers}

    return routines.run(network, ("positions", tuple(layers)), body, (network.inputs(inputs),), ())


def _flat(network, inputs, activation):
    """Activations with flat positions, and which of them are not masked, inside a trace."""
    flat = tf.reshape(activation, [tf.shape(activation)[0], -1, activation.shape[-1]])
    weights = position_weights(network, inputs, activation)
    return tf.cast(flat, tf.float32), tf.ones(tf.shape(flat)[:2], bool) if weights is None else weights > 0
