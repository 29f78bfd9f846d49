"""Controls: explainers that ignore the network on purpose, so that every check must fail them."""

import zlib

import numpy as np
from skimage.filters import sobel

from lab.attribution import explainers
from lab.environment import tf


@explainers.register(control=True, derivative="slope", slope=0, needs="scores")
def edges(network, inputs, objective):
    """Edge strength of the input itself, by the Sobel filter (a control: it ignores the network).

    Args:
        inputs: what the model takes, with arrays [batch, rows, columns, channels]. Arrays of other rank get the
            absolute difference to their neighbour along the first axis of each sample.

    Returns:
        float32 in the structure and shape of the inputs.
    """
    del objective
    return tf.nest.map_structure(
        lambda leaf: np.stack([_edges(sample) for sample in leaf]).astype("float32"), network.inputs(inputs)
    )


@explainers.register(control=True, derivative="slope", slope=0, needs="scores")
def input_magnitude(network, inputs, objective):
    """The absolute value of the input itself (a control: it ignores the network).

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.

    Returns:
        float32 in the structure and shape of the inputs.
    """
    del objective
    return tf.nest.map_structure(lambda leaf: np.abs(leaf).astype("float32"), network.inputs(inputs))


@explainers.register(control=True, derivative="slope", slope=0, needs="scores")
def centre(network, inputs, objective):
    """A Gaussian bump in the middle, a quarter of each side wide (a control: photographers put the object in the middle).

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: not used.

    Returns:
        float32 in the structure and shape of the inputs, over all axes but the last of each array.
    """
    del objective
    return tf.nest.map_structure(
        lambda leaf: np.broadcast_to(_bump(leaf.shape[1:]), leaf.shape), network.inputs(inputs)
    )


@explainers.register(control=True, derivative="slope", slope=0, needs="scores")
def noise(network, inputs, objective, *, seed):
    """Independent Gaussian noise, drawn from the seed and each sample's own bytes (a control: it ignores the network and the content).

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        seed: int.

    Returns:
        float32 in the structure and shape of the inputs.
    """
    del objective
    return tf.nest.map_structure(
        lambda leaf: np.stack([_noise(sample, seed) for sample in leaf]), network.inputs(inputs)
    )


@explainers.register(control=True, derivative="slope", slope=0, needs="scores")
def constant(network, inputs, objective):
    """One everywhere (a control: it says nothing).

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.

    Returns:
        float32 in the structure and shape of the inputs.
    """
    del objective
    return tf.nest.map_structure(lambda leaf: np.ones(leaf.shape, "float32"), network.inputs(inputs))


def _noise(sample, seed):
    rng = np.random.default_rng([seed, zlib.crc32(np.ascontiguousarray(sample))])
    return rng.standard_normal(sample.shape).astype("float32")


def _bump(shape):
    axes = shape[:-1] if len(shape) > 1 else shape
    places = np.meshgrid(*(np.linspace(-2, 2, size) for size in axes), indexing="ij")
    bump = np.exp(-sum(place**2 for place in places) / 2).astype("float32")
    return bump[..., None] if len(shape) > 1 else bump


def _edges(sample):
    if sample.ndim == 3:
        return np.stack([sobel(sample[..., channel].astype("float64")) for channel in range(sample.shape[-1])], axis=-1)
    return np.abs(np.diff(sample, axis=0, prepend=sample[:1]))
