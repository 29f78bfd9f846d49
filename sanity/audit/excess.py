"""Excess: how much more a network errs in a slice than elsewhere, measured on rows that did not choose the slice.

What a slice shows on the rows that chose it is too much.
"""

import numpy as np
from scipy import stats

from sanity.audit.exchange import centred_errors
from sanity.audit.permutation import halves
from sanity.audit.slices import ROWS, shares_within
from sanity.seeds import derive_seed
from sanity.statistics import Interval, mean_variance, wilson_bounds

# Draws at a time, bytes of them, and what two sums of the same numbers may differ by, as a share.
BLOCK, BYTES, SAME = 700, 2**28, 1e-9
# The part of a slice that groups leave open, from which on it is measured, and halves that its size is averaged over.
OPEN, SPLITS = 0.1, 5


def excess_errors(slices, drawn):
    """Mean error inside less mean error outside of every slice.

    Args:
        slices: `Slices`.
        drawn: iterable of float64 [rows].

    Returns:
        float64 [draws, slices].
    """
    return np.concatenate([np.hstack([excess for _, excess in block]) for block in excess_blocks(slices, drawn)])


def excess_of_sums(inside, counts, total, rows):
    """Mean inside less mean outside of slices, of the sum of values in each.

    Args:
        inside: float64 [..., slices].
        counts: float64 [slices], rows of each.
        total: float64 [..., 1], or float, the sum over all rows.
        rows: int.

    Returns:
        float64 [..., slices].
    """
    return inside / counts - (total - inside) / (rows - counts)


def excess_blocks(slices, drawn):
    """The excess of every slice, some draws and of these some slices at a time: no array of all draws and slices is kept.

    Args:
        slices: `Slices`.
        drawn: iterable of float64 [rows].

    Returns:
        iterator of iterators of (int [slices of it], float64 [draws of it, slices of it]).
    """
    rows, counts = slices.conditions.holds.shape[1], slices.sums()
    for values, totals in _blocks(drawn, rows):
        yield _excess_of_block(slices, values, totals, counts)
        # A block that was read is let go before the next one is drawn, or two would lie in memory.
        del values, totals


def _excess_of_block(slices, values, totals, counts):
    """As of `excess_blocks`, of one block: a block that is read after the next one was drawn is still its own."""
    for places, masks in slices.chunks():
        yield places, differences(values, totals, masks, counts[places])


def _blocks(drawn, rows):
    """Draws, as many at a time as BYTES hold: iterator of (float32 [draws of it, rows], float64 [draws of it], sums)."""
    size = max(1, min(BLOCK, BYTES // (4 * max(rows, 1))))
    drawn = iter(drawn)
    while True:
        # The rows are written in place, so that no list of them is held beside.
        values, totals = np.empty((size, rows), "float32"), []
        for place, row in zip(range(size), drawn):
            values[place] = row
            totals.append(row.sum())
        if not totals:
            return
        yield values[: len(totals)], np.array(totals)
        del values


def differences(drawn, totals, masks, counts):
    """Mean inside less mean outside of slices.

    Args:
        drawn: float32 [draws, rows].
        totals: float64 [draws], the sum of each draw.
        masks: bool [slices, rows].
        counts: float64 [slices], rows of each.

    Returns:
        float64 [draws, slices].
    """
    inside = (drawn @ masks.T.astype("float32")).astype("float64")
    return excess_of_sums(inside, counts, totals[:, None], masks.shape[1])


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
    rows, count = int(chooses.sum()), slices.sums(rows=chooses)
    usable = (count >= ROWS / 2) & (count <= rows - ROWS / 2) & is_open
    if not usable.any():
        return np.nan, np.nan, np.nan
    inside, count = slices.sums(errors, chooses)[usable], count[usable]
    scaled = excess_of_sums(inside, count, errors[chooses].sum(), rows) / np.sqrt(1 / count + 1 / (rows - count))
    # Of slices with the same rows the first, whatever a sum was rounded to.
    best = np.flatnonzero(usable)[np.argmax(scaled >= scaled.max() - SAME * np.abs(scaled).max())]
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
