"""Groups: rates of a network's answers in the groups of protected columns, each group against the rest.

All groups, rates and columns share the same exchanges of values between units, so that the largest gap of all is compared with the
largest gap of all. Rates of one class of label are exchanged within that class.
"""

import functools
import itertools
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy import stats

from sanity.audit.copies import SIZES
from sanity.audit.permutation import UnitOrder, p_among
from sanity.audit.slices import quartile_words
from sanity.audit.small_counts import FEWEST
from sanity.seeds import derive_seed
from sanity.statistics import wilson_bounds
from sanity.threads import in_threads

# Rows and units that every group of two joined columns needs.
JOINED_ROWS, JOINED_UNITS = 30, 10
# Values of a number that are not cut into quartiles, and exchanges at a time.
FEW, CHUNK = 4, 100
# Cells of exchanges at a time, of very many rows.
CELLS = 2**22
# Units of the spread of all that are added to each side. With 2 in place of 200, power for a group of 200 fell from .78 to .40.
UNITS_MORE = 200
MISSING = "missing"
SELECTION, TRUE_POSITIVE, FALSE_POSITIVE = "selection rate", "true positive rate", "false positive rate"
ACCURACY, COST, ERROR = "accuracy", "error cost", "error in deviations"


@dataclass(frozen=True)
class Grouping:
    """Groups of rows by a protected column, or by two of them joined.

    Args:
        name: str.
        names: tuple of str, the groups.
        codes: int [rows], the group of each row.
        columns: tuple of str, the columns that it is by.
    """

    name: str
    names: tuple
    codes: np.ndarray
    columns: tuple

    @property
    def counts(self):
        """Rows of each group: int [groups]."""
        return np.bincount(self.codes, minlength=len(self.names))


@dataclass(frozen=True)
class Metric:
    """A rate, as the mean of values over some rows.

    Args:
        name: str.
        values: float64 [rows], nan for rows that do not count.
        parts: tuple of (float, float64 [rows]), weights and values of 0 and 1 whose sum the values are; empty where they are no sum.
    """

    name: str
    values: np.ndarray
    parts: tuple = ()

    @property
    def counted(self):
        """Rows that count: bool [rows]."""
        return np.isfinite(self.values)


def group_by(column):
    """Groups of rows by one column; a number of many values is cut into quartiles, and what is missing is a group.

    Args:
        column: `sanity.audit.rows.Column`.

    Returns:
        `Grouping`, groups that have a row.
    """
    values, known = column.values, ~column.missing
    if column.is_category:
        codes, names = np.where(known, values, 0).astype(int), list(column.levels)
    elif len(np.unique(values[known])) <= FEW:
        distinct = np.unique(values[known])
        codes, names = np.searchsorted(distinct, values), [f"{value:g}" for value in distinct]
    else:
        edges = np.unique(np.quantile(values[known], [0, 0.25, 0.5, 0.75, 1]))
        codes = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, len(edges) - 2)
        names = [quartile_words(number, edges) for number in range(len(edges) - 1)]
    return _present((column.name,), [*names, MISSING], np.where(known, codes, len(names)))


def _present(columns, names, codes):
    """A `Grouping` without the groups that have no row."""
    present, codes = np.unique(codes, return_inverse=True)
    return Grouping(" and ".join(columns), tuple(names[place] for place in present), codes, columns)


def join(first, second):
    """Groups of rows by two columns at once.

    Args:
        first: `Grouping`.
        second: `Grouping` of the same rows.

    Returns:
        `Grouping`.
    """
    names = [f"{one} and {other}" for one in first.names for other in second.names]
    return _present(first.columns + second.columns, names, first.codes * len(second.names) + second.codes)


