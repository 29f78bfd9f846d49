"""Agreement: how alike the maps of different methods are, beside what mirrored and turned maps reach."""

import functools
import sys
from dataclasses import dataclass

import numpy as np
from scipy import stats
from skimage.transform import resize_local_mean

from lab.kinds import IMAGE, TABLE
from lab.maps import pooled
from sanity.bound_explainer import pooled_maps
from sanity.similarity import measures

# Maps of different resolutions are compared on a grid as fine as the coarsest map. It has at most this many cells along a side.
FINEST = 14
# Other orders of a table's columns, or of tokens, by which the null is drawn.
ORDERS = 99


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


@dataclass(frozen=True)
class Totals:
    """What some of the images add to the agreement of methods. Those of the same methods and grid can be added.

    Args:
        methods: list of str.
        side: int, cells along a side of the grid.
        counts: int [methods, methods], images whose two maps can be compared.
        rank: float [methods, methods], sum of their rank correlations.
        turned: float [methods, methods, draws], the same sum when the second maps are mirrored or turned at random.
    """

    methods: list
    side: int
    counts: np.ndarray
    rank: np.ndarray
    turned: np.ndarray

    def __add__(self, other):
        sums = (getattr(self, name) + getattr(other, name) for name in ("counts", "rank", "turned"))
        return Totals(self.methods, self.side, *sums)

    def agreement(self):
        """The agreement of the methods over these images: `Agreement`."""
        images = np.where(self.counts, self.counts, np.nan)
        # The observed way is one of the eight, so that chance exceeds it at most one time in twenty.
        null = np.percentile(self.turned / images[..., None], 95, axis=-1, method="higher")
        return Agreement(self.methods, self.rank / images, null, self.side)


def agreement(maps, *, seed, draws=500, kind=IMAGE, kept=None):
    """Compare every method with every other.

    Magnitudes are averaged over the cells of a grid that no map is coarser than. A mirrored or turned map keeps its
    smoothness, its edges and its centre bias. So what it reaches is what agreement without a common place is worth.

    Args:
        maps: dict of method to maps [images, rows, columns] or [images, rows, columns, channels]; of series [samples, steps] or
            [samples, steps, channels], of tables and tokens [samples, positions].
        seed: int.
        draws: int, random turns.
        kind: `lab.kinds.Kind` of the inputs. Steps of a series are shifted and reversed in the place of turns, columns and
            tokens are permuted; the columns of a table in one order for all rows, since they are the same in each.
        kept: bool [samples, positions], the tokens that count, without padding; None: all positions.

    Returns:
        `Agreement`.
    """
    return totals(maps, seed=seed, draws=draws, kind=kind, kept=kept).agreement()


def totals(maps, *, seed, draws=500, kind=IMAGE, kept=None):
    """What some images add to the agreement of methods.

    Args:
        maps: as of `agreement`.
        seed: int or list of int, another one for each part of the images.
        draws: int, random turns.
        kind: as of `agreement`.
        kept: as of `agreement`.

    Returns:
        `Totals`.
    """
    flat = {name: _magnitudes(method_maps, kind) for name, method_maps in maps.items()}
    finest = FINEST if kind.has_neighbours else sys.maxsize
    side = min([finest, *(min(magnitudes.shape[1:]) for magnitudes in flat.values())])
    if kept is not None:
        flat = {name: [row[of_row] for row, of_row in zip(rows, kept)] for name, rows in flat.items()}
    side_of_cells = side if kind.has_neighbours else None
    ranks = {name: [_ranks(pooled_map, side_of_cells) for pooled_map in rows] for name, rows in flat.items()}
    ways = _WAYS.get(kind.name, _permutations)
    names, rng = list(ranks), np.random.default_rng(seed)
    counts, rank = np.zeros((len(names), len(names)), int), np.zeros((len(names), len(names)))
    turned = np.zeros((len(names), len(names), draws))
    for row in range(len(names)):
        for column in range(row + 1):
            correlations = _turned_correlations(ranks[names[row]], ranks[names[column]], ways)
            for place in ((row, column), (column, row)):
                counts[place], rank[place] = len(correlations), correlations[:, 0].sum()
            turned[row, column] = turned[column, row] = _turned_sums(correlations, draws, rng, kind is TABLE)
    return Totals(names, side, counts, rank, turned)


