"""Drift: how far two sets of rows differ, by column, for the whole and by window of time, with intervals by unit.

The size of a drift is the area under the curve of a classifier that tells the sets apart, less a half. A linear classifier is
blind to correlations, so that the better of two counts: of the columns, and of the columns with squares and products. Of pictures
a third is one of their patches. Without it a new mark that is found has the size that it gives to numbers of the whole picture,
which is within the margin. The intervals of all hold together (Bonferroni).
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from sanity.audit.encoding import CUT
from sanity.audit.eyes import PENALTY_OF_PRODUCTS, Ridge, Steps, subset_rows
from sanity.audit.permutation import draw_sides, min_p
from sanity.seeds import derive_seed
from sanity.statistics import Interval, mean_variance

# Fewest and most blocks or windows of time, and rows of one.
BLOCKS, MOST_BLOCKS, BLOCK_ROWS = 8, 12, 50
# The part of blocks of the reference that a margin lies above.
QUANTILE = 0.9
# Blocks of neighbouring units that are dealt, deals that say how far blocks of time differ by chance, and rows that windows of time look at.
DEALT_BLOCKS, DEALS, WINDOW_ROWS = 40, 20, 20_000
# Draws of windows at a time.
DEALT_AT_ONCE = 100


@dataclass(frozen=True)
class Gaps:
    """Differences of columns.

    Args:
        distance: float64 [columns], the Kolmogorov-Smirnov distance.
        low: float64 [columns], Wald bounds of the share at that point, for all columns together.
        high: float64 [columns].
        shift: float64 [columns], difference of means in deviations of the reference.
    """

    distance: np.ndarray
    low: np.ndarray
    high: np.ndarray
    shift: np.ndarray


def column_gaps(eyes, level=0.95):
    """How far each column of the two sides differs.

    Args:
        eyes: `sanity.audit.eyes.Eyes`.
        level: float, of all intervals together.

    Returns:
        `Gaps`.
    """
    encoded = eyes.encoded
    width = stats.norm.isf((1 - level) / 2 / max(len(eyes.steps), 1))
    rows = [
        _gap(step, values, encoded.is_current, encoded.units, width)
        for step, values in zip(eyes.steps, encoded.values.T)
    ]
    return Gaps(*np.array(rows, "float64").reshape(-1, 4).T)


def _gap(step, values, is_current, units, width):
    gaps = step.gaps(is_current[:, None].view("uint8"))[:, 0]
    place = int(np.abs(gaps).argmax())
    distance, known = abs(float(gaps[place])), np.isfinite(values)
    below = (values <= step.cuts[place]).astype("float64")
    first, second = known & ~is_current, known & is_current
    if not first.any() or not second.any():
        return 1.0, 0.0, 1.0, np.nan
    variance = sum(mean_variance(below[side], units[side]) for side in (first, second))
    deviation = values[first].std()
    shift = (values[second].mean() - values[first].mean()) / deviation if deviation > 0 else np.nan
    half = width * np.sqrt(variance)
    return distance, max(distance - half, 0.0), min(distance + half, 1.0), shift


def area_interval(ridge, side, units, level=0.95):
    """The area under the curve of a classifier on rows that it was not fitted to, less a half.

    Args:
        ridge: `sanity.audit.eyes.Ridge`.
        side: bool [rows].
        units: int [rows].
        level: float.

    Returns:
        `Interval`, by unit (DeLong et al. 1988, https://doi.org/10.2307/2531595); undefined bounds are infinite.
    """
    areas, influences = [], np.zeros(len(side))
    for rows, scores in ridge.predictions(side[:, None].view("uint8")):
        current, rest = rows[side[rows]], rows[~side[rows]]
        if len(current) and len(rest):
            above, below = _placements(scores[side[rows], 0], scores[~side[rows], 0])
            areas.append(above.mean())
            influences[current] += (above - above.mean()) / len(current)
            influences[rest] += (below - below.mean()) / len(rest)
    if not areas:
        return Interval(0.0, float("-inf"), float("inf"))
    numbers = np.unique(units, return_inverse=True)[1]
    totals = np.bincount(numbers, influences / len(areas))
    fewest = min(len(np.unique(units[side])), len(np.unique(units[~side])))
    deviation = np.sqrt((totals**2).sum() * fewest / (fewest - 1)) if fewest > 1 else float("inf")
    half = float(stats.t.isf((1 - level) / 2, max(fewest - 1, 1)) * deviation)
    area = float(np.mean(areas)) - 0.5
    return Interval(area, area - half, area + half)


def _placements(first, second):
    """For each score of the first its share of lower ones of the second, and the other way round, ties half."""
    ordered, other = np.sort(second), np.sort(first)
    above = (np.searchsorted(ordered, first, "left") + np.searchsorted(ordered, first, "right")) / 2 / len(second)
    below = 1 - (np.searchsorted(other, second, "left") + np.searchsorted(other, second, "right")) / 2 / len(first)
    return above, below


def drift_size(eyes, level=0.95):
    """How well the best of two classifiers, of three for pictures, tells the sides apart.

    Args:
        eyes: `sanity.audit.eyes.Eyes`.
        level: float, of all together.

    Returns:
        (`Interval` of the best one, `Interval` of the linear one), each an area under the curve less a half.
    """
    side, units = eyes.encoded.is_current[eyes.classifier_rows], eyes.encoded.units[eyes.classifier_rows]
    both = [eyes.standard[eyes.classifier_rows], eyes.products]
    ridges = (eyes.linear, Ridge(both, eyes.folds, PENALTY_OF_PRODUCTS), *eyes.of_patches)
    sizes = [area_interval(ridge, side, units, 1 - (1 - level) / len(ridges)) for ridge in ridges]
    best = Interval(*(max(getattr(size, name) for size in sizes) for name in ("mean", "low", "high")))
    return best, sizes[0]


def time_blocks(times, units, *, most=MOST_BLOCKS, rows=BLOCK_ROWS):
    """The block of time of each row, whole units to one block, about as many rows in each.

    Args:
        times: float64 [rows], or None.
        units: int [rows].
        most: int, blocks at most.
        rows: int, rows of a block at least.

    Returns:
        int [rows], or None for fewer than two blocks' worth of different times, units or rows.
    """
    if times is None or not np.isfinite(times).all() or not len(times):
        return None
    numbers, counts = np.unique(units, return_inverse=True, return_counts=True)[1:]
    means = np.bincount(numbers, times) / counts
    count = min(most, len(np.unique(means)), len(times) // rows)
    if count < 2:
        return None
    order = np.argsort(means, kind="stable")
    middle = np.cumsum(counts[order]) - counts[order] / 2
    blocks = np.empty(len(counts), int)
    blocks[order] = np.minimum((middle * count / len(times)).astype(int), count - 1)
    # Units of one time are in one block.
    _, same = np.unique(means, return_inverse=True)
    lowest = np.full(same.max() + 1, count)
    np.minimum.at(lowest, same, blocks)
    return np.unique(lowest[same], return_inverse=True)[1][numbers]


def block_margins(eyes, times):
    """How far blocks of time of the reference differ from the rest of it.

    Args:
        eyes: `sanity.audit.eyes.Eyes`, of the reference alone.
        times: float64 [rows], or None.

    Returns:
        (float, float64 [columns]), the area under the curve less a half that one block in ten exceeds, and the distances beyond
        those of chance; or None for fewer than eight blocks.
    """
    blocks = time_blocks(times, eyes.encoded.units)
    if blocks is None or blocks.max() + 1 < BLOCKS:
        return None
    sides = blocks == np.arange(blocks.max() + 1)[:, None]
    columns, *_, others = eyes.measure(sides)
    turned = np.ascontiguousarray(sides[:, eyes.classifier_rows].T).view("uint8")
    areas = np.max([others[:, 1], *(ridge.areas(turned) for ridge in eyes.of_patches)], axis=0)
    chance = [_chance_distances(eyes, side, number) for number, side in enumerate(sides)]
    excess = np.quantile(columns - np.stack(chance), QUANTILE, axis=0)
    return float(np.quantile(areas - 0.5, QUANTILE)), np.maximum(excess, 0.0)


def _chance_distances(eyes, side, number):
    """The mean distance of each column when units are dealt to sides of these sizes: few rows differ a lot by chance."""
    seed = derive_seed(eyes.seed, "chance", number)
    return eyes.measure(draw_sides(eyes.encoded.units, side, DEALS, seed=seed)[1:])[0].mean(axis=0)


@dataclass(frozen=True)
class Windows:
    """Windows of time of the current rows, against the whole reference.

    Args:
        starts: float64 [windows], the earliest time of each.
        rows: int [windows].
        looked: int [windows], rows that were looked at.
        p: float64 [windows], the smallest of its eyes, adjusted over windows and eyes.
        distance: float64 [windows], the largest distance of a column.
        column: list of str, the column that has it.
    """

    starts: np.ndarray
    rows: np.ndarray
    looked: np.ndarray
    p: np.ndarray
    distance: np.ndarray
    column: list


def window_counts(drawn, whole):
    """How many of all rows lie in each of the windows that drawn ones were cut into, by the mean times of their units.

    Args:
        drawn: `Rows` with windows.
        whole: `Rows` that they were drawn from.

    Returns:
        int [windows].
    """
    windows, means = time_blocks(drawn.times, drawn.units), _unit_times(drawn)
    edges = [means[windows == window].min() for window in range(1, windows.max() + 1)]
    return np.bincount(np.searchsorted(edges, _unit_times(whole), side="right"), minlength=len(edges) + 1)


def _unit_times(rows):
    """The mean time of the unit of each row: float64 [rows]."""
    numbers, counts = np.unique(rows.units, return_inverse=True, return_counts=True)[1:]
    return (np.bincount(numbers, rows.times) / counts)[numbers]


def look_at_windows(eyes, times, draws, *, seed):
    """Which windows of time of the current rows differ from the reference.

    Args:
        eyes: `sanity.audit.eyes.Eyes`.
        times: float64 [current rows], or None.
        draws: int.
        seed: int.

    Returns:
        `Windows`, or None for fewer than two windows.
    """
    encoded = eyes.encoded
    windows = time_blocks(times, encoded.units[encoded.is_current])
    if windows is None:
        return None
    labels = np.zeros(len(encoded), int)
    labels[encoded.is_current] = windows + 1
    rows = _some_rows(encoded, seed)
    dealt = _deal(encoded.units[rows], labels[rows], draws, seed)
    count = int(labels.max())
    sights, gaps = _see_windows(eyes, rows, dealt, count)
    p = min_p(sights.reshape(1 + draws, -1)).reshape(count, -1).min(axis=1)
    return Windows(
        np.array([times[windows == window].min() for window in range(count)]),
        np.bincount(windows, minlength=count),
        np.bincount(labels[rows], minlength=count + 1)[1:],
        p,
        gaps.max(axis=1),
        [encoded.names[place] for place in gaps.argmax(axis=1)],
    )


def _some_rows(encoded, seed):
    """Rows of either side by unit, all where they are not too many, and all of a side that is small: int [rows].

    A share of all would leave ten of 50 rows of a window beside a large reference, which show nothing.
    """
    if len(encoded) <= WINDOW_ROWS:
        return np.arange(len(encoded))
    fewest = min(encoded.is_current.sum(), (~encoded.is_current).sum())
    limit = max(WINDOW_ROWS // 2, WINDOW_ROWS - int(fewest))
    return np.flatnonzero(subset_rows(encoded.units, encoded.is_current, limit, seed=derive_seed(seed, "window rows")))


def _deal(units, labels, draws, seed):
    """Labels of rows when units are dealt to the reference and the windows, the observed ones first: int8 [1 + draws, rows]."""
    names, first, inverse = np.unique(units, return_index=True, return_inverse=True)
    by_unit = np.repeat(labels[first][None].astype("int8"), 1 + draws, axis=0)
    by_unit[1:] = np.random.default_rng(derive_seed(seed, "windows")).permuted(by_unit[1:], axis=1)
    return by_unit[:, inverse]


def _see_windows(eyes, rows, dealt, count):
    """What two eyes see of each window against the reference.

    Args:
        eyes: `sanity.audit.eyes.Eyes`.
        rows: int [rows that are looked at].
        dealt: int8 [draws, rows that are looked at], 0 for the reference and else the window of each row.
        count: int, windows.

    Returns:
        (float64 [draws, windows, 2], the largest distance of a column, and the squared length of the differences of means;
        float64 [windows, columns], the distances of the first draw).
    """
    steps = {place: eyes.steps[place].take(rows) for place in eyes.others}
    columns = eyes.standard[rows]
    gram = columns.T @ columns / len(rows) + 0.01 * np.eye(columns.shape[1])
    sights, first = [], None
    for start in range(0, len(dealt), DEALT_AT_ONCE):
        part = dealt[start : start + DEALT_AT_ONCE].T
        sides = [np.ascontiguousarray(part == label).view("uint8") for label in range(count + 1)]
        gaps = _window_gaps(eyes, rows, steps, sides)
        first = gaps[0] if first is None else first
        sights.append(np.stack([gaps.max(axis=2), _lengths(columns, gram, sides)], axis=2))
    return np.concatenate(sights), first


def _window_gaps(eyes, rows, steps, sides):
    """The distance of each column between each window and the reference, the first of the sides.

    Args:
        eyes: `sanity.audit.eyes.Eyes`.
        rows: int [rows that are looked at].
        steps: dict of column to `sanity.audit.eyes.Steps` of these rows.
        sides: list of uint8 [rows that are looked at, draws].

    Returns:
        float64 [draws, windows, columns].
    """
    gaps = np.empty((sides[0].shape[1], len(sides) - 1, len(eyes.steps)))
    shares = [eyes.binary.counts(side, rows) / np.maximum(side.sum(axis=0), 1)[:, None] for side in sides]
    gaps[:, :, eyes.binary.places] = np.abs(np.stack(shares[1:], axis=1) - shares[0][:, None])
    for place, step in steps.items():
        reference, *windows = (step.shares(side) for side in sides)
        gaps[:, :, place] = np.stack([np.abs(share - reference).max(axis=0) for share in windows], axis=1)
    return gaps


def _lengths(columns, gram, sides):
    """The squared length of the differences of means between each window and the reference: float64 [draws, windows]."""
    means = [columns.T @ side.astype("float32") / np.maximum(side.sum(axis=0), 1) for side in sides]
    differences = [mean - means[0] for mean in means[1:]]
    return np.stack([(part * np.linalg.solve(gram, part)).sum(axis=0) for part in differences], axis=1)


def deal_blocks(units, times, share, *, seed, count):
    """Sides to which blocks of neighbouring units are dealt at random.

    Rows that belong together though no unit says so are in one block, which sides that are dealt by unit do not keep. Sides of
    one run against the rest would overlap, and five alarms of twenty were then no rarity.

    Args:
        units: int [rows].
        times: float64 [rows], by which units are ordered; None: as they stand in the file.
        share: float, of the blocks on the current side.
        seed: int.
        count: int.

    Returns:
        bool [count, rows].
    """
    numbers, counts = np.unique(units, return_inverse=True, return_counts=True)[1:]
    values = np.arange(len(units), dtype="float64") if times is None else times
    order, rng = np.argsort(np.bincount(numbers, values) / counts, kind="stable"), np.random.default_rng(seed)
    rank, blocks = np.empty(len(order), int), min(DEALT_BLOCKS, len(order))
    rank[order] = np.arange(len(order))
    length = min(max(int(round(share * blocks)), 1), max(blocks - 1, 1))
    sides = np.empty((count, len(units)), bool)
    for side in sides:
        place = (rank + rng.integers(len(order))) % len(order) * blocks // len(order)
        side[:] = np.isin(place, rng.permutation(blocks)[:length])[numbers]
    return sides


def planted_statistics(eyes, sight, sides, columns, size, *, seed):
    """What eyes see of sides that were dealt at random, after one column of the current rows moved.

    Products are seen as they were, so that what they would add is not counted.

    Args:
        eyes: `sanity.audit.eyes.Eyes`.
        sight: `sanity.audit.eyes.Sight` whose copies are these sides.
        sides: bool [copies, rows].
        columns: int [copies], the column that moves.
        size: float64 [copies], by how many deviations.
        seed: int.

    Returns:
        float64 [copies, eyes].
    """
    rows = []
    for number, (side, column) in enumerate(zip(sides, columns)):
        rng = np.random.default_rng(derive_seed(seed, "moved", number))
        rows.append(_planted(eyes, sight.copies[number], sight.copied[number], side, column, size[number], rng))
    return np.stack(rows)


def _planted(eyes, statistics, distances, side, column, size, rng):
    values = moved_values(eyes.encoded.values[:, column], side, size, rng)
    before = eyes.encoded.values[:, column]
    centre, deviation = np.nanmean(before), np.nanstd(before)
    known, moved = distances.copy(), np.clip(np.nan_to_num((values - centre) / deviation), -CUT, CUT).astype("float32")
    scale = eyes.scales[0]
    turned = side[:, None].view("uint8")
    known[column] = (Steps(values).distances(turned)[0] - scale[0][column]) / scale[1][column]
    nearby, drawn = eyes.standard[eyes.energy_rows], eyes.standard[eyes.classifier_rows]
    nearby[:, column], drawn[:, column] = moved[eyes.energy_rows], moved[eyes.classifier_rows]
    energy = statistics[1] + eyes.energy.gain(side[eyes.energy_rows], nearby)
    area = Ridge([drawn - drawn.mean(axis=0)], eyes.folds).areas(turned[eyes.classifier_rows])[0]
    return np.array([known.max(), energy, area, *statistics[3:]])


def moved_values(values, side, size, rng):
    """Values of a column of which the current ones moved by so many deviations.

    Numbers of many values are raised; of few values some become the largest.

    Args:
        values: float64 [rows]; nan stays.
        side: bool [rows].
        size: float.
        rng: numpy Generator.

    Returns:
        float64 [rows].
    """
    known = values[np.isfinite(values)]
    step = size * known.std()
    if len(np.unique(known)) > 10:
        return np.where(side, values + step, values)
    share = min(step / max(known.max() - known.mean(), 1e-12), 1.0)
    raised = side & np.isfinite(values) & (rng.random(len(values)) < share)
    return np.where(raised, known.max(), values)