def list_groupings(rows):
    """Groups by each protected column, and by two of them where every joined group is large enough.

    Args:
        rows: `Rows`.

    Returns:
        list of `Grouping` with two groups or more, and list of str, the pairs that were left out.
    """
    single = [group_by(column) for column in rows.protected]
    single = [grouping for grouping in single if len(grouping.names) > 1]
    joined = [join(first, second) for first, second in combinations(single, 2)]
    large = [grouping for grouping in joined if _is_large(grouping, rows.units)]
    return single + large, [grouping.name for grouping in joined if grouping not in large]


def _is_large(grouping, units):
    of_units = [len(np.unique(units[grouping.codes == place])) for place in range(len(grouping.names))]
    return grouping.counts.min() >= JOINED_ROWS and min(of_units) >= JOINED_UNITS


def list_metrics(rows, favourable=None, threshold=0.5, costs=None):
    """Rates that can be had of these rows.

    Args:
        rows: `Rows`.
        favourable: int, the class that a decision is for; None: no decision is made.
        threshold: float, the probability of that class from which on the decision is favourable.
        costs: two floats, of a false positive and of a false negative; None: they are not known.

    Returns:
        list of `Metric`: rates of decisions where there are any, accuracy, and the error cost where costs are known, in units of the
            dearer error; or of a regression the absolute error.
    """
    known = rows.labelled
    if rows.is_regression:
        return [Metric(ERROR, rows.errors / max(np.nanstd(rows.errors), 1e-300))] if known.any() else []
    right = Metric(ACCURACY, 1 - rows.errors)
    if favourable is None:
        return [right] if known.any() else []
    decided = (rows.probabilities[:, favourable] >= threshold).astype("float64")
    selection = Metric(SELECTION, decided)
    if not known.any():
        return [selection]
    positive = rows.labels == favourable
    if rows.logits.shape[1] == 2:
        right = Metric(ACCURACY, np.where(known, decided == positive, np.nan))
    return [
        selection,
        Metric(TRUE_POSITIVE, np.where(known & positive, decided, np.nan)),
        Metric(FALSE_POSITIVE, np.where(known & ~positive, decided, np.nan)),
        right,
        *([] if costs is None else [_cost(decided, positive, known, costs)]),
    ]


def _cost(decided, positive, known, costs):
    """What each decision costs, in units of the dearer error: `Metric`."""
    errors = (decided * ~positive, (1 - decided) * positive)
    weights = np.array(costs, "float64") / max(costs)
    parts = tuple((weight, np.where(known, error, np.nan)) for weight, error in zip(weights, errors))
    return Metric(COST, sum(weight * error for weight, error in parts), parts)


