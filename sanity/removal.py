"""Removal: positions of the inputs are filled, and the score is measured again. What fills them is declared by name.

No baseline is neutral: what fills a hole can be evidence itself. So every result is reported for several fills.
"""

import numpy as np
from scipy import sparse, stats
from scipy.sparse.linalg import spsolve

from lab import routines
from lab.fills import blurred, sample_mean
from lab.kinds import IMAGE, TOKENS, kind_of
from lab.refusal import Refused
from lab.registry import Registry

fills = Registry("fill")


@fills.register
def mean(inputs, removed, rng):
    """Each sample's own mean, by channel; in a table, the mean of the column over the samples.

    Args:
        inputs: float [samples, ...].
        removed: bool [samples, ...] over the positions, where values are replaced.
        rng: `numpy.random.Generator`.

    Returns:
        the inputs with other values at these positions, of the same shape.
    """
    del rng  # Nothing is drawn.
    _refuse_kind("mean", inputs, kind_of(inputs) is not TOKENS)
    return _replace(inputs, removed, sample_mean(inputs))


@fills.register
def blur(inputs, removed, rng):
    """The sample itself, blurred by an eighth of its side.

    Args:
        inputs: float [samples, ...].
        removed: bool [samples, ...] over the positions, where values are replaced.
        rng: `numpy.random.Generator`.

    Returns:
        the inputs with other values at these positions, of the same shape.
    """
    del rng  # Nothing is drawn.
    _refuse_kind("blur", inputs, kind_of(inputs).has_neighbours)
    return _replace(inputs, removed, blurred(inputs))


@fills.register
def typical(inputs, removed, rng):
    """The mean over all samples at the same place; in a table, the mean of the column.

    Ids of tokens have no mean. There it is the most frequent one.

    Args:
        inputs: float [samples, ...].
        removed: bool [samples, ...] over the positions, where values are replaced.
        rng: `numpy.random.Generator`.

    Returns:
        the inputs with other values at these positions, of the same shape.
    """
    del rng  # Nothing is drawn.
    if kind_of(inputs) is TOKENS:
        return _replace(inputs, removed, stats.mode(inputs, axis=0, keepdims=True).mode)
    return _replace(inputs, removed, inputs.mean(axis=0, keepdims=True))


@fills.register
def donor(inputs, removed, rng):
    """What another sample, drawn at random, has at the same place.

    Id 0 pads texts and is no word. In its place stands a word of a text that has one there.

    Args:
        inputs: float [samples, ...].
        removed: bool [samples, ...] over the positions, where values are replaced.
        rng: `numpy.random.Generator`.

    Returns:
        the inputs with other values at these positions, of the same shape.
    """
    if kind_of(inputs) is TOKENS:
        return _replace(inputs, removed, _word_donors(inputs, rng))
    steps = rng.integers(1, max(2, len(inputs)), len(inputs))
    return _replace(inputs, removed, inputs[(np.arange(len(inputs)) + steps) % len(inputs)])


@fills.register
def pad(inputs, removed, rng):
    """Zero, which is the id that pads token ids.

    Args:
        inputs: float or int [samples, ...].
        removed: bool [samples, ...] over the positions, where values are replaced.
        rng: `numpy.random.Generator`.

    Returns:
        the inputs with other values at these positions, of the same shape.
    """
    del rng  # Nothing is drawn.
    return _replace(inputs, removed, np.zeros_like(inputs))


@fills.register
def flip(inputs, removed, rng):
    """The opposite value in the sample's own range, or in a table in the column's (pixel flipping: Bach et al. 2015, https://doi.org/10.1371/journal.pone.0130140).

    Args:
        inputs: float [samples, ...].
        removed: bool [samples, ...] over the positions, where values are replaced.
        rng: `numpy.random.Generator`.

    Returns:
        the inputs with other values at these positions, of the same shape.
    """
    del rng  # Nothing is drawn.
    _refuse_kind("flip", inputs, kind_of(inputs) is not TOKENS)
    axes = kind_of(inputs).value_axes(inputs)
    return _replace(inputs, removed, inputs.max(axes, keepdims=True) + inputs.min(axes, keepdims=True) - inputs)


