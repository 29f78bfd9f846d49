"""Probes: classifiers of a layer's activations, asked about inputs that they were not fitted to.

(rows, labels, folds) -> probabilities        held out, so that no source is on both sides
"""

from dataclasses import dataclass

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from lab.concepts.activations import refuse_broken
from lab.refusal import Refused

# Shares of the data after which an online code fits anew, of Voita and Titov.
SHARES = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)
# Rows below which nothing is fitted, as a multiple of the classes.
FEWEST_ROWS = 4
BINS = 10


def linear_probe():
    """Logistic regression on activations in units of their own deviation.

    Returns:
        a scikit-learn estimator, not fitted.

    Alain, Bengio 2016, https://arxiv.org/abs/1610.01644
    """
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500, tol=1e-3))


# Fits are small: several threads mostly wait for each other, and take ten times as long.
@threadpool_limits.wrap(limits=1)
def cross_validate(rows, labels, folds, *, estimator=None):
    """Probabilities of classes for every row, by a probe that was fitted without its fold.

    Args:
        rows: float [rows, channels].
        labels: int [rows], classes from 0 on.
        folds: int [rows]; rows of one source are in one fold.
        estimator: a scikit-learn classifier with `predict_proba`; None: `linear_probe`.

    Returns:
        float64 [rows, classes].

    Raises:
        Refused: for an estimator without probabilities, and for activations that are not finite.
    """
    estimator = _check(rows, labels, estimator)
    probabilities = np.zeros((len(rows), labels.max() + 1))
    for fold in np.unique(folds):
        inside = folds == fold
        probabilities[inside] = _fit_and_ask(estimator, rows[~inside], labels[~inside], rows[inside], labels.max() + 1)
    return probabilities


def predict(probabilities, labels):
    """The class whose probability is most above its share, so that classes weigh alike however many rows they have.

    Args:
        probabilities: float [rows, classes].
        labels: int [rows], of which the shares are taken.

    Returns:
        int [rows].
    """
    shares = np.bincount(labels, minlength=probabilities.shape[1]) / len(labels)
    return np.divide(probabilities, shares, out=np.zeros_like(probabilities), where=shares > 0).argmax(axis=1)


@dataclass(frozen=True)
class Code:
    """The length of a code of labels, portion by portion.

    Args:
        fitted: int [portions], rows that the probe of each portion was fitted to.
        rows: int [portions], rows of each portion.
        bits: float64 [portions], the length of their code.
        accuracy: float64 [portions], the share of them that is predicted: a learning curve.
        classes: int.
    """

    fitted: np.ndarray
    rows: np.ndarray
    bits: np.ndarray
    accuracy: np.ndarray
    classes: int

    @property
    def length(self):
        """Bits of all labels: float."""
        return float(self.bits.sum())

    @property
    def compression(self):
        """How many times shorter the code is than one in which all classes are alike: float."""
        return float(self.rows.sum() * np.log2(self.classes) / max(self.length, 1e-300))


@threadpool_limits.wrap(limits=1)
def online_code(rows, labels, groups, *, seed, estimator=None):
    """Minimum description length of labels, where each portion is coded by a probe that was fitted to those before it.

    Portions that are too small for the classes are one with the next. The probe is mixed with a uniform guess of the weight
    of one row, so that a class that it has not seen costs finitely many bits.

    Args:
        rows: float [rows, channels].
        labels: int [rows], classes from 0 on.
        groups: int [rows], from 0 on; a source is in one portion.
        seed: int, of the order of the sources.
        estimator: as of `cross_validate`.

    Returns:
        `Code`.

    Raises:
        Refused: as `cross_validate`.

    Voita, Titov 2020, https://arxiv.org/abs/2003.12298
    """
    estimator, classes = _check(rows, labels, estimator), labels.max() + 1
    order = np.random.default_rng(seed).permutation(groups.max() + 1)
    rank = np.argsort(order)[groups]
    ends = _portion_ends(rank, classes)
    portions = [_code_portion(estimator, rows, labels, *ranks, classes) for ranks in _portions(rank, ends)]
    return Code(*map(np.array, zip(*portions)), classes)


