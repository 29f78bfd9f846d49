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
from lab.tokenizer import NEUTRAL

# Standard deviation of a blur, as a share of each side.
BLUR = 1 / 8
# Width of the kernel of nearness (Aas, Jullum, Loland 2021).
WIDTH = 0.1
# Where the kernel holds fewer references than these, it is doubled, at most so often.
NEIGHBOURS, DOUBLINGS = 8, 12
# Halvings of a side whose length is not known before it runs.
MOST_HALVINGS = 12
# Below this share of the largest variance, columns that go together say the same.
SAME = 1e-5


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
            f"A baseline is a number, an array, or one of the names {', '.join(map(repr, STATIC))}. Methods that take parts away also know 'inpaint' and 'conditional', and texts 'mask'. Received: {name!r}."
        )
    kinds = {kind_of(leaf) for leaf in tf.nest.flatten(arrays)}
    if not all(kind.has_neighbours for kind in kinds):
        raise Refused(
            f"baseline={name!r} is for images, volumes and series. Received: {', '.join(sorted(kind.name for kind in kinds))}. Give a number or an array."
        )
    return tf.nest.map_structure(
        lambda leaf: np.broadcast_to(STATIC[name](leaf), leaf.shape).astype(leaf.dtype), arrays
    )


def refuse_name(network, arrays, options):
    """Raise Refused for a baseline by name beside others, and of inputs of which something is masked.

    Args:
        network: a `Network`.
        arrays: inputs that it takes.
        options: dict of a method's options.
    """
    name = options.get("baseline")
    if not isinstance(name, str) or name == NEUTRAL:
        return
    if options.get("baselines") is not None:
        raise Refused(
            f"A baseline by name stands alone. Received: baseline={name!r} and baselines=. Leave one of them out."
        )
    kept = network.kept_mask(arrays)
    if kept is not None and any(leaf.any() for leaf in tf.nest.flatten(kept)):
        raise Refused(
            f"baseline={name!r} is made of whole inputs. Received: inputs of which {network.name} masks a part. Give a number or an array."
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

    Values are averaged over squares of two, four, eight and more to the side, until every hole has some. The holes get those of the
    smallest squares that have any, without steps between them.

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
    for _ in range(_halvings(leaf.shape[1:3])):
        levels.append(_pull(*levels[-1]))
    filled = levels[-1][0]
    for values, weight in reversed(levels[:-1]):
        filled = values + (1 - weight) * _push(filled, tf.shape(values)[1:3])
    is_left = tf.reduce_any(mask, axis=(1, 2))[:, None, None, None]
    return tf.where(mask[..., None], leaf, tf.where(is_left, filled, tf.cast(other, leaf.dtype)))


def _halvings(sides):
    """How often the longest side is halved until it is one: int."""
    return MOST_HALVINGS if None in sides else max(int(side) - 1 for side in sides).bit_length()


def _pull(values, weight):
    """Values times their weights, and weights, of squares of four; a square that knows one of four knows enough."""
    sums, weights = (4 * tf.nn.avg_pool2d(tensor, 2, 2, "SAME") for tensor in (values, weight))
    share = tf.minimum(weights, 1.0)
    return tf.math.divide_no_nan(sums, weights) * share, share


def _push(values, sides):
    """Values of squares on a grid of twice their number to the side; an odd side has half a square at its end."""
    twice = tf.cast(tf.image.resize(values, 2 * tf.shape(values)[1:3], "bilinear"), values.dtype)
    return twice[:, : sides[0], : sides[1]]


def nearness(rows, references, there):
    """How much each reference counts for each row of which some columns are known (Aas, Jullum, Loland 2021, https://arxiv.org/abs/1903.10464).

    Weights fall with the squared Mahalanobis distance in these columns, divided by its degrees of freedom, in a kernel so wide that
    it holds some references. Where the row itself is a reference, it does not count. Where no column is known, all count alike.

    Args:
        rows: float [batch, columns].
        references: float [references, columns].
        there: bool [columns], which columns are known.

    Returns:
        float64 [batch, references], rows of which add up to 1.
    """
    if not there.any():
        return np.full((len(rows), len(references)), 1 / len(references))
    differences = rows[:, None].astype("float64") - references[None].astype("float64")
    distances = _mahalanobis(differences[..., there], references[:, there].astype("float64"))
    if len(references) > 1:
        # One copy of the row is the row itself; others are rows like it.
        same = ~differences.any(axis=2)
        itself = np.flatnonzero(same.any(axis=1))
        distances[itself, same[itself].argmax(axis=1)] = np.inf
    nearest = distances - distances.min(axis=1, keepdims=True)
    weights, needed = np.ones(nearest.shape), min(NEIGHBOURS, len(references) - 1)
    for width in WIDTH * 2.0 ** np.arange(DOUBLINGS):
        few = (weights**2).sum(axis=1) * needed > 1.001
        wider = np.exp(-nearest[few] / (2 * width**2))
        weights[few] = wider / wider.sum(axis=1, keepdims=True)
    return weights


def _mahalanobis(differences, references):
    """Squared distances in units of the deviations of columns, divided by how many directions the columns have: float64 [batch, references]."""
    deviations = references.std(axis=0)
    scales = np.where(deviations > 0, deviations, 1.0)
    correlation = np.atleast_2d(np.cov(references / scales, rowvar=False, bias=True))
    inverse = np.linalg.pinv(correlation, rcond=SAME, hermitian=True)
    rank = max(1, np.linalg.matrix_rank(correlation, tol=SAME * max(1e-300, np.abs(correlation).max()), hermitian=True))
    scaled = differences / scales
    return np.einsum("brc,cd,brd->br", scaled, inverse, scaled) / rank
