"""Parts: a creature of parts, its class the tuple of their variants; parts can be removed (FunnyBirds: Hesse, Schaub-Meyer, Roth 2023, https://arxiv.org/abs/2308.06248)."""

import functools

import numpy as np

from sanity.worlds import worlds
from sanity.worlds.canvas import convolutional_network, texture, to_inputs
from sanity.worlds.world import Samples, Training, World

PARTS = ("head", "left", "right", "tail")
CORNERS = np.array([[2, 11], [11, 2], [11, 20], [20, 11]])
EXTENT = 6
# Stones lie where no part does. They are the negatives of parts, in tuples of the same variants.
STONES = np.array([[2, 2], [2, 20], [20, 2], [20, 20]])
# Each class is a tuple of variants; two classes never share more than two parts.
CLASSES = np.array([[0, 0, 0, 0], [0, 1, 1, 1], [1, 0, 1, 2], [1, 1, 0, 0], [2, 2, 2, 0], [2, 0, 0, 1]])


def variants():
    """Disc, square frame and cross, 6 by 6: float64 [3, 6, 6]."""
    row, column = np.mgrid[:EXTENT, :EXTENT] - 2.5
    reach = np.maximum(abs(row), abs(column))
    return np.stack([np.hypot(row, column) <= 2.6, reach >= 1.6, np.minimum(abs(row), abs(column)) <= 0.6]) * 1.2 - 0.6


def factors(rng, count):
    """Draw creature and stones, rows of CLASSES; shift of the creature; texture; present, one bool a part, all true.

    Args:
        rng: `numpy.random.Generator`.
        count: int, how many samples.

    Returns:
        dict of name to array [count, ...].
    """
    return {
        "creature": rng.integers(0, len(CLASSES), count),
        "shift": rng.integers(-1, 2, (count, 2)),
        "texture": texture(rng, count),
        "stones": rng.integers(0, len(CLASSES), count),
        "present": np.ones((count, len(PARTS)), bool),
    }


def render(drawn, by="creature"):
    """The present parts at their places, the common body, and stones in the corners; `by` names the label.

    Args:
        drawn: dict of factors, as of `factors`.
        by: "creature" or "stones".

    Returns:
        `Samples`; the masks are the pixels of the parts, or of the stones.
    """
    values = 0.15 * drawn["texture"]
    masks = {name: np.zeros(values.shape, bool) for name in ("creature", "stones")}
    for place, corner in enumerate(STONES):
        box = (slice(None), *_box(corner, EXTENT))
        values[box] = -variants()[CLASSES[drawn["stones"], place]]
        masks["stones"][box] = True
    for row, (kind, shift, present) in enumerate(zip(drawn["creature"], drawn["shift"], drawn["present"])):
        values[row][_box(np.array([10, 10]) + shift, 8)] = 0.5
        for part, corner in enumerate(CORNERS + shift):
            if present[part]:
                values[row][_box(corner, EXTENT)] = variants()[CLASSES[kind][part]]
                masks["creature"][row][_box(corner, EXTENT)] = True
    return Samples(to_inputs(values), drawn[by], masks[by])


def _box(corner, extent):
    return tuple(slice(start, start + extent) for start in corner)


def remove_part(drawn, part):
    """The same samples without one part: factors for `render`.

    Args:
        drawn: dict of factors, as of `factors`.
        part: str, one of PARTS.

    Returns:
        dict of factors.
    """
    present = drawn["present"].copy()
    present[:, PARTS.index(part)] = False
    return {**drawn, "present": present}


def _parts(by, other, oracle, rival=None):
    return World(
        "parts",
        oracle,
        factors,
        functools.partial(render, by=by),
        lambda: convolutional_network(len(CLASSES)),
        causal_factors=(by,),
        distractor_factors=("texture", "shift", other),
        training=Training(samples=600),
        rival=rival,
    )


@worlds.register
def parts():
    """Creatures of four parts in three variants each, six classes; any part can be removed."""
    oracle = f"the parts ({', '.join(PARTS)}) decide together; the body, which all share, and the stones do not"
    return _parts("creature", "stones", oracle, _parts("stones", "creature", "the stones decide together"))
