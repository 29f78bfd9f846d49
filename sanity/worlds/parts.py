"""Parts: a creature of parts, its class the tuple of their variants; parts can be taken off (FunnyBirds: Hesse, Schaub-Meyer, Roth 2023, https://arxiv.org/abs/2308.06248)."""

import numpy as np

from sanity.worlds import worlds
from sanity.worlds.canvas import convolutional, image, texture
from sanity.worlds.world import Samples, Training, World

PARTS = ("head", "left", "right", "tail")
CORNERS = np.array([[2, 11], [11, 2], [11, 20], [20, 11]])
EXTENT = 6
# Stones lie where no part does: as large and brighter, and they say nothing.
STONES = np.array([[2, 2], [2, 20], [20, 2], [20, 20]])
# Each class is a tuple of variants; two classes never share more than two parts.
CLASSES = np.array([[0, 0, 0, 0], [0, 1, 1, 1], [1, 0, 1, 2], [1, 1, 0, 0], [2, 2, 2, 0], [2, 0, 0, 1]])


def variants():
    """Disc, square frame and cross, 6 by 6, fainter than the stones: float64 [3, 6, 6]."""
    row, column = np.mgrid[:EXTENT, :EXTENT] - 2.5
    reach = np.maximum(abs(row), abs(column))
    return np.stack([np.hypot(row, column) <= 2.6, reach >= 1.6, np.minimum(abs(row), abs(column)) <= 0.6]) * 1.2 - 0.6


def factors(rng, count):
    """label; shift of the whole creature; texture; stones, each dark (-1) or bright (1); present, one bit a part (all there)."""
    return {
        "label": rng.integers(0, len(CLASSES), count),
        "shift": rng.integers(-1, 2, (count, 2)),
        "texture": texture(rng, count),
        "stones": rng.choice([-1, 1], (count, len(STONES))),
        "present": np.ones((count, len(PARTS)), bool),
    }


def render(drawn):
    """The present parts at their places, a body that all creatures share, and stones in the corners."""
    values = 0.15 * drawn["texture"]
    masks, decoys = np.zeros(values.shape, bool), np.zeros(values.shape, bool)
    for place, corner in enumerate(STONES):
        box = (slice(None), *(slice(start, start + EXTENT) for start in corner))
        values[box] = 0.9 * drawn["stones"][:, place, None, None]
        decoys[box] = True
    for place, (label, shift, present) in enumerate(zip(drawn["label"], drawn["shift"], drawn["present"])):
        for part, corner in enumerate(CORNERS + shift):
            if present[part]:
                box = tuple(slice(start, start + EXTENT) for start in corner)
                values[place][box] = variants()[CLASSES[label][part]]
                masks[place][box] = True
        body = tuple(slice(start, start + 8) for start in np.array([10, 10]) + shift)
        values[place][body] = np.where(masks[place][body], values[place][body], 0.5)
    return Samples(image(values), drawn["label"], masks, decoys)


def removed(drawn, part):
    """The same samples without one part: factors for `render`."""
    present = drawn["present"].copy()
    present[:, PARTS.index(part)] = False
    return {**drawn, "present": present}


@worlds.register
def parts():
    """Creatures of four parts in three variants each, six classes; any part can be taken off."""
    return World(
        "parts",
        f"the parts ({', '.join(PARTS)}) decide together; the body, which all share, and the stones do not",
        factors,
        render,
        lambda: convolutional(len(CLASSES)),
        causes=("label",),
        idle=("texture", "shift", "stones"),
        training=Training(samples=600),
    )
