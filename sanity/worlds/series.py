"""Series: a motif in one-dimensional noise says the class; a higher bump says nothing."""

import numpy as np

from lab.environment import keras
from sanity.worlds import worlds
from sanity.worlds.world import Samples, World

LENGTH, EXTENT = 64, 9
PHASE = np.linspace(-1, 1, EXTENT)
MOTIFS = np.stack([np.sin(np.pi * PHASE), np.cos(2 * np.pi * PHASE), np.sin(3 * np.pi * PHASE)])


def factors(rng, count):
    """label; places of motif and bump, in different halves; noise."""
    side = rng.integers(0, 2, count)
    within = rng.integers(0, LENGTH // 2 - EXTENT, (2, count))
    return {
        "label": rng.integers(0, len(MOTIFS), count),
        "place": within[0] + side * LENGTH // 2,
        "bump": within[1] + (1 - side) * LENGTH // 2,
        "noise": rng.normal(size=(count, LENGTH)),
    }


def render(drawn):
    """Motif and bump added to the noise."""
    values = 0.25 * drawn["noise"]
    masks, decoys = np.zeros(values.shape, bool), np.zeros(values.shape, bool)
    for row, (label, place, bump) in enumerate(zip(drawn["label"], drawn["place"], drawn["bump"])):
        values[row, place : place + EXTENT] += MOTIFS[label]
        values[row, bump : bump + EXTENT] += 1.6 * np.hanning(EXTENT + 2)[1:-1]
        masks[row, place : place + EXTENT] = decoys[row, bump : bump + EXTENT] = True
    return Samples(values.astype("float32")[..., None], drawn["label"], masks, decoys)


def build():
    """Two convolutions and global average pooling."""
    inputs = keras.Input((LENGTH, 1))
    x = keras.layers.Conv1D(16, 9, padding="same", activation="relu", name="conv_0")(inputs)
    x = keras.layers.Conv1D(24, 5, padding="same", activation="relu", name="conv_1")(x)
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(len(MOTIFS), name="logits")(x), name="series")


@worlds.register
def series():
    """A series of 64 steps: one of three motifs decides; a higher bump does not."""
    return World(
        "series", "the motif decides; bump and noise do not", factors, render, build, ("label",), ("bump", "noise")
    )
