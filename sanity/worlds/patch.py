"""Patch: a small glyph says the class; a brighter square beside it says nothing; both on natural texture."""

import numpy as np

from sanity.worlds import worlds
from sanity.worlds.canvas import apart, convolutional, image, stamped, texture
from sanity.worlds.world import Samples, World

# Four glyphs of one size; all but the ring have nine strokes or more, so that none is told by its mean alone.
GLYPHS = np.array(
    [
        ["..#..", "..#..", "#####", "..#..", "..#.."],
        ["#...#", ".#.#.", "..#..", ".#.#.", "#...#"],
        ["#####", ".....", "#####", ".....", "....."],
        ["#.#..", "#.#..", "#.#..", "#.#..", "#.#.."],
    ]
)
STAMPS = np.array([[[2.0 * (mark == "#") - 1 for mark in line] for line in glyph] for glyph in GLYPHS])
EXTENT = STAMPS.shape[1]


def factors(rng, count):
    """label; place of the glyph; place of the decoy; texture."""
    places = apart(rng, count, EXTENT)
    return {
        "label": rng.integers(0, len(STAMPS), count),
        "place": places[0],
        "decoy": places[1],
        "texture": texture(rng, count),
    }


def render(drawn):
    """Glyph and decoy laid over the texture."""
    glyphs = stamped(drawn["place"], 0.8 * STAMPS[drawn["label"]])
    decoys = stamped(drawn["decoy"], np.ones((len(glyphs), EXTENT, EXTENT)))
    values = np.where(glyphs != 0, glyphs, np.where(decoys != 0, decoys, 0.2 * drawn["texture"]))
    return Samples(image(values), drawn["label"], glyphs != 0, decoys != 0)


@worlds.register
def patch():
    """A glyph decides among four classes; a bright square, as large, decides nothing; 1/f texture behind them."""
    return World(
        "patch",
        "the glyph decides, wherever it is; the bright square and the texture do not",
        factors,
        render,
        # Wide windows: in them guided backprop agrees among random networks as it does among trained ones.
        lambda: convolutional(len(STAMPS), (24, 32, 48), (5, 5, 5)),
        causes=("label",),
        idle=("decoy", "texture"),
    )
