"""Eyes: ways to see whether two sets of rows differ, which share the same exchanges of units between the sets.

No eye sees all: the largest Kolmogorov-Smirnov distance of a column, the energy distance of all columns, a ridge classifier of the
set, and the largest difference of means among squares and pairwise products. Of pictures a fifth is the largest difference of means
among patches, since a new mark in a corner hardly moves a number of the whole picture. Each is computed again for every exchange,
the classifier is fitted again, so that no p rests on a formula.

A ridge classifier on 465 squares and products sees a correlation that one pair gains, from 0 to .8, in .73 of simulated audits of
500 and 300 rows. The largest difference among the same products sees it in nearly all (`sanity/CALIBRATION.md`).
"""

from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse, stats

from sanity.audit.encoding import CUT
from sanity.audit.permutation import capped_rows, draw_sides, unit_folds
from sanity.seeds import derive_seed

EYES = ("columns", "energy", "classifier", "products", "patches")
# Rows a side that the quadratic eye and the classifiers look at, drawn by unit.
ENERGY_ROWS, CLASSIFIER_ROWS = 2000, 10_000
# Columns whose products an eye sees, folds, and penalties as shares of the rows.
TOP, FOLDS, PENALTY, PENALTY_OF_PRODUCTS = 30, 5, 0.01, 0.3
# Draws that the scale of a column's distance is taken from, cells of exchanges at a time, and steps of a column of so many rows.
SCALING, CELLS, STEPS, MANY = 100, 8_000_000, 2000, 20_000
# Units of a side that a draw of rows keeps where there are as many, and sides for which solving is no dearer than an inverse.
KEPT_UNITS, FEW_SIDES = 100, 10
# Levels of 255 that count as no difference of a patch.
LEAST = 1e-3
# The part of the rows of a side that one unit may have, where rows are drawn.
LARGEST = 0.1
# Rows whose number float32 counts exactly, and that are counted at a time.
EXACT = 65_536
# Rows of a segment that a number of one byte counts.
MOST_COUNTED = 255


@dataclass(frozen=True)
class Sight:
    """What the eyes saw.

    Args:
        distances: float64 [1 + draws, columns], of each column in deviations of its null, the observed one first.
        statistics: float64 [1 + draws, eyes], the observed ones first, in the order of EYES; four where there are no patches.
        copies: float64 [copies, eyes], of other sides.
        copied: float64 [copies, columns], their distances.
        products: float64 [products], the observed differences in deviations of their null.
    """

    distances: np.ndarray
    statistics: np.ndarray
    copies: np.ndarray
    copied: np.ndarray
    products: np.ndarray


def subset_rows(units, is_current, limit, *, seed):
    """Rows of whole units, at most so many a side; of large units some rows, the same share of either side.

    Args:
        units: int [rows].
        is_current: bool [rows].
        limit: int, rows a side.
        seed: int.

    Returns:
        bool [rows], all true where a side has no more rows than the limit.
    """
    rng, is_current = np.random.default_rng(seed), np.asarray(is_current)
    if max((is_current).sum(), (~is_current).sum()) <= limit:
        return np.ones(len(units), bool)
    _, inverse, counts = np.unique(units, return_inverse=True, return_counts=True)
    kept = rng.random(len(units)) < min(1.0, limit / KEPT_UNITS / counts.mean())
    rank = rng.permutation(len(counts))
    # One very large unit would leave no room for the units after it.
    kept[kept] = capped_rows(units[kept], max(int(LARGEST * limit), 1), seed=derive_seed(seed, "capped"))
    for side in (~is_current, is_current):
        rows = np.flatnonzero(side & kept)
        if len(rows) > limit:
            rows = rows[np.argsort(rank[inverse[rows]], kind="stable")]
            last = rank[inverse[rows[limit]]]
            kept[rows[rank[inverse[rows]] >= last]] = False
    return kept


