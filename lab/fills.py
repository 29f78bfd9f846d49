"""Fills: what stands in the place of parts that are taken away, made of the input itself or of rows like it.

sample_mean(leaf), blurred(leaf)     of each sample, whatever is taken away
inpainted(leaf, mask)                from what is left of it, inside the graph
nearness(rows, references, there)    how much rows of a table count that stand in for one of which some columns are known
"""

import numpy as np
from scipy import ndimage

from lab.environment import tf
from lab.kinds import IMAGE, SERIES, kind_of
from lab.refusal import Refused

# Standard deviation of a blur, as a share of each side.
BLUR = 1 / 8
# Width of the kernel of nearness (Aas, Jullum, Loland 2021).
WIDTH = 0.1
# Where the kernel holds fewer references than these, it is doubled, at most so often.
NEIGHBOURS, DOUBLINGS = 8, 12
# Halvings of the longest side that inpainting knows.
LEVELS = 12


def sample_mean(leaf):
    """Each sample's own mean, by channel.

    Args:
        leaf: float [samples, ..., channels].

    Returns:
        float array that broadcasts against it.
    """
    return leaf.mean(axis=kind_of(leaf).pooled_axes(leaf), keepdims=True)


def blurred(leaf):
    """Each sample blurred by an eighth of its sides.

    Args:
        leaf: float [samples, ..., channels].

    Returns:
        float array of its shape.
    """
    sigma = [0, *(size * BLUR for size in kind_of(leaf).positions(leaf)), 0]
    return ndimage.gaussian_filter(leaf, sigma, mode="nearest")


STATIC = {"mean": sample_mean, "blur": blurred}


def named_baseline(arrays, name):
    """The baseline of a name, made of each sample itself.

    Args:
        arrays: the inputs, [batch, ...].
        name: str, "mean" or "blur".

    Returns:
        arrays in the structure and shape of the inputs.

    Raises:
        Refused: for another name, and for inputs whose positions have no neighbours, such as tables and ids.
    """
    if name not in STATIC:
        raise Refused(
            f"A baseline is a number, an array, or one of the names {', '.join(map(repr, STATIC))}. Methods that take parts away also know 'inpaint' and 'conditional'. Received: {name!r}."
        )
    kinds = {kind_of(leaf) for leaf in tf.nest.flatten(arrays)}
    if not all(kind.has_neighbours for kind in kinds):
        raise Refused(
            f"baseline={name!r} is for images, volumes and series. Received: {', '.join(sorted(kind.name for kind in kinds))}. Give a number or an array."
        )
    return tf.nest.map_structure(
        lambda leaf: np.broadcast_to(STATIC[name](leaf), leaf.shape).astype(leaf.dtype), arrays
    )


def refuse_inpainting(arrays):
    """Raise Refused for inputs that are neither images nor series.

    Args:
        arrays: the inputs, [batch, ...].
    """
    kinds = {kind_of(leaf) for leaf in tf.nest.flatten(arrays)}
    if not kinds <= {IMAGE, SERIES}:
        raise Refused(
            f"baseline='inpaint' is for images and series. Received: {', '.join(sorted(kind.name for kind in kinds))}. Give a number or an array."
        )


def inpainted(leaf, mask, other):
    """Images or series whose holes are filled smoothly from what is left around them (pull-push: Gortler et al. 1996, https://doi.org/10.1145/237170.237200).

    Means of what is known are taken over ever larger squares, until every hole has one. The holes get the means of the smallest
    squares that know any, without steps between them.

    Args:
        leaf: float tensor [samples, rows, columns, channels] or [samples, steps, channels].
        mask: bool tensor [samples, rows, columns] or [samples, steps], what is left.
        other: float tensor that broadcasts against the leaf, for samples of which nothing is left.

    Returns:
        float tensor of the leaf's shape.
    """
    if len(leaf.shape) == 3:
        return inpainted(leaf[:, :, None], mask[:, :, None], other[:, :, None])[:, :, 0]
    weight = tf.cast(mask, leaf.dtype)[..., None]
    levels = [(leaf * weight, weight)]
    while len(levels) <= LEVELS and (None in leaf.shape[1:3] or 2 ** (len(levels) - 1) < max(leaf.shape[1:3])):
        levels.append(_pull(*levels[-1]))
    filled, known = levels[-1]
    filled = tf.where(known > 0, filled, other)
    for values, weight in reversed(levels[:-1]):
        filled = values + (1 - weight) * tf.image.resize(filled, tf.shape(values)[1:3], "bilinear")
    return tf.where(mask[..., None], leaf, filled)


def _pull(values, weight):
    """Values times their weights, and weights, of squares of four; a square that knows one of four knows enough."""
    sums, weights = (4 * tf.nn.avg_pool2d(tensor, 2, 2, "SAME") for tensor in (values, weight))
    share = tf.minimum(weights, 1.0)
    return tf.math.divide_no_nan(sums, weights) * share, share


def nearness(rows, references, there):
    """How much each reference counts for each row of which some columns are known (Aas, Jullum, Loland 2021, https://arxiv.org/abs/1903.10464).

    Weights fall with the Mahalanobis distance in these columns, divided by their number, in a kernel so wide that it holds some
    references. A reference that is the row itself does not count. Where no column is known, all count alike.

    Args:
        rows: float [batch, columns].
        references: float [references, columns].
        there: bool [columns], which columns are known.

    Returns:
        float64 [batch, references], rows of which add up to 1.
    """
    differences = rows[:, None].astype("float64") - references[None].astype("float64")
    same = ~differences.any(axis=2)
    distances = np.zeros(same.shape)
    if there.any():
        known = differences[..., there]
        inverse = np.linalg.pinv(
            np.atleast_2d(np.cov(references[:, there].astype("float64"), rowvar=False)), hermitian=True
        )
        distances = np.einsum("brc,cd,brd->br", known, inverse, known) / there.sum()
    distances = np.where(same & ~same.all(axis=1, keepdims=True), np.inf, distances)
    nearest = distances - distances.min(axis=1, keepdims=True)
    weights, needed = np.ones(nearest.shape), min(NEIGHBOURS, references.shape[0] - 1)
    for width in WIDTH * 2.0 ** np.arange(DOUBLINGS):
        few = (weights**2).sum(axis=1) * needed > 1.001
        wider = np.exp(-nearest[few] / (2 * width**2))
        weights[few] = wider / wider.sum(axis=1, keepdims=True)
    return weights
