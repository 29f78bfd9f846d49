"""External explainers, known to the lab by "module:function" alone: two that are sound, and others that misbehave in one way each."""

import functools
import os
import random
import signal
import sys
import warnings

import keras
import numpy as np

import lab
from lab.environment import tf


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


def swallows_a_stop(network, inputs, objective):
    """As TensorFlow does with a Ctrl-C that meets its own code, and as a bare except does."""
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except BaseException as error:
        raise RuntimeError("error_already_set: KeyboardInterrupt") from error


def ignores_a_stop(network, inputs, objective):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        return lab.gradient(network, inputs, objective)


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


def softens(network, inputs, objective):
    """Sets a number that a layer computes with, and has what it needs compiled so."""
    for layer in network.tree.values():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.epsilon = 5.0
    return lab.integrated_gradients(network, inputs, objective, steps=3)


def patches(network, inputs, objective):
    network.trace = None
    return np.abs(inputs)


def renames(network, inputs, objective):
    network.classes = ["another"] * 5
    return np.abs(inputs)


@functools.wraps(lab.gradient)
def wraps_ours(network, inputs, objective):
    maps = lab.gradient(network, inputs, objective)
    inputs[...] = 0
    return maps


_BUFFER = np.zeros((99, 99, 99, 9), "float32")


def reuses(network, inputs, objective):
    """Random maps, each written over the last."""
    maps = _BUFFER[tuple(slice(size) for size in inputs.shape)]
    maps[...] = np.random.default_rng().normal(size=inputs.shape)
    return maps


class Abandoned(BaseException):
    pass


def abandons(network, inputs, objective):
    raise Abandoned("half way")


def meddles(network, inputs, objective):
    """Changes what all of the process share."""
    sys.stdout.close()
    sys.stderr.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    np.seterr(all="raise")
    warnings.simplefilter("error")
    os.environ.pop("PATH")
    sys.path.clear()
    keras.config.set_floatx("float16")
    keras.config.set_image_data_format("channels_first")
    keras.config.set_dtype_policy("mixed_float16")
    tf.config.run_functions_eagerly(True)
    return np.abs(inputs)


def seeds(network, inputs, objective):
    random.seed(1)
    np.random.seed(1)
    keras.utils.set_random_seed(1)
    os.chdir("/")
    return lab.gradient(network, inputs, objective)


def prints(network, inputs, objective):
    print("progress: 100%")
    return lab.gradient(network, inputs, objective)


def shouts(network, inputs, objective):
    os.system("echo loud")
    print("loud", file=sys.__stdout__)
    return lab.gradient(network, inputs, objective)


def refuses_many(network, inputs, objective):
    if len(inputs) > 1:
        raise lab.Refused("one image at a time")
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
