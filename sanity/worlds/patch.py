"""Patch: two small glyphs of two alphabets on natural texture. One decides the class, the other nothing."""

import functools

import numpy as np

from sanity.worlds import worlds
from sanity.worlds.canvas import convolutional_network, separate_places, stamp, texture, to_inputs
from sanity.worlds.world import Samples, World

# Two alphabets of four glyphs of one size, nine pixels or more each, so that no mean alone reveals a glyph.
GLYPHS = np.array(
    [
        ["..#..", "..#..", "#####", "..#..", "..#.."],
        ["#...#", ".#.#.", "..#..", ".#.#.", "#...#"],
        ["#####", ".....", "#####", ".....", "....."],
        ["#.#..", "#.#..", "#.#..", "#.#..", "#.#.."],
    ]
)
RIVALS = np.array(
    [
        ["#####", "#...#", "#...#", "#...#", "#####"],
        ["##...", "##...", "..##.", "..##.", "....#"],
        ["....#", "...##", "..##.", ".##..", "##..."],
        ["#####", "....#", "....#", "....#", "....#"],
    ]
)


def _stamps(glyphs):
    return np.array([[[2.0 * (mark == "#") - 1 for mark in line] for line in glyph] for glyph in glyphs])


STAMPS, RIVAL_STAMPS = _stamps(GLYPHS), _stamps(RIVALS)
EXTENT = STAMPS.shape[1]


def factors(rng, count):
    """Draw a glyph and its place, a glyph of the other alphabet and its place, and texture.

    Args:
        rng: `numpy.random.Generator`.
        count: int, how many samples.

    Returns:
        dict of name to array [count, ...].
    """
    places = separate_places(rng, count, EXTENT)
    return {
        "glyph": rng.integers(0, len(STAMPS), count),
        "place": places[0],
        "rival": rng.integers(0, len(STAMPS), count),
        "rival_place": places[1],
        "texture": texture(rng, count),
    }


def render(drawn, by):
    """Both glyphs laid over the texture; `by` names the one that is the label.

    Args:
        drawn: dict of factors, as of `factors`.
        by: "glyph" or "rival".

    Returns:
        `Samples`; the masks are the pixels of that glyph.
    """
    stamps = {
        "glyph": stamp(drawn["place"], 0.8 * STAMPS[drawn["glyph"]]),
        "rival": stamp(drawn["rival_place"], 0.8 * RIVAL_STAMPS[drawn["rival"]]),
    }
    stamps_drawn = stamps["glyph"] + stamps["rival"]
    values = np.where(stamps_drawn != 0, stamps_drawn, 0.2 * drawn["texture"])
    return Samples(to_inputs(values), drawn[by], stamps[by] != 0)


def _patch(by, other, place, rival=None):
    return World(
        "patch",
        "the glyph of one alphabet decides, wherever it is; the other alphabet's and the texture do not",
        factors,
        functools.partial(render, by=by),
        # Wide kernels: with them guided backprop agrees among random networks as it does among trained ones.
        lambda: convolutional_network(len(STAMPS), (24, 32, 48), (5, 5, 5)),
        causal_factors=(by,),
        distractor_factors=(other, place, "texture"),
        rival=rival,
    )


@worlds.register
def patch():
    """A glyph decides among four classes; a glyph of another alphabet decides nothing; 1/f texture behind them."""
    return _patch("glyph", "rival", "rival_place", _patch("rival", "glyph", "place"))
