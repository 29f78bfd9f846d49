"""Statistics: intervals that resample what was sampled, photographs and random networks, and nothing else."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A mean with its percentile bootstrap interval: mean, low, high (float; nan where undefined)."""

    mean: float
    low: float
    high: float

    def __str__(self):
        return "undefined" if np.isnan(self.mean) else f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


def two_way(values, *, seed, draws=2000, level=0.95):
    """Interval of the mean of values [networks, images] when both networks and images are resampled with replacement; nan is left out."""
    values = np.asarray(values, "float64")
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, values.shape[0], (draws, values.shape[0]))
    columns = rng.integers(0, values.shape[1], (draws, values.shape[1]))
    means = [_mean(values[np.ix_(row, column)]) for row, column in zip(rows, columns)]
    return _interval(_mean(values), means, level)


def pairs(values, *, seed, draws=2000, level=0.95):
    """Interval of the mean over pairs of networks: values [networks, networks, images], symmetric, the diagonal unused.

    A resample that draws a network twice leaves out the pair of the network with itself.
    """
    values = np.asarray(values, "float64")
    count, _, images = values.shape
    apart = ~np.eye(count, dtype=bool)
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(draws):
        chosen = rng.integers(0, count, count)
        drawn = values[np.ix_(chosen, chosen, rng.integers(0, images, images))]
        means.append(_mean(drawn[apart[np.ix_(chosen, chosen)]]))
    return _interval(_mean(values[apart]), means, level)


def _mean(values):
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")


def _interval(mean, means, level):
    means = np.array([each for each in means if np.isfinite(each)])
    if np.isnan(mean) or not means.size:
        return Interval(float("nan"), float("nan"), float("nan"))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high))
