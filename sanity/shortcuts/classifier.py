"""Classifier: how well labels are told from a view, by kernel least squares and cross-validation over groups.

The predictions of least squares are linear in the labels. So a fold is solved once, and every exchange of the labels is
fitted anew by one product of matrices: 999 of them cost little more than one. Logistic regression or a forest would be fitted
199 times in every fold of every view. The kernel is linear plus Gaussian, so that it sees lines as well as islands.
"""

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import cdist

FOLDS = 5
RIDGE = 1.0
# Numbers in one product of matrices, about 200 MB.
MOST = 25_000_000


def draw_folds(groups, rng):
    """A fold of each row; rows of a group are in one. Labels are not looked at, or exchanged ones would be worse balanced.

    Args:
        groups: int [rows], from 0 on.
        rng: `numpy.random.Generator`.

    Returns:
        int [rows].
    """
    return rng.permutation(np.arange(groups.max() + 1) % FOLDS)[groups]


def predict(features, label_sets, folds, classes):
    """The class of each row by a classifier that was fitted without its fold, for many sets of labels.

    Classes weigh alike, however many rows they have.

    Args:
        features: float [rows, features].
        label_sets: int [sets, rows].
        folds: int [rows].
        classes: int, how many classes there are.

    Returns:
        int16 [sets, rows].
    """
    predicted = np.zeros(label_sets.shape, "int16")
    for fold in np.unique(folds):
        test, train = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        smoother = _smoother(*_standardized(features[train], features[test]))
        step = max(1, MOST // (len(train) * classes))
        for start in range(0, len(label_sets), step):
            part = slice(start, start + step)
            predicted[part, test] = _classify(smoother, label_sets[part][:, train], classes)
    return predicted


def _standardized(train, test):
    """Features of both in units of the deviation in the first; constant ones are left out."""
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    varies = deviation > 1e-9 * (np.abs(mean) + 1e-300)
    return tuple((rows[:, varies] - mean[varies]) / deviation[varies] for rows in (train, test))


def _smoother(train, test):
    """What makes predictions of labels, less their mean: float32 [test rows, train rows]."""
    if not train.shape[1]:
        return np.zeros((len(test), len(train)), "float32")
    squares = cdist(train, train, "sqeuclidean")
    width = np.median(squares[np.triu_indices(len(train), 1)]) or squares.mean() or 1.0
    kernel = _kernel(train, train, width)
    across = _kernel(test, train, width)
    # Both are centred as the features of the kernel would be (Schölkopf, Smola, Müller 1998).
    across = across - across.mean(axis=1, keepdims=True) - kernel.mean(axis=0) + kernel.mean()
    kernel = kernel - kernel.mean(axis=0) - kernel.mean(axis=1, keepdims=True) + kernel.mean()
    solved = cho_solve(cho_factor(kernel + RIDGE * np.eye(len(kernel))), across.T)
    return solved.T.astype("float32")


def _kernel(rows, others, width):
    return rows @ others.T / rows.shape[1] + np.exp(-cdist(rows, others, "sqeuclidean") / width)


def _classify(smoother, labels, classes):
    """The class whose share is most above its share among the training rows: int [sets, test rows]."""
    members = labels[..., None] == np.arange(classes)  # [sets, train rows, classes]
    shares = members.mean(axis=1, dtype="float32")
    flat = np.moveaxis(members, 1, 0).reshape(labels.shape[1], -1).astype("float32")
    raised = (smoother @ flat).reshape(len(smoother), *shares.shape)
    raised -= smoother.sum(axis=1)[:, None, None] * shares
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(shares > 0, raised / shares, -np.inf)
    return ratio.argmax(axis=-1).T


def recalls(predicted, label_sets, classes):
    """The share of each class that is predicted as itself.

    Args:
        predicted: int [sets, rows].
        label_sets: int [sets, rows].
        classes: int.

    Returns:
        float64 [sets, classes].
    """
    members = label_sets[..., None] == np.arange(classes)
    hits = members & (predicted == label_sets)[..., None]
    return hits.sum(axis=1) / members.sum(axis=1)
