"""Statistics: intervals that resample what was sampled (photographs, networks) and nothing else, and exact permutation tests."""

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

DRAWS = 2000
# Fewer units allow no interval, and no sign test below .05.
FEWEST = 6
# Draws of the same seed and size are asked for again and again: so many are kept, of at most so many numbers each.
KEPT, MOST_KEPT = 16, 500_000


@dataclass(frozen=True)
class Interval:
    """A mean with its interval; nan where undefined.

    Args:
        mean: float.
        low: float, lower bound.
        high: float, upper bound.
    """

    mean: float
    low: float
    high: float

    def __str__(self):
        if np.isnan(self.mean):
            return "undefined"
        return f"{self.mean:.2f}" if np.isnan(self.low) else f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


def number_groups(groups):
    """Groups as numbers, in the order in which they come: int [samples].

    Args:
        groups: iterable of hashable, the group of each sample.
    """
    numbers = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups])


def without_interval(mean=float("nan")):
    """A mean that allows no interval: `Interval` with undefined bounds."""
    return Interval(float(mean), float("nan"), float("nan"))


def bootstrap_interval(values, *, seed, draws=DRAWS, level=0.95):
    """Bootstrap interval of a mean when every axis is resampled with replacement.

    Args:
        values: float [networks, ..., images]; nan is left out.
        seed: int.
        draws: int, resamples.
        level: float, coverage.

    Returns:
        `Interval`.
    """
    values = np.asarray(values, "float64")
    return _interval(*_mean_and_resamples(values, _draw_counts(values.shape, seed, draws)), level)


def group_interval(values, groups, *, seed, draws=DRAWS, level=0.95):
    """Bootstrap interval of a mean over rows when their groups are resampled with replacement.

    Args:
        values: float [rows]; nan is left out.
        groups: int [rows], from 0 on.
        seed: int.
        draws: int, resamples.
        level: float, coverage.

    Returns:
        `Interval`, its bounds undefined for fewer than `FEWEST` groups with a finite value.
    """
    values, groups = np.asarray(values, "float64"), np.asarray(groups)
    finite = np.isfinite(values)
    counts, sums = np.bincount(groups[finite]), np.bincount(groups[finite], values[finite])
    kept = counts > 0
    if kept.sum() < FEWEST:
        return without_interval(values[finite].mean() if finite.any() else float("nan"))
    parts = [part @ sums[kept] / (part @ counts[kept]) for part in _draw_blocks(int(kept.sum()), seed, draws)]
    return _interval(float(values[finite].mean()), np.concatenate(parts), level)


def t_interval(values, *, level=0.95):
    """Interval of a mean by Student's t: a bootstrap over a handful is too narrow.

    Args:
        values: float [units]; nan is left out.
        level: float, coverage.

    Returns:
        `Interval`, its bounds undefined for fewer than `FEWEST` finite values.
    """
    values = np.asarray(values, "float64")
    values = values[np.isfinite(values)]
    if len(values) < FEWEST:
        return without_interval(values.mean() if len(values) else float("nan"))
    mean, half = values.mean(), stats.t.ppf((1 + level) / 2, len(values) - 1) * stats.sem(values)
    return Interval(float(mean), float(mean - half), float(mean + half))


def jackknife(values, replicates, freedom, *, level=0.95):
    """Interval of statistics from what they are without one unit at a time (Tukey 1958, https://doi.org/10.1214/aoms/1177706647).

    Args:
        values: float [...], the statistics of all units.
        replicates: float [units, ...], the same without one unit.
        freedom: int, degrees of freedom of Student's t; below `FEWEST` - 1 there is no interval.
        level: float, the confidence level of the interval.

    Returns:
        float64 [3, ...]: values, low, high; the bounds nan where there is no interval.
    """
    values, replicates = np.asarray(values, "float64"), np.asarray(replicates, "float64")
    if freedom < FEWEST - 1:
        return np.stack([values, np.full_like(values, np.nan), np.full_like(values, np.nan)])
    half = stats.t.ppf((1 + level) / 2, freedom) * np.sqrt((len(replicates) - 1) * replicates.var(axis=0))
    return np.stack([values, values - half, values + half])