class Steps:
    """The Kolmogorov-Smirnov distance of one column for many sides, read at the last of equal values.

    Args:
        values: float64 [rows]; nan is left out.
    """

    def __init__(self, values):
        known = np.flatnonzero(np.isfinite(values))
        self.order = known[np.argsort(values[known], kind="stable")].astype("int32")
        ordered = values[self.order]
        last = np.flatnonzero(np.append(np.diff(ordered) > 0, True))
        if len(last) > STEPS and len(known) > MANY:
            last = np.unique(np.append(last[np.linspace(0, len(last) - 1, STEPS).astype(int)], last[-1]))
        self.last, self.cuts, self.rows = last, ordered[last], len(values)
        self._add_up = _segments(self.order, np.append(0, last + 1), len(values))

    def take(self, rows):
        """The same column of some rows, read at the same values.

        Args:
            rows: int [taken rows].

        Returns:
            `Steps` that only `shares` is asked of.
        """
        place = np.full(self.rows, -1, "int32")
        place[rows] = np.arange(len(rows))
        taken = place[self.order]
        fewer = copy(self)
        fewer.order, fewer.rows = taken[taken >= 0], len(rows)
        edges = np.append(0, np.cumsum(taken >= 0)[self.last])
        fewer._add_up = _segments(fewer.order, edges, len(rows))
        return fewer

    def gaps(self, sides):
        """The share of the current rows up to each value less that of the reference: float [steps, draws].

        Args:
            sides: uint8 [rows, draws], 1 for the current side.
        """
        current = self._add_up(sides).astype("float32" if len(self.order) < 2**24 else "float64")
        total = current[-1].copy()
        rest = len(self.order) - total
        scale = 1 / np.maximum(total, 1) + 1 / np.maximum(rest, 1)
        current *= scale
        current -= ((self.last + 1) / len(self.order))[:, None].astype(current.dtype) * (total * scale)
        return current

    def shares(self, sides):
        """The share of the rows of a side up to each value: float [steps, draws], 0 where there are none.

        Args:
            sides: uint8 [rows, draws].
        """
        counts = self._add_up(sides).astype("float64")
        return counts / np.maximum(counts[-1], 1)

    def distances(self, sides):
        """The largest gap: float64 [draws].

        Args:
            sides: uint8 [rows, draws].
        """
        gaps = self.gaps(sides)
        return np.maximum(gaps.max(axis=0), -gaps.min(axis=0)).astype("float64")


def _segments(order, edges, rows):
    """A function of sides: how many current rows there are up to the end of each segment of rows in order.

    Args:
        order: int [known rows].
        edges: int [segments + 1], where segments begin, and the end.
        rows: int, known ones and others.

    Returns:
        uint8 [rows, draws] -> int32 [segments, draws].
    """
    if len(edges) == len(order) + 1 and (np.diff(edges) == 1).all():
        return lambda sides: np.cumsum(sides[order], axis=0, dtype="int32")
    # A product of sparse numbers of one byte is ten times as fast as a sum over segments, and holds counts up to 255.
    parts = np.unique(np.append(edges, np.arange(0, len(order), MOST_COUNTED)))
    table = sparse.csr_array((np.ones(len(order), "uint8"), order, parts.astype("int32")), (len(parts) - 1, rows))
    ends = np.searchsorted(parts, edges[1:])

    def add_up(sides):
        counts = np.zeros((len(parts), sides.shape[1]), "int32")
        np.cumsum(table @ sides, axis=0, out=counts[1:])
        return counts[ends]

    return add_up


class BinaryColumns:
    """The Kolmogorov-Smirnov distances of all columns of two values, such as levels, by one product of matrices.

    Args:
        values: float64 [rows, columns]. Columns of other values, or with missing ones, are left out.
    """

    def __init__(self, values):
        low, high = values.min(axis=0), values.max(axis=0)
        is_binary = [np.isin(column, ends).all() for column, ends in zip(values.T, np.stack([low, high], axis=1))]
        self.places = np.flatnonzero(is_binary)
        self.is_low = (values[:, self.places] == low[self.places]).astype("float32")

    def counts(self, sides, rows=slice(None)):
        """How many rows of a side have the lower value.

        Args:
            sides: uint8 [rows, draws], of all rows or of those that are taken.
            rows: int [taken rows].

        Returns:
            float64 [draws, columns].
        """
        # Counts of rows are whole, and exact as long as float32 holds them.
        is_low, below = self.is_low[rows], np.zeros((sides.shape[1], len(self.places)))
        for start in range(0, len(sides), EXACT):
            part = slice(start, start + EXACT)
            below += sides[part].T.astype("float32") @ is_low[part]
        return below

    def distances(self, sides):
        """The difference of the shares of the lower value: float64 [draws, columns].

        Args:
            sides: uint8 [rows, draws], 1 for the current side.
        """
        total = sides.sum(axis=0, dtype="float64")[:, None]
        rest = len(sides) - total
        below = self.counts(sides)
        others = self.is_low.sum(axis=0, dtype="float64") - below
        distances = np.abs(below / np.maximum(total, 1) - others / np.maximum(rest, 1))
        return np.where((total > 0) & (rest > 0), distances, 0.0)


