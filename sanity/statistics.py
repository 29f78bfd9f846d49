"""Statistics: intervals that resample what was sampled, photographs and networks, and nothing else; exact permutations."""

import itertools
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """A mean with its percentile bootstrap interval: mean, low, high (float; nan where undefined)."""

    mean: float
    low: float
    high: float

    def __str__(self):
        return "undefined" if np.isnan(self.mean) else f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


def two_way(values, *, seed, draws=2000, level=0.95):
    """Interval of the mean of values [networks, ..., images] when every axis is resampled with replacement; nan is left out."""
    values = np.asarray(values, "float64")
    return bootstrap(lambda *chosen: _mean(values[np.ix_(*chosen)]), values.shape, seed=seed, draws=draws, level=level)


def pairs(values, *, seed, draws=2000, level=0.95):
    """Interval of the mean over pairs of networks: values [networks, networks, images], symmetric, the diagonal unused.

    A resample that draws a network twice leaves out the pair of the network with itself.
    """
    values = np.asarray(values, "float64")
    sizes = values.shape[1:]
    return bootstrap(lambda own, images: _inside(values, own, images), sizes, seed=seed, draws=draws, level=level)


def between_groups(first, second, *, seed, draws=2000, level=0.95):
    """Interval of the mean over pairs of one group minus that over pairs of another: both [networks, networks, images], images shared."""
    first, second = np.asarray(first, "float64"), np.asarray(second, "float64")

    def apart(own, other, images):
        return _inside(first, own, images) - _inside(second, other, images)

    sizes = (len(first), len(second), first.shape[-1])
    return bootstrap(apart, sizes, seed=seed, draws=draws, level=level)


def within_less_across(within, across, *, seed, draws=2000, level=0.95):
    """Interval of the mean over pairs `within` [networks, networks, images] minus `across` [networks, others, images], its networks the same."""
    within, across = np.asarray(within, "float64"), np.asarray(across, "float64")

    def apart(own, other, images):
        return _inside(within, own, images) - _mean(across[np.ix_(own, other, images)])

    return bootstrap(apart, across.shape, seed=seed, draws=draws, level=level)


def bootstrap(statistic, sizes, *, seed, draws=2000, level=0.95):
    """Percentile interval of statistic(rows of each axis) when axes of these sizes are resampled with replacement: `Interval`.

    Resamples in which the statistic is nan are left out; the mean is that of everything as it was.
    """
    rng = np.random.default_rng(seed)
    rows = [rng.integers(0, size, (draws, size)) for size in sizes]
    means = [statistic(*chosen) for chosen in zip(*rows)]
    return _interval(statistic(*(np.arange(size) for size in sizes)), means, level)


def separations(similarity, size):
    """How much more alike networks are inside two groups than across, for every way to form the groups: float64 [splits].

    similarity: [networks, networks], mean over images, the diagonal unused; size: networks of the first group, which are the
    first ones, so that splits[0] is what was observed. (within first + within second) / 2 - across.
    """
    similarity = np.where(np.eye(len(similarity), dtype=bool), 0.0, np.asarray(similarity, "float64"))
    others = len(similarity) - size
    first = np.array([np.isin(np.arange(len(similarity)), each) for each in itertools.combinations(range(len(similarity)), size)])
    ones, rest = first.astype("float64"), (~first).astype("float64")
    within = np.einsum("si,ij,sj->s", ones, similarity, ones) / (size * (size - 1))
    second = np.einsum("si,ij,sj->s", rest, similarity, rest) / (others * (others - 1))
    return (within + second) / 2 - np.einsum("si,ij,sj->s", ones, similarity, rest) / (size * others)


def max_t(similarities, size):
    """Exact p of each member of a family, adjusted by the largest statistic over the family: float64 [members].

    similarities: [members, networks, networks]. The networks' labels are permuted once for all members (Westfall, Young
    1993, max-T); each member's statistic is `separations` in units of its own deviation over all splits, so that none rules by
    its scale. A member that no split moves gets 1.
    """
    found = np.stack([separations(each, size) for each in similarities])
    spread = found.std(axis=1, keepdims=True)
    moved = spread > 1e-9
    scaled = np.where(moved, (found - found.mean(axis=1, keepdims=True)) / np.where(moved, spread, 1), 0)
    largest = scaled.max(axis=0)
    beyond = largest[None] >= scaled[:, :1] - 1e-9
    return np.where(moved[:, 0], beyond.mean(axis=1), 1.0)


def holm(values):
    """p values adjusted for families that share nothing (Holm 1979, https://www.jstor.org/stable/4615733): float64 [tests]."""
    values = np.asarray(values, "float64")
    order = np.argsort(values)
    adjusted = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    found = np.empty_like(adjusted)
    found[order] = np.minimum(adjusted, 1)
    return found


def sign_test(differences):
    """Two-sided exact p that differences [samples] are as often above as below zero; zeros are left out. 1 where none is left."""
    kept = np.asarray(differences)[np.asarray(differences) != 0]
    return float(stats.binomtest(int((kept > 0).sum()), len(kept)).pvalue) if len(kept) else 1.0


def wilson(right, count, level=0.95):
    """Wilson interval of a share: `Interval`."""
    found = stats.binomtest(int(right), int(count)).proportion_ci(level, method="wilson")
    return Interval(right / count, float(found.low), float(found.high))


def krippendorff(ratings):
    """Krippendorff's alpha for ordinal ratings [raters, items], 1 for full agreement, 0 for what chance gives: float; nan where undefined.

    Krippendorff 2011, https://repository.upenn.edu/asc_papers/43. Each rater's values are turned to ranks first, so that
    raters need not share a scale; alpha is then that of interval data.
    """
    ranks = np.array([stats.rankdata(row) for row in np.asarray(ratings, "float64")])
    raters, items = ranks.shape
    if raters < 2 or items < 2:
        return float("nan")
    observed = np.mean([(ranks[:, item][:, None] - ranks[:, item][None]) ** 2 for item in range(items)]) * raters / (raters - 1)
    values = ranks.ravel()
    expected = ((values[:, None] - values[None]) ** 2).sum() / (values.size * (values.size - 1))
    return float(1 - observed / expected) if expected else float("nan")


def _inside(values, own, images):
    apart = own[:, None] != own[None]
    return _mean(values[np.ix_(own, own, images)][apart])


def _mean(values):
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")


def _interval(mean, means, level):
    means = np.array([each for each in means if np.isfinite(each)])
    if np.isnan(mean) or not means.size:
        return Interval(float("nan"), float("nan"), float("nan"))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high))
