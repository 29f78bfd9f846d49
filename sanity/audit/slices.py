"""Slices: groups of rows by values of their columns, and where a network errs more than elsewhere.

All slices share the same exchanges of errors between units, so that the largest of a thousand is compared with the largest of a
thousand. What a slice shows on the rows that chose it is too much, so that its size is measured on rows that did not.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from sanity.audit.permutation import exchange_rows, halves, p_among
from sanity.audit.rows import Column
from sanity.seeds import derive_seed
from sanity.statistics import Interval, mean_variance, wilson_bounds

# Least rows, share and units of a slice; values of a number that are not cut into quartiles.
ROWS, SHARE, UNITS, FEW = 30, 0.03, 10, 4
# A value of a number that holds for so many of its rows is a condition of its own.
SPIKE = 0.25
# Slices and draws at a time, and cells of an array of them.
CHUNK, BLOCK, CELLS = 512, 200, 2**25
# Exchanges that the scale of each slice is taken from, and what two equal distances may differ by in float32.
SCALING, ROUNDING = 200, 1e-4
# The part of a slice that groups leave open, from which on it is measured.
OPEN = 0.1
# Parts of confidence that errors are compared within.
FIFTHS = 5
# Halves that the size of a slice is averaged over, overlap from which on two slices are one, and slices that may be listed.
SPLITS, SAME, CANDIDATES = 5, 0.5, 500


@dataclass(frozen=True)
class Predicates:
    """Conditions on one column each.

    Args:
        names: list of str.
        columns: int [conditions], the column of each.
        holds: bool [conditions, rows].
    """

    names: list
    columns: np.ndarray
    holds: np.ndarray


def predicates(rows):
    """Conditions on columns: each value of a category, each quartile of a number, and whether a value is missing.

    Args:
        rows: `Rows`.

    Returns:
        `Predicates`, those that hold often enough.
    """
    names, owners, holds = [], [], []
    for place, column in enumerate(rows.columns):
        for name, mask in _conditions(column):
            if _is_large(mask, rows.units) and _is_large(~mask, rows.units):
                names.append(name)
                owners.append(place)
                holds.append(mask)
    return Predicates(names, np.array(owners, int), np.array(holds, bool).reshape(len(names), len(rows)))


def _is_large(mask, units):
    count = int(mask.sum())
    return count >= max(ROWS, SHARE * len(mask)) and len(np.unique(units[mask])) >= UNITS


def _conditions(column):
    """Names and masks of the conditions on a column: iterator of (str, bool [rows])."""
    values, known = column.values, ~column.missing
    if not known.all():
        yield f"{column.name} missing", ~known
    if column.is_category:
        for place, level in enumerate(column.levels):
            yield f"{column.name} = {level}", values == place
        return
    distinct, counts = np.unique(values[known], return_counts=True)
    spikes = distinct if len(distinct) <= FEW else distinct[counts >= SPIKE * counts.sum()]
    for value in spikes:
        yield f"{column.name} = {value:g}", values == value
    rest = known & ~np.isin(values, spikes)
    if rest.any():
        yield from _quartiles(column.name, values, rest)


def _quartiles(name, values, rest):
    """Names and masks of the quartiles of some rows' numbers. Their edges are values, so that no rounding moves a row."""
    edges = np.unique(np.quantile(values[rest], [0, 0.25, 0.5, 0.75, 1], method="lower"))
    for number, (low, high) in enumerate(zip(edges[:-1], edges[1:])):
        above = values >= low if number == 0 else values > low
        yield f"{name} {quartile_words(number, edges)}", rest & above & (values <= high)


def quartile_words(number, edges):
    """A quartile in words. The smallest and the largest value are those of one row each, and are not said.

    Args:
        number: int, of the quartile.
        edges: float64 [quartiles + 1].

    Returns:
        str.
    """
    if number == 0:
        return f"up to {edges[1]:.4g}" if len(edges) > 2 else "of another value"
    last = number == len(edges) - 2
    return f"above {edges[number]:.4g}" + ("" if last else f" to {edges[number + 1]:.4g}")


@dataclass(frozen=True)
class Slices:
    """Groups of rows by one condition or two joined.

    Args:
        conditions: `Predicates`.
        pairs: int [slices, 2], conditions of each; the same twice for one condition.
    """

    conditions: Predicates
    pairs: np.ndarray

    def __len__(self):
        return len(self.pairs)

    def name(self, place):
        """The conditions of a slice in words: str."""
        first, second = self.pairs[place]
        names = self.conditions.names
        return names[first] if first == second else f"{names[first]} and {names[second]}"

    def masks(self, places):
        """Rows of some slices: bool [slices, rows]."""
        first, second = self.pairs[places].T
        return self.conditions.holds[first] & self.conditions.holds[second]