class Energy:
    """The energy distance of rows for many sides (Székely, Rizzo 2013, https://doi.org/10.1016/j.jspi.2013.03.018).

    Args:
        standard: float32 [rows, columns].
    """

    def __init__(self, standard):
        self.standard = standard
        distances = _squared(standard, standard)
        np.sqrt(distances, out=distances)
        means = distances.mean(axis=0, dtype="float64").astype("float32")
        distances -= means[:, None]
        distances -= means[None]
        distances += means.mean(dtype="float64").astype("float32")
        self.kernel, self._means = distances, means.astype("float64")

    def distances(self, sides):
        """Twice the mean distance across less those within: float64 [draws].

        Args:
            sides: uint8 [rows, draws].
        """
        ones = sides.astype("float32")
        total = ones.sum(axis=0, dtype="float64")
        scale = 1 / np.maximum(total, 1) + 1 / np.maximum(len(ones) - total, 1)
        return -(scale**2) * np.einsum("ij,ij->j", self.kernel @ ones, ones, dtype="float64", optimize=False)

    def gain(self, side, moved):
        """By how much the distance of one side grows when its current rows are moved.

        Args:
            side: bool [rows].
            moved: float32 [rows, columns].

        Returns:
            float.
        """
        if not side.any() or side.all():
            return 0.0
        before = self._mean_distance(side, ~side)
        after = np.sqrt(_squared(moved[side], self.standard[~side])).mean(dtype="float64")
        change = moved[side] - self.standard[side]
        if change.std(axis=0).max() < 0.01 * np.abs(change).max():
            # All rows moved alike, but for a few that were cut.
            return float(2 * (after - before))
        within = np.sqrt(_squared(moved[side], moved[side])).mean(dtype="float64")
        return float(2 * (after - before) - within + self._mean_distance(side, side))

    def _mean_distance(self, first, second):
        """The mean distance of rows of two sides as they are, which the kernel tells: float."""
        centred = (self.kernel @ second.astype("float32"))[first].mean(dtype="float64") / second.sum()
        return centred + self._means[first].mean() + self._means[second].mean() - self._means.mean()


def _squared(first, second):
    squares = first @ (-2 * second.T)
    squares += (first**2).sum(axis=1)[:, None]
    squares += (second**2).sum(axis=1)[None]
    return np.maximum(squares, 0, out=squares)


class Ridge:
    """A ridge classifier of sides, fitted again for each of them in closed form, and read on folds that it did not see.

    Args:
        parts: list of float32 [rows, columns], standardized, beside each other.
        folds: int [rows].
        penalty: float, as a share of the rows.
    """

    def __init__(self, parts, folds, penalty=PENALTY):
        self.places = [np.flatnonzero(folds == fold) for fold in np.unique(folds)]
        self.columns = np.column_stack([*parts, np.ones(len(folds), "float32")])
        grams = [(self.columns[rows].T @ self.columns[rows]).astype("float64") for rows in self.places]
        ridge = np.eye(self.columns.shape[1]) * penalty * len(folds)
        ridge[-1, -1] = 1e-6 * len(folds)
        self.systems = [sum(grams) - gram + ridge for gram in grams]

    @cached_property
    def inverses(self):
        """For many sides, float32 [columns, columns] of each fold."""
        return [np.linalg.inv(system).astype("float32") for system in self.systems]

    def _weights(self, fold, products):
        """What a classifier gives to each column: float32 [columns, draws]."""
        if products.shape[1] < FEW_SIDES:
            return np.linalg.solve(self.systems[fold], products).astype("float32")
        return self.inverses[fold] @ products

    def predictions(self, sides):
        """What each fold is predicted by a classifier of the others: iterator of (rows, float32 [rows, draws]).

        Args:
            sides: uint8 [rows, draws].
        """
        products = [self.columns[rows].T @ sides[rows].astype("float32") for rows in self.places]
        total = sum(products)
        for fold, (rows, product) in enumerate(zip(self.places, products)):
            yield rows, self.columns[rows] @ self._weights(fold, total - product)

    def areas(self, sides):
        """The area under the curve, averaged over the folds that have both sides: float64 [draws].

        Args:
            sides: uint8 [rows, draws].
        """
        areas = np.stack([area_under_curve(values, sides[rows]) for rows, values in self.predictions(sides)])
        counted = np.isfinite(areas).sum(axis=0)
        return np.where(counted > 0, np.nansum(areas, axis=0) / np.maximum(counted, 1), 0.5)


def area_under_curve(scores, sides):
    """The share of pairs in which the current row has the higher score, ties half.

    Args:
        scores: float [rows, draws].
        sides: uint8 [rows, draws].

    Returns:
        float64 [draws], nan where a side is empty.
    """
    return areas_under_curve(scores, [sides])[0]