def calibration(probabilities, labels, *, seed, draws=1000):
    """How far the confidence of a probe is from its accuracy, and how far chance alone would put it.

    Args:
        probabilities: float [rows, classes], held out.
        labels: int [rows].
        seed: int, of the draws.
        draws: int, sets of labels that are drawn from the probabilities themselves.

    Returns:
        dict. error: float, the expected calibration error; expected: float64 [2], the middle 95% of it where the
            probabilities are right; bins: float64 [bins, 5] of confidence, accuracy, rows, and the band of accuracy.

    Guo et al. 2017, https://arxiv.org/abs/1706.04599; bands of consistency by Bröcker, Smith 2007,
    https://doi.org/10.1175/WAF993.1.
    """
    confidence, hits = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    ranks = np.argsort(np.argsort(confidence, kind="stable"), kind="stable")
    bins = ranks * min(BINS, len(labels)) // len(labels)
    drawn = np.random.default_rng(seed).random((draws, len(labels))) < confidence
    counts, means = np.bincount(bins), np.bincount(bins, confidence) / np.bincount(bins)
    members = np.eye(len(counts))[bins] / counts
    shares = np.stack([hits, *drawn]) @ members
    errors = np.abs(shares - means) @ (counts / len(labels))
    band = np.quantile(shares[1:], [0.025, 0.975], axis=0)
    return {
        "error": float(errors[0]),
        "expected": np.quantile(errors[1:], [0.025, 0.975]),
        "bins": np.stack([means, shares[0], counts, *band], axis=1),
    }


def _check(rows, labels, estimator):
    """The estimator, after what cannot be fitted was refused."""
    estimator = linear_probe() if estimator is None else estimator
    if not hasattr(estimator, "predict_proba"):
        raise Refused(
            f"A probe is a scikit-learn classifier with predict_proba. Received: {type(estimator).__name__}. Use lab.concepts.linear_probe(), or CalibratedClassifierCV around it."
        )
    if len(set(labels)) < 2:
        raise Refused(f"A probe tells two classes or more apart. Received: labels of {len(set(labels))}.")
    refuse_broken(rows, "the activations", range(len(rows)))
    return estimator


def _fit_and_ask(estimator, rows, labels, others, classes):
    """Probabilities of the classes of other rows: float64 [others, classes]."""
    known = np.unique(labels)
    probabilities = np.zeros((len(others), classes))
    if len(known) == 1:
        probabilities[:, known[0]] = 1
    else:
        probabilities[:, known] = clone(estimator).fit(rows, labels).predict_proba(others)
    return probabilities


def _portion_ends(rank, classes):
    """The rank after the last source of each portion: list of int, the first at least enough rows to fit."""
    count, sizes = rank.max() + 1, np.cumsum(np.bincount(rank))
    ends = np.unique(np.ceil(count * np.array(SHARES)).astype(int))
    enough = [end for end in ends[:-1] if sizes[end - 1] >= FEWEST_ROWS * classes]
    return [*(enough or [max(1, count // 2)]), count]


def _portions(rank, ends):
    """(rows before, rows of it) of each portion, bool [rows] each."""
    starts = [0, *ends[:-1]]
    return [(rank < start, (rank >= start) & (rank < end)) for start, end in zip(starts, ends)]


def _code_portion(estimator, rows, labels, before, inside, classes):
    """Rows fitted, rows coded, bits, and accuracy. The first portion is coded as if all classes were alike."""
    count = int(before.sum())
    probabilities = np.full((int(inside.sum()), classes), 1 / classes)
    if count:
        predicted = _fit_and_ask(estimator, rows[before], labels[before], rows[inside], classes)
        probabilities = (count * predicted + probabilities) / (count + 1)
    true = labels[inside]
    bits = -np.log2(probabilities[np.arange(len(true)), true]).sum()
    accuracy = (probabilities.argmax(axis=1) == true).mean() if count else 1 / classes
    return count, len(true), bits, accuracy
