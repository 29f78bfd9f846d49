"""Kinds: what inputs are, such as images or the rows of a table, and what positions and features of each kind are.

kind_of(inputs) -> Kind    by the axes and the dtype of an array, as a network takes it
"""

import re
from dataclasses import dataclass

import numpy as np

from lab.nouns import plural


@dataclass(frozen=True)
class Kind:
    """What one kind of inputs consists of, how its positions are taken away, and how far its values vary.

    Args:
        name: str.
        noun: str, one input in words.
        unit: str, one position in words.
        cells: int, the cells that an axis of positions is cut into at most, where effects are measured.
        fills: two names of fills that fit the kind. Two of them show how well an effect is known.
        has_channels: whether the last axis holds the features of a position, and is none itself.
        has_neighbours: whether positions side by side belong together, so that a blur means something.
        has_own_scales: whether each position has a scale of its own, as the columns of a table have.
    """

    name: str
    noun: str
    unit: str
    cells: int
    fills: tuple
    has_channels: bool = True
    has_neighbours: bool = True
    has_own_scales: bool = False

    def name_inputs(self, text):
        """A sentence about images as one about inputs of this kind: str.

        Args:
            text: str.
        """
        if self is IMAGE:
            return text
        text = text.replace("--images", "--data")
        text = re.sub(r"\b([Aa])n image\b", rf"\1 {self.noun}", text)
        text = text.replace("image's", f"{self.noun}'" if self.noun.endswith("s") else f"{self.noun}'s")
        return re.sub(r"\bimages\b", plural(self.noun), re.sub(r"\bimage\b", self.noun, text))

    def positions(self, inputs):
        """The shape of the positions of one sample, without channels: tuple of int.

        Args:
            inputs: array [samples, ...].
        """
        shape = tuple(inputs.shape)
        return shape[1:-1] if self.has_channels else shape[1:]

    def over_features(self, mask):
        """A mask over positions, with an axis for the features where the inputs have one.

        Args:
            mask: bool [..., positions].

        Returns:
            bool array that broadcasts against inputs of this kind.
        """
        return mask[..., None] if self.has_channels else mask

    def pooled_axes(self, inputs):
        """The axes over which a mean of one feature is taken: all positions of a sample, or the samples of a column.

        Args:
            inputs: array [samples, ...].

        Returns:
            tuple of int.
        """
        return (0,) if self.has_own_scales else tuple(range(1, 1 + len(self.positions(inputs))))

    def value_axes(self, inputs):
        """The axes over which the range of values is taken: all of a sample, or the samples of a column.

        Args:
            inputs: array [samples, ...].

        Returns:
            tuple of int.
        """
        return (0,) if self.has_own_scales else tuple(range(1, inputs.ndim))


IMAGE = Kind("image", "photograph", "pixel", 7, ("mean", "blur"))
VOLUME = Kind("volume", "volume", "voxel", 4, ("mean", "blur"))
SERIES = Kind("series", "series", "step", 16, ("mean", "blur"))
TABLE = Kind(
    "table",
    "row",
    "column",
    64,
    ("typical", "donor"),
    has_channels=False,
    has_neighbours=False,
    has_own_scales=True,
)
TOKENS = Kind("tokens", "text", "token", 64, ("pad", "donor"), has_channels=False, has_neighbours=False)
KINDS = {kind.name: kind for kind in (IMAGE, VOLUME, SERIES, TABLE, TOKENS)}


def kind_of(inputs):
    """The kind of inputs, by their axes and dtype as the network takes them.

    Args:
        inputs: array: float [samples, columns] is a table, int [samples, tokens] are token ids, [samples, steps,
            channels] is a series, [samples, rows, columns, channels] are images, and with more axes volumes.

    Returns:
        `Kind`.
    """
    rank = len(inputs.shape)
    if rank > 2:
        return {3: SERIES, 4: IMAGE}.get(rank, VOLUME)
    return TOKENS if inputs.dtype.kind in "iu" else TABLE


def deviations(background):
    """How far the values of each column vary: the standard deviation over background rows.

    Args:
        background: float [rows, columns].

    Returns:
        float32 [columns]. It is 0 for a column that never varies, to which no noise is added.
    """
    return np.asarray(background, "float64").std(axis=0).astype("float32")


def ranges(inputs, background=None):
    """What noise is a share of: each sample's own max - min, or in a table the deviation of each column.

    Args:
        inputs: float [samples, ...].
        background: float [rows, columns], of which the deviations of a table's columns are taken; None: the inputs.

    Returns:
        float array that broadcasts against the inputs.
    """
    if kind_of(inputs).has_own_scales:
        return deviations(inputs if background is None else background)[None]
    axes = tuple(range(1, inputs.ndim))
    return inputs.max(axes, keepdims=True) - inputs.min(axes, keepdims=True)
