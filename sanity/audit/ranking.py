"""Ranking: the area under the ROC curve as a mean over rows, so that areas of two scores are compared by unit.

DeLong, DeLong, Clarke-Pearson 1988 (https://doi.org/10.2307/2531595); of units with several rows Obuchowski 1997
(https://doi.org/10.2307/2533958).
"""

import numpy as np
from scipy.special import logsumexp

from sanity.statistics import Interval, t_interval


def area_shares(scores, weights):
    """What each row adds to the area under the ROC curve.

    The differences of the shares from their mean are the influence of the rows, so that the variance of the mean is that of DeLong.

    Args:
        scores: float [rows].
        weights: float [rows], 1 for a member and 0 for another row; between them the chance of being a member.

    Returns:
        float64 [rows], whose mean is the area; nan where one side is empty.
    """
    scores, inside = np.asarray(scores, "float64"), np.asarray(weights, "float64")
    outside = 1 - inside
    if not inside.sum() or not outside.sum():
        return np.full(len(scores), np.nan)
    below = _weight_below(scores, outside) / outside.sum()
    above = 1 - _weight_below(scores, inside) / inside.sum()
    area = (inside * below).sum() / inside.sum()
    return area + inside * (below - area) / inside.mean() + outside * (above - area) / outside.mean()


def _weight_below(scores, weights):
    """The weight of rows with a lower score, and half of that with the same: float64 [rows]."""
    levels, places = np.unique(scores, return_inverse=True)
    of_level = np.bincount(places, weights, len(levels))
    return (np.cumsum(of_level) - of_level / 2)[places]


def class_area_shares(scores, labels):
    """What each row adds to the area under the ROC curve, each class against the rest, on average over the classes.

    Args:
        scores: float [rows, classes].
        labels: int [rows].

    Returns:
        float64 [rows]; of two classes the area of the second; nan where all labels are the same.
    """
    present = np.unique(labels)
    if len(present) < 2:
        return np.full(len(labels), np.nan)
    compared = present[1:] if scores.shape[1] == 2 else present
    return np.mean([area_shares(scores[:, place], labels == place) for place in compared], axis=0)


def log_odds(logits):
    """Log odds of each class against the rest, which rank rows whose probabilities are all rounded to 1.

    Args:
        logits: float [rows, classes].

    Returns:
        float64 [rows, classes].
    """
    logits = np.asarray(logits, "float64")
    others = [logsumexp(np.delete(logits, place, axis=1), axis=1) for place in range(logits.shape[1])]
    return logits - np.stack(others, axis=1)


def mean_by_unit(values, units):
    """The mean of rows with an interval from the sums of whole units.

    Args:
        values: float [rows].
        units: int [rows].

    Returns:
        `Interval`; without bounds for fewer than two units.
    """
    sizes = np.unique(units, return_counts=True)[1]
    sums = np.bincount(np.unique(units, return_inverse=True)[1], values)
    mean = float(np.mean(values))
    spread = t_interval((sums - mean * sizes) * len(sizes) / len(values))
    return Interval(mean, mean + spread.low, mean + spread.high)
