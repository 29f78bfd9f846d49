"""Scenes: the same pictures of objects before scenes, labelled by one or by the other (Yang, Kim 2019, https://arxiv.org/abs/1907.09701)."""

import numpy as np

from sanity.worlds import worlds
from sanity.worlds.canvas import SIDE, convolutional_network, stamp, texture, to_inputs
from sanity.worlds.ruler import THING, things
from sanity.worlds.world import Samples, World

CLASSES = 3


def factors(rng, count):
    """Draw object and scene, independent of each other; place and phase; texture.

    Args:
        rng: `numpy.random.Generator`.
        count: int, how many samples.

    Returns:
        dict of name to array [count, ...].
    """
    return {
        "object": rng.integers(0, CLASSES, count),
        "scene": rng.integers(0, CLASSES, count),
        "place": rng.integers(2, SIDE - THING - 2, (count, 2)),
        "phase": rng.integers(0, 6, (count, 2)),
        "texture": texture(rng, count),
    }


def scenery(kinds, phases):
    """Horizontal stripes, vertical stripes, and squares: float64 [count, side, side], -1 or 1.

    Args:
        kinds: int [count]: 0 horizontal stripes, 1 vertical stripes, 2 squares.
        phases: int [count, 2], shifts of rows and columns in pixels.

    Returns:
        float64 [count, side, side].
    """
    row, column = np.mgrid[:SIDE, :SIDE]
    rows, columns = (((axis[None] + phases[:, place, None, None]) // 3) % 2 for place, axis in enumerate((row, column)))
    return 2.0 * np.choose(kinds[:, None, None], [rows, columns, rows ^ columns]) - 1


def render(drawn, by):
    """An object before a scene; `by` names the factor that is the label.

    Args:
        drawn: dict of factors, as of `factors`.
        by: "object" or "scene".

    Returns:
        `Samples`; the masks are the box around the object, or everything outside it.
    """
    shapes = stamp(drawn["place"], things()[drawn["object"]])
    box = stamp(drawn["place"], np.ones((len(shapes), THING, THING))) > 0
    values = np.where(shapes > 0, 0.9, np.where(box, -0.2, 0.25 * scenery(drawn["scene"], drawn["phase"])))
    masks = box if by == "object" else ~box
    return Samples(to_inputs(values + 0.1 * drawn["texture"]), drawn[by], masks)


def _scenes(by, other, rival=None):
    return World(
        f"scenes_{by}",
        f"the {by} decides and the {other} does not",
        factors,
        lambda drawn: render(drawn, by),
        lambda: convolutional_network(CLASSES),
        causal_factors=(by,),
        distractor_factors=(other, "texture"),
        rival=rival,
    )


@worlds.register
def scenes_object():
    """Objects before scenes, labelled by the object."""
    return _scenes("object", "scene", _scenes("scene", "object"))


@worlds.register
def scenes_scene():
    """The same pictures, labelled by the scene."""
    return _scenes("scene", "object", _scenes("object", "scene"))