def list_slices(rows):
    """All slices of one condition or two of different columns that are large enough.

    Args:
        rows: `Rows`.

    Returns:
        `Slices`.
    """
    conditions = predicates(rows)
    count = len(conditions.names)
    first, second = np.triu_indices(count)
    allowed = (first == second) | (conditions.columns[first] != conditions.columns[second])
    pairs = np.stack([first[allowed], second[allowed]], axis=1)
    overlap = conditions.holds.astype("float32") @ conditions.holds.T.astype("float32")
    pairs = pairs[overlap[pairs[:, 0], pairs[:, 1]] >= max(ROWS, SHARE * len(rows))]
    if rows.unit_count < len(rows) and len(pairs):
        slices = Slices(conditions, pairs)
        large = [len(np.unique(rows.units[slices.masks([place])[0]])) >= UNITS for place in range(len(pairs))]
        pairs = pairs[large]
    return Slices(conditions, pairs)


def list_conditions(rows):
    """Slices of one condition each, on columns and on the predicted class.

    Args:
        rows: `Rows`.

    Returns:
        `Slices`.
    """
    known = rows.columns
    if not rows.is_regression:
        levels = tuple(str(place) for place in range(rows.logits.shape[1]))
        known = (*known, Column("predicted class", rows.predicted.astype("float64"), levels))
    conditions = predicates(replace(rows, columns=known))
    places = np.arange(len(conditions.names))
    return Slices(conditions, np.stack([places, places], axis=1))


def group_codes(rows, beyond="label"):
    """Groups of rows that errors are compared within, so that what is known to be hard is not found again.

    Args:
        rows: `Rows`, all labelled.
        beyond: "label", so that a hard class is not found again as a slice that goes with it; "confidence", for the predicted
            class and the fifth of its probability; or "none". Of a regression there is one group.

    Returns:
        int [rows], from 0 on.
    """
    if rows.is_regression or beyond == "none":
        return np.zeros(len(rows), int)
    if beyond == "label":
        return np.unique(rows.labels, return_inverse=True)[1]
    ranks = stats.rankdata(rows.probabilities.max(axis=1))
    fifth = ((ranks - 0.5) / len(rows) * FIFTHS).astype(int)
    return np.unique(rows.predicted * FIFTHS + fifth, return_inverse=True)[1]


def centred_errors(errors, groups):
    """Errors less the mean of their group.

    Args:
        errors: float64 [rows].
        groups: int [rows], from 0 on.

    Returns:
        float64 [rows].
    """
    means = np.bincount(groups, errors) / np.maximum(np.bincount(groups), 1)
    return errors - means[groups]


def searched_errors(rows, groups):
    """What is searched: errors less the mean of their group, of a regression in units of their deviation.

    Args:
        rows: `Rows`, all labelled.
        groups: int [rows], as of `group_codes`.

    Returns:
        float64 [rows].
    """
    errors = centred_errors(rows.errors, groups)
    return errors / max(errors.std(), 1e-300) if rows.is_regression else errors


def unit_strata(units, groups):
    """Units by their group, where all rows of each unit have the same one.

    Args:
        units: int [rows].
        groups: int [rows].

    Returns:
        int [units], or None where a unit has rows of several groups.
    """
    numbers = np.unique(units, return_inverse=True)[1]
    lowest, highest = np.full(numbers.max() + 1, np.iinfo(int).max), np.full(numbers.max() + 1, -1)
    np.minimum.at(lowest, numbers, groups)
    np.maximum.at(highest, numbers, groups)
    return highest if (lowest == highest).all() else None


