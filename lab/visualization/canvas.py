"""Canvas: the input of a network that a picture is drawn for, and the conversion of a picture in 0..1 to it."""

from dataclasses import dataclass

import numpy as np

from lab.environment import tf
from lab.refusal import Refused
from lab.registry import nearest

SMALLEST = 8


@dataclass(frozen=True)
class Canvas:
    """The input that a picture is drawn for, and the way from a picture to it.

    Args:
        place: the place of the input among the flattened inputs.
        extent: its rows and columns (or length, or three sides).
        shape: the picture's, (*extent, channels); it may be of another size.
        preprocessing: RGB in 0..255 -> the input.
    """

    place: int
    extent: tuple
    shape: tuple
    preprocessing: object

    def to_input(self, pictures):
        """Pictures in 0..1 as the network's input: tensor or array [rows, *extent, channels]."""
        if tuple(pictures.shape[1:-1]) != self.extent:
            pictures = tf.image.resize(pictures, self.extent, antialias=True)
        return self.preprocessing.apply(255.0 * pictures)

    def inputs(self, network, pictures, beside):
        """All inputs of the network: the pictures, and the given values of the others.

        Args:
            network: the `Network` of this canvas.
            pictures: tensor or array [rows, *extent, channels] in 0..1.
            beside: the other inputs in flattened order [rows, ...].

        Returns:
            inputs in the structure of `network.spec`.
        """
        leaves = list(beside)
        leaves.insert(self.place, self.to_input(pictures))
        return tf.nest.pack_sequence_as(network.spec, leaves)


def canvas(network, size=None, of=None):
    """The canvas of a network's only image-like input, or of the one that is named -> `Canvas`.

    Args:
        network: a `Network`.
        size: the picture's, an int or one number an axis; None: the network's own.
        of: the name of the input, or None.

    Returns:
        `Canvas`.

    Raises:
        Refused: where there is no such input, or the size does not fit it.
    """
    place, leaf = _drawn_input(network, of)
    input_extent = tuple(leaf.shape[1:-1])
    if network.preprocessing is None or None in input_extent:
        raise Refused(
            f"maximize needs a network that takes images of a known size and range. Received: {network.name}; give preprocess= or input_range= (and size=) to lab.load."
        )
    extent = (
        input_extent
        if size is None
        else (int(size),) * len(input_extent)
        if np.ndim(size) == 0
        else tuple(map(int, size))
    )
    if len(extent) != len(input_extent) or (extent != input_extent and len(input_extent) != 2):
        raise Refused(f"size= gives rows and columns of an image. Received: {size!r} for an input of {input_extent}.")
    if min(extent) < SMALLEST:
        raise Refused(f"A picture has at least {SMALLEST} pixels a side. Received: size {extent}.")
    return Canvas(place, input_extent, (*extent, network.preprocessing.channels), network.preprocessing)


def _drawn_input(network, of):
    specs_by_name = {name: (place, spec) for place, (name, spec) in enumerate(network.places())}
    if of is not None:
        if of not in specs_by_name:
            raise Refused(f"Unknown input. Received: {of!r}. {nearest(of, specs_by_name)}")
        return specs_by_name[of]
    candidates = [
        candidate
        for candidate in specs_by_name.values()
        if candidate[1].shape.rank in (3, 4, 5) and candidate[1].dtype.is_floating
    ]
    if len(candidates) != 1:
        raise Refused(
            f"maximize draws one input that takes images (a series, a volume): name it with of=. Received: {network.name}, which takes {', '.join(specs_by_name)}."
        )
    return candidates[0]