@fills.register
def uniform(inputs, removed, rng):
    """Uniform noise in the sample's own range, or in a table in the column's (region perturbation: Samek et al. 2017, https://arxiv.org/abs/1509.06321).

    Args:
        inputs: float [samples, ...].
        removed: bool [samples, ...] over the positions, where values are replaced.
        rng: `numpy.random.Generator`.

    Returns:
        the inputs with other values at these positions, of the same shape.
    """
    _refuse_kind("uniform", inputs, kind_of(inputs) is not TOKENS)
    axes = kind_of(inputs).value_axes(inputs)
    low, high = inputs.min(axes, keepdims=True), inputs.max(axes, keepdims=True)
    return _replace(inputs, removed, low + (high - low) * rng.random(inputs.shape))


@fills.register
def linear(inputs, removed, rng, noise=0.01):
    """Noisy linear imputation: each hole the weighted mean of its eight neighbours (ROAD: Rong et al. 2022, https://arxiv.org/abs/2202.00449).

    Args:
        inputs: float [samples, ...].
        removed: bool [samples, ...] over the positions, where values are replaced.
        rng: `numpy.random.Generator`.
        noise: float, as a share of each sample's deviation.

    Returns:
        the inputs with other values at these positions, of the same shape.

    Raises:
        Refused: for inputs that are not images.
    """
    _refuse_kind("linear", inputs, kind_of(inputs) is IMAGE)
    filled = np.stack([_impute(image, hole) for image, hole in zip(inputs, removed)])
    spread = inputs.std(axis=tuple(range(1, inputs.ndim)), keepdims=True)
    return _replace(inputs, removed, filled + noise * spread * rng.standard_normal(inputs.shape))


def scores(subject, removed, fill, rng):
    """The objective's score of each sample without some positions.

    Args:
        subject: the `Subject`.
        removed: bool [samples, ...], the positions.
        fill: str, a name of `fills`.
        rng: `np.random.Generator`, for fills that draw.

    Returns:
        float64 [samples].
    """
    return routines.scores(subject.network, fill_positions(subject, removed, fill, rng), subject.objective).astype(
        "float64"
    )


def fill_positions(subject, removed, fill, rng):
    """The subject's inputs with some positions filled. What the network masks stays as it is.

    Args:
        subject: the `Subject`.
        removed: bool [samples, ...], or one for all samples.
        fill: str, a name of `fills`.
        rng: `np.random.Generator`, for fills that draw.

    Returns:
        array of the inputs' shape and dtype.
    """
    return subject.network.keep(
        subject.inputs, fills.get(fill)(subject.inputs, removed, rng).astype(subject.inputs.dtype)
    )


def usual_fill(subject):
    """The first of the two fills that fit a subject's kind of inputs: str."""
    return kind_of(subject.inputs).fills[0]


def grid(shape, side=8):
    """The cell of every position, in a grid of at most `side` cells along each axis.

    Args:
        shape: tuple of int, the positions of one sample.
        side: int, cells along an axis at most.

    Returns:
        int of the shape, counted from 0.
    """
    cells = np.zeros(shape, int)
    for axis, size in enumerate(shape):
        most = min(side, size)
        along = most * np.arange(size) // size
        cells = cells * most + along.reshape([-1 if place == axis else 1 for place in range(len(shape))])
    return cells


def cell_masks(cells):
    """Where each cell of a grid lies: list of bool of its shape."""
    return [cells == cell for cell in range(cells.max() + 1)]


def original_scores(subject):
    """The objective's score of each unchanged sample: float64 [samples]."""
    return routines.scores(subject.network, subject.inputs, subject.objective).astype("float64")


