"""Slices: groups of rows by values of their columns, and where a network errs more than elsewhere.

All slices share the same exchanges of errors between units, so that the largest of a thousand is compared with the largest of a
thousand. What a slice shows on the rows that chose it is too much, so that its size is measured on rows that did not.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from sanity.audit.permutation import exchange_rows, halves
from sanity.seeds import derive_seed
from sanity.statistics import Interval

# Least rows, share and units of a slice; values of a number that are not cut into quartiles; slices at a time.
ROWS, SHARE, UNITS, FEW, CHUNK = 30, 0.03, 10, 4, 512
# Exchanges that the scale of each slice is taken from.
SCALING = 200
# Halves that the size of a slice is averaged over, and overlap from which on two slices are one.
SPLITS, SAME = 5, 0.5


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
    distinct = np.unique(values[known])
    if len(distinct) <= FEW:
        for value in distinct:
            yield f"{column.name} = {value:g}", values == value
        return
    edges = np.unique(np.quantile(values[known], [0, 0.25, 0.5, 0.75, 1]))
    for number, (low, high) in enumerate(zip(edges[:-1], edges[1:])):
        first = number == 0
        above = values >= low if first else values > low
        with np.errstate(invalid="ignore"):
            yield f"{column.name} {low:.4g} to {high:.4g}", known & above & (values <= high)


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


def centred_errors(rows, beyond="label"):
    """Errors less the mean of their label, so that a hard class is not found again as a slice that goes with it.

    Args:
        rows: `Rows`, all labelled.
        beyond: "label", or "none" for errors less the mean of all. Of a regression there is no label, and errors are in
            units of their deviation.

    Returns:
        float64 [rows].
    """
    errors = rows.errors
    if rows.is_regression:
        return (errors - errors.mean()) / max(errors.std(), 1e-300)
    if beyond == "none":
        return errors - errors.mean()
    means = np.bincount(rows.labels, errors) / np.maximum(np.bincount(rows.labels), 1)
    return errors - means[rows.labels]


def label_strata(rows, beyond="label"):
    """Units by their label, where all rows of each unit have the same one.

    Args:
        rows: `Rows`.
        beyond: as of `centred_errors`.

    Returns:
        int [units], or None.
    """
    if rows.is_regression or beyond == "none":
        return None
    units = np.unique(rows.units, return_inverse=True)[1]
    lowest, highest = np.full(units.max() + 1, np.iinfo(int).max), np.full(units.max() + 1, -1)
    np.minimum.at(lowest, units, rows.labels)
    np.maximum.at(highest, units, rows.labels)
    return highest if (lowest == highest).all() else None


@dataclass(frozen=True)
class Search:
    """What a search over slices gave.

    Args:
        excess: float64 [slices], mean error inside less that outside.
        distance: float64 [slices], the excess in deviations of its null.
        p: float64 [slices], adjusted by the largest over all slices.
        copies_p: float64 [copies], the smallest p that each copy would have had.
    """

    excess: np.ndarray
    distance: np.ndarray
    p: np.ndarray
    copies_p: np.ndarray


def search_slices(slices, errors, units, *, draws, seed, strata=None, copies=()):
    """Compare the excess error of every slice with that under errors exchanged between units.

    Copies share the exchanges: those of errors that were exchanged are the same, and a planted effect adds little to their
    deviation, by which its own numbers are divided.

    Args:
        slices: `Slices`.
        errors: float64 [rows], centred.
        units: int [rows].
        draws: int.
        seed: int.
        strata: int [units], or None, as of `sanity.audit.permutation.exchange_rows`.
        copies: list of float64 [rows], other errors that are searched alike.

    Returns:
        `Search`.
    """
    drawn = np.empty((1 + draws + len(copies) + SCALING, len(errors)), "float32")
    drawn[0] = errors
    places = [*range(1, 1 + draws), *range(len(drawn) - SCALING, len(drawn))]
    for place, order in zip(places, exchange_rows(units, len(places), seed=seed, strata=strata)):
        drawn[place] = errors[order]
    for place, copy in enumerate(copies, 1 + draws):
        drawn[place] = copy * (errors.std() / max(copy.std(), 1e-300))
    excess, distance, largest = _largest(slices, drawn)
    ordered = np.sort(largest[: 1 + draws])
    p = (len(ordered) - np.searchsorted(ordered, distance - 1e-9)) / len(ordered)
    exchanged = np.sort(largest[1 : 1 + draws])
    above = draws - np.searchsorted(exchanged, largest[1 + draws : len(drawn) - SCALING] - 1e-9)
    return Search(excess, distance, np.where(np.isfinite(distance), p, 1.0), (1 + above) / (1 + draws))


def _largest(slices, drawn):
    """Excess and distance of the observed errors, and the largest distance of each draw or copy.

    The scale of a slice comes from exchanges of their own, so that no draw that is ranked has set it.
    """
    totals, excess, distance = drawn.sum(axis=1, dtype="float64"), [], []
    largest = np.full(len(drawn), -np.inf)
    for start in range(0, len(slices), CHUNK):
        masks = slices.masks(np.arange(start, min(start + CHUNK, len(slices))))
        differences = _differences(drawn, totals, masks)
        scaling = differences[-SCALING:]
        deviation = scaling.std(axis=0)
        varies = deviation > 1e-12
        centred = differences - scaling.mean(axis=0)
        scaled = np.where(varies, centred / np.where(varies, deviation, 1), -np.inf)
        largest = np.maximum(largest, scaled.max(axis=1))
        excess.append(differences[0])
        distance.append(scaled[0])
    return np.concatenate(excess), np.concatenate(distance), largest


def _differences(drawn, totals, masks):
    """Mean inside less mean outside: float64 [draws, slices]."""
    count, rows = masks.sum(axis=1), masks.shape[1]
    inside = (drawn @ masks.T.astype("float32")).astype("float64")
    return inside / count - (totals[:, None] - inside) / (rows - count)


def measured_excess(slices, errors, units, *, seed):
    """The excess error of the slice that stands out most on one half of the units, measured on the other half.

    Both ways round, over several halves.

    Args:
        slices: `Slices`.
        errors: float64 [rows], centred.
        units: int [rows].
        seed: int.

    Returns:
        `Interval`; its width is that of one pair of halves.
    """
    means, variances = [], []
    for split in range(SPLITS):
        first = halves(units, seed=derive_seed(seed, "halves", split))
        pair = [_measure_other(slices, errors, units, half) for half in (first, ~first) if len(slices) and half.any()]
        pair = [row for row in pair if np.isfinite(row).all()]
        if pair:
            means.append(np.mean([mean for mean, _ in pair]))
            variances.append(np.mean([variance for _, variance in pair]) / len(pair))
    if not means:
        return Interval(float("nan"), float("-inf"), float("inf"))
    mean, half_width = float(np.mean(means)), float(stats.norm.isf(0.025) * np.sqrt(np.mean(variances)))
    return Interval(mean, mean - half_width, mean + half_width)


def _measure_other(slices, errors, units, chooses):
    """The slice that stands out most where `chooses` holds, measured on the other rows: mean and variance of its excess."""
    best, furthest = None, -np.inf
    for start in range(0, len(slices), CHUNK):
        places = np.arange(start, min(start + CHUNK, len(slices)))
        masks = slices.masks(places)[:, chooses]
        count = masks.sum(axis=1)
        usable = (count >= ROWS / 2) & (count <= chooses.sum() - ROWS / 2)
        if not usable.any():
            continue
        values = errors[chooses][None].astype("float32")
        difference = _differences(values, values.sum(axis=1), masks[usable])[0]
        scaled = difference / np.sqrt(1 / count[usable] + 1 / (chooses.sum() - count[usable]))
        if scaled.max() > furthest:
            best, furthest = int(places[usable][scaled.argmax()]), scaled.max()
    return (
        (np.nan, np.nan)
        if best is None
        else excess_of(slices.masks([best])[0][~chooses], errors[~chooses], units[~chooses])
    )


def excess_of(mask, errors, units):
    """The excess error of one slice, and its variance between units.

    Args:
        mask: bool [rows].
        errors: float64 [rows].
        units: int [rows].

    Returns:
        (float, float), nan where a side is empty.
    """
    if not mask.any() or mask.all():
        return np.nan, np.nan
    inside, outside = errors[mask].mean(), errors[~mask].mean()
    influence = np.where(mask, (errors - inside) / mask.sum(), -(errors - outside) / (~mask).sum())
    by_unit = np.bincount(np.unique(units, return_inverse=True)[1], influence)
    return float(inside - outside), float((by_unit**2).sum() * len(by_unit) / max(len(by_unit) - 1, 1))


def distinct_slices(slices, search, alpha):
    """Slices whose p is at most alpha, the furthest first, without those that overlap one of them.

    Args:
        slices: `Slices`.
        search: `Search`.
        alpha: float.

    Returns:
        list of int.
    """
    order = [int(place) for place in np.argsort(-search.distance, kind="stable") if search.p[place] <= alpha]
    kept = []
    for place in order[:500]:
        mask = slices.masks([place])[0]
        others = slices.masks(kept) if kept else np.zeros((0, len(mask)), bool)
        overlap = (others & mask).sum(axis=1) / np.maximum((others | mask).sum(axis=1), 1)
        if not (overlap > SAME).any():
            kept.append(place)
    return kept


def rows_needed(slices, rate, delta, share=0.05):
    """About how many rows find a slice of a share with an excess of delta in four of five audits.

    Args:
        slices: int, how many are searched.
        rate: float, the variance of errors, such as e (1 - e).
        delta: float.
        share: float.

    Returns:
        int.
    """
    distance = stats.norm.isf(0.05 / max(slices, 1)) + stats.norm.isf(0.2)
    return int(np.ceil(distance**2 * rate / (share * delta**2)))
