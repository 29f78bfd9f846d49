"""Excess: how much more a network errs in a slice than elsewhere, measured on rows that did not choose the slice.

What a slice shows on the rows that chose it is too much.
"""

import itertools

import numpy as np
from scipy import stats

from sanity.audit.exchange import centred_errors
from sanity.audit.permutation import halves
from sanity.audit.slices import CELLS, ROWS, shares_within
from sanity.seeds import derive_seed
from sanity.statistics import Interval, mean_variance, wilson_bounds

# Draws at a time.
BLOCK = 200
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
    rows = slices.conditions.holds.shape[1]
    parts = []
    for block in blocks(drawn, max(1, min(BLOCK, CELLS // max(rows, 1)))):
        values = np.array(block, "float32")
        totals = np.array([row.sum() for row in block])
        parts.append(np.hstack([differences(values, totals, masks) for _, masks in slices.chunks()]))
    return np.concatenate(parts)


def blocks(values, size):
    """Values, as many at a time as the size says: iterator of list.

    Args:
        values: iterable.
        size: int.
    """
    values = iter(values)
    while block := list(itertools.islice(values, size)):
        yield block


def differences(drawn, totals, masks):
    """Mean inside less mean outside of slices.

    Args:
        drawn: float32 [draws, rows].
        totals: float64 [draws], the sum of each draw.
        masks: bool [slices, rows].

    Returns:
        float64 [draws, slices].
    """
    count, rows = masks.sum(axis=1), masks.shape[1]
    inside = (drawn @ masks.T.astype("float32")).astype("float64")
    return inside / count - (totals[:, None] - inside) / (rows - count)


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
    for places, masks in slices.chunks():
        masks = masks[:, chooses]
        count = masks.sum(axis=1)
        usable = (count >= ROWS / 2) & (count <= rows - ROWS / 2) & is_open[places]
        if not usable.any():
            continue
        difference = differences(values.astype("float32"), values.sum(axis=1), masks[usable])[0]
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
