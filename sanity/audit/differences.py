"""Differences: paired losses of several models and a network, with intervals that hold for all of them at once.

The best of several models is picked by looking. Five that equal a network seemed ahead by .015 on 500 rows, and an interval
for one of them alone called them different in .08 of simulated audits (`sanity/CALIBRATION.md`).
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from sanity.audit.copies import SIZES, TRIES, Tries
from sanity.seeds import derive_seed

# Stretches of neighbouring units whose signs are turned together in null copies.
STRETCHES = 40
# Numbers that a bootstrap holds at once.
WEIGHTS = 4_000_000


@dataclass(frozen=True)
class Differences:
    """Mean paired differences with simultaneous intervals.

    Args:
        mean: float64 [tests].
        low: float64 [tests], nan for fewer than two units.
        high: float64 [tests].
        deviation: float64 [tests], the standard error between units.
        quantile: float, standard errors to each side.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    deviation: np.ndarray
    quantile: float

    @property
    def intervals(self):
        """Mean and bounds: float64 [tests, 3]."""
        return np.stack([self.mean, self.low, self.high], axis=1)


def simultaneous_differences(values, units, *, seed, draws=999, level=0.95, counted=None):
    """Mean differences over rows with intervals that hold together, by a bootstrap of units and the largest of all (max-T).

    Differences of counts, such as those of right answers, may be zero in all rows of a sample and not elsewhere. Their
    intervals get one unit more on each side, as those of Bonett and Price 2012 (https://doi.org/10.3102/1076998611411915).

    Args:
        values: float [rows, tests], a paired difference of each row.
        units: int [rows].
        seed: int.
        draws: int, bootstrap samples.
        level: float, coverage of all intervals together.
        counted: bool [tests], which are differences of counts; None: none.

    Returns:
        `Differences`.
    """
    sums, sizes = _by_unit(values, units)
    mean = sums.sum(axis=0) / sizes.sum()
    if len(sizes) < 2:
        unknown = np.full(len(mean), np.nan)
        return Differences(mean, unknown, unknown, unknown, float("nan"))
    quantile = _largest_quantile(sums, sizes, seed, draws, level)
    centre, deviation = _centre_and_deviation(sums, sizes, counted)
    return Differences(mean, centre - quantile * deviation, centre + quantile * deviation, deviation, quantile)


def _by_unit(values, units):
    """Sums of each unit, float64 [units, tests], and its rows, int [units]."""
    _, inverse, sizes = np.unique(units, return_inverse=True, return_counts=True)
    values = np.asarray(values, "float64")
    return np.stack([np.bincount(inverse, column) for column in values.T], axis=1), sizes


def _largest_quantile(sums, sizes, seed, draws, level):
    """Standard errors within which the largest deviation of all tests stays: float."""
    influence = sums - sums.sum(axis=0) / sizes.sum() * sizes[:, None]
    deviation = np.sqrt((influence**2).sum(axis=0))
    varies = deviation > 1e-12 * max(1.0, np.abs(sums).max())
    count = len(sizes)
    if not varies.any():
        return float(stats.t.isf((1 - level) / 2 / len(varies), count - 1))
    scaled, rng = influence[:, varies] / deviation[varies], np.random.default_rng(seed)
    largest = [np.abs(weights @ scaled).max(axis=1) for weights in _draw_weights(count, draws, rng)]
    largest = np.concatenate(largest)
    normal = max(np.quantile(largest, level), stats.norm.isf((1 - level) / 2))
    # The error of a mean of few units is itself estimated.
    return float(stats.t.isf(stats.norm.sf(normal), count - 1))