def pair_interval(values, *, seed, draws=DRAWS, level=0.95):
    """Bootstrap interval of the mean over pairs of networks.

    A resample that draws a network twice leaves out the pair of the network with itself.

    Args:
        values: float [networks, networks, images], symmetric, the diagonal unused.
        seed: int.
        draws: int, resamples.
        level: float, coverage.

    Returns:
        `Interval`.
    """
    networks, images = _draw_counts(np.shape(values)[1:], seed, draws)
    return _interval(*_mean_and_resamples(_without_diagonal(values), [networks, networks, images]), level)


def group_difference_interval(first, second, *, seed, draws=DRAWS, level=0.95):
    """Bootstrap interval of the mean over pairs of one group minus that over pairs of another.

    Args:
        first: float [networks, networks, images].
        second: float [networks, networks, images], at the same images.
        seed: int.
        draws: int, resamples.
        level: float, coverage.

    Returns:
        `Interval`.
    """
    counts, other_counts, images = _draw_counts((len(first), len(second), np.shape(first)[-1]), seed, draws)
    return _difference(
        _mean_and_resamples(_without_diagonal(first), [counts, counts, images]),
        _mean_and_resamples(_without_diagonal(second), [other_counts, other_counts, images]),
        level,
    )


def within_across_interval(within, across, *, seed, draws=DRAWS, level=0.95):
    """Bootstrap interval of the mean over pairs within a group minus that over pairs across groups.

    Args:
        within: float [networks, networks, images].
        across: float [networks, others, images], of the same networks and images.
        seed: int.
        draws: int, resamples.
        level: float, coverage.

    Returns:
        `Interval`.
    """
    counts, other_counts, images = _draw_counts(np.shape(across), seed, draws)
    across = _mean_and_resamples(np.asarray(across, "float64"), [counts, other_counts, images])
    return _difference(_mean_and_resamples(_without_diagonal(within), [counts, counts, images]), across, level)


# Nine against nine networks have 48,620 ways.
MOST_WAYS = 50_000


def _splits(count, size):
    """Which networks are in the first group, for every way to form it, the observed one first: bool [ways, networks]."""
    if math.comb(count, size) <= MOST_WAYS:
        return np.array([np.isin(np.arange(count), rows) for rows in itertools.combinations(range(count), size)])
    observed = np.arange(count)[None] < size
    drawn = np.random.default_rng(0).permuted(np.repeat(observed, 5 * DRAWS - 1, axis=0), axis=1)
    return np.concatenate([observed, drawn])


def separations(similarity, size):
    """How much more alike networks are inside two groups than across, for every way to form the groups.

    The statistic is (within first + within second) / 2 - across. Of too many ways, some are drawn, as of
    `role_permutations`.

    Args:
        similarity: float [networks, networks], mean over images, the diagonal unused.
        size: int, networks of the first group, which come first.

    Returns:
        float64 [splits], the observed split first.
    """
    similarity = np.where(np.eye(len(similarity), dtype=bool), 0.0, np.asarray(similarity, "float64"))
    others = len(similarity) - size
    first = _splits(len(similarity), size)
    ones, rest = first.astype("float64"), (~first).astype("float64")
    within = np.einsum("si,ij,sj->s", ones, similarity, ones) / (size * (size - 1))
    second = np.einsum("si,ij,sj->s", rest, similarity, rest) / (others * (others - 1))
    return (within + second) / 2 - np.einsum("si,ij,sj->s", ones, similarity, rest) / (size * others)


def max_t(similarities, size):
    """p of each member of a family, exact for few networks, adjusted by max-T over the family (Westfall, Young 1993).

    The networks' labels are permuted alike for all members. The statistic of a member is `separations` in units of its
    own deviation over all splits, so that none dominates by its scale.

    Args:
        similarities: list of float [networks, networks], one a member.
        size: int, networks of the first group.

    Returns:
        float64 [members], 1 for a member that is the same for every split.
    """
    statistics = np.stack([separations(similarity, size) for similarity in similarities])
    spread = statistics.std(axis=1, keepdims=True)
    varies = spread > 1e-9
    scaled = np.where(varies, (statistics - statistics.mean(axis=1, keepdims=True)) / np.where(varies, spread, 1), 0)
    largest = scaled.max(axis=0)
    beyond = largest[None] >= scaled[:, :1] - 1e-9
    return np.where(varies[:, 0], beyond.mean(axis=1), 1.0)


