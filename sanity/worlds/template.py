"""Template: a network whose weights are set by hand, so that what it detects is known exactly."""

import numpy as np

from lab.environment import keras
from sanity.worlds import worlds
from sanity.worlds.canvas import SIDE, separate_places, stamp, texture, to_inputs
from sanity.worlds.patch import EXTENT, STAMPS
from sanity.worlds.world import Samples, World

KINDS = 3


def factors(rng, count):
    """Draw a label; place of the template; place of the decoy, a bright square; texture.

    Args:
        rng: `numpy.random.Generator`.
        count: int, how many samples.

    Returns:
        dict of name to array [count, ...].
    """
    places = separate_places(rng, count, EXTENT)
    return {
        "label": rng.integers(0, KINDS, count),
        "place": places[0],
        "decoy": places[1],
        "texture": texture(rng, count),
    }


def render(drawn):
    """A template and a bright square over faint texture."""
    glyphs = stamp(drawn["place"], 0.8 * STAMPS[drawn["label"]])
    decoys = stamp(drawn["decoy"], np.ones((len(glyphs), EXTENT, EXTENT)))
    values = np.where(glyphs != 0, glyphs, np.where(decoys != 0, decoys, 0.05 * drawn["texture"]))
    return Samples(to_inputs(values), drawn["label"], glyphs != 0)


def build():
    """One zero-mean filter a template, a threshold at .6 of a perfect match, and the best match anywhere."""
    inputs = keras.Input((SIDE, SIDE, 1))
    match = keras.layers.Conv2D(KINDS, EXTENT, padding="same", activation="relu", name="match")
    outputs = keras.layers.GlobalMaxPooling2D(name="best")(match(inputs))
    model = keras.Model(inputs, keras.layers.Dense(KINDS, name="logits")(outputs), name="template")
    filters = STAMPS[:KINDS] - STAMPS[:KINDS].mean((1, 2), keepdims=True)
    best = 0.8 * (filters * STAMPS[:KINDS]).sum((1, 2))
    match.set_weights([filters.transpose(1, 2, 0)[:, :, None], -0.6 * best])
    model.get_layer("logits").set_weights([np.diag(10 / best), np.zeros(KINDS)])
    return model


@worlds.register
def template():
    """Three templates found by three filters set by hand: the gradient is the filter, at the place of the match."""
    return World(
        "template",
        "the template's own pixels, by the filter's weights, at the place of the best match",
        factors,
        render,
        build,
        causal_factors=("label",),
        distractor_factors=("decoy", "texture"),
        training=None,
    )
