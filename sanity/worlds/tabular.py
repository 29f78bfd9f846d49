"""Tabular: twelve columns of which three decide, one of them only by its sign."""

import numpy as np

from lab.environment import keras
from sanity.worlds import worlds
from sanity.worlds.world import Samples, Training, World

COLUMNS, DECIDE = 12, (1, 5, 8)


def factors(rng, count):
    """deciding, the three columns that decide; others, the nine that do not (large ones among them)."""
    scale = np.where(np.arange(COLUMNS - 3) % 3 == 0, 3.0, 1.0)
    return {"deciding": rng.normal(size=(count, 3)), "others": rng.normal(size=(count, COLUMNS - 3)) * scale}


def render(drawn):
    """Class 0, 1 or 2 by which of a, 1.2 b and the sign of c is highest."""
    first, second, third = drawn["deciding"].T
    labels = np.stack([first, 1.2 * second, np.sign(third)], axis=1).argmax(1)
    table = np.empty((len(labels), COLUMNS))
    deciding = np.isin(np.arange(COLUMNS), DECIDE)
    table[:, deciding], table[:, ~deciding] = drawn["deciding"], drawn["others"]
    return Samples(table.astype("float32"), labels, np.tile(deciding, (len(labels), 1)))


def build():
    """Two hidden layers."""
    inputs = keras.Input((COLUMNS,))
    x = keras.layers.Dense(48, activation="relu", name="hidden_0")(inputs)
    x = keras.layers.Dense(24, activation="relu", name="hidden_1")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(x), name="tabular")


@worlds.register
def tabular():
    """A table of twelve columns, three of which decide among three classes."""
    training = Training(samples=8000, passes=60, batch=80)
    oracle = f"columns {DECIDE} decide; the others, though larger, do not"
    return World("tabular", oracle, factors, render, build, ("deciding",), ("others",), training)