def exchange_p(values):
    """p of each member of a family that its first value is one more draw, adjusted by the largest statistic over the family.

    Each member is in units of its own deviation over all draws. Members that share draws keep their dependence; of
    independent draws the family-wise error is 1 - (1 - p) ** members at most, as of Sidak.

    Args:
        values: float [members, 1 + draws], the observed value of each member before those under the null.

    Returns:
        float64 [members], 1 for a member that is the same in every draw.
    """
    values = np.asarray(values, "float64")
    spread = values.std(axis=1, keepdims=True)
    varies = spread > 1e-12
    scaled = np.where(varies, (values - values.mean(axis=1, keepdims=True)) / np.where(varies, spread, 1), -np.inf)
    beyond = (scaled.max(axis=0)[None] >= scaled[:, :1] - 1e-9).mean(axis=1)
    return np.where(varies[:, 0], beyond, 1.0)


def sign_flips(differences, *, seed, draws=DRAWS * 5):
    """p of each member of a family that its mean is not above zero, adjusted by the largest statistic over the family.

    The signs of a unit are flipped for all members at once: exactly for up to 12 units, else at random. Each member is
    in units of its own root sum of squares, which no flip changes.

    Args:
        differences: float [members, units]; nan counts as zero.
        seed: int.
        draws: int, random flips, the observed signs among them.

    Returns:
        float64 [members], 1 for a member that is zero everywhere.
    """
    values = np.nan_to_num(np.asarray(differences, "float64"))
    size = np.sqrt((values**2).sum(axis=1, keepdims=True))
    values = np.divide(values, size, out=np.zeros_like(values), where=size > 0)
    units = values.shape[1]
    flips = _keep(_all_signs)(units) if units <= 12 else _keep(_draw_signs, draws * units)(units, seed, draws)
    largest = (flips @ values.T).max(axis=1)
    beyond = (largest[None] >= values.sum(axis=1, keepdims=True) - 1e-9).mean(axis=1)
    return np.where(size[:, 0] > 0, beyond, 1.0)


def _all_signs(units):
    """All ways to give units a sign, the observed one first: float64 [ways, units]."""
    return np.array(list(itertools.product((1.0, -1.0), repeat=units)))


def _draw_signs(units, seed, draws):
    """Random ways to give units a sign, the observed one first: float64 [draws, units]."""
    signs = np.random.default_rng(seed).choice((1.0, -1.0), (draws, units))
    signs[0] = 1
    return signs


def _keep(draw, count=0):
    """A function that draws an array from hashable arguments, or one that keeps what it has drawn: read-only, and not of too many numbers."""
    return _kept(draw) if count <= MOST_KEPT else draw


@functools.cache
def _kept(draw):
    @functools.lru_cache(KEPT)
    def draw_once(*arguments):
        numbers = draw(*arguments)
        numbers.setflags(write=False)
        return numbers

    return draw_once


def rotations(agreements, *, seed, draws=DRAWS * 5):
    """p of each member of a family that its first way is no better than any other, adjusted as in `sign_flips`.

    Args:
        agreements: float [members, ways, units], the observed way first. Each unit is turned at random, alike for all
            members.
        seed: int.
        draws: int, random turns, the observed one among them.

    Returns:
        float64 [members].
    """
    values = np.nan_to_num(np.asarray(agreements, "float64"))
    values = values - values.mean(axis=1, keepdims=True)
    size = np.sqrt((values**2).mean(axis=1).sum(axis=1))
    ways, units = values.shape[1:]
    turns = np.random.default_rng(seed).integers(0, ways, (draws, units))
    turns[0] = 0
    totals = np.stack([member[turns, np.arange(units)].sum(axis=-1) for member in values])
    totals = np.divide(totals, size[:, None], out=np.zeros_like(totals), where=size[:, None] > 0)
    beyond = (totals.max(axis=0)[None] >= totals[:, :1] - 1e-9).mean(axis=1)
    return np.where(size > 0, beyond, 1.0)


# A sum of two normal quantiles: power .9 for a two-sided test at .05.
POWER = 1.96 + 1.28
MOST_UNITS = 10_000


def units_needed(values, room, *, groups=1):
    """About how many units would tell a mean, or a difference of two groups' means, from a value that lies `room` away.

    Args:
        values: float [units]; of two groups their deviations from the mean of their own group.
        room: float, the distance.
        groups: 1 or 2.

    Returns:
        int, the units of each group; None where these are enough, where none would do, or where that is not known.
    """
    count = enough_units(values, room, groups=groups)
    return count if len(values) // groups < count <= MOST_UNITS else None