class Comparison:
    """One rate in the groups of one column, each against the rest, with rows of one unit in one group as one.

    Args:
        metric: `Metric`.
        grouping: `Grouping` of the same rows.
        units: int [rows].
    """

    def __init__(self, metric, grouping, units):
        self.metric, self.grouping = metric, grouping
        counted = np.flatnonzero(metric.counted)
        self.order = UnitOrder(units[counted])
        self.places = counted[self.order.by_unit]
        self.values, self.codes = metric.values[self.places], grouping.codes[self.places]
        self.units, self._all_units = np.repeat(np.arange(len(self.order.sizes)), self.order.sizes), units
        self.counts = np.bincount(self.codes, minlength=len(grouping.names))
        self._rows_are_cells = len(self.order.sizes) == len(self.places)
        self._is_rate = set(np.unique(self.values)) <= {0.0, 1.0}
        # Numbers of one byte are read several times as fast.
        self.table = self.values.astype("uint8") if self._is_rate else self.values
        self._lay_out(len(grouping.names))
        self.unit_counts = np.bincount(self._group, minlength=len(grouping.names))
        rest = self.counts.sum() - self.counts
        self.usable = (np.minimum(self.counts, rest) >= FEWEST) & (self.unit_counts > 1)

    def _lay_out(self, count):
        """Cells of one unit in one group: where their rows lie, how many they are, and which group is theirs."""
        cells, first, cell = np.unique(self.units * count + self.codes, return_index=True, return_inverse=True)
        self._cell_order = np.argsort(cell, kind="stable")
        self.cells_are_units = len(cells) == len(self.order.sizes)
        self.sizes = np.bincount(cell, minlength=len(cells))
        self._ends = np.cumsum(self.sizes)
        self._group = self.codes[first]
        self._constants = [self._split(power[None]) for power in (np.ones(len(cells)), self.sizes, self.sizes**2)]

    @property
    def comparisons(self):
        """How many gaps differ: int; of two groups there is one."""
        return int(self.usable.sum()) if len(self.counts) > 2 else int(self.usable.any())

    def measure(self, values, more=UNITS_MORE):
        """Means inside and outside each group, with the variances of these means between units.

        Units of the spread of all are added to each side: a small group without spread would stand out by that alone.

        Args:
            values: float64 or uint8 [tries, rows that count], in the order of their units.
            more: int, how many units are added.

        Returns:
            four float64 [tries, groups]: means and variances inside, means and variances outside.
        """
        return self.compare(self.powers(values), more)

    def powers(self, values):
        """The sum of each cell, this times its rows, and squared: list of three [tries, cells].

        They are the same for all groupings in which every unit lies in one group.

        Args:
            values: float64 or uint8 [tries, rows that count], in the order of their units.
        """
        if self._rows_are_cells:
            return [values, values, values if values.dtype == np.uint8 else values**2]
        sums = self._cell_sums(values if self.cells_are_units else values[:, self._cell_order])
        return [sums, sums * self.sizes, sums**2]

    def _cell_sums(self, values):
        if values.dtype == np.uint8:
            totals = np.cumsum(values, axis=1, dtype="int32")[:, self._ends - 1]
            return np.diff(totals, axis=1, prepend=0).astype("float64")
        return np.add.reduceat(values, self._ends - self.sizes, axis=1)

    def compare(self, powers, more=UNITS_MORE):
        """What `measure` gives.

        Args:
            powers: as of `powers`.
            more: int, how many units are added.

        Returns:
            four float64 [tries, groups].
        """
        parts = [*self._constants, *map(self._split, powers)]
        inside, totals = [part for part, _ in parts], [total for _, total in parts]
        pooled = _mean_and_residuals(totals)[1] / len(self.sizes)
        outside = [total - part for part, total in parts]
        return (*_mean_and_variance(inside, pooled, more), *_mean_and_variance(outside, pooled, more))

    def _split(self, power):
        """What falls to each group, and to all: float64 [tries, groups], float64 [tries, 1]."""
        parts = np.array([np.bincount(self._group, row, minlength=len(self.counts)) for row in power])
        return parts, parts.sum(axis=1, keepdims=True)

    def distances(self, values):
        """The gap of each group in its standard errors, whatever its sign.

        Args:
            values: float64 or uint8 [tries, rows that count], in the order of their units.

        Returns:
            float64 [tries, groups], 0 for groups that are too small.
        """
        return self.standardize(*self.measure(values))

    def standardize(self, mean, variance, other, other_variance):
        """The gap of each group in its standard errors, from what `measure` gives.

        Args:
            mean: float64 [tries, groups].
            variance: float64 [tries, groups], of that mean.
            other: float64 [tries, groups], the mean outside.
            other_variance: float64 [tries, groups].

        Returns:
            float64 [tries, groups], 0 for groups that are too small.
        """
        errors = np.sqrt(variance + other_variance)
        return np.where(self.usable & (errors > 1e-12), np.abs(mean - other) / np.maximum(errors, 1e-12), 0.0)

    def intervals(self, level):
        """The gap of each group by Newcombe's interval, on as many rows as its units are worth.

        Args:
            level: float, coverage of one of them.

        Returns:
            float64 [groups, 3], gap, low, high, and float64 [groups, 3] of the mean inside; nan where a side is too small.
        """
        (mean, *inside), (other, *outside) = self._sides(level)
        gap = mean - other
        low = gap - np.hypot(mean - inside[0], outside[1] - other)
        high = gap + np.hypot(inside[1] - mean, other - outside[0])
        missing = np.where(self.usable, 0.0, np.nan)[:, None]
        return np.stack([gap, low, high], axis=1) + missing, np.stack([mean, *inside], axis=1) + missing

    def _sides(self, level):
        """The mean inside and outside each group, with its bounds: two triples of float64 [groups].

        No side has less variance than it shows by itself: groups of other errors than the rest have other spreads, too.
        """
        mean, variance, other, other_variance = (part[0] for part in self.measure(self.values[None]))
        _, inside, _, outside = (part[0] for part in self.measure(self.values[None], more=0))
        sides = [(mean, np.maximum(variance, inside)), (other, np.maximum(other_variance, outside))]
        counts, distance = (self.counts, self.counts.sum() - self.counts), self._quantiles(level)
        if self._is_rate:
            bounds = [wilson_bounds(side[0], self._worth(*side, count), distance) for side, count in zip(sides, counts)]
        else:
            bounds = [_wald(*side, distance) for side in sides]
            bounds = self._widen(bounds, level) if self.metric.parts else bounds
        return [(side[0], *pair) for side, pair in zip(sides, bounds)]

    def _widen(self, bounds, level):
        """Bounds of a sum that hold where one of its rates is near 0, from those of each (Zou, Donner 2008): two pairs."""
        parts = [
            (weight, Comparison(Metric(self.metric.name, values), self.grouping, self._all_units)._sides(level))
            for weight, values in self.metric.parts
        ]
        wider = []
        for place, (low, high) in enumerate(bounds):
            rates = [(weight, *sides[place]) for weight, sides in parts]
            centre = sum(weight * rate for weight, rate, _, _ in rates)
            below = np.sqrt(sum((weight * (rate - bound)) ** 2 for weight, rate, bound, _ in rates))
            above = np.sqrt(sum((weight * (bound - rate)) ** 2 for weight, rate, _, bound in rates))
            wider.append((np.minimum(low, centre - below), np.maximum(high, centre + above)))
        return wider

    def _quantiles(self, level):
        if self._rows_are_cells:
            return np.full(len(self.counts), stats.norm.ppf((1 + level) / 2))
        return stats.t.ppf((1 + level) / 2, np.maximum(self.unit_counts - 1, 1))

    def _worth(self, mean, variance, counts):
        """How many independent rows the rows of each side are worth: float64 [groups]."""
        if self._rows_are_cells:
            return np.maximum(counts, 1)
        centre = (mean * counts + 1) / (counts + 2)
        return np.clip(centre * (1 - centre) / np.maximum(variance, 1e-300), 1, np.maximum(counts, 1))


