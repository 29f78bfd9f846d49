"""Examples: the natural images with a unit's extreme scores, found in one pass over any number of images."""

from dataclasses import dataclass

import numpy as np

from lab import routines
from lab.relevance import relevance
from lab.targets import as_objective

# Scores of this many images, evenly chosen, are kept for histograms and percentiles; with fewer images, all of them.
KEPT = 2048
# A unit's receptive field is where the gradient's magnitude is above this share of its largest.
FIELD_SHARE = 0.02


@dataclass(frozen=True)
class Survey:
    """The scores of a layer's units on many natural images; a score is the unit's mean over positions, or the logit.

    Args:
        top: int [units, count], indices of the images with the highest scores, best first.
        top_scores: float32 [units, count].
        top_places: int [units, count], the flat position of the highest activation there.
        bottom: int [units, count], indices of the images with the lowest scores, lowest first.
        bottom_scores: float32 [units, count].
        kept: int [kept], indices of evenly spaced images.
        kept_scores: float32 [kept, units], their scores.
        count: how many images there were.
    """

    top: np.ndarray
    top_scores: np.ndarray
    top_places: np.ndarray
    bottom: np.ndarray
    bottom_scores: np.ndarray
    kept: np.ndarray
    kept_scores: np.ndarray
    count: int

    def strip(self, percents=(5, 25, 50, 75, 95)):
        """The kept image nearest to each percentile of each unit: int [units, percents], and their scores."""
        order = np.argsort(self.kept_scores, axis=0, kind="stable")
        at = np.round(np.array(percents) / 100 * (len(self.kept) - 1)).astype(int)
        indices = order[at].T
        return self.kept[indices], np.take_along_axis(self.kept_scores.T, indices, axis=1)

    def as_arrays(self):
        """Plain arrays by name, for `Survey(**arrays)`."""
        return {name: np.asarray(value) for name, value in vars(self).items()}


def survey(network, data, *, layer=None, count=8, fit="crop", batch=64, composite=None):
    """Score every image once, and keep the extreme and some evenly spaced scores of each unit -> `Survey`.

    Memory does not grow with the number of images, except for KEPT scores a unit. With a composite the scores are relevance
    (RelMax; Achtibat et al. 2023, https://doi.org/10.1038/s42256-023-00711-8).

    Args:
        network: a `Network`.
        data: `lab.Data`.
        layer: the address of a layer whose channels are the units; None: the logits.
        count: images kept at each end.
        fit: "squash" or "crop", as of `Network.preprocess`.
        batch: images at a time.
        composite: None, or as of `lab.relevance.relevance`: a unit's score is then the relevance that goes through it for the class
            that the network answers with, summed over positions.

    Returns:
        `Survey`.

    Raises:
        Refused: with a composite for an operation without a rule.
    """
    step = max(1, -(-len(data) // KEPT))
    top, bottom, kept = None, None, []
    for start in range(0, len(data), batch):
        indices = np.arange(start, min(start + batch, len(data)))
        inputs = network.preprocess(data.images[start : start + batch], fit=fit)
        scores, places = (
            _unit_scores(network, inputs, layer)
            if composite is None
            else _unit_relevance(network, inputs, layer, composite)
        )
        top = merge_best(top, scores, places, indices, count)
        bottom = merge_best(bottom, -scores, places, indices, count)
        kept.append(scores[indices % step == 0])
    return Survey(
        top[1].T,
        top[0].T,
        top[2].T,
        bottom[1].T,
        -bottom[0].T,
        np.arange(0, len(data), step),
        np.concatenate(kept),
        len(data),
    )


def _unit_scores(network, inputs, layer):
    """-> scores float32 [images, units], and the flat place of each unit's highest activation."""
    if layer is None:
        scores = routines.logits(network, inputs)
        return scores, np.zeros(scores.shape, "int32")
    return routines.peaks(network, inputs, layer)


def _unit_relevance(network, inputs, layer, composite):
    """-> relevance float32 [images, units] for each image's own class, and the flat place where it is highest."""
    _, read = relevance(network, inputs, as_objective(network, inputs, "top"), composite, layers=[layer])
    flat = read[layer].reshape(len(read[layer]), -1, read[layer].shape[-1])
    return flat.sum(axis=1), flat.argmax(axis=1).astype("int32")


def merge_best(before, scores, places, indices, count):
    """The highest scores of those before and these, by unit. Of equal ones the earlier image comes first.

    Args:
        before: what the last call returned, or None.
        scores: float [images, units].
        places: int [images, units], where in each image.
        indices: int [images], which images they are.
        count: int, how many are kept.

    Returns:
        scores, indices and places, each [count, units].
    """
    spread = np.broadcast_to(indices[:, None], scores.shape)
    joined = [scores, spread, places] if before is None else map(np.concatenate, zip(before, (scores, spread, places)))
    scores, spread, places = joined
    order = np.argsort(-scores, axis=0, kind="stable")[:count]
    return tuple(np.take_along_axis(values, order, axis=0) for values in (scores, spread, places))


def receptive_box(network, layer, seed=0):
    """The effective receptive field of one position of a layer (Luo et al. 2016, https://arxiv.org/abs/1701.04128).

    It is measured on noise: where the gradient's magnitude exceeds a fiftieth of its largest.

    Args:
        network: a `Network`.
        layer: the address of a layer, or None for the logits, which have no positions.
        seed: int, of the noise.

    Returns:
        rows and columns of a box in pixels, (int, int); None for a layer without positions.
    """
    shape = network.shape_of(layer) if layer else None
    if layer is None or not isinstance(shape, tuple) or len(shape) != 4 or network.size is None:
        return None
    noise = np.random.default_rng(seed).uniform(0, 255, (4, *network.size, network.preprocessing.channels))
    magnitude = routines.receptive_field(network, network.preprocessing.apply(noise.astype("float32")), layer).mean(
        axis=0
    )
    strong = magnitude > FIELD_SHARE * magnitude.max()
    return tuple(int(np.ptp(np.flatnonzero(strong.any(axis=axis))) + 1) for axis in (1, 0))


def window(network, layer, place, box):
    """The box of a receptive field around a flat position of a layer, inside the network's input.

    Args:
        network: a `Network` of one image input.
        layer: the address of a layer with rows and columns.
        place: int, a position of the layer, flattened by rows.
        box: (rows, columns) in pixels, as of `receptive_box`.

    Returns:
        (top, left, bottom, right) in pixels.
    """
    rows, columns = network.shapes[layer][1:3]
    centres = ((place // columns + 0.5) / rows * network.size[0], (place % columns + 0.5) / columns * network.size[1])
    tops = [
        int(np.clip(round(centre - side / 2), 0, size - side)) for centre, side, size in zip(centres, box, network.size)
    ]
    return (*tops, tops[0] + box[0], tops[1] + box[1])


def strongest_channels(network, image, layer, count=16):
    """The channels of a layer with the highest means on one image [rows, columns, 3] in 0..255: list of int, highest first.

    Args:
        network: a `Network`.
        image: [rows, columns, 3] in 0..255.
        layer: the address of a layer.
        count: int, channels at most.

    Returns:
        list of int.
    """
    means = routines.mean_activations(network, network.preprocess(image), layer)[0]
    return [int(channel) for channel in np.argsort(-means, kind="stable")[:count]]
