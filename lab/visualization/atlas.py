"""Atlas: groups of neurons, grids over one image, and maps of many images, each drawn by its direction."""

from dataclasses import dataclass

import numpy as np

from lab import routines
from lab.objectives import direction
from lab.refusal import Refused
from lab.registry import Registry
from lab.visualization.maximize import maximize

# Layouts of vectors on a plane: `(vectors [n, channels], *, seed) -> float [n, 2]`.
layouts = Registry("layout")


@dataclass(frozen=True)
class Groups:
    """Neuron groups of a layer.

    Args:
        directions: float32 [groups, channels].
        shares: float32 [images, *positions, groups], how active each group is at each position.
    """

    directions: np.ndarray
    shares: np.ndarray


@dataclass(frozen=True)
class Atlas:
    """A map of activations, averaged in cells.

    Args:
        cells: int [n, 2], (row, column).
        counts: int [n].
        vectors: float32 [n, channels], mean activations.
        places: float32 [samples, 2] in 0..1, the place of every vector.
        images: int [samples], the image of every vector.
    """

    cells: np.ndarray
    counts: np.ndarray
    vectors: np.ndarray
    places: np.ndarray
    images: np.ndarray


def groups(network, inputs, layer, count=6, *, seed):
    """Groups of neurons that are active together, as factors of a layer's positive activations -> `Groups`.

    Non-negative matrix factorization over all positions of all inputs (Olah et al. 2018,
    https://distill.pub/2018/building-blocks).

    Args:
        network: a `Network`.
        inputs: what the model takes.
        layer: the address of a layer.
        count: how many groups.
        seed: a whole number.

    Returns:
        `Groups`.

    Raises:
        Refused: where no activation is above zero, and for more groups than the layer can have.
    """
    from sklearn.decomposition import NMF

    values = np.maximum(routines.activations(network, inputs, layer), 0.0)
    flat = values.reshape(-1, values.shape[-1])
    if not flat.any():
        raise Refused(f"Groups need activations above zero. Received: none at {layer!r}.")
    most = min(flat.shape)
    if not 1 <= count <= most:
        raise Refused(f"Groups number between 1 and {most} at {layer!r}. Received: {count}.")
    model = NMF(count, init="nndsvda", max_iter=1000, tol=1e-4, random_state=seed)
    shares = model.fit_transform(flat.astype("float64")).astype("float32")
    return Groups(model.components_.astype("float32"), shares.reshape(*values.shape[:-1], count))


def dictionary(network, inputs, layer, count=4):
    """The strongest channels at every position of one input: a semantic dictionary (Olah et al. 2018).

    Args:
        network: a `Network`.
        inputs: what the model takes; the first sample is used.
        layer: the address of a layer.
        count: how many channels a position.

    Returns:
        channels int [rows, columns, count], and shares of the largest activation, float32 of the same shape.
    """
    activation = routines.activations(network, inputs, layer)[0]
    order = np.argsort(-activation, axis=-1, kind="stable")[..., :count]
    values = np.take_along_axis(activation, order, axis=-1)
    return order, (values / max(float(activation.max()), 1e-12)).astype("float32")


def grid(network, inputs, layer, *, seed, **options):
    """A picture of the activation at each position of a layer, for one input.

    Args:
        network: a `Network`.
        inputs: what the model takes; the first sample is used.
        layer: the address of a layer with rows and columns.
        seed: a whole number.
        options: of `maximize`, which climbs each position's own direction.

    Returns:
        float32 [rows, columns, *picture] in 0..1.

    Raises:
        Refused: for a layer without rows and columns.
    """
    activation = routines.activations(network, inputs, layer)[0]
    if activation.ndim != 3:
        raise Refused(f"A grid needs a layer with rows and columns. Received: {layer!r} of {activation.shape}.")
    drawn = draw_vectors(network, activation.reshape(-1, activation.shape[-1]), layer, seed=seed, **options)
    return drawn.images.reshape(*activation.shape[:2], *drawn.images.shape[1:])


def atlas(network, data, layer, *, seed, layout="tsne", side=12, fewest=2, batch=64, fit="crop"):
    """An activation atlas of many images -> `Atlas` (Carter et al. 2019, https://distill.pub/2019/activation-atlas).

    One random position of each image is laid out on a plane, and the activations are averaged in cells.

    Args:
        network: a `Network`.
        data: `lab.Data` of at least 8 images.
        layer: the address of a layer.
        seed: a whole number.
        layout: a name of `lab.visualization.atlas.layouts`, or a function.
        side: cells along each axis.
        fewest: vectors that a cell needs.
        batch: images at a time.
        fit: "squash" or "crop", as of `Network.preprocess`.

    Returns:
        `Atlas`; cells with fewer than `fewest` vectors are left out.

    Raises:
        Refused: for fewer images.
    """
    vectors = _sample_activations(network, data, layer, batch, fit, np.random.default_rng(seed))
    if len(vectors) < 8:
        raise Refused(f"An atlas needs at least 8 images. Received: {len(vectors)}.")
    places = layouts.get(layout)(vectors, seed=seed)
    low, high = np.percentile(places, 1, axis=0), np.percentile(places, 99, axis=0)
    places = np.clip((places - low) / np.maximum(high - low, 1e-12), 0, 1)
    cell = np.minimum((places * side).astype(int), side - 1)
    cells, member, counts = np.unique(cell, axis=0, return_inverse=True, return_counts=True)
    kept = np.flatnonzero(counts >= fewest)
    means = np.stack([vectors[member.ravel() == index].mean(axis=0) for index in kept]) if len(kept) else vectors[:0]
    return Atlas(cells[kept][:, ::-1], counts[kept], means, places.astype("float32"), np.arange(len(vectors)))


def draw_vectors(network, vectors, layer, *, seed, **options):
    """A picture for each vector [n, channels] of a layer -> `lab.Pictures`.

    Args:
        network: a `Network`.
        vectors: [n, channels].
        layer: the address of a layer.
        seed: a whole number.
        options: of `maximize`.

    Returns:
        `lab.Pictures`, one picture a vector.
    """
    return maximize(network, direction(layer, vectors, power=2.0), seed=seed, **options)


@layouts.register
def tsne(vectors, *, seed):
    """t-SNE (van der Maaten, Hinton 2008), by scikit-learn.

    Args:
        vectors: float [n, channels].
        seed: a whole number.

    Returns:
        float32 [n, 2].
    """
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(vectors) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(vectors)


@layouts.register
def umap(vectors, *, seed):
    """UMAP (McInnes, Healy, Melville 2018, https://arxiv.org/abs/1802.03426), by umap-learn: the extra `umap`.

    Args:
        vectors: float [n, channels].
        seed: a whole number.

    Returns:
        float32 [n, 2].

    Raises:
        Refused: where umap-learn is not installed.
    """
    try:
        from umap import UMAP
    except ImportError as error:
        raise Refused(
            "The layout umap needs the extra `umap`: pip install '.[umap]'. Received: it is not installed."
        ) from error
    return UMAP(n_components=2, random_state=seed, n_jobs=1).fit_transform(vectors)


def _sample_activations(network, data, layer, batch, fit, rng):
    """One activation vector of each image, from a random position: float32 [images, channels]."""
    rows = []
    for start in range(0, len(data), batch):
        values = routines.activations(network, network.preprocess(data.images[start : start + batch], fit=fit), layer)
        flat = values.reshape(len(values), -1, values.shape[-1])
        rows.append(flat[np.arange(len(flat)), rng.integers(0, flat.shape[1], len(flat))])
    return np.concatenate(rows)