def _mean_and_residuals(moments):
    """The mean of each side, and the sum of squares of what its cells have beyond it."""
    _, count, squared, sums, crossed, squares = moments
    mean = sums / np.maximum(count, 1)
    return mean, np.maximum(squares - 2 * mean * crossed + mean**2 * squared, 0)


def _mean_and_variance(moments, pooled, more):
    cells, count = moments[:2]
    mean, spread = _mean_and_residuals(moments)
    return mean, (spread + more * pooled) * cells / (np.maximum(cells + more - 1, 1) * np.maximum(count, 1) ** 2)


def _wald(mean, variance, distance):
    return mean - distance * np.sqrt(variance), mean + distance * np.sqrt(variance)


@dataclass(frozen=True)
class Gaps:
    """One rate in the groups of one column.

    Args:
        comparison: `Comparison`.
        p: float64 [groups], adjusted over all groups, rates and columns.
        gaps: float64 [groups, 3], gap to the rest with its bounds at the level of all together.
        rates: float64 [groups, 3].
        range_exchanged: float, the mean difference between the highest and the lowest rate under exchanged values.
        planted: bool [sizes, tries], whether a planted gap was found.
        planted_in: str, the group that it was planted in.
    """

    comparison: Comparison
    p: np.ndarray
    gaps: np.ndarray
    rates: np.ndarray
    range_exchanged: float
    planted: np.ndarray
    planted_in: str

    @property
    def range(self):
        """The highest rate less the lowest: float."""
        rates = self.rates[self.comparison.usable, 0]
        return float(np.ptp(rates)) if len(rates) else float("nan")

    def is_wide(self, delta):
        """Groups whose interval is wider than twice the margin, or that have none: bool [groups]."""
        return ~(self.gaps[:, 2] - self.gaps[:, 1] <= 2 * delta)

    def needed(self, delta):
        """About how many rows of each group would give an interval of twice the margin: int [groups], 0 where unknown."""
        factor = np.nan_to_num((self.gaps[:, 2] - self.gaps[:, 1]) / (2 * delta))
        return np.ceil(self.comparison.counts * factor**2).astype(int)


