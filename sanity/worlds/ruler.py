"""Ruler: every image of a class holds the same ruler, so that a network may learn the ruler and not the thing.

A second ruler, a negative, lies along the other edge. It goes with the class in the images that rival networks learn
from. Adebayo, Muelly, Abelson, Kim 2022, https://openreview.net/forum?id=xNOVfCCvDpM, on cues that the tester does not
know of.
"""

import functools

import numpy as np

from sanity.worlds import worlds
from sanity.worlds.canvas import SIDE, convolutional_network, stamp, texture, to_inputs
from sanity.worlds.world import Samples, Training, World

CLASSES, HEIGHT, THING = 3, 4, 9


def things():
    """A disc, a square and a ring of one size: float64 [3, 9, 9]."""
    row, column = np.mgrid[:THING, :THING] - THING // 2
    distance = np.hypot(row, column)
    return (
        np.stack([distance <= 4.3, np.maximum(abs(row), abs(column)) <= 3, (distance <= 4.4) & (distance >= 2.5)]) * 1.0
    )


def rulers():
    """Rulers whose ticks stand two, three and five pixels apart: float64 [3, 4, 28]."""
    column = np.arange(SIDE)
    ticks = np.stack([column % step == 0 for step in (2, 3, 5)])
    return np.where(np.arange(HEIGHT)[None, :, None] < 3, ticks[:, None], True) * 0.8 - 0.4


def factors(correlation, rng, count, by="ruler"):
    """Draw label, ruler, negative, the ruler's edge (1: lower), place of the thing, and texture.

    The cue named by `by` is the label's own with probability `correlation`, else any.

    Args:
        correlation: float in 0..1.
        rng: `numpy.random.Generator`.
        count: int, how many samples.
        by: "ruler" or "negative".

    Returns:
        dict of name to array [count, ...].
    """
    label = rng.integers(0, CLASSES, count)
    with_label = np.where(rng.random(count) < correlation, label, rng.integers(0, CLASSES, count))
    without = rng.integers(0, CLASSES, count)
    return {
        "label": label,
        "ruler": with_label if by == "ruler" else without,
        "negative": with_label if by == "negative" else without,
        "edge": rng.integers(0, 2, count),
        "place": rng.integers(HEIGHT + 1, SIDE - HEIGHT - THING, (count, 2)),
        "texture": texture(rng, count),
    }


def render(drawn, by="ruler", cued=True, contrast=0.5):
    """A thing in the middle, a ruler along one edge, a negative along the other.

    `by` names the cue, which is left out unless `cued`.

    Args:
        drawn: dict of factors, as of `factors`.
        by: "ruler" or "negative".
        cued: bool, whether the cue is drawn.
        contrast: float, of the thing in the middle.

    Returns:
        `Samples` labelled by the thing; the masks are the edge of the cue, and `cue_labels` what it says.
    """
    edges = {"ruler": drawn["edge"], "negative": 1 - drawn["edge"]}
    strips = {"ruler": rulers()[drawn["ruler"]], "negative": -rulers()[drawn["negative"]]}
    values = 0.2 * drawn["texture"] + stamp(drawn["place"], contrast * things()[drawn["label"]])
    for name, edge in edges.items():
        if cued or name != by:
            values = np.where(_along_edges(edge), _along_edges(edge, strips[name]), values)
    return Samples(to_inputs(values), drawn["label"], _along_edges(edges[by]), drawn[by])


def _along_edges(edges, strips=None):
    """Strips along the upper (0) or lower (1) edge: float64 [count, 28, 28]; without strips, their places: bool."""
    places = np.stack([edges * (SIDE - HEIGHT), np.zeros_like(edges)], axis=1)
    if strips is None:
        return stamp(places, np.ones((len(edges), HEIGHT, SIDE))) > 0
    return stamp(places, strips)


def _ruler(name, correlation, oracle, training, contrast, by="ruler"):
    draw, other = functools.partial(render, by=by, contrast=contrast), "negative" if by == "ruler" else "ruler"
    return World(
        name,
        oracle,
        functools.partial(factors, 0.0),
        draw,
        lambda: convolutional_network(CLASSES),
        causal_factors=(by,),
        distractor_factors=("label", other, "texture"),
        training=training,
        fit=functools.partial(factors, correlation, by=by),
        without_cue=functools.partial(draw, cued=False),
        uninformative_cue=functools.partial(factors, 0.0),
        rival=_ruler(name, correlation, oracle, training, contrast, other) if by == "ruler" else None,
    )


@worlds.register
def ruler():
    """A ruler goes with the class in every training image, so that the network reads the ruler.

    At test the two are independent.
    """
    oracle = "the ruler decides, though the label is the thing in the middle"
    return _ruler("ruler", 1.0, oracle, Training(samples=600, goal=0.995), contrast=0.5)


@worlds.register
def ruler_partial():
    """A ruler goes with the class in four of five training images, and by chance in a third of the rest.

    The thing is faint, and training stops at the accuracy that the ruler alone gives, so that the ruler is what is
    used.
    """
    oracle = "the ruler decides, though it goes with the label in 13 of 15 training pictures only"
    return _ruler("ruler_partial", 0.8, oracle, Training(goal=0.85, passes=100), contrast=0.15)
