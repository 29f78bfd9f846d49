"""Cross-validation: do two ways of training differ, and not only two trained models?

Folds share most of their training rows. A paired t test over ten times ten folds called two equal ways different in .60 of
simulated studies (`sanity/CALIBRATION.md`), so that its variance is corrected for what folds share.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from lab.refusal import Refused
from sanity.audit.permutation import unit_folds
from sanity.seeds import derive_seed
from sanity.statistics import Interval, without_interval

FOLDS, REPEATS, FEWEST_UNITS = 10, 10, 20


@dataclass(frozen=True)
class Comparison:
    """Two ways of training on one data set.

    Args:
        difference: `Interval`, the mean loss of the second less that of the first; above 0 the first is ahead.
        p: float, of the corrected t test over ten times ten folds.
        f_p: float, of the F test over five times two folds.
        losses: float64 [2, repeats, folds], the mean loss of each way on each fold.
    """

    difference: Interval
    p: float
    f_p: float
    losses: np.ndarray


def compare_recipes(train_a, train_b, data, *, seed, loss=None, repeats=REPEATS, folds=FOLDS, level=0.95):
    """Compare two ways of training by repeated cross-validation, whole units in one fold.

    Args:
        train_a: (`Rows`) -> function of `Rows` to predicted classes int [rows], or to numbers float [rows].
        train_b: the same, the other way.
        data: `Rows` with known labels.
        seed: int.
        loss: (labels, answers) -> float [rows]; None: 1 for another class, of labels that are floats the squared error.
        repeats: int, how often the rows are cut into folds anew.
        folds: int.
        level: float, coverage.

    Returns:
        `Comparison`.

    Raises:
        Refused: for fewer than 20 units, or rows without a label.
    """
    if data.unit_count < FEWEST_UNITS or not data.labelled.all():
        raise Refused(
            f"Ways of training are compared on {FEWEST_UNITS} units or more with known labels. Received: {data.unit_count} units, {int((~data.labelled).sum())} rows without a label. Give more units, or labelled rows alone."
        )
    loss = loss or _default_loss(data.labels)
    trains = (train_a, train_b)
    losses = _repeated_losses(trains, data, loss, repeats, folds, derive_seed(seed, "folds"))
    halves = _repeated_losses(trains, data, loss, 5, 2, derive_seed(seed, "halves"))
    differences = losses[1] - losses[0]
    difference, p = corrected_t(differences.ravel(), 1 / (folds - 1), level=level)
    return Comparison(difference, p, f_5x2(halves[1] - halves[0])[1], losses)


def _default_loss(labels):
    if np.asarray(labels).dtype.kind in "iu":
        return lambda labels, answers: (answers != labels).astype("float64")
    return lambda labels, answers: (answers - labels) ** 2


def _repeated_losses(trains, data, loss, repeats, folds, seed):
    """Mean losses on held-out folds: float64 [ways, repeats, folds]."""
    losses = np.empty((len(trains), repeats, folds))
    for repeat in range(repeats):
        places = unit_folds(data.units, folds, seed=derive_seed(seed, "cut", repeat))
        for fold in range(folds):
            rest, held = data.take(places != fold), data.take(places == fold)
            for way, train in enumerate(trains):
                losses[way, repeat, fold] = loss(held.labels, train(rest)(held)).mean()
    return losses


def corrected_t(differences, ratio, *, level=0.95):
    """A t test of differences over folds that share training rows (Nadeau, Bengio 2003, https://doi.org/10.1023/A:1024068626366).

    Args:
        differences: float [folds].
        ratio: float, held-out rows to training rows; 0 gives the paired t test that takes folds for independent.
        level: float, coverage.

    Returns:
        `Interval` and p, float. Differences that are all the same give their value, and p = 1 at 0.
    """
    differences = np.asarray(differences, "float64")
    count, mean = len(differences), float(differences.mean())
    error = float(np.sqrt((1 / count + ratio) * differences.var(ddof=1)))
    if error < 1e-12:
        # Nothing varies, so that no p can be smaller than what one exchange in each fold gives.
        return (Interval(mean, mean, mean), 1.0) if abs(mean) < 1e-12 else (without_interval(mean), 1.0)
    half = stats.t.ppf((1 + level) / 2, count - 1) * error
    return Interval(mean, mean - half, mean + half), float(2 * stats.t.sf(abs(mean) / error, count - 1))


def f_5x2(differences):
    """The F test over five times two folds (Alpaydin 1999, https://doi.org/10.1162/089976699300016007).

    Args:
        differences: float [5, 2], on each half when the other half is trained on.

    Returns:
        F and p, floats; (0, 1) where nothing differs.
    """
    differences = np.asarray(differences, "float64")
    variances = ((differences - differences.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    if variances.sum() < 1e-24:
        return 0.0, 1.0
    statistic = float((differences**2).sum() / (2 * variances.sum()))
    return statistic, float(stats.f.sf(statistic, 10, 5))
