"""A world of two planted concepts: both lie in every picture, and one decides. Networks that learned the other are its rivals.

Ten patterns may stand at the upper left and ten others at the lower right, drawn independently. So it is known of each trained
network which concept it uses, and swaps of the patterns prove it.
"""

import functools

import numpy as np

import lab
from lab.environment import keras
from lab.opening import open_data
from sanity.concepts import measure_study
from sanity.worlds.world import Samples, Training, World

KINDS, SIDE, EXTENT, NOISE = 10, 16, 6, 0.15
CORNERS = {"first": 1, "second": 8}
PATTERNS = dict(zip(CORNERS, np.random.default_rng(0).choice([-0.5, 0.5], (2, KINDS, EXTENT, EXTENT))))
# Pictures of a concept, and those that are explained. Of the pool 35 sets are drawn.
EXAMPLES, EXPLAINED = 60, 48
POOL = 36 * EXAMPLES


def factors(rng, count):
    """Draw a pattern of either kind with its shift, and noise: dict of name to array [count, ...]."""
    drawn = {name: rng.integers(0, KINDS, count) for name in CORNERS}
    shifts = {f"{name}_shift": rng.integers(0, 2, (count, 2)) for name in CORNERS}
    return {**drawn, **shifts, "noise": rng.normal(size=(count, SIDE, SIDE))}


def render(drawn, by):
    """Both patterns in noise; `by` names the one that is the label: `Samples`."""
    values = NOISE * drawn["noise"]
    for name, corner in CORNERS.items():
        for image, kind, (row, column) in zip(values, drawn[name], corner + drawn[f"{name}_shift"]):
            image[row : row + EXTENT, column : column + EXTENT] += PATTERNS[name][kind]
    return Samples(np.clip(values, -1, 1).astype("float32")[..., None], drawn[by])


def build():
    """A convolution and two dense layers, in which either concept may be held."""
    entry = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.Conv2D(16, 5, 2, padding="same", activation="relu", name="conv")(entry)
    x = keras.layers.Dense(64, activation="relu", name="hidden")(keras.layers.Flatten(name="flat")(x))
    x = keras.layers.Dense(48, activation="relu", name="late")(x)
    return keras.Model(entry, keras.layers.Dense(KINDS, name="logits")(x), name="planted")


def _world(by, other, rival=None):
    return World(
        "planted concepts",
        f"the {by} pattern decides and the {other} does not",
        factors,
        functools.partial(render, by=by),
        build,
        causal_factors=(by,),
        distractor_factors=(other, "noise"),
        training=Training(samples=2000, passes=40, batch=50, rate=2e-3),
        rival=rival,
    )


def planted_concepts():
    """The world in which the first pattern decides, with its rival, in which the second does: `World`."""
    return _world("first", "second", _world("second", "first"))


def study(network, layers, *, seed):
    """Activations and derivatives of a network for both concepts, and for the score of the class of either.

    What is explained holds both concepts, and nothing but the network decides which of them matters.

    Args:
        network: `Network` with the weights that are asked about.
        layers: list of addresses.
        seed: int, of all pictures.

    Returns:
        `sanity.concepts.Study`.
    """
    concepts = {name: _pictures(EXAMPLES, [seed, place], **{name: 0}) for place, name in enumerate(CORNERS)}
    pool, explained = _pictures(POOL, [seed, 2]), _pictures(EXPLAINED, [seed, 3], first=0, second=0)
    return measure_study(network, concepts, pool, explained, {"class 0": lab.logit(0)}, layers)


def _pictures(count, seed, **kinds):
    """Pictures with patterns of some kinds, the others drawn: `lab.Data`."""
    drawn = factors(np.random.default_rng(seed), count)
    drawn |= {name: np.full(count, kind) for name, kind in kinds.items()}
    return open_data(np.round((render(drawn, "first").inputs + 1) * 127.5).astype("uint8"))
