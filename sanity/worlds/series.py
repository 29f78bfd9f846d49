"""Series: a motif in one-dimensional noise decides the class; a motif of another family decides nothing."""

import functools

import numpy as np

from lab.environment import keras
from sanity.worlds import worlds
from sanity.worlds.world import Samples, Training, World

LENGTH, EXTENT, CLASSES = 64, 9, 3
PHASE = np.linspace(-1, 1, EXTENT)
MOTIFS = {
    "motif": np.stack([np.sin(np.pi * PHASE), np.cos(2 * np.pi * PHASE), np.sin(3 * np.pi * PHASE)]),
    "rival": np.stack([np.cos(np.pi * PHASE), np.sin(2 * np.pi * PHASE), np.cos(3 * np.pi * PHASE)]),
}


def factors(rng, count):
    """Draw a motif and its place; a motif of the other family and its place, in the other half; noise.

    Args:
        rng: `numpy.random.Generator`.
        count: int, how many samples.

    Returns:
        dict of name to array [count, ...].
    """
    half = rng.integers(0, 2, count)
    within = rng.integers(0, LENGTH // 2 - EXTENT, (2, count))
    return {
        "motif": rng.integers(0, CLASSES, count),
        "motif_place": within[0] + half * LENGTH // 2,
        "rival": rng.integers(0, CLASSES, count),
        "rival_place": within[1] + (1 - half) * LENGTH // 2,
        "noise": rng.normal(size=(count, LENGTH)),
    }


def render(drawn, by):
    """Both motifs added to the noise; `by` names the one that is the label.

    Args:
        drawn: dict of factors, as of `factors`.
        by: "motif" or "rival".

    Returns:
        `Samples` with inputs [count, 64, 1]; the masks are the steps of that motif.
    """
    values, steps = 0.2 * drawn["noise"], np.arange(LENGTH)
    for name, motifs in MOTIFS.items():
        for row, (kind, place) in enumerate(zip(drawn[name], drawn[f"{name}_place"])):
            values[row, place : place + EXTENT] += motifs[kind]
    places = drawn[f"{by}_place"][:, None]
    masks = (steps >= places) & (steps < places + EXTENT)
    return Samples(values.astype("float32")[..., None], drawn[by], masks)


def build():
    """Two convolutions and global average pooling."""
    inputs = keras.Input((LENGTH, 1))
    x = keras.layers.Conv1D(16, 9, padding="same", activation="relu", name="conv_0")(inputs)
    x = keras.layers.Conv1D(24, 5, padding="same", activation="relu", name="conv_1")(x)
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES, name="logits")(x), name="series")


def _series(by, other, rival=None):
    oracle = "the motif of one family decides; the other family's and the noise do not"
    draw, distractor_factors = functools.partial(render, by=by), (other, f"{other}_place", "noise")
    return World("series", oracle, factors, draw, build, (by,), distractor_factors, Training(samples=800), rival=rival)


@worlds.register
def series():
    """A series of 64 steps: one of three motifs decides; a motif of another family does not."""
    return _series("motif", "rival", _series("rival", "motif"))
