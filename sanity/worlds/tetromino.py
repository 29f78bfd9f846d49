"""Tetromino: T and L shapes in noise, in ways that call for ever less linear solutions (XAI-TRIS: Clark, Wilming, Haufe 2024, https://arxiv.org/abs/2306.12816).

White or correlated background; in the correlated one pixels beside the shape help to cancel noise (suppressors): a right
network uses pixels that carry no class information.
"""

import functools

import numpy as np
from scipy.ndimage import gaussian_filter

from lab.environment import keras
from sanity.worlds import worlds
from sanity.worlds.world import Samples, Training, World

SIDE = 8
SHAPES = np.array([[[1, 0, 0], [1, 1, 0], [1, 0, 0]], [[1, 0, 0], [1, 0, 0], [1, 1, 0]]], float)
FIXED = np.array([[1, 1], [4, 4]])
# Where the shape may lie anywhere, so does a square of four pixels, which says nothing: without it the brightest pixels would be the shape.
SQUARE = 2
# Signal against noise, by scenario, for white and for correlated background.
ALPHA = {"linear": (0.25, 0.12), "multiplicative": (0.7, 0.4), "rigid": (0.75, 0.5), "xor": (0.4, 0.3)}


def factors(scenario, correlated, rng, count):
    """label; second bit (xor); turn, place, and where the square lies (rigid); noise."""
    noise = rng.normal(size=(count, SIDE, SIDE))
    if correlated:
        noise = gaussian_filter(noise, (0, 1.0, 1.0), mode="wrap")
    noise /= np.linalg.norm(noise, axis=(1, 2), keepdims=True)
    return {
        "label": rng.integers(0, 2, count),
        "bit": rng.integers(0, 2, count),
        "turn": rng.integers(0, 4, count) if scenario == "rigid" else np.zeros(count, int),
        "place": rng.integers(0, SIDE - 2, (count, 2)),
        "square": rng.integers(0, 1000, (count, 2)),
        "noise": noise,
    }


def render(drawn, scenario, alpha):
    """alpha * pattern + (1 - alpha) * noise, each of unit norm; times, where the scenario is multiplicative."""
    patterns, masks = zip(
        *(_pattern(scenario, *each) for each in zip(*(drawn[name] for name in ("label", "bit", "turn", "place"))))
    )
    patterns, masks, noise = np.stack(patterns), np.stack(masks), drawn["noise"]
    decoys = _squares(drawn["place"], drawn["square"]) if scenario == "rigid" else None
    patterns = patterns if decoys is None else patterns + decoys
    if scenario == "multiplicative":
        values = (1 - alpha * (patterns > 0)) * noise
    else:
        values = alpha * patterns / np.linalg.norm(patterns, axis=(1, 2), keepdims=True) + (1 - alpha) * noise
    scale = np.abs(values).max((1, 2), keepdims=True)
    return Samples((values / scale).astype("float32")[..., None], drawn["label"], masks, decoys)


def _squares(places, drawn):
    """A square above or below each shape, a row between them: bool [count, side, side]."""
    found = np.zeros((len(places), SIDE, SIDE), bool)
    for sheet, (row, _), (down, right) in zip(found, places, drawn):
        free = [*range(row - SQUARE), *range(row + 4, SIDE - SQUARE + 1)]
        top, left = free[down % len(free)], right % (SIDE - SQUARE + 1)
        sheet[top : top + SQUARE, left : left + SQUARE] = True
    return found


def _pattern(scenario, label, bit, turn, place):
    """-> signed pattern and the pixels that are important: of both shapes where their places are fixed, else the sample's own."""
    sheets = np.zeros((2, SIDE, SIDE))
    if scenario == "rigid":
        row, column = place
        sheets[label, row : row + 3, column : column + 3] = np.rot90(SHAPES[label], turn)
        return sheets[label], sheets[label] > 0
    for sheet, shape, (row, column) in zip(sheets, SHAPES, FIXED):
        sheet[row : row + 3, column : column + 3] = shape
    mask = sheets.sum(0) > 0
    if scenario == "xor":
        first = 2 * bit - 1
        return first * sheets[0] + (first if label else -first) * sheets[1], mask
    return sheets[label], mask


def build():
    """One convolution and a dense layer: enough for all four scenarios."""
    inputs = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.Conv2D(24, 4, padding="same", activation="relu", name="conv_0")(inputs)
    x = keras.layers.Conv2D(24, 3, padding="same", activation="relu", name="conv_1")(x)
    x = keras.layers.Dense(48, activation="relu", name="hidden")(keras.layers.Flatten(name="flat")(x))
    return keras.Model(inputs, keras.layers.Dense(2, name="logits")(x), name="tetromino")


def _register(scenario, correlated):
    def make():
        return World(
            make.__name__,
            f"the shape's own pixels decide; the background, {'correlated' if correlated else 'white'}, does not",
            functools.partial(factors, scenario, correlated),
            functools.partial(render, scenario=scenario, alpha=ALPHA[scenario][correlated]),
            build,
            causes=("label", "bit"),
            idle={"multiplicative": (), "rigid": ("noise", "square")}.get(scenario, ("noise",)),
            training=Training(samples=4000, goal=0.99, passes=40, batch=64, rate=2e-3),
        )

    make.__name__ = f"tetromino_{scenario}" + ("_correlated" if correlated else "")
    make.__doc__ = f"T and L shapes, {scenario}, on {'correlated' if correlated else 'white'} background."
    worlds.register(make)


for _scenario in ALPHA:
    for _correlated in (False, True):
        _register(_scenario, _correlated)
