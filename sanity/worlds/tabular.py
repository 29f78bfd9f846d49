"""Tabular: twelve columns of which three decide, one of them by its sign alone. Three others decide in the rival world."""

import functools

import numpy as np

from lab.environment import keras
from sanity.worlds import worlds
from sanity.worlds.world import Samples, Training, World

COLUMNS = 12
DECIDE = {"deciding": [1, 5, 8], "rival": [2, 6, 10]}
OTHERS = [column for column in range(COLUMNS) if column not in sum(DECIDE.values(), [])]


def factors(rng, count):
    """Draw the three deciding columns, three rivals, and six others that never decide, large ones among them.

    Args:
        rng: `numpy.random.Generator`.
        count: int, how many samples.

    Returns:
        dict of name to array [count, columns].
    """
    scale = np.where(np.arange(len(OTHERS)) % 2 == 0, 3.0, 1.0)
    drawn = {name: rng.normal(size=(count, len(columns))) for name, columns in DECIDE.items()}
    return {**drawn, "others": rng.normal(size=(count, len(OTHERS))) * scale}


def render(drawn, by):
    """Class 0, 1 or 2 by the highest of a, 1.2 b and the sign of c, the three columns that `by` names.

    Args:
        drawn: dict of factors, as of `factors`.
        by: "deciding" or "rival".

    Returns:
        `Samples` with inputs [count, 12]; the masks are the three columns.
    """
    first, second, third = drawn[by].T
    labels = np.stack([first, 1.2 * second, np.sign(third)], axis=1).argmax(1)
    table = np.empty((len(labels), COLUMNS))
    for name, columns in {**DECIDE, "others": OTHERS}.items():
        table[:, columns] = drawn[name]
    masks = np.tile(np.isin(np.arange(COLUMNS), DECIDE[by]), (len(labels), 1))
    return Samples(table.astype("float32"), labels, masks)


def build():
    """Two hidden layers."""
    inputs = keras.Input((COLUMNS,))
    x = keras.layers.Dense(48, activation="relu", name="hidden_0")(inputs)
    x = keras.layers.Dense(24, activation="relu", name="hidden_1")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(x), name="tabular")


def _tabular(by, other, rival=None):
    training = Training(samples=8000, passes=60, batch=80)
    oracle = f"columns {DECIDE[by]} decide; the others, though larger, do not"
    draw = functools.partial(render, by=by)
    return World("tabular", oracle, factors, draw, build, (by,), (other, "others"), training, rival=rival)


@worlds.register
def tabular():
    """A table of twelve columns, three of which decide among three classes."""
    return _tabular("deciding", "rival", _tabular("rival", "deciding"))
