"""Harm: whether errors rose between two sets of rows, measured with labels, or estimated without on what that rests.

Without labels an estimate holds only if labels still mean the same. Weights say what the errors of the reference would be among
the current rows, confidence says what the network takes its errors to be, and neither sees labels that changed.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import expit

from sanity.audit.encoding import encode_inputs
from sanity.audit.eyes import subset_rows
from sanity.audit.logistic import fit_logistic
from sanity.audit.permutation import resample_units, unit_folds
from sanity.seeds import derive_seed
from sanity.statistics import Interval, mean_variance, wilson_interval

# Folds of the classifier of sets, its penalty in rows, and resamples of units.
FOLDS, PENALTY, RESAMPLES = 5, 1.0, 60
# Rows a side that estimates without labels rest on, drawn by unit.
ROWS = 10_000
# Gates of weights: share of the rows that they are worth, rows, and difference of means in deviations.
EFFECTIVE, EFFECTIVE_ROWS, BALANCED = 0.2, 100, 0.1
# The smallest singular value of a confusion matrix that is inverted.
SINGULAR = 0.1


def error_rise(reference, current, units, current_units, *, level=0.95):
    """The mean error of current rows less that of the reference.

    Args:
        reference: float64 [rows], errors.
        current: float64 [rows].
        units: int [rows], of the reference.
        current_units: int [rows].
        level: float.

    Returns:
        `Interval`: Newcombe's of two shares where rows are units (1998, method 10), else by unit.
    """
    single = all(len(np.unique(numbers)) == len(numbers) for numbers in (units, current_units))
    if single and np.isin(np.concatenate([reference, current]), (0, 1)).all():
        return _newcombe(reference, current, level)
    difference = float(current.mean() - reference.mean())
    variances = np.array([mean_variance(reference, units), mean_variance(current, current_units)])
    if not np.isfinite(variances).all():
        return Interval(difference, float("-inf"), float("inf"))
    counts = np.array([len(np.unique(units)), len(np.unique(current_units))])
    freedom = variances.sum() ** 2 / max((variances**2 / (counts - 1)).sum(), 1e-300)
    # No error in either set is no certainty: one more error in each bounds it.
    floor = sum((1 / len(numbers)) ** 2 for numbers in (units, current_units)) if not variances.any() else 0.0
    half = float(stats.t.isf((1 - level) / 2, max(freedom, 1.0)) * np.sqrt(variances.sum() + floor))
    return Interval(difference, difference - half, difference + half)


def _newcombe(reference, current, level):
    first, second = (wilson_interval(int(values.sum()), len(values), level) for values in (reference, current))
    difference = second.mean - first.mean
    low = difference - np.hypot(second.mean - second.low, first.high - first.mean)
    high = difference + np.hypot(second.high - second.mean, first.mean - first.low)
    return Interval(float(difference), float(low), float(high))


@dataclass(frozen=True)
class Estimate:
    """What the change of errors is taken to be without labels of the current rows.

    Args:
        weighted: `Interval`, by weights of reference rows.
        confident: `Interval`, by recalibrated confidence; None for a regression.
        effective: float, the share of the reference rows that the weights are worth.
        rows: int, that share in rows.
        imbalance: float, the largest difference of means in deviations that is left after weighting.
        drawn: tuple of int, how many rows of each set it rests on where these are not all.
    """

    weighted: Interval
    confident: Interval | None
    effective: float
    rows: int
    imbalance: float
    drawn: tuple = ()

    @property
    def holds(self):
        """Whether the weights pass their gates: bool."""
        return self.effective >= EFFECTIVE and self.rows >= EFFECTIVE_ROWS and self.imbalance <= BALANCED

    @property
    def disagrees(self):
        """Whether the two estimates have no value in common: bool."""
        if self.confident is None:
            return False
        return self.weighted.low > self.confident.high or self.weighted.high < self.confident.low


def estimate_rise(reference, current, *, seed, resamples=RESAMPLES):
    """How much errors would rise if labels still meant the same.

    Reference rows are weighted by the odds of a classifier of the sets that was fitted to other units (Sugiyama et al. 2007,
    https://jmlr.org/papers/v8/sugiyama07a.html); units are resampled, and all is fitted again.

    Args:
        reference: `sanity.audit.rows.Rows`, all labelled.
        current: `Rows`.
        seed: int.
        resamples: int.

    Returns:
        `Estimate`, or None where no column varies.
    """
    encoded = encode_inputs(reference, current)
    kept = subset_rows(encoded.units, encoded.is_current, ROWS, seed=derive_seed(seed, "rows"))
    if not kept.all():
        encoded = encoded.take(kept)
        reference, current = reference.take(kept[: len(reference)]), current.take(kept[len(reference) :])
    if not encoded.names:
        return None
    standard = encoded.standard.astype("float64")
    folds = unit_folds(encoded.units, FOLDS, seed=derive_seed(seed, "folds"))
    answers = _Answers(standard, encoded.is_current, folds, reference, current)
    weights = answers.weights(np.arange(len(encoded)))
    values = answers.changes(np.arange(len(encoded)), weights)
    drawn = []
    for number in range(resamples):
        rows = _resample_sides(encoded, derive_seed(seed, "resample", number))
        drawn.append(answers.changes(rows, answers.weights(rows)))
    effective = float(weights.sum() ** 2 / max((weights**2).sum(), 1e-300) / len(weights))
    deviations = np.std(np.array(drawn, "float64"), axis=0)
    if not reference.is_regression and np.ptp(reference.errors) == 0:
        # No error in the reference is no certainty: one more in the rows that weights leave bounds it.
        deviations = np.maximum(deviations, 1 / (effective * len(weights)))
    intervals = [
        Interval(*(float(value + side * 1.96 * part) for side in (0, -1, 1))) for value, part in zip(values, deviations)
    ]
    imbalance = _imbalance(standard, encoded.is_current, weights)
    confident = None if reference.is_regression else intervals[1]
    looked = () if kept.all() else (len(reference), len(current))
    return Estimate(intervals[0], confident, effective, int(effective * len(weights)), imbalance, looked)


def _resample_sides(encoded, seed):
    """A bootstrap sample of the units of either side: int [rows]."""
    parts = []
    for number, side in enumerate((~encoded.is_current, encoded.is_current)):
        rows = np.flatnonzero(side)
        parts.append(rows[resample_units(encoded.units[rows], seed=derive_seed(seed, "side", number))])
    return np.concatenate(parts)


class _Answers:
    """Columns, sets, errors and confidence of all rows, the reference first."""

    def __init__(self, standard, is_current, folds, reference, current):
        squares = np.where(np.abs(standard).max(axis=0) > 0, standard**2, 0)
        self.columns = np.column_stack([standard, squares - squares.mean(axis=0), np.ones(len(standard))])
        self.is_current, self.folds, self.errors = is_current, folds, reference.errors
        # What all rows give, near which resamples lie.
        self._starts = {}
        self.confidence = None
        if not reference.is_regression:
            tops = [rows.probabilities.max(axis=1) for rows in (reference, current)]
            tops = np.clip(np.concatenate(tops), 1e-6, 1 - 1e-6)
            self.confidence = np.log(tops / (1 - tops))

    def weights(self, rows):
        """Odds of being current of the reference rows of a sample, fitted to the other folds: float64 [reference rows]."""
        current, folds = self.is_current[rows], self.folds[rows]
        weights = np.zeros(len(rows))
        for fold in np.unique(folds):
            train, test = rows[folds != fold], (folds == fold) & ~current
            targets, start = self.is_current[train].astype("float64"), self._starts.get(fold)
            slope = fit_logistic(self.columns[train], targets, _ridge(self.columns), start)
            self._starts.setdefault(fold, slope)
            weights[test] = np.exp(np.clip(self.columns[rows[test]] @ slope, -30, 30))
        weights = weights[~current]
        return weights / max(weights.mean(), 1e-300)

    def changes(self, rows, weights):
        """The change of errors by weights and by confidence: (float, float)."""
        current = self.is_current[rows]
        errors = self.errors[rows[~current]]
        weighted = float(weights @ errors / weights.sum() - errors.mean())
        return weighted, self._by_confidence(rows[~current], rows[current], errors)

    def _by_confidence(self, reference, current, errors):
        if self.confidence is None:
            return float("nan")
        scores = np.column_stack([self.confidence, np.ones(len(self.confidence))])
        chances = expit(scores @ fit_logistic(scores[reference], errors, _ridge(scores)))
        return float(chances[current].mean() - errors.mean())


def _ridge(columns):
    """A penalty of one row for each column but the last, which is of ones: float64 [columns]."""
    return np.append(np.full(columns.shape[1] - 1, PENALTY), 1e-6)


def _imbalance(standard, is_current, weights):
    """The largest difference of means between current and weighted reference rows, in deviations."""
    means = weights @ standard[~is_current] / weights.sum()
    deviations = np.maximum(standard.std(axis=0), 1e-12)
    return float((np.abs(standard[is_current].mean(axis=0) - means) / deviations).max())


def label_shares(reference, current):
    """Shares of the classes among current rows, if only these shares changed (Lipton et al. 2018).

    Args:
        reference: `Rows`, labelled, of classes.
        current: `Rows`.

    Returns:
        (float64 [classes], shares; float, the smallest singular value of the confusion matrix); shares are None where it is
        below its gate. https://arxiv.org/abs/1802.03916
    """
    classes = reference.logits.shape[1]
    counts = np.zeros((classes, classes))
    np.add.at(counts, (reference.predicted, reference.labels), 1)
    matrix = counts / max(counts.sum(), 1)
    conditional = matrix / np.maximum(matrix.sum(axis=0), 1e-12)
    smallest = float(np.linalg.svd(conditional, compute_uv=False)[-1])
    if smallest < SINGULAR or (counts.sum(axis=0) == 0).any():
        return None, smallest
    predicted = np.bincount(current.predicted, minlength=classes) / len(current)
    shares = np.clip(np.linalg.solve(conditional, predicted), 0, None)
    return shares / shares.sum(), smallest