class Exchange:
    """Errors that rows receive from other rows.

    Groups differ in how often they are wrong: a class that is always told has no errors to give. There are two ways to give the
    error of another group. By its distance from the mean of its group, in deviations of the row's own: what is alike in a unit
    stays alike, and the largest are larger. Or by its rank, where equal errors have ranks by chance: each group keeps the errors
    that it had, and a unit becomes less alike. So exchanged errors are given by distance, or the null would be too narrow for
    units with rows of several groups; errors that are moved down the file are given by rank, or it would alarm by itself.

    Args:
        errors: float64 [rows], less the mean of their group.
        groups: int [rows], from 0 on.
    """

    def __init__(self, errors, groups):
        self.errors, self.groups, self.sizes = errors, groups, np.bincount(groups)
        order = np.lexsort((np.random.default_rng(len(errors)).random(len(errors)), errors, groups))
        self.ordered, self.starts = errors[order], np.cumsum(self.sizes) - self.sizes
        self.rank = np.empty(len(errors))
        self.rank[order] = (np.arange(len(errors)) - self.starts[groups[order]] + 0.5) / self.sizes[groups[order]]
        self.spread = np.sqrt(np.bincount(groups, errors**2) / np.maximum(self.sizes, 1))[groups]
        scaled = np.divide(errors, self.spread, out=np.zeros_like(errors), where=self.spread > 1e-12)
        self.scaled = scaled / max(scaled.std(), 1e-300)

    def moved(self, order):
        """Errors that rows of other groups may have given, by rank, less the mean of each group.

        Args:
            order: int [rows], the row whose error each row receives.

        Returns:
            float64 [rows].
        """
        places = self.starts[self.groups] + (self.rank[order] * self.sizes[self.groups]).astype(int)
        return centred_errors(self.ordered[places], self.groups)

    def draws(self, units, draws, *, seed):
        """Errors exchanged between units, within their group where each unit has one.

        Args:
            units: int [rows].
            draws: int.
            seed: int.

        Returns:
            iterator of float64 [rows].
        """
        strata = unit_strata(units, self.groups)
        for order in exchange_rows(units, draws, seed=seed, strata=strata):
            if strata is None:
                yield centred_errors(self.scaled[order] * self.spread, self.groups)
            else:
                yield self.errors[order]


@dataclass(frozen=True)
class Search:
    """What a search over slices gave.

    Args:
        distance: float64 [slices], the excess error in deviations of its null.
        p: float64 [slices], adjusted by the largest over all slices.
        centre: float64 [slices], the mean excess of exchanged errors.
        deviation: float64 [slices], its deviation.
        exchanged: float64 [draws], the largest distance of each exchange, in order.
    """

    distance: np.ndarray
    p: np.ndarray
    centre: np.ndarray
    deviation: np.ndarray
    exchanged: np.ndarray

    def p_of(self, distance):
        """p of distances, as of the largest of all: float64."""
        return p_among(self.exchanged, distance, rounding=ROUNDING)

    def scaled(self, excess):
        """Distances of the excess of each slice: float64 [draws, slices], -inf for one that is the same in every exchange."""
        varies = self.deviation > 1e-12
        return np.where(varies, (excess - self.centre) / np.where(varies, self.deviation, 1), -np.inf)


