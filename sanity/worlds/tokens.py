"""Tokens: a sentence of token ids in which one word decides, wherever it stands; given as one-hot rows, so that gradients exist."""

import numpy as np

from lab.environment import keras
from sanity.worlds import worlds
from sanity.worlds.world import Samples, World

LENGTH, VOCABULARY, CLASSES = 16, 24, 3
# The first tokens decide, one a class; the next ones are loud (often repeated) and decide nothing.
LOUD = (3, 4)


def factors(rng, count):
    """label; place of the deciding word; words, none of which decides, the loud ones among them."""
    words = rng.integers(CLASSES + len(LOUD), VOCABULARY, (count, LENGTH))
    loud = rng.random((count, LENGTH)) < 0.3
    words = np.where(loud, rng.choice(LOUD, (count, LENGTH)), words)
    return {"label": rng.integers(0, CLASSES, count), "place": rng.integers(0, LENGTH, count), "words": words}


def render(drawn):
    """One-hot rows [count, 16, 24]; the mask is the deciding word, the decoys are the loud ones."""
    rows = np.arange(len(drawn["label"]))
    words = drawn["words"].copy()
    words[rows, drawn["place"]] = drawn["label"]
    masks = np.zeros(words.shape, bool)
    masks[rows, drawn["place"]] = True
    return Samples(np.eye(VOCABULARY, dtype="float32")[words], drawn["label"], masks, np.isin(words, LOUD))


def build():
    """An embedding (a dense layer over one-hot rows), self-attention, and the mean over words."""
    inputs = keras.Input((LENGTH, VOCABULARY))
    x = keras.layers.Dense(16, use_bias=False, name="embedding")(inputs)
    x = x + keras.layers.MultiHeadAttention(2, 8, name="attention")(x, x)
    x = keras.layers.Dense(24, activation="relu", name="hidden")(x)
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES, name="logits")(x), name="tokens")


@worlds.register
def tokens():
    """Sentences of sixteen tokens, one of which decides; two that are heard more often do not."""
    oracle = "one deciding word, wherever it stands; the loud words do not"
    return World("tokens", oracle, factors, render, build, ("label",), ("words",))
