"""Tetromino: T and L shapes in noise, in four scenarios of less and less linearity (XAI-TRIS: Clark, Wilming, Haufe 2024, https://arxiv.org/abs/2306.12816).

The background is white or correlated. In the correlated one pixels beside the shape help to cancel noise (suppressors),
so that a right network uses pixels without class information. Beside them lie S and Z shapes, which decide nothing.
"""

import functools

import numpy as np
from scipy.ndimage import gaussian_filter

from lab.environment import keras
from sanity.worlds import worlds
from sanity.worlds.world import Samples, Training, World

SIDE = 8
SHAPES = {
    "shape": np.array([[[1, 0, 0], [1, 1, 0], [1, 0, 0]], [[1, 0, 0], [1, 0, 0], [1, 1, 0]]], float),
    "rival": np.array([[[0, 1, 1], [1, 1, 0], [0, 0, 0]], [[1, 1, 0], [0, 1, 1], [0, 0, 0]]], float),
}
# Where the shapes of each cue lie, unless the scenario places them at random.
FIXED = {"shape": [(1, 1), (4, 4)], "rival": [(1, 4), (4, 1)]}
# Signal against noise, by scenario, for white and for correlated background.
ALPHA = {"linear": (0.25, 0.12), "multiplicative": (0.7, 0.4), "rigid": (0.6, 0.45), "xor": (0.4, 0.3)}


def factors(scenario, correlated, rng, count):
    """Draw shape and rival; their second bit (xor); turn and place (rigid), in different halves; noise.

    Args:
        scenario: str, a key of ALPHA.
        correlated: bool, whether noise of neighbouring pixels is correlated.
        rng: `numpy.random.Generator`.
        count: int, how many samples.

    Returns:
        dict of name to array [count, ...].
    """
    noise = rng.normal(size=(count, SIDE, SIDE))
    if correlated:
        noise = gaussian_filter(noise, (0, 1.0, 1.0), mode="wrap")
    noise /= np.linalg.norm(noise, axis=(1, 2), keepdims=True)
    half, drawn = rng.integers(0, 2, count), {"noise": noise}
    for number, name in enumerate(SHAPES):
        drawn[name] = rng.integers(0, 2, count)
        drawn[f"{name}_bit"] = rng.integers(0, 2, count)
        drawn[f"{name}_turn"] = rng.integers(0, 4, count)
        rows = rng.integers(0, 2, count) + SIDE // 2 * (half ^ number)
        drawn[f"{name}_place"] = np.stack([rows, rng.integers(0, SIDE - 2, count)], axis=1)
    return drawn


def render(drawn, by, scenario, alpha):
    """alpha * patterns + (1 - alpha) * noise, each of unit norm; `by` names the label.

    In the multiplicative scenario it is their product.

    Args:
        drawn: dict of factors, as of `factors`.
        by: "shape" or "rival".
        scenario: str, a key of ALPHA.
        alpha: float in 0..1, the share of the signal.

    Returns:
        `Samples` with inputs [count, 8, 8, 1] in -1..1; the masks are the pixels of that shape.
    """
    patterns, masks = {}, {}
    for name in SHAPES:
        rows = zip(*(drawn[name + part] for part in ("", "_bit", "_turn", "_place")))
        patterns[name], masks[name] = map(np.stack, zip(*(_pattern(scenario, name, *row) for row in rows)))
    noise = drawn["noise"]
    if scenario == "multiplicative":
        values = (1 - alpha * (sum(patterns.values()) > 0)) * noise
    else:
        values = alpha * sum(map(_normalize, patterns.values())) + (1 - alpha) * noise
    scale = np.abs(values).max((1, 2), keepdims=True)
    return Samples((values / scale).astype("float32")[..., None], drawn[by], masks[by])


def _normalize(patterns):
    return patterns / np.linalg.norm(patterns, axis=(1, 2), keepdims=True)


def _pattern(scenario, name, label, bit, turn, place):
    """-> signed pattern, and the pixels that matter: of both shapes where places are fixed, else the sample's own."""
    sheets = np.zeros((2, SIDE, SIDE))
    if scenario == "rigid":
        row, column = place
        sheets[label, row : row + 3, column : column + 3] = np.rot90(SHAPES[name][label], turn)
        return sheets[label], sheets[label] > 0
    for sheet, shape, (row, column) in zip(sheets, SHAPES[name], FIXED[name]):
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


def _tetromino(name, scenario, correlated, by, other, rival=None):
    distractor_factors = {"multiplicative": (other,), "xor": (other, f"{other}_bit", "noise")}.get(
        scenario, (other, "noise")
    )
    return World(
        name,
        f"the pixels of one pair of shapes decide; those of the other pair and the {'correlated' if correlated else 'white'} background do not",
        functools.partial(factors, scenario, correlated),
        functools.partial(render, by=by, scenario=scenario, alpha=ALPHA[scenario][correlated]),
        build,
        causal_factors=(by, f"{by}_bit"),
        distractor_factors=distractor_factors,
        training=Training(samples=4000, goal=0.99, passes=40, batch=64, rate=2e-3),
        rival=rival,
    )


def _shapes(name, scenario, correlated):
    """The world in which one pair of shapes decides, with its rival, in which the other pair does."""
    rival = _tetromino(name, scenario, correlated, "rival", "shape")
    return _tetromino(name, scenario, correlated, "shape", "rival", rival)


@worlds.register
def tetromino_linear():
    """T and L shapes, linear, on white background; S and Z shapes decide nothing."""
    return _shapes("tetromino_linear", "linear", False)


@worlds.register
def tetromino_linear_correlated():
    """T and L shapes, linear, on correlated background; S and Z shapes decide nothing."""
    return _shapes("tetromino_linear_correlated", "linear", True)


@worlds.register
def tetromino_multiplicative():
    """T and L shapes, multiplicative, on white background; S and Z shapes decide nothing."""
    return _shapes("tetromino_multiplicative", "multiplicative", False)


@worlds.register
def tetromino_multiplicative_correlated():
    """T and L shapes, multiplicative, on correlated background; S and Z shapes decide nothing."""
    return _shapes("tetromino_multiplicative_correlated", "multiplicative", True)


@worlds.register
def tetromino_rigid():
    """T and L shapes, rigid, on white background; S and Z shapes decide nothing."""
    return _shapes("tetromino_rigid", "rigid", False)


@worlds.register
def tetromino_rigid_correlated():
    """T and L shapes, rigid, on correlated background; S and Z shapes decide nothing."""
    return _shapes("tetromino_rigid_correlated", "rigid", True)


@worlds.register
def tetromino_xor():
    """T and L shapes, xor, on white background; S and Z shapes decide nothing."""
    return _shapes("tetromino_xor", "xor", False)


@worlds.register
def tetromino_xor_correlated():
    """T and L shapes, xor, on correlated background; S and Z shapes decide nothing."""
    return _shapes("tetromino_xor_correlated", "xor", True)
