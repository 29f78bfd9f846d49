"""Decisions by networks that were written by hand, so that the reasons of every refusal are known.

additive(...) -> AuditSubject      other worlds beside it; `subject_of` makes one of any score
"""

from dataclasses import replace

import numpy as np

from sanity.audit.rows import AuditSubject, Column, Rows
from sanity.audit.sheet import ColumnSheet, Decision, Sheet

WEIGHTS = np.array([1.6, -1.3, 1.1, 0.9, -0.7, 0.5, 0.3, -0.2])
CLASSES = ("refused", "granted")


def two_logits(score):
    """A network of two classes whose log odds are a score: float [rows, inputs] -> float64 [rows, 2]."""

    def predict(inputs):
        values = score(np.asarray(inputs, "float64"))
        return np.stack([np.zeros_like(values), values], axis=1)

    return predict


def subject_of(inputs, score, *, seed=0, networks=(), sheets=None, units=None, names=None, noise=1.0, threshold=0.5):
    """A table of numbers, decided by a score; labels are drawn from the log odds times `noise`."""
    inputs = np.asarray(inputs, "float32")
    rows, count = inputs.shape
    names = names or [f"x{number + 1}" for number in range(count)]
    predict = two_logits(score)
    logits = predict(inputs)
    chances = 1 / (1 + np.exp(-noise * logits[:, 1]))
    test = Rows(
        columns=tuple(Column(name, inputs[:, place].astype("float64")) for place, name in enumerate(names)),
        units=np.arange(rows) if units is None else units,
        has_units=True,
        labels=(np.random.default_rng(seed).random(rows) < chances).astype(int),
        logits=logits,
        inputs=inputs,
    )
    columns = {name: ColumnSheet(**options) for name, options in (sheets or {}).items()}
    sheet = Sheet(decision=Decision(favourable="granted", threshold=threshold), rows_are_units=True, columns=columns)
    places = {name: (place,) for place, name in enumerate(names)}
    twins = tuple(two_logits(other) for other in networks)
    return AuditSubject(
        "planted", test, sheet=sheet, classes=CLASSES, input_places=places, predict=predict, networks=twins
    )


def gaussian(rows, columns, seed):
    """Independent numbers: float64 [rows, columns]."""
    return np.random.default_rng(seed).standard_normal((rows, columns))


def additive(rows=1000, seed=0, **options):
    """Weights by hand: the contribution of a factor is its weight times its distance from the reference's mean."""
    return subject_of(gaussian(rows, len(WEIGHTS), seed), lambda x: x @ WEIGHTS, seed=seed, **options)


def disagreeing(rows=1000, seed=0, twins=3, columns=8):
    """Networks that decide by other columns each, as networks do that memorized noise."""
    weights = np.random.default_rng(seed + 1).standard_normal((twins + 1, columns))
    first, *others = [lambda x, row=row: x @ row for row in weights]
    return subject_of(gaussian(rows, columns, seed), first, seed=seed, networks=others)


def duplicated(rows=1000, seed=0):
    """The first of six factors stands there in three near copies, with a third of its weight each."""
    rng, values = np.random.default_rng(seed + 1), gaussian(rows, 6, seed)
    copies = values[:, :1] + 0.1 * rng.standard_normal((rows, 2))
    weights = np.array([0.5, 1.0, 0.9, 0.7, 0.5, 0.3, 0.5, 0.5])
    return subject_of(np.concatenate([values, copies], axis=1), lambda x: x @ weights, seed=seed)


def interaction(rows=1000, seed=0):
    """x5 counts only where x6 is above zero."""
    weights = np.array([1.0, -0.8, 0.6, 0.4, 0, 0])
    return subject_of(gaussian(rows, 6, seed), lambda x: x @ weights + 2 * x[:, 4] * (x[:, 5] > 0), seed=seed)


def rare_flag(rows=2000, seed=0, share=0.02, weight=-3.0):
    """A flag on few rows, which decides about half of them; beside it five usual columns, of which one is of no use."""
    values = gaussian(rows, 6, seed)
    values[:, 5] = np.random.default_rng(seed + 1).random(rows) < share
    weights = np.array([1.5, -1.2, 0.8, 0.5, 0, weight])
    return subject_of(values, lambda x: x @ weights + 0.8, seed=seed)


def nothing(rows=1000, seed=0):
    """A network whose score is the same for all rows but for a hash of them that says nothing."""

    def score(x):
        return np.sin(1e4 * x @ np.arange(1, x.shape[1] + 1))

    return subject_of(
        gaussian(rows, 6, seed), score, seed=seed, networks=[lambda x: score(x + 1), lambda x: score(x + 2)]
    )


def persons(seed, units=60, rows=5):
    """Columns and labels of persons, which go together within a person and not beyond: the networks weights are of no use."""
    rng = np.random.default_rng(seed)
    persons = np.repeat(np.arange(units), rows)
    values = rng.standard_normal((units, 4))[persons] + 0.2 * rng.standard_normal((units * rows, 4))
    subject = subject_of(values, lambda x: x @ np.full(4, 0.7), seed=seed, units=persons)
    labels = (rng.random(units) < 0.5)[persons].astype(int)
    return replace(subject, test=replace(subject.test, labels=labels))
