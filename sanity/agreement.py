"""Agreement: how alike the maps of different methods are, beside what the same maps would reach if they were turned."""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from skimage.transform import resize_local_mean

from lab.maps import pooled
from sanity.bound_explainer import pooled_maps
from sanity.similarity import measures

# Cells along a side of the grid on which maps of different resolutions meet: as fine as the coarsest map, and no finer than this.
FINEST = 14


@dataclass(frozen=True)
class Agreement:
    """methods: list of str. rank: mean rank correlation over images, float [methods, methods]. null: the 95th percentile of that
    mean when the second map of each pair is mirrored or turned at random. side: cells along a side. nan where nothing can be compared.
    """

    methods: list
    rank: np.ndarray
    null: np.ndarray
    side: int


def agreement(named, *, seed, draws=500):
    """Every method with every other: dict of method to maps [images, rows, columns] or [images, rows, columns, channels] -> `Agreement`.

    Magnitudes are averaged over the cells of a grid that no map is coarser than. A map that is mirrored or turned by a quarter
    keeps its smoothness, its edges and its love of the middle, so what it reaches is what agreement without a common place is worth.
    """
    flat = {name: np.abs(pooled(maps, "l2")) for name, maps in named.items()}
    side = min([FINEST, *(min(each.shape[1:]) for each in flat.values())])
    ranks = {name: [_ranks(pooled_map, side) for pooled_map in each] for name, each in flat.items()}
    names, rng = list(ranks), np.random.default_rng(seed)
    rank, null = (np.full((len(names), len(names)), np.nan) for _ in range(2))
    for one in range(len(names)):
        for other in range(one + 1):
            found = _turned_correlations(ranks[names[one]], ranks[names[other]])
            rank[one, other] = rank[other, one] = found[:, 0].mean() if len(found) else np.nan
            null[one, other] = null[other, one] = _percentile(found, draws, rng)
    return Agreement(names, rank, null, side)


def between_seeds(maps, again):
    """Agreement of a method with itself under another draw: mean rank correlation over images of joint magnitudes, float; nan where unusable."""
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


def _percentile(found, draws, rng):
    """As it is counts among the eight ways, so that chance exceeds this at most one time in twenty; one image never can."""
    if not len(found):
        return np.nan
    chosen = rng.integers(0, found.shape[1], (draws, len(found)))
    means = found[np.arange(len(found)), chosen].mean(axis=1)
    return float(np.percentile(means, 95, method="higher"))
