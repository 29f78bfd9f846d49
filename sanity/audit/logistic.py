"""Logistic regression with a small ridge, fitted many times over: on resamples of units, and on columns that are drawn anew."""

import numpy as np
from scipy.special import expit

# Newton's steps at most, and how far one may go, so that a separable world does not swing.
STEPS, FARTHEST = 12, 5.0


def fit_logistic(columns, targets, ridge, start=None):
    """The slopes of a logistic regression, by Newton's method.

    Args:
        columns: float64 [rows, columns].
        targets: float64 [rows], from 0 to 1.
        ridge: float64 [columns], the penalty of each.
        start: float64 [columns], slopes that those sought are near to, such as of a resample; None: 0.

    Returns:
        float64 [columns].
    """
    slopes, penalty = np.zeros(columns.shape[1]) if start is None else start, np.diag(ridge)
    for _ in range(STEPS):
        chance = expit(columns @ slopes)
        gradient = columns.T @ (targets - chance) - ridge * slopes
        curvature = (columns * (chance * (1 - chance) + 1e-9)[:, None]).T @ columns + penalty
        step = np.linalg.solve(curvature, gradient)
        slopes = slopes + step * min(1.0, FARTHEST / max(np.abs(step).max(), 1e-300))
        if np.abs(step).max() < 1e-6:
            break
    return slopes