def measure_gaps(rows, metrics, groupings, *, draws, seed, tries, delta, alpha):
    """Compare every rate of every group with that of the rest.

    Args:
        rows: `Rows`.
        metrics: list of `Metric`.
        groupings: list of `Grouping`.
        draws: int, exchanges of values between units.
        seed: int.
        tries: int, copies of a kind.
        delta: float, the margin.
        alpha: float.

    Returns:
        list of `Gaps`, metrics within groupings, and bool [tries], whether each null copy alarmed.
    """
    metrics = [metric for metric in metrics if metric.counted.any()]
    compared = [Comparison(metric, grouping, rows.units) for grouping in groupings for metric in metrics]
    largest, ranges = _exchanged(compared, draws, seed)
    p_of = functools.partial(p_among, np.sort(largest))
    level = 1 - alpha / max(sum(comparison.comparisons for comparison in compared), 1)

    def measure(pair):
        comparison, spread = pair
        distances = _null_distances(comparison, rows.labels, seed, tries)
        p = np.where(comparison.usable, p_of(comparison.distances(comparison.values[None])[0]), 1.0)
        gaps = Gaps(comparison, p, *comparison.intervals(level), spread, np.zeros((len(SIZES), tries), bool), "")
        place = _to_plant_in(gaps, delta)
        planted = _plant_all(comparison, place, delta, seed, tries, lambda values: p_of(values) <= alpha)
        planted_in = comparison.grouping.names[place]
        return replace(gaps, planted=planted, planted_in=planted_in), (p_of(distances) <= alpha).any(axis=1)

    measured = in_threads(measure, zip(compared, ranges))
    return [gaps for gaps, _ in measured], np.any([np.zeros(tries, bool), *(alarms for _, alarms in measured)], axis=0)


def _exchanged(compared, draws, seed):
    """The largest distance of each exchange, and the mean range of each comparison: float64 [draws], list of float."""
    sharing, ranges = _by_rows(compared), np.zeros(len(compared))
    parts = in_threads(lambda places: _exchange_rows([compared[place] for place in places], draws, seed), sharing)
    for places, (_, ranges_of_part) in zip(sharing, parts):
        ranges[places] = ranges_of_part
    return np.max([np.zeros(draws), *(largest for largest, _ in parts)], axis=0), ranges.tolist()


def _exchange_rows(compared, draws, seed):
    """As of `_exchanged`, of comparisons of the same rows."""
    largest, ranges, order = np.zeros(draws), np.zeros(len(compared)), compared[0].order
    orders = order.exchanged(draws, seed=derive_seed(seed, "exchanged", len(order.by_unit)))
    stop = 0
    for places in _parts(orders, len(order.by_unit)):
        part = slice(stop, stop := stop + len(places))
        for place, means, distances in _look_at(compared, places):
            largest[part] = np.maximum(largest[part], distances.max(axis=1))
            ranges[place] += np.ptp(means, axis=1).sum() / draws
    return largest, ranges