def units_to_one_side(interval, bound, units):
    """About how many units would bring an interval to one side of a bound.

    Args:
        interval: `Interval` over the units, whose width falls with the root of their number.
        bound: float.
        units: int, how many there are.

    Returns:
        int; None where these are enough, and where none would do.
    """
    room, half = abs(interval.mean - bound), (interval.high - interval.low) / 2
    count = math.ceil(units * (half / room) ** 2) if room > 0 else math.inf
    return count if units < count <= MOST_UNITS else None


def enough_units(values, room, *, groups=1):
    """The same as `units_needed`, whether or not there are as many already.

    Args:
        values: float [units]; of two groups their deviations from the mean of their own group.
        room: float, the distance.
        groups: 1 or 2.

    Returns:
        int, the units of each group; infinite where none would do, or where that is not known.
    """
    finite = values[np.isfinite(values)]
    if len(finite) <= groups or not room > 0:
        return math.inf
    deviation = finite.std() * np.sqrt(len(finite) / (len(finite) - groups))
    return int(np.ceil(groups * (POWER * deviation / room) ** 2))


def finite_mean(values, axis):
    """Mean of the finite values along an axis: float64, nan where there are none.

    Args:
        values: float array.
        axis: int or tuple of int.

    Returns:
        float64, the values' shape without the axis.
    """
    values = np.asarray(values, "float64")
    finite = np.isfinite(values)
    counts = finite.sum(axis=axis)
    return np.where(counts > 0, np.where(finite, values, 0).sum(axis=axis) / np.maximum(counts, 1), np.nan)


def role_permutations(values, size):
    """p of each member of a family that the first networks' mean is not above that of the others.

    It is adjusted by the largest statistic over the family. The roles are permuted in every way, alike for all members,
    so that p is exact. Of more than nine networks of each role there are too many ways: `5 * DRAWS` are drawn.
    Each member is in units of its own deviation over these permutations.

    Args:
        values: float [members, networks].
        size: int, networks of the first role, which come first.

    Returns:
        float64 [members], 1 for a member that is the same for all networks.
    """
    values = np.asarray(values, "float64")
    first = _splits(values.shape[1], size)
    differences = values @ (first / size - ~first / (values.shape[1] - size)).T
    spread = differences.std(axis=1, keepdims=True)
    varies = spread > 1e-12
    scaled = np.where(varies, differences / np.where(varies, spread, 1), 0)
    beyond = scaled.max(axis=0)[None] >= scaled[:, :1] - 1e-9
    return np.where(varies[:, 0], beyond.mean(axis=1), 1.0)


def welch_interval(first, second, *, level=0.95):
    """Interval of the mean of one group less that of another, by Welch's t.

    Args:
        first: float [units].
        second: float [units].
        level: float, coverage.

    Returns:
        `Interval`. Its bounds are undefined for fewer than six units in all, or two in a group; they are the difference
            itself where no unit differs from the others of its group.
    """
    difference, sizes = float(np.mean(first) - np.mean(second)), np.array([len(first), len(second)])
    if sizes.sum() < FEWEST or sizes.min() < 2:
        return without_interval(difference)
    # By hand: scipy's test warns where a group hardly differs within itself.
    errors = np.array([np.var(group, ddof=1) for group in (first, second)]) / sizes
    if not errors.any():
        return Interval(difference, difference, difference)
    freedom = errors.sum() ** 2 / (errors**2 / (sizes - 1)).sum()
    half = float(stats.t.ppf((1 + level) / 2, freedom) * np.sqrt(errors.sum()))
    return Interval(difference, difference - half, difference + half)


def holm(values):
    """p values adjusted for families that share nothing (Holm 1979, https://www.jstor.org/stable/4615733).

    Args:
        values: float [tests].

    Returns:
        float64 [tests].
    """
    values = np.asarray(values, "float64")
    order = np.argsort(values)
    adjusted = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    p_values = np.empty_like(adjusted)
    p_values[order] = np.minimum(adjusted, 1)
    return p_values


def sign_test(differences):
    """Two-sided exact p that differences are as often above as below zero.

    Args:
        differences: float [samples]; zeros are left out.

    Returns:
        float, 1 where no sample is left.
    """
    kept = np.asarray(differences)[np.asarray(differences) != 0]
    return float(stats.binomtest(int((kept > 0).sum()), len(kept)).pvalue) if len(kept) else 1.0


