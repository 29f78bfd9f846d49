"""Agreement: how alike the maps of different methods are, beside what mirrored and turned maps reach."""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from skimage.transform import resize_local_mean

from lab.maps import pooled
from sanity.bound_explainer import pooled_maps
from sanity.similarity import measures

# Maps of different resolutions are compared on a grid as fine as the coarsest map. It has at most this many cells along a side.
FINEST = 14


@dataclass(frozen=True)
class Agreement:
    """How alike the maps of several methods are.

    Args:
        methods: list of str.
        rank: float [methods, methods], mean rank correlation over images; nan where nothing can be compared.
        null: float [methods, methods], 95th percentile of that mean when the second map is mirrored or turned at
            random.
        side: int, cells along a side of the grid.
    """

    methods: list
    rank: np.ndarray
    null: np.ndarray
    side: int


def agreement(maps, *, seed, draws=500):
    """Compare every method with every other.

    Magnitudes are averaged over the cells of a grid that no map is coarser than. A mirrored or turned map keeps its
    smoothness, its edges and its centre bias. So what it reaches is what agreement without a common place is worth.

    Args:
        maps: dict of method to maps [images, rows, columns] or [images, rows, columns, channels].
        seed: int.
        draws: int, random turns.

    Returns:
        `Agreement`.
    """
    flat = {name: np.abs(pooled(method_maps, "l2")) for name, method_maps in maps.items()}
    side = min([FINEST, *(min(magnitudes.shape[1:]) for magnitudes in flat.values())])
    ranks = {name: [_ranks(pooled_map, side) for pooled_map in magnitudes] for name, magnitudes in flat.items()}
    names, rng = list(ranks), np.random.default_rng(seed)
    rank, null = (np.full((len(names), len(names)), np.nan) for _ in range(2))
    for row in range(len(names)):
        for column in range(row + 1):
            correlations = _turned_correlations(ranks[names[row]], ranks[names[column]])
            rank[row, column] = rank[column, row] = correlations[:, 0].mean() if len(correlations) else np.nan
            null[row, column] = null[column, row] = _percentile(correlations, draws, rng)
    return Agreement(names, rank, null, side)


def between_seeds(maps, again):
    """Agreement of a method with itself under another seed: mean rank correlation of magnitudes over images.

    Args:
        maps: arrays, as a method gives them.
        again: the same under another seed.

    Returns:
        float, nan where no map is usable.
    """
    measure = measures.get("joint_abs_spearman")
    pairs = [pair for pair in zip(pooled_maps(maps), pooled_maps(again)) if None not in pair]
    return float(np.mean([measure(*pair) for pair in pairs])) if pairs else float("nan")


def _ranks(pooled_map, side):
    """Ranks on the grid, centred and of unit length; None where a rank correlation would say nothing."""
    if not np.isfinite(pooled_map).all():
        return None
    cells = resize_local_mean(pooled_map.astype("float64"), (side, side))
    ranks = stats.rankdata(cells).reshape(cells.shape) - (cells.size + 1) / 2
    size = np.linalg.norm(ranks)
    return None if size == 0 else ranks / size


def _turned_correlations(first, second):
    """Rank correlation of each image's two maps, the second as it is and in the seven other ways of a square: float [images, 8]."""
    pairs = [(a, b) for a, b in zip(first, second) if a is not None and b is not None]
    return np.array([[np.sum(a * np.rot90(side, turns)) for side in (b, b.T) for turns in range(4)] for a, b in pairs])


def _percentile(correlations, draws, rng):
    """The 95th percentile under random ways.

    The observed way is one of the eight, so that chance exceeds it at most one time in twenty.
    """
    if not len(correlations):
        return np.nan
    ways = rng.integers(0, correlations.shape[1], (draws, len(correlations)))
    means = correlations[np.arange(len(correlations)), ways].mean(axis=1)
    return float(np.percentile(means, 95, method="higher"))