def areas_under_curve(scores, several):
    """The areas of the same scores for several sides, for which scores are sorted once.

    Args:
        scores: float [rows, draws].
        several: list of [rows, draws], how far each row is on the current side, from 0 to 1.

    Returns:
        list of float64 [draws], nan where a side is empty.
    """
    # Each draw lies in one piece of memory, so that it is sorted where it lies.
    rank_sum, areas = _rank_summer(np.ascontiguousarray(np.asarray(scores).T)), []
    for sides in several:
        sides = np.ascontiguousarray(np.asarray(sides).T)
        current = sides.sum(axis=1, dtype="float64")
        rest = sides.shape[1] - current
        above = rank_sum(sides) - current * (current + 1) / 2
        areas.append(np.where((current > 0) & (rest > 0), above / np.maximum(current * rest, 1), np.nan))
    return areas


def _rank_summer(scores):
    """A function of sides that adds up the ranks of current rows, ties at their middle.

    Args:
        scores: float [draws, rows].

    Returns:
        [draws, rows] -> float64 [draws].
    """
    order = np.argsort(scores, axis=1)
    ordered = np.take_along_axis(scores, order, axis=1)
    # Of scores that are no numbers ranks are nan, which a sort would hide.
    if (ordered[:, 1:] == ordered[:, :-1]).any() or np.isnan(ordered[:, -1:]).any():
        ranks = stats.rankdata(scores, axis=1)
        return lambda sides: (ranks * sides).sum(axis=1)
    ranks = np.arange(1.0, scores.shape[1] + 1)
    return lambda sides: np.take_along_axis(sides, order, axis=1).astype("float64") @ ranks