def _look_at(compared, places):
    """Comparisons whose values have been exchanged: iterator of (number, means of usable groups, distances).

    Args:
        compared: list of `Comparison` of the same rows.
        places: int [draws, rows], what each row receives.
    """
    known = {}
    for number, comparison in enumerate(compared):
        key = (id(comparison.metric), "units" if comparison.cells_are_units else number)
        if key not in known:
            known[key] = comparison.powers(comparison.table[places])
        measured = comparison.compare(known[key])
        yield number, measured[0][:, comparison.usable], comparison.standardize(*measured)


def _parts(arrays, rows):
    """Arrays of so many rows, as many together as are held at a time: iterator of array [some, rows]."""
    arrays = iter(arrays)
    while taken := list(itertools.islice(arrays, _step(rows))):
        yield np.array(taken)


def _step(rows):
    """How many exchanges of so many rows are held at a time: int."""
    return max(1, min(CHUNK, CELLS // max(rows, 1)))


def _by_rows(compared):
    """Comparisons of the same rows, which share their exchanges: list of list of int."""
    sharing = {}
    for place, comparison in enumerate(compared):
        if comparison.usable.any():
            sharing.setdefault(comparison.places.tobytes(), []).append(place)
    return list(sharing.values())


def _null_distances(comparison, labels, seed, tries):
    """Distances of values less the mean of their group and label, rolled down the file: float64 [tries, groups].

    A gap that is there is not carried along, and what links neighbours is.
    """
    values, cells = comparison.values, comparison.codes
    if labels is not None and labels.dtype.kind in "iu":
        cells = np.unique(cells * (labels.max() + 2) + labels[comparison.places] + 1, return_inverse=True)[1]
    means = np.bincount(cells, values) / np.maximum(np.bincount(cells), 1)
    centred = values - means[cells] + values.mean()
    rolled = (comparison.order.rolled(derive_seed(seed, "rolled", number)) for number in range(tries))
    return _distances(comparison, (centred[places] for places in rolled))


def _distances(comparison, copies):
    """Distances of copies of the values, some at a time: float64 [copies, groups]."""
    parts = [comparison.distances(values) for values in _parts(copies, len(comparison.values))]
    return np.concatenate([np.zeros((0, len(comparison.counts))), *parts])


def _to_plant_in(gaps, delta):
    """The smallest group whose interval is narrow enough, or else the largest of all: int."""
    narrow = np.flatnonzero(~gaps.is_wide(delta))
    counts = gaps.comparison.counts
    return int(narrow[counts[narrow].argmin()]) if len(narrow) else int(counts.argmax())


def _plant_all(comparison, place, delta, seed, tries, is_detected):
    """Whether gaps of each size were found in exchanged values: bool [sizes, tries]."""
    if not comparison.usable[place]:
        return np.zeros((len(SIZES), tries), bool)
    detected = []
    for size in SIZES:
        purpose = f"planted {size} {comparison.metric.name} {comparison.grouping.name}"
        orders = comparison.order.exchanged(tries, seed=derive_seed(seed, purpose))
        rng = np.random.default_rng(derive_seed(seed, f"{purpose} rows"))
        copies = (_plant(comparison, place, comparison.values[places], size * delta, rng) for places in orders)
        detected.append(is_detected(_distances(comparison, copies)[:, place]))
    return np.array(detected)


def _plant(comparison, place, values, gap, rng):
    """Values whose mean in one group differs by so much from what it was: float64 [rows]."""
    members = comparison.codes == place
    if not set(np.unique(values)) <= {0.0, 1.0}:
        return _raise_costs(values, members, gap, rng) if comparison.metric.parts else values + gap * members
    rate = values[members].mean()
    falls = rate >= gap
    share = gap / rate if falls else min(gap / max(1 - rate, 1e-9), 1)
    turned = members & (values == falls) & (rng.random(len(values)) < share)
    return np.where(turned, 1 - values, values)


def _raise_costs(values, members, gap, rng):
    """Costs in which some members make the dearer error, as they would where it is more frequent: float64 [rows]."""
    share = min(gap / max(1 - values[members].mean(), 1e-9), 1)
    return np.where(members & (rng.random(len(values)) < share), 1.0, values)
