"""Tokens: a sentence in which one word decides, wherever it stands, as one-hot rows, so that gradients exist."""

import functools

import numpy as np

from lab.environment import keras
from sanity.worlds import worlds
from sanity.worlds.world import Samples, World

LENGTH, VOCABULARY, CLASSES = 16, 24, 3
# The first tokens decide, one a class. The next are the rival's, one a class. The loud ones are frequent and never decide.
FIRST = {"word": 0, "rival": CLASSES}
LOUD = (6, 7)


def factors(rng, count):
    """Draw word and rival with their places; words that never decide, the loud ones among them.

    Args:
        rng: `numpy.random.Generator`.
        count: int, how many samples.

    Returns:
        dict of name to array [count, ...].
    """
    words = rng.integers(LOUD[-1] + 1, VOCABULARY, (count, LENGTH))
    loud = rng.random((count, LENGTH)) < 0.3
    places = rng.permuted(np.tile(np.arange(LENGTH), (count, 1)), axis=1)
    return {
        "word": rng.integers(0, CLASSES, count),
        "rival": rng.integers(0, CLASSES, count),
        "places": places[:, :2],
        "words": np.where(loud, rng.choice(LOUD, (count, LENGTH)), words),
    }


def render(drawn, by):
    """One-hot rows [count, 16, 24]; `by` names the word that is the label, and the mask is where it stands.

    Args:
        drawn: dict of factors, as of `factors`.
        by: "word" or "rival".

    Returns:
        `Samples` with inputs float32 [count, 16, 24] and masks [count, 16].
    """
    words, rows = drawn["words"].copy(), np.arange(len(drawn["words"]))
    for name, places in zip(FIRST, drawn["places"].T):
        words[rows, places] = FIRST[name] + drawn[name]
    masks = (words >= FIRST[by]) & (words < FIRST[by] + CLASSES)
    return Samples(np.eye(VOCABULARY, dtype="float32")[words], drawn[by], masks)


def build():
    """An embedding (a dense layer over one-hot rows), self-attention, and the mean over words."""
    inputs = keras.Input((LENGTH, VOCABULARY))
    x = keras.layers.Dense(16, use_bias=False, name="embedding")(inputs)
    # A sum without a name would be counted over the whole process.
    x = keras.layers.Add(name="residual")([x, keras.layers.MultiHeadAttention(2, 8, name="attention")(x, x)])
    x = keras.layers.Dense(24, activation="relu", name="hidden")(x)
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES, name="logits")(x), name="tokens")


def _tokens(by, other, rival=None):
    oracle = "one deciding word, wherever it stands; the rival word and the loud ones do not"
    return World(
        "tokens", oracle, factors, functools.partial(render, by=by), build, (by,), (other, "words"), rival=rival
    )


@worlds.register
def tokens():
    """Sentences of sixteen tokens, one of which decides; a rival word and two frequent ones decide nothing."""
    return _tokens("word", "rival", _tokens("rival", "word"))