def products_of(standard):
    """Squares and pairwise products of columns, of the thirty that go most with others.

    Args:
        standard: float32 [rows, columns].

    Returns:
        (float32 [rows, products], standardized and cut; int [products, 2], the columns of each).
    """
    correlations = (standard.T @ standard / max(len(standard), 1)) ** 2
    top = np.sort(np.argsort(-correlations.sum(axis=0), kind="stable")[:TOP])
    products, pairs = np.empty((len(top) * (len(top) + 1) // 2, len(standard)), "float32"), []
    for first, second in zip(*np.triu_indices(len(top))):
        product = standard[:, top[first]] * standard[:, top[second]]
        product -= product.mean()
        deviation = product.std()
        if deviation > 1e-4:
            np.clip(product / deviation, -CUT, CUT, out=product)
            products[len(pairs)] = product - product.mean()
            pairs.append((top[first], top[second]))
    return products[: len(pairs)].T, np.array(pairs, int).reshape(-1, 2)


def mean_differences(centred, sides):
    """The size of the difference of means of each column between the sides.

    Args:
        centred: float32 [rows, columns], of mean zero.
        sides: uint8 [rows, draws].

    Returns:
        float64 [draws, columns].
    """
    total = sides.sum(axis=0, dtype="float64")
    scale = 1 / np.maximum(total, 1) + 1 / np.maximum(len(sides) - total, 1)
    return np.abs((centred.T @ sides.astype("float32")).T) * scale[:, None]


class Eyes:
    """The four eyes on rows of two sides, and a fifth on patches of pictures.

    Args:
        encoded: `sanity.audit.encoding.Encoded`, with a column at least.
        seed: int.
        by_side: whether rows are drawn from either side where there are many; else from all rows, for sides that are not
            those of `encoded`.
    """

    def __init__(self, encoded, *, seed, by_side=True):
        self.encoded, self.seed, self.by_side = encoded, seed, by_side
        self.steps = [Steps(values) for values in encoded.values.T]
        self.binary = BinaryColumns(encoded.values)
        self.others = np.setdiff1d(np.arange(len(self.steps)), self.binary.places)
        units, sides = encoded.units, encoded.is_current & by_side
        self.classifier_rows = subset_rows(units, sides, CLASSIFIER_ROWS, seed=derive_seed(seed, "classifier rows"))
        self.energy_rows = self.classifier_rows.copy()
        self.energy_rows[self.classifier_rows] = subset_rows(
            units[self.classifier_rows], sides[self.classifier_rows], ENERGY_ROWS, seed=derive_seed(seed, "energy rows")
        )
        self.standard = encoded.standard
        columns = self.standard[self.classifier_rows]
        self.folds = unit_folds(units[self.classifier_rows], FOLDS, seed=derive_seed(seed, "folds"))
        self.energy = Energy(self.standard[self.energy_rows])
        self.linear = Ridge([columns], self.folds)
        self.products, self.pairs = products_of(columns)
        self.patches = _centred(encoded.patches)

    @cached_property
    def of_patches(self):
        """Classifiers of the patches of pictures: tuple of `Ridge`, of one, or empty where there are no patches."""
        if self.patches is None:
            return ()
        centred = self.patches[self.classifier_rows]
        standard = np.clip(centred / np.maximum(centred.std(axis=0), LEAST), -CUT, CUT)
        return (Ridge([standard.astype("float32")], self.folds),)

    @property
    def strata(self):
        """Units by which eyes look at their rows, within which sides are dealt, or drawn rows had other shares.

        int [units], or None where rows were drawn from all.
        """
        if not self.by_side:
            return None
        _, first = np.unique(self.encoded.units, return_index=True)
        looked = np.zeros(self.encoded.units.max() + 1, int)
        np.maximum.at(looked, self.encoded.units, self.classifier_rows.astype(int) + self.energy_rows)
        return looked[self.encoded.units[first]]

    def measure(self, sides):
        """What all eyes see of some sides, before columns and products are put on one scale.

        Args:
            sides: bool [draws, rows].

        Returns:
            (float64 [draws, columns], float64 [draws, products], float64 [draws, patches], float64 [draws, 2]).
        """
        turned = np.ascontiguousarray(np.asarray(sides).T).view("uint8")
        others = (self.energy.distances(turned[self.energy_rows]), self.linear.areas(turned[self.classifier_rows]))
        return *self._measure_each(turned), np.stack(others, axis=1)

    def _measure_each(self, turned):
        columns = np.empty((turned.shape[1], len(self.steps)))
        columns[:, self.binary.places] = self.binary.distances(turned)
        for place in self.others:
            columns[:, place] = self.steps[place].distances(turned)
        products = mean_differences(self.products, turned[self.classifier_rows])
        return columns, products, self._measure_patches(turned)

    def _measure_patches(self, turned):
        """The size of the difference of means of each patch: float64 [draws, patches], of no patch where there are none."""
        return np.zeros((turned.shape[1], 0)) if self.patches is None else mean_differences(self.patches, turned)

    def draw(self, count, purpose):
        """Sides dealt anew, some at a time: iterator of bool [draws, rows].

        Args:
            count: int.
            purpose: str, of the seed.

        Returns:
            iterator.
        """
        strata, size = self.strata, max(1, min(count, CELLS // max(len(self.encoded), 1)))
        for number, start in enumerate(range(0, count, size)):
            seed = derive_seed(self.seed, purpose, number)
            taken = min(size, count - start)
            yield draw_sides(self.encoded.units, self.encoded.is_current, taken, seed=seed, strata=strata)[1:]

    def look(self, draws, copies=()):
        """The observed sides among sides that units have exchanged.

        Args:
            draws: int.
            copies: bool [copies, rows], other sides to be compared with the same exchanges.

        Returns:
            `Sight`.
        """
        first = np.concatenate([self.encoded.is_current[None], np.asarray(copies, bool).reshape(-1, len(self.encoded))])
        parts = [self.measure(first), *(self.measure(sides) for sides in self.draw(draws, "exchanged"))]
        columns, products, patches, others = (np.concatenate(kind) for kind in zip(*parts))
        columns, products, patches = (
            (values - centre) / deviation
            for values, (centre, deviation) in zip((columns, products, patches), self.scales)
        )
        largest = products.max(axis=1) if products.shape[1] else np.zeros(len(products))
        of_patches = [patches.max(axis=1)] if patches.shape[1] else []
        statistics = np.column_stack([columns.max(axis=1), others, largest, *of_patches])
        observed, copied = np.r_[0, len(first) : len(statistics)], np.arange(1, len(first))
        return Sight(columns[observed], statistics[observed], statistics[copied], columns[copied], products[0])

    @cached_property
    def scales(self):
        """Centre and deviation of columns, products and patches, from exchanges that are not ranked: list of three pairs.

        Differences of patches are signed where they are shown, so that their centre is zero.
        """
        turned = (np.ascontiguousarray(sides.T).view("uint8") for sides in self.draw(SCALING, "scaling"))
        *both, patches = (np.concatenate(kind) for kind in zip(*map(self._measure_each, turned)))
        scales = [(values.mean(axis=0), np.maximum(values.std(axis=0), 1e-9)) for values in both]
        return [*scales, (0.0, np.maximum(np.sqrt((patches**2).mean(axis=0)), LEAST))]


def _centred(patches):
    """Patches of pictures less their mean: float32 [rows, patches], or None where there are none."""
    if patches is None:
        return None
    flat = patches.reshape(len(patches), -1)
    return (flat - flat.mean(axis=0, dtype="float64")).astype("float32")