def _draw_weights(count, draws, rng):
    """How often each unit is in each bootstrap sample: iterator of int [some draws, units], a few million at a time."""
    step = max(1, WEIGHTS // count)
    for start in range(0, draws, step):
        many = min(step, draws - start)
        drawn = rng.integers(count, size=(many, count)) + count * np.arange(many)[:, None]
        yield np.bincount(drawn.ravel(), minlength=many * count).reshape(many, count)


def _centre_and_deviation(sums, sizes, counted):
    """The middle of each interval and the standard error: float64 [..., tests] of sums [..., units, tests]."""
    count = len(sizes)
    counted = np.zeros(sums.shape[-1]) if counted is None else np.asarray(counted, "float64")
    more = counted * sizes.mean()
    total = sizes.sum() + 2 * more
    centre = sums.sum(axis=-2) / total
    squares = ((sums - centre[..., None, :] * sizes[:, None]) ** 2).sum(axis=-2)
    squares = squares + (more * (1 - centre)) ** 2 + (more * (1 + centre)) ** 2
    many = count + 2 * counted
    return centre, np.sqrt(squares * many / (many - 1)) / total


def try_differences(differences, values, units, margins, *, seed, tries=TRIES, counted=None):
    """What the intervals say of copies of the differences whose mean is zero, and of such with a difference planted.

    In null copies whole stretches of neighbouring units turn their signs, so that what neighbours share is kept and the
    intervals are too narrow where units are not independent.

    Args:
        differences: `Differences` of the values.
        values: float [rows, tests].
        units: int [rows].
        margins: float [tests], the size of one planted margin.
        seed: int.
        tries: int, copies of a kind.
        counted: bool [tests], as of `simultaneous_differences`.

    Returns:
        list of `Tries`, one for each test. Their null copies are the same: whether any test alarmed.
    """
    sums, sizes = _by_unit(values, units)
    if len(sizes) < 2:
        silent = Tries(np.zeros(tries, bool), np.zeros((len(SIZES), tries), bool))
        return [silent] * sums.shape[1]
    residual = sums - sums.sum(axis=0) / sizes.sum() * sizes[:, None]

    # One copy at a time: all copies of a large table take more memory than all else.
    def bounds(signs, more=0.0):
        return _bounds(signs[:, None] * residual + more, sizes, differences.quantile, counted)

    rng = np.random.default_rng(derive_seed(seed, "null"))
    null = [bounds(_stretch_signs(len(sizes), rng)) for _ in range(tries)]
    rng = np.random.default_rng(derive_seed(seed, "planted"))
    planted = []
    for size in SIZES:
        signs, rates = rng.choice([-1.0, 1.0], (tries, len(sizes))), size * np.asarray(margins)
        low = [bounds(turned, _added(rates, sizes, rng, counted))[0] for turned in signs]
        planted.append(np.reshape(low, (tries, -1)) > 0)
    alarms = np.array([((low > 0) | (high < 0)).any() for low, high in null], bool)
    return [Tries(alarms, np.stack(planted)[:, :, test]) for test in range(len(residual.T))]


def _stretch_signs(count, rng):
    """A sign for each unit, the same in a stretch of neighbours: float [units]."""
    length = max(1, count // STRETCHES)
    places = (np.arange(count) + rng.integers(length)) // length
    return rng.choice([-1.0, 1.0], places.max() + 1)[places]


def _added(rates, sizes, rng, counted):
    """What raises the mean by the rates: of counts by whole errors, float64 [units, tests]."""
    counted = np.zeros(len(rates), bool) if counted is None else np.asarray(counted)
    whole = rng.binomial(sizes[:, None], np.clip(rates, 0, 1), (len(sizes), len(rates)))
    return np.where(counted, whole, rates * sizes[:, None])


def _bounds(sums, sizes, quantile, counted):
    centre, deviation = _centre_and_deviation(sums, sizes, counted)
    return centre - quantile * deviation, centre + quantile * deviation


def rows_needed(effect, deviation, quantile, margin, rows):
    """About how many rows would tell a difference from the margin.

    Args:
        effect: float, the mean difference.
        deviation: float, its standard error.
        quantile: float, standard errors to each side.
        margin: float.
        rows: int, those at hand.

    Returns:
        int. A difference nearer to the margin than half of it is taken for half of it.
    """
    room = max(abs(effect - margin), margin / 2)
    return int(np.ceil(rows * (quantile * deviation / room) ** 2))