def search_slices(slices, errors, units, groups, *, draws, seed):
    """Compare the excess error of every slice with that under errors exchanged between units.

    The scale of a slice comes from exchanges of their own, so that no draw that is ranked has set it.

    Args:
        slices: `Slices`.
        errors: float64 [rows], less the mean of their group.
        units: int [rows].
        groups: int [rows], from 0 on, that errors are compared within.
        draws: int.
        seed: int.

    Returns:
        `Search`.
    """
    exchange = Exchange(errors, groups)
    scaling = excess_errors(slices, exchange.draws(units, SCALING, seed=derive_seed(seed, "scaling")))
    scale = Search(None, None, scaling.mean(axis=0), scaling.std(axis=0), np.empty(0))
    orders = exchange.draws(units, draws, seed=derive_seed(seed, "ranked"))
    largest = [
        scale.scaled(excess_errors(slices, block)).max(axis=1)
        for block in _blocks(orders, max(1, min(BLOCK, CELLS // (4 * len(slices)))))
    ]
    distance = scale.scaled(excess_errors(slices, [errors]))[0]
    search = replace(scale, distance=distance, exchanged=np.sort(np.concatenate(largest)))
    return replace(search, p=np.where(np.isfinite(distance), search.p_of(distance), 1.0))


def search_copies(slices, search, errors, copies):
    """The smallest p that each copy of errors would have had.

    Copies share the exchanges: those of errors that were exchanged are the same, and a planted effect adds little to their
    deviation, by which its own numbers are divided.

    Args:
        slices: `Slices`.
        search: `Search` of the errors.
        errors: float64 [rows].
        copies: list of float64 [rows].

    Returns:
        float64 [copies].
    """
    copies = (copy * (errors.std() / max(copy.std(), 1e-300)) for copy in copies)
    return search.p_of(search.scaled(excess_errors(slices, copies)).max(axis=1))


def excess_errors(slices, drawn):
    """Mean error inside less mean error outside of every slice.

    Args:
        slices: `Slices`.
        drawn: iterable of float64 [rows].

    Returns:
        float64 [draws, slices].
    """
    rows = slices.conditions.holds.shape[1]
    parts = []
    for block in _blocks(drawn, max(1, min(BLOCK, CELLS // max(rows, 1)))):
        values = np.array(block, "float32")
        totals = np.array([row.sum() for row in block])
        parts.append(np.hstack([_differences(values, totals, masks) for _, masks in _chunks(slices)]))
    return np.concatenate(parts)


def _blocks(values, size):
    """Values some at a time: iterator of list."""
    values = iter(values)
    while block := list(itertools.islice(values, size)):
        yield block


def _chunks(slices):
    """Slices some at a time: iterator of (int [some], bool [some, rows])."""
    step = max(1, min(CHUNK, CELLS // max(slices.conditions.holds.shape[1], 1)))
    for start in range(0, len(slices), step):
        places = np.arange(start, min(start + step, len(slices)))
        yield places, slices.masks(places)


def _differences(drawn, totals, masks):
    """Mean inside less mean outside: float64 [draws, slices]."""
    count, rows = masks.sum(axis=1), masks.shape[1]
    inside = (drawn @ masks.T.astype("float32")).astype("float64")
    return inside / count - (totals[:, None] - inside) / (rows - count)


def shares_of(slices):
    """The share of rows in every slice: float64 [slices]."""
    return np.concatenate([masks.mean(axis=1) for _, masks in _chunks(slices)])


def shares_within(slices, groups):
    """The part of the variance of each slice that lies within groups: 0 for a slice that is made of groups.

    Args:
        slices: `Slices`.
        groups: int [rows], from 0 on.

    Returns:
        float64 [slices].
    """
    table = (groups[:, None] == np.arange(groups.max() + 1)).astype("float32")
    sizes, parts = table.sum(axis=0), []
    for _, masks in _chunks(slices):
        share = masks.mean(axis=1)
        between = ((masks.astype("float32") @ table) ** 2 / np.maximum(sizes, 1)).sum(axis=1) / len(groups)
        parts.append((share - between) / (share * (1 - share)))
    return np.concatenate(parts)


def measured_excess(slices, errors, units, groups, *, seed):
    """The excess error of the slice that stands out most on one half of the units, measured on the other half.

    Both ways round, over several halves.

    Args:
        slices: `Slices`.
        errors: float64 [rows], less the mean of their group.
        units: int [rows].
        groups: int [rows], from 0 on.
        seed: int.

    Returns:
        `Interval`; its width is that of one pair of halves.
    """
    measured = []
    # Of a slice that is little else than a group, the excess over the same group is not known.
    is_open = shares_within(slices, groups) > OPEN
    for split in range(SPLITS):
        first = halves(units, seed=derive_seed(seed, "halves", split))
        pair = [_measure_other(slices, errors, units, groups, half, is_open) for half in (first, ~first) if half.any()]
        pair = np.array([row for row in pair if np.isfinite(row).all()]).reshape(-1, 3)
        if len(pair):
            measured.append([pair[:, 0].mean(), pair[:, 1].mean() / len(pair), pair[:, 2].sum()])
    if not measured:
        return Interval(float("nan"), float("-inf"), float("inf"))
    mean, variance, freedom = np.mean(measured, axis=0)
    half_width = stats.t.isf(0.025, freedom) * np.sqrt(variance)
    return Interval(float(mean), float(mean - half_width), float(mean + half_width))


def _measure_other(slices, errors, units, groups, chooses, is_open):
    """The slice that stands out most where `chooses` holds, measured on the other rows, as of `excess_of`."""
    best, furthest = None, -np.inf
    values, rows = errors[chooses][None], int(chooses.sum())
    for places, masks in _chunks(slices):
        masks = masks[:, chooses]
        count = masks.sum(axis=1)
        usable = (count >= ROWS / 2) & (count <= rows - ROWS / 2) & is_open[places]
        if not usable.any():
            continue
        difference = _differences(values.astype("float32"), values.sum(axis=1), masks[usable])[0]
        scaled = difference / np.sqrt(1 / count[usable] + 1 / (rows - count[usable]))
        if scaled.max() > furthest:
            best, furthest = places[usable][scaled.argmax()], scaled.max()
    if best is None:
        return np.nan, np.nan, np.nan
    mask = slices.masks(np.array([best]))[0]
    return excess_of(mask[~chooses], errors[~chooses], units[~chooses], groups[~chooses])


def excess_of(mask, errors, units, groups):
    """The excess error of one slice over the other rows of the same group, with its variance between units.

    Args:
        mask: bool [rows].
        errors: float64 [rows].
        units: int [rows].
        groups: int [rows], from 0 on.

    Returns:
        (excess, variance, degrees of freedom), nan where no group has rows on both sides. The variance is never less than
            that of rows drawn alike: a handful of rows without an error does not vary.
    """
    inside = centred_errors(mask.astype("float64"), groups)
    size = (inside**2).sum()
    if size < 1e-9:
        return np.nan, np.nan, np.nan
    errors = centred_errors(errors, groups)
    excess = (inside * errors).sum() / size
    numbers = np.unique(units, return_inverse=True)[1]
    by_unit = np.bincount(numbers, inside * (errors - excess * inside)) / size
    variance = (by_unit**2).sum() * len(by_unit) / max(len(by_unit) - 1, 1)
    sides = min(len(np.unique(numbers[mask])), len(np.unique(numbers[~mask])))
    return float(excess), float(max(variance, errors.var() / size)), max(sides - 1, 1)


def distinct_slices(slices, search, errors, alpha, most):
    """Slices whose p is at most alpha, the furthest first, without those that overlap one of them or owe their errors to one.

    Args:
        slices: `Slices`.
        search: `Search`.
        errors: float64 [rows], less the mean of their group.
        alpha: float.
        most: int, slices.

    Returns:
        list of int.
    """
    order = np.argsort(-search.distance, kind="stable")
    order = order[search.p[order] <= alpha][:CANDIDATES]
    masks, kept, usable = slices.masks(order), [], np.ones(len(order), bool)
    residual = errors
    while usable.any() and len(kept) < most:
        excess = np.full(len(search.distance), np.nan)
        excess[order] = _differences(residual[None].astype("float32"), residual.sum(keepdims=True), masks)[0]
        distance = np.where(usable, search.scaled(excess)[order], -np.inf)
        best = int(distance.argmax())
        if search.p_of(distance[best]) > alpha:
            break
        kept.append(best)
        overlap = (masks & masks[best]).sum(axis=1) / (masks | masks[best]).sum(axis=1)
        usable &= overlap <= SAME
        residual = without_slices(masks[kept], errors)
    return [int(order[place]) for place in kept]


def without_slices(masks, errors):
    """Errors less what slices have more than elsewhere.

    Args:
        masks: bool [slices, rows].
        errors: float64 [rows].

    Returns:
        float64 [rows].
    """
    table = np.vstack([np.ones(len(errors)), masks]).T
    return errors - table @ np.linalg.lstsq(table, errors, rcond=None)[0]


def error_interval(errors, units):
    """The mean error of some rows: of shares by Wilson, over as many rows as units are worth; else by units.

    Args:
        errors: float64 [rows].
        units: int [rows].

    Returns:
        `Interval`.
    """
    mean, count = errors.mean(), len(errors)
    variance, distance = mean_variance(errors, units), stats.norm.isf(0.025)
    if not np.isin(errors, (0, 1)).all():
        half = distance * np.sqrt(variance)
        return Interval(float(mean), float(mean - half), float(mean + half))
    whole = len(np.unique(units))
    worth = max(1.0, variance * count / max(mean * (1 - mean), 1e-12)) if 0 < mean < 1 else count / whole
    low, high = wilson_bounds(mean, count / worth, distance)
    return Interval(float(mean), float(min(mean, low)), float(max(mean, high)))


def rows_needed(slices, search, errors, delta, share):
    """About how many rows find a slice of a share with an excess of delta in four of five audits.

    Args:
        slices: `Slices`.
        search: `Search`, whose deviations say how much the rows of a unit are alike.
        errors: float64 [rows], such as of variance e (1 - e).
        delta: float.
        share: float.

    Returns:
        int, or None where there are as many.
    """
    distance = stats.norm.isf(0.05 / max(len(slices), 1)) + stats.norm.isf(0.2)
    rows = slices.conditions.holds.shape[1]
    shares = shares_of(slices)
    alike = max(1.0, float(np.median(search.deviation**2 * shares * (1 - shares) * rows / max(errors.var(), 1e-300))))
    count = int(np.ceil(distance**2 * errors.var() * alike / (share * delta**2)))
    return count if count > rows else None