def between_seeds(maps, again):
    """Agreement of a method with itself under another seed: mean rank correlation of magnitudes over images.

    Args:
        maps: arrays, as a method gives them.
        again: the same under another seed.

    Returns:
        float, nan where no map is usable.
    """
    correlations = seed_correlations(maps, again)
    return float(np.mean(correlations)) if correlations else float("nan")


def seed_correlations(maps, again):
    """Rank correlation of the magnitudes of each image's two maps, under two seeds.

    Args:
        maps: arrays, as a method gives them.
        again: the same under another seed.

    Returns:
        list of float, without images whose maps are not usable.
    """
    measure = measures.get("joint_abs_spearman")
    return [measure(*pair) for pair in zip(pooled_maps(maps), pooled_maps(again)) if None not in pair]


def _magnitudes(maps, kind):
    """Absolute maps over positions, channels pooled by L2: [samples, positions]."""
    if kind is IMAGE:
        return np.abs(pooled(maps, "l2"))
    values = maps.astype("float64")
    return np.sqrt((values**2).sum(axis=-1)) if kind.has_channels and maps.ndim > 2 else np.abs(values)


def _ranks(pooled_map, side):
    """Ranks on the grid, or of the positions themselves; centred and of unit length; None where a rank correlation would say nothing."""
    if not np.isfinite(pooled_map).all():
        return None
    cells = pooled_map.astype("float64")
    cells = cells if side is None else resize_local_mean(cells, (side,) * pooled_map.ndim)
    ranks = stats.rankdata(cells).reshape(cells.shape) - (cells.size + 1) / 2
    size = np.linalg.norm(ranks)
    return None if size == 0 else ranks / size


def _turns(sheet):
    """The eight ways to lay a square, the first as it is: list of arrays."""
    return [np.rot90(side, turns) for side in (sheet, sheet.T) for turns in range(4)]


def _shifts(steps):
    """A series as it is, shifted by quarters, and reversed: list of arrays."""
    return [np.roll(row, round(quarter * len(row) / 4)) for row in (steps, steps[::-1]) for quarter in range(4)]


def _permutations(values):
    """Positions without neighbours as they are, and in the other orders that are tried: array [1 + ORDERS, positions]."""
    return values[_orders(len(values))]


@functools.lru_cache(maxsize=4)
def _orders(count):
    """The order as it is, and those that are tried in its place: int [1 + ORDERS, count]."""
    rng = np.random.default_rng(count)
    return np.array([np.arange(count), *(rng.permutation(count) for _ in range(ORDERS))])


_WAYS = {"image": _turns, "series": _shifts}


def _turned_correlations(first, second, ways):
    """Rank correlation of each sample's two maps, the second as it is and in all other ways to lay it: float [samples, ways]."""
    pairs = [(a, b) for a, b in zip(first, second) if a is not None and b is not None]
    correlations = [[np.sum(a * way) for way in ways(b)] for a, b in pairs]
    return np.array(correlations) if correlations else np.zeros((0, 1))


def _turned_sums(correlations, draws, rng, one_way):
    """The sums over images when each one's way is drawn, or one for all of them: float [draws]."""
    if not len(correlations):
        return np.zeros(draws)
    size = (draws, 1) if one_way else (draws, len(correlations))
    ways = np.broadcast_to(rng.integers(0, correlations.shape[1], size), (draws, len(correlations)))
    return correlations[np.arange(len(correlations)), ways].sum(axis=1)