def positions_shape(subject):
    """The shape of the positions of all samples, without channels: (samples, ...)."""
    return (len(subject.names), *extent(subject.inputs))


def extent(inputs):
    """The shape of the positions of one sample, without channels: tuple."""
    return kind_of(inputs).positions(inputs)


def orders(relevance, rng):
    """Positions of each sample from most to least relevant, ties in random order.

    Args:
        relevance: float [samples, ...].
        rng: `np.random.Generator`.

    Returns:
        int [samples, positions].
    """
    flat = relevance.reshape(len(relevance), -1)
    return np.lexsort((rng.random(flat.shape), -flat), axis=1)


def top_mask(order, share, shape):
    """Mask of the first share of each order.

    Args:
        order: int [samples, positions], as of `orders`.
        share: float, 0..1.
        shape: the shape of the mask, (samples, ...).

    Returns:
        bool of that shape.
    """
    count = int(round(share * order.shape[1]))
    mask = np.zeros(order.shape, bool)
    np.put_along_axis(mask, order[:, :count], True, axis=1)
    return mask.reshape(shape)


_FOR = {
    "linear": "images",
    "blur": "inputs whose positions have neighbours, such as images and series",
    "mean": "numbers, not for ids",
    "flip": "numbers, not for ids",
    "uniform": "numbers, not for ids",
}


def _refuse_kind(fill, inputs, fits):
    """Raise Refused for a fill that means nothing for this kind of inputs."""
    if not fits:
        kind = kind_of(inputs)
        raise Refused(
            f"The fill {fill!r} is for {_FOR[fill]}. Received: {kind.name} of shape {inputs.shape}. Use {' or '.join(map(repr, kind.fills))}."
        )


def _replace(inputs, removed, other):
    return np.where(kind_of(inputs).over_features(removed), other, inputs)


def _word_donors(ids, rng):
    """For every place of a text a word of another text there; where no other one has a word, any word of other texts."""
    donors = ids.copy()
    for row in range(len(ids)):
        others = np.delete(ids, row, axis=0)
        words = others[others != 0]
        for place, column in enumerate(others.T) if len(words) else ():
            donors[row, place] = rng.choice(column[column != 0] if column.any() else words)
    return donors


_NEIGHBOURS = [(-1, 0, 1 / 6), (1, 0, 1 / 6), (0, -1, 1 / 6), (0, 1, 1 / 6)]
_NEIGHBOURS += [(-1, -1, 1 / 12), (-1, 1, 1 / 12), (1, -1, 1 / 12), (1, 1, 1 / 12)]


def _impute(image, hole):
    """The holes of an image [rows, columns, channels], each the weighted mean of its neighbours, by a linear system."""
    if not hole.any():
        return image
    numbers = np.full(hole.shape, -1)
    numbers[hole] = np.arange(hole.sum())
    rows, columns = np.nonzero(hole)
    total = np.zeros(len(rows))
    places, others, weights = [], [], []
    known = np.zeros((len(rows), image.shape[-1]))
    for down, right, weight in _NEIGHBOURS:
        row, column = rows + down, columns + right
        inside = (row >= 0) & (row < hole.shape[0]) & (column >= 0) & (column < hole.shape[1])
        total += weight * inside
        at, row, column = np.flatnonzero(inside), row[inside], column[inside]
        unknown = hole[row, column]
        places.append(at[unknown])
        others.append(numbers[row[unknown], column[unknown]])
        weights.append(np.full(unknown.sum(), weight))
        np.add.at(known, at[~unknown], weight * image[row[~unknown], column[~unknown]])
    matrix = sparse.coo_matrix(
        (-np.concatenate(weights), (np.concatenate(places), np.concatenate(others))), (len(rows),) * 2
    )
    # A small diagonal, so that an image without any known pixel has a solution.
    solved = spsolve((matrix + sparse.diags(total + 1e-6)).tocsc(), known)
    filled = image.astype("float64").copy()
    filled[hole] = solved.reshape(len(rows), -1)
    return filled
