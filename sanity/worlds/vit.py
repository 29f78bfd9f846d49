"""Vit: the glyphs of the world patch in the cells of a grid, and a small vision transformer whose tokens are the cells."""

import functools

import numpy as np

from lab.class_token import ClassToken
from lab.environment import keras
from sanity.worlds import worlds
from sanity.worlds.canvas import SIDE, texture
from sanity.worlds.patch import EXTENT, STAMPS, render
from sanity.worlds.world import World

# Pixels of a cell's side, and cells of a picture's side.
CELL = 7
CELLS = SIDE // CELL
WIDTH, HEADS, BLOCKS = 24, 2, 2


def factors(rng, count):
    """Draw the factors of `patch`, with both glyphs in the middle of cells of their own.

    Args:
        rng: `numpy.random.Generator`.
        count: int, how many samples.

    Returns:
        dict of name to array [count, ...].
    """
    cells = rng.permuted(np.tile(np.arange(CELLS**2), (count, 1)), axis=1)
    return {
        "glyph": rng.integers(0, len(STAMPS), count),
        "place": _corners(cells[:, 0]),
        "rival": rng.integers(0, len(STAMPS), count),
        "rival_place": _corners(cells[:, 1]),
        "texture": texture(rng, count),
    }


def _corners(cells):
    """Where a glyph begins that is in the middle of a cell: int [count, 2]."""
    return np.stack([cells // CELLS, cells % CELLS], axis=1) * CELL + (CELL - EXTENT) // 2


def build():
    """A vision transformer (Dosovitskiy et al. 2020, https://arxiv.org/abs/2010.11929) of two blocks; the class token is read."""
    layers = keras.layers
    inputs = keras.Input((SIDE, SIDE, 1))
    x = layers.Conv2D(WIDTH, CELL, CELL, name="patches")(inputs)
    x = layers.Reshape((CELLS**2, WIDTH), name="sequence")(x)
    x = ClassToken(name="tokens")(x)
    for number in range(BLOCKS):
        normed = layers.LayerNormalization(name=f"block_{number}_norm_1")(x)
        mixed = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name=f"block_{number}_attention")(normed, normed)
        x = layers.Add(name=f"block_{number}_mixed")([x, mixed])
        normed = layers.LayerNormalization(name=f"block_{number}_norm_2")(x)
        hidden = layers.Dense(2 * WIDTH, activation="gelu", name=f"block_{number}_mlp")(normed)
        x = layers.Add(name=f"block_{number}_output")(
            [x, layers.Dense(WIDTH, name=f"block_{number}_mlp_output")(hidden)]
        )
    x = layers.LayerNormalization(name="norm")(x)
    # An index would be counted over the whole process.
    x = layers.Flatten(name="class_token")(layers.Cropping1D((0, CELLS**2), name="first")(x))
    return keras.Model(inputs, layers.Dense(len(STAMPS), name="logits")(x), name="vit")


def _vit(by, other, place, rival=None):
    return World(
        "vit",
        "the glyph of one alphabet decides, in whichever cell it is; the other alphabet's and the texture do not",
        factors,
        functools.partial(render, by=by),
        build,
        causal_factors=(by,),
        distractor_factors=(other, place, "texture"),
        rival=rival,
    )


@worlds.register
def vit():
    """The glyphs of `patch` in the cells of a grid, for a small vision transformer whose tokens are the cells."""
    return _vit("glyph", "rival", "rival_place", _vit("rival", "glyph", "place"))
