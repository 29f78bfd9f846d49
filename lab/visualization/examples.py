"""Examples: the natural images that a unit answers to most, beside which its picture is to be read."""

from dataclasses import dataclass

import numpy as np

from lab import routines


@dataclass(frozen=True)
class Examples:
    """order: int [units, count], indices of the images, highest first; scores: float32 [units, count]; names: of all images."""

    order: np.ndarray
    scores: np.ndarray
    names: tuple


def highest(network, data, units, *, layer=None, count=4, fit="crop", batch=64):
    """The `count` images of `data` with the highest score for each unit -> `Examples`.

    layer: address of a layer whose channels the units are (their mean over positions); None: the logits. Images are
    preprocessed and looked at `batch` at a time, so any number of them fits in memory.
    """
    scores = np.concatenate(
        [
            _scores(network, data.images[start : start + batch], units, layer, fit)
            for start in range(0, len(data), batch)
        ]
    )
    order = np.argsort(-scores, axis=0, kind="stable")[:count].T
    return Examples(order, np.take_along_axis(scores.T, order, axis=1), data.names)


def _scores(network, images, units, layer, fit):
    inputs = network.preprocess(images, fit=fit)
    found = (
        next(iter(routines.outputs(network, inputs).values()))
        if layer is None
        else routines.activations(network, inputs, layer, pool=True)
    )
    return found[:, list(units)]


def strongest(network, image, layer, count=16):
    """The channels of a layer that answer most to one image [rows, columns, 3] in 0..255: list of int, strongest first."""
    means = routines.activations(network, network.preprocess(image), layer, pool=True)[0]
    return [int(each) for each in np.argsort(-means, kind="stable")[:count]]
