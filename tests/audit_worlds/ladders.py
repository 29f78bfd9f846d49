"""Ladders: planted worlds of tables in which it is known whether a simpler model does as well as a network."""

import numpy as np

from sanity.audit.rows import AuditSubject, Column, Rows
from sanity.audit.sheet import Sheet


def binary_rows(inputs, labels, scores, units=None, **known):
    """Rows of two classes, with the logits (0, scores): `Rows`."""
    columns = tuple(Column(f"x{place}", values) for place, values in enumerate(inputs.T))
    logits = np.stack([np.zeros(len(scores)), scores], axis=1)
    units = np.arange(len(labels)) if units is None else units
    return Rows(columns, units, True, labels, logits, inputs=inputs.astype("float32"), **known)


def linear_score(x):
    return 1.5 * x[:, 0] - x[:, 1] + 0.5 * x[:, 2]


def additive_score(x):
    return 3 * np.cos(2 * x[:, 0]) + 2 * (np.abs(x[:, 1]) > 1) - 1


def product_score(x):
    return 4 * np.sign(x[:, 0] * x[:, 1]) * np.minimum(np.abs(x[:, 0] * x[:, 1]), 1)


def make_subject(score, *, seed, train=1500, test=1500, columns=5, network=None, is_regression=False):
    """A network that knows the score of a planted world, or another one: `AuditSubject`."""
    rng = np.random.default_rng(seed)

    def rows(count):
        x = rng.standard_normal((count, columns))
        answers = (network or score)(x)
        if is_regression:
            labels = score(x) + rng.standard_normal(count)
            inputs = tuple(Column(f"x{place}", values) for place, values in enumerate(x.T))
            return Rows(inputs, np.arange(count), True, labels, answers[:, None])
        labels = (rng.random(count) < 1 / (1 + np.exp(-score(x)))).astype(int)
        return binary_rows(x, labels, answers)

    first, second = rows(train), rows(test)
    classes = () if is_regression else ("no", "yes")
    return AuditSubject("network", second, train=first, sheet=Sheet(), classes=classes)


# Ways of training ---------------------------------------------------------------------------------------------------------


def least_squares(columns):
    """A way of training: a line by least squares of some inputs, rows -> (rows -> classes)."""

    def train(rows):
        inputs = np.c_[np.ones(len(rows)), rows.inputs[:, columns]]
        weights = np.linalg.lstsq(inputs, 2.0 * rows.labels - 1, rcond=None)[0]
        return lambda others: (np.c_[np.ones(len(others)), others.inputs[:, columns]] @ weights > 0).astype(int)

    return train


def exchangeable(seed, rows=150):
    """Two sets of columns that tell the label equally well."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, rows)
    inputs = rng.standard_normal((rows, 6)) + 0.5 * (2 * labels[:, None] - 1)
    return Rows((), np.arange(rows), True, labels, None, inputs=inputs)
