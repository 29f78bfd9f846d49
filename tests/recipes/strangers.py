"""Explainers of a stranger, known to the lab by "module:function" alone: two that are sound, and others that misbehave in one way each."""

import os
import random
import sys

import keras
import numpy as np

import lab


def good(network, inputs, objective):
    return lab.gradient(network, inputs, objective)


def blind(network, inputs, objective):
    return np.abs(inputs) + 0.5


def broken(network, inputs, objective):
    maps = lab.gradient(network, inputs, objective)
    maps[0, 2, 3] = np.nan
    return maps


def zeros(network, inputs, objective):
    return np.zeros(inputs.shape, "float32")


def raises(network, inputs, objective):
    raise ValueError("shapes do not match. Received: (3,) and (4,)")


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def raises_without_words(network, inputs, objective):
    raise Mute


def writes(network, inputs, objective):
    maps = lab.gradient(network, inputs, objective)
    inputs[...] = 0
    return maps


def assigns(network, inputs, objective):
    maps = lab.gradient(network, inputs, objective)
    for variable in network.model.trainable_variables:
        variable.assign(0.5 * variable)
    return maps


def assigns_and_raises(network, inputs, objective):
    assigns(network, inputs, objective)
    raise RuntimeError("after the weights were changed")


def trains(network, inputs, objective):
    """Runs the model in training mode, which moves the statistics of every BatchNormalization."""
    network.model(inputs, training=True)
    return lab.gradient(network, inputs, objective)


def swaps_activations(network, inputs, objective):
    for layer in network.tree.values():
        if getattr(layer, "activation", None) is keras.activations.relu:
            layer.activation = keras.activations.linear
    return lab.gradient(network, inputs, objective)


def seeds(network, inputs, objective):
    random.seed(1)
    np.random.seed(1)
    keras.utils.set_random_seed(1)
    os.chdir("/")
    return lab.gradient(network, inputs, objective)


def prints(network, inputs, objective):
    print("progress: 100%")
    return lab.gradient(network, inputs, objective)


def leaves(network, inputs, objective):
    sys.exit(0)


def transposed(network, inputs, objective):
    return np.swapaxes(np.abs(inputs).sum(axis=-1)[:, : inputs.shape[1] // 2], 1, 2)


def empty(network, inputs, objective):
    return np.zeros((len(inputs), 0, 0), "float32")


def words(network, inputs, objective):
    return np.full(inputs.shape, "a map")


def nothing(network, inputs, objective):
    return None


def unused_seed(network, inputs, objective, *, seed):
    """Deterministic, though it takes a seed."""
    return lab.gradient(network, inputs, objective)


not_a_function = 3
