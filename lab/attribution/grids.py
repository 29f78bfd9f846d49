"""Grids: images mixed with a reference by random coarse masks, and what the masks say about the score."""

import numpy as np
from scipy.stats import qmc

from lab.attribution import explainers
from lab.attribution.options import check_fraction, positive_integer, whole_seed
from lab.attribution.references import as_references, fill_of
from lab.environment import tf
from lab.estimates import Estimate, errors_of_means, estimator
from lab.masking import enlarged_grids, grid_scores
from lab.refusal import Refused


@explainers.register(resolution="parts", needs="scores", cost=lambda network, options: options["samples"] / 3)
@estimator
def rise(network, inputs, objective, *, samples=1000, cells=7, share=0.5, centre=True, baseline=0.0, seed):
    """RISE, the mean of random smooth masks weighted by the score behind them (Petsiuk, Das, Saenko 2018, https://arxiv.org/abs/1806.07421).

    Args:
        inputs: images [batch, rows, columns, channels].
        samples: how many masks.
        cells: of a mask along each side, before it is enlarged and shifted.
        share: how much of the image a mask leaves on average.
        centre: whether the mean score is taken off. The paper explains probabilities, which are near zero behind most masks. A
            logit has no zero, and its mean times the chance of the masks would hide the rest.
        baseline: as of `exact_shapley`.
        seed: a whole number.

    Returns:
        signed float32 [batch, rows, columns], in units of the score.

    Raises:
        Refused: for inputs that are not images.
    """
    arrays, images, references = _images(network, inputs, baseline)
    samples = positive_integer("samples", samples)
    check_fraction("share", share)
    extent, cells = np.array(images.shape[1:3]), _cells(cells, images.shape[1:3])
    rng = np.random.default_rng(whole_seed(seed))
    grids = (rng.random((samples, cells + 1, cells + 1)) < share).astype("float32")
    shifts = rng.integers(0, -(-extent // cells), (samples, 2))
    scores = grid_scores(network, arrays, objective, grids, shifts, references).astype("float64")
    scores -= scores.mean(axis=1, keepdims=True) if centre else 0.0
    total, squares = np.zeros((2, len(images), *extent))
    # Few masks at a time stay in the processor's cache, and all of them together would not fit into the memory.
    for start in range(0, samples, 8):
        part = slice(start, start + 8)
        parts = (tf.constant(grids[part]), tf.constant(shifts[part], tf.int32), tf.constant(extent, tf.int32))
        masks = enlarged_grids(*parts).numpy().astype("float64")
        total += np.tensordot(scores[:, part], masks, axes=1)
        # A mean score that is taken off moves with the masks' own mean.
        squares += np.tensordot(scores[:, part] ** 2, (masks - (share if centre else 0.0)) ** 2, axes=1)
    means = total / (samples * share)
    errors = errors_of_means(np.maximum(squares / (samples * share**2) - means**2, 0), samples)
    largest = errors.reshape(len(errors), -1).max(axis=1)
    drawn = Estimate(means.astype("float32"), errors.astype("float32"), np.full(len(images), samples), largest)
    return drawn.convert(lambda maps: _pack(arrays, maps))


@explainers.register(
    resolution="parts",
    needs="scores",
    cost=lambda network, options: options["designs"] * (options["cells"] ** 2 + 2) / 3,
)
def sobol(network, inputs, objective, *, designs=16, cells=7, baseline=0.0, seed):
    """Sobol attribution, the share of the score's variance that a cell of the image takes part in (Fel, Cadene, Chalvidal, Cord, Vigouroux, Serre 2021, https://arxiv.org/abs/2111.04138).

    Total indices by Jansen's estimator, on a scrambled Sobol sequence.

    Args:
        inputs: images [batch, rows, columns, channels].
        designs: pairs of masks, a power of two; each takes two passes, and one for every cell.
        cells: along each side.
        baseline: as of `exact_shapley`.
        seed: a whole number.

    Returns:
        float32 [batch, rows, columns] of 0 or more, without a sign.

    Raises:
        Refused: for inputs that are not images, and for another number of designs.
    """
    arrays, images, references = _images(network, inputs, baseline)
    designs = positive_integer("designs", designs)
    if designs & (designs - 1):
        raise Refused(f"designs is a power of two, such as 16, which a Sobol sequence needs. Received: {designs!r}.")
    cells = _cells(cells, images.shape[1:3])
    if 2 * cells**2 > qmc.Sobol.MAXDIM:
        raise Refused(
            f"cells are at most 102, since a Sobol sequence has {qmc.Sobol.MAXDIM} dimensions. Received: {cells}."
        )
    count = cells**2
    masks = jansen_design(designs, count, whole_seed(seed))
    scores = grid_scores(network, arrays, objective, masks.reshape(-1, cells, cells), None, references)
    indices = jansen_indices(scores.astype("float64"), designs, count)
    return _pack(arrays, _enlarge(indices, cells, images.shape[1:3]))


def jansen_design(designs, count, seed):
    """Points A, points B, and for each coordinate A with that coordinate of B, on a scrambled Sobol sequence.

    Args:
        designs: int, pairs of points.
        count: int, coordinates.
        seed: int, of the scrambling.

    Returns:
        float32 [designs * (2 + count), count] in 0..1.
    """
    points = qmc.Sobol(2 * count, scramble=True, rng=np.random.default_rng(seed)).random(designs).astype("float32")
    first, second = points[:, :count], points[:, count:]
    mixed = np.repeat(first[None], count, axis=0)
    mixed[np.arange(count), :, np.arange(count)] = second.T
    return np.concatenate([first, second, mixed.reshape(-1, count)])


def jansen_indices(scores, designs, count):
    """Total indices from the scores of a design of Jansen (Jansen 1999, https://doi.org/10.1016/S0010-4655(98)00154-4).

    Args:
        scores: float64 [samples, designs * (2 + count)].
        designs: int.
        count: int, coordinates.

    Returns:
        float64 [samples, count]; 0 where the score does not vary.
    """
    first, mixed = scores[:, :designs], scores[:, 2 * designs :].reshape(len(scores), count, designs)
    variance = scores[:, : 2 * designs].var(axis=1, keepdims=True)
    differences = ((mixed - first[:, None]) ** 2).mean(axis=2) / 2
    return np.divide(differences, variance, out=np.zeros_like(differences), where=variance > 0)


@explainers.register(resolution="parts", needs="scores", cost=lambda network, options: options["samples"] / 3)
def hsic(network, inputs, objective, *, samples=500, cells=7, share=0.5, baseline=0.0, seed):
    """HSIC attribution, how far the score depends on whether a cell of the image is there (Novello, Fel, Vigouroux 2022, https://arxiv.org/abs/2206.06219).

    The kernel of the score is Gaussian, with the median distance as its width; that of the masks says whether they are equal.

    Args:
        inputs: images [batch, rows, columns, channels].
        samples: how many masks.
        cells: along each side.
        share: with which probability a cell is there.
        baseline: as of `exact_shapley`.
        seed: a whole number.

    Returns:
        float32 [batch, rows, columns] of 0 or more, without a sign.

    Raises:
        Refused: for inputs that are not images.
    """
    arrays, images, references = _images(network, inputs, baseline)
    check_fraction("share", share)
    samples = positive_integer("samples", samples)
    if samples < 2:
        raise Refused(f"samples are two or more, since a dependence is measured between them. Received: {samples}.")
    cells = _cells(cells, images.shape[1:3])
    rng = np.random.default_rng(whole_seed(seed))
    masks = rng.random((samples, cells**2)) < share
    scores = grid_scores(network, arrays, objective, masks.reshape(-1, cells, cells), None, references)
    values = np.stack([dependence(masks, row) for row in scores.astype("float64")])
    return _pack(arrays, _enlarge(values, cells, images.shape[1:3]))


def dependence(masks, scores):
    """The Hilbert-Schmidt independence criterion of each cell and a score (Gretton et al. 2005, https://doi.org/10.1007/11564089_7).

    Args:
        masks: bool [samples, cells].
        scores: float64 [samples].

    Returns:
        float64 [cells] of 0 or more.
    """
    distances = np.abs(scores[:, None] - scores[None])
    width = np.median(distances[distances > 0]) if (distances > 0).any() else 1.0
    kernel = np.exp(-(distances**2) / (2 * width**2))
    centred = kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, None] + kernel.mean()
    signs = np.where(masks, 0.5, -0.5)
    # Equal or not is a kernel of rank one beside a constant, which centring takes away.
    return 2 * np.einsum("ic,ij,jc->c", signs, centred, signs, optimize=True) / (len(scores) - 1) ** 2


def _images(network, inputs, baseline):
    """Inputs as the network takes them, the one of images, and what stands in the place of what is taken away."""
    arrays = network.inputs(inputs)
    leaves = tf.nest.flatten(arrays)
    if len(leaves) != 1 or leaves[0].ndim != 4 or leaves[0].dtype.kind != "f":
        raise Refused(
            f"Grids lie over one input of images, [batch, rows, columns, channels]. Received: {tf.nest.map_structure(np.shape, arrays)}. Use occlusion, or feature_ablation for several inputs."
        )
    if fill_of(arrays, baseline) != "values":
        raise Refused(
            f"A grid mixes images with a baseline, which no hole decides. Received: baseline={baseline!r}. Give 'mean', 'blur', a number or an array."
        )
    return arrays, leaves[0], as_references(network, arrays, baseline)


def _pack(arrays, maps):
    """Maps of images without channels; in the structure and shape of the inputs where these have a name."""
    if isinstance(arrays, np.ndarray):
        return maps
    (leaf,) = tf.nest.flatten(arrays)
    whole = np.broadcast_to(maps[..., None] / leaf.shape[-1], leaf.shape).astype("float32")
    return tf.nest.pack_sequence_as(arrays, [whole])


def _cells(cells, extent):
    """The number of cells along each side, checked."""
    positive_integer("cells", cells)
    if cells < 2 or cells > min(extent):
        raise Refused(f"cells are 2 or more, and at most the image's side, {min(extent)}. Received: {cells!r}.")
    return int(cells)


def _enlarge(values, cells, extent):
    """Values of cells as maps over images, in blocks: float32 [batch, rows, columns]."""
    grids = tf.constant(values.reshape(-1, cells, cells).astype("float32"))
    return enlarged_grids(grids, None, tf.constant(extent, tf.int32)).numpy()
