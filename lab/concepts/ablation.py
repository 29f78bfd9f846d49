"""Ablation: the score of an input after one atom's share was taken out of a layer, and the error of the dictionary kept.

x  ->  x - code vector        at every position
"""

from dataclasses import dataclass

import numpy as np

from lab import routines
from lab.concepts.erasure import whitening
from lab.environment import tf
from lab.refusal import Refused
from lab.scoring import score


@dataclass(frozen=True)
class Removals:
    """What is taken out of which input: one change a row.

    Args:
        inputs: int32 [rows], places among the inputs.
        atoms: int32 [rows], whose codes say how much is taken at each position.
        vectors: float32 [rows, channels], what is taken for a code of 1.
    """

    inputs: np.ndarray
    atoms: np.ndarray
    vectors: np.ndarray


def scores_after_removal(network, inputs, objective, layer, activations, codes, removals):
    """The score of an input after each of several removals. What lies before the layer is not computed.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        layer: the address of a layer.
        activations: float32 [inputs, ..., channels], its output.
        codes: float32 [inputs, ..., atoms], of each position.
        removals: `Removals`.

    Returns:
        float32 [rows].

    Raises:
        Refused: for an unknown layer, and for vectors of other channels.
    """

    def read(trace, numbers, weights):
        return tf.cast(score(objective.structure, weights, numbers, trace), tf.float32)

    (_, numbers), weights = routines.prepare(network, inputs, objective)
    numbers = tf.nest.map_structure(lambda array: np.asarray(array)[removals.inputs], numbers)
    key = ("scores after removal", objective.structure, layer)
    return _remove(
        network, key, inputs, layer, (activations, codes), removals, (numbers, weights), read, objective.paths
    )


def logits_after_removal(network, inputs, layer, activations, codes, removals):
    """The first output before softmax after each of several removals.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        layer: the address of a layer.
        activations: float32 [inputs, ..., channels], its output.
        codes: float32 [inputs, ..., atoms].
        removals: `Removals`.

    Returns:
        float32 [rows, classes].
    """

    def read(trace, numbers, weights):
        return tf.cast(trace.logits(network.output_name()), tf.float32)

    key = ("logits after removal", layer)
    return _remove(network, key, inputs, layer, (activations, codes), removals, ((), ()), read)


def _remove(network, key, inputs, layer, values, removals, objective, read, paths=()):
    """Run rows that share the inputs, their activations and codes."""

    def body(batched, shared):
        place, atom, vector, numbers = batched
        inputs, activations, codes, weights = shared
        taken = tf.gather(tf.gather(codes, place), atom, axis=-1, batch_dims=1)
        shape = [-1, *[1] * (len(activations.shape) - 2), activations.shape[-1]]
        changed = tf.gather(activations, place) - taken[..., None] * tf.reshape(vector, shape)
        at_places = tf.nest.map_structure(lambda leaf: tf.gather(leaf, place), inputs)
        return read(network.trace(at_places, paths, replaced={layer: changed}), numbers, weights)

    network.refuse_unknown(layer)
    numbers, weights = objective
    activations, codes = values
    if removals.vectors.shape[-1] != activations.shape[-1]:
        raise Refused(
            f"What is taken out has the channels of its layer. Received: {removals.vectors.shape[-1]} for {layer!r}, which has {activations.shape[-1]}."
        )
    shared = tf.nest.map_structure(tf.constant, (network.inputs(inputs), activations, codes, weights))
    batched = (removals.inputs, removals.atoms, removals.vectors, numbers)
    return routines.run(network, key, body, batched, shared)


def random_directions(rows, count, *, seed):
    """Directions of length one that vary as activations do: evenly drawn in the whitened space.

    Args:
        rows: float [rows, channels].
        count: int.
        seed: int.

    Returns:
        float32 [count, channels].
    """
    _, colour = whitening(rows)
    drawn = np.random.default_rng(seed).normal(size=(count, len(colour))) @ colour
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype("float32")