def wilson_interval(right, count, level=0.95):
    """Wilson interval of a share.

    Args:
        right: int, successes.
        count: int, trials.
        level: float, coverage.

    Returns:
        `Interval`.
    """
    interval = stats.binomtest(int(right), int(count)).proportion_ci(level, method="wilson")
    return Interval(right / count, float(interval.low), float(interval.high))


def mean_variance(values, units):
    """The variance of a mean over rows of independent units.

    Args:
        values: float64 [rows].
        units: int [rows].

    Returns:
        float, infinite for a single unit.
    """
    numbers = np.unique(units, return_inverse=True)[1]
    count = int(numbers.max()) + 1
    if count < 2:
        return float("inf")
    totals = np.bincount(numbers, values - values.mean())
    return float((totals**2).sum() * count / (count - 1) / len(values) ** 2)


def wilson_bounds(rate, count, distance):
    """Wilson's bounds of a share of so many units, which need not be whole.

    Args:
        rate: float, or float array.
        count: float, above 0.
        distance: float, deviations to each side.

    Returns:
        two floats or arrays, low and high.
    """
    centre, square = rate + distance**2 / (2 * count), distance**2 / count
    half = distance * np.sqrt(rate * (1 - rate) / count + square / (4 * count))
    return (centre - half) / (1 + square), (centre + half) / (1 + square)


def krippendorff_alpha(ratings):
    """Krippendorff's alpha for ordinal ratings: 1 for full agreement, 0 for that of chance.

    Each rater's values are ranked first, so that raters need not share a scale. Alpha is then that of interval data.

    Args:
        ratings: float [raters, items].

    Returns:
        float, nan for fewer than two raters or items.

    Krippendorff 2011, https://repository.upenn.edu/asc_papers/43.
    """
    ranks = np.array([stats.rankdata(row) for row in np.asarray(ratings, "float64")])
    raters, items = ranks.shape
    if raters < 2 or items < 2:
        return float("nan")
    observed = (
        np.mean([(ranks[:, item][:, None] - ranks[:, item][None]) ** 2 for item in range(items)])
        * raters
        / (raters - 1)
    )
    values = ranks.ravel()
    expected = ((values[:, None] - values[None]) ** 2).sum() / (values.size * (values.size - 1))
    return float(1 - observed / expected) if expected else float("nan")


def _draw_counts(sizes, seed, draws):
    """How often each row of each axis is drawn: list of float64 [draws, size]."""
    drawn = _keep(_draw_all_counts, draws * sum(sizes))(tuple(sizes), seed, draws)
    return np.split(drawn, np.cumsum(sizes)[:-1], axis=1)


def _draw_blocks(size, seed, draws):
    """As of `_draw_counts`, of one axis, some draws at a time where all would not fit: iterator of float64 [draws of it, size]."""
    if draws * size <= MOST_KEPT:
        yield from _draw_counts((size,), seed, draws)
        return
    rng, step = np.random.default_rng(seed), max(1, MOST_KEPT // size)
    for start in range(0, draws, step):
        yield rng.multinomial(size, np.full(size, 1 / size), min(step, draws - start)).astype("float64")


def _draw_all_counts(sizes, seed, draws):
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [rng.multinomial(size, np.full(size, 1 / size), draws) for size in sizes], axis=1, dtype="float64"
    )


def _mean_and_resamples(values, counts):
    """Mean of the finite values, and its resamples by row counts: float, float64 [draws]; nan where nothing is left."""
    finite = np.isfinite(values)
    filled = np.where(finite, values, 0.0)
    mean = filled.sum() / finite.sum() if finite.any() else np.nan
    total, number = _weighted_sums(filled, counts), _weighted_sums(finite.astype("float64"), counts)
    return float(mean), np.where(number > 0, total / np.maximum(number, 1e-300), np.nan)


def _weighted_sums(values, counts):
    """Sum over all axes of values times the product of their counts: float64 [draws]."""
    sums = np.einsum("da,a...->d...", counts[0], values)
    for count in counts[1:]:
        sums = np.einsum("da,da...->d...", count, sums)
    return sums


def _without_diagonal(values):
    """Pairs of networks with themselves taken out."""
    values = np.array(values, "float64")
    values[np.eye(len(values), dtype=bool)] = np.nan
    return values


def _difference(first, second, level):
    return _interval(first[0] - second[0], first[1] - second[1], level)


def _interval(mean, means, level):
    means = means[np.isfinite(means)]
    if np.isnan(mean) or not means.size:
        return Interval(float("nan"), float("nan"), float("nan"))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(mean), float(low), float(high))
