"""Failures: tables whose network errs more in a group of rows, in a class, with a person, or with too much confidence."""

import numpy as np
from scipy.special import ndtr

from sanity.audit.rows import AuditSubject, Column, Rows

LEVELS = ("a", "b", "c", "d")


def table(
    seed, count=2000, *, effect=0.0, base=0.15, columns=12, classes=10, persons=0, named=True, hard=0.0, shared=2.0
):
    """Rows of categories and numbers, in which errors depend on nothing but what was planted.

    Args:
        seed: int.
        count: int, rows.
        effect: float, more errors where column0 is d and column4 is a, one row of sixteen.
        base: float, errors elsewhere.
        columns: int, half of them categories of four levels.
        classes: int.
        persons: int, rows of a person, who shares the columns and how often the network errs; 0: rows are alone.
        named: whether persons are units.
        hard: float, more errors in class 3, which column1 goes with.
        shared: float, the deviation of a person's log odds of an error.

    Returns:
        `AuditSubject`.
    """
    rng = np.random.default_rng(seed)
    owner = np.arange(count) // max(persons, 1)
    people = owner.max() + 1
    labels = rng.integers(classes, size=count)
    values = _values(rng, people, columns)[:, owner]
    if hard:
        values[1] = np.where(rng.random(count) < 0.8, np.where(labels == 3, 3, rng.integers(3, size=count)), values[1])
    rate = base + effect * ((values[0] == 3) & (values[4] == 0)) + hard * (labels == 3)
    if persons:
        odds = np.log(rate / (1 - rate)) + shared * rng.normal(size=people)[owner]
        rate = 1 / (1 + np.exp(-odds))
    wrong = rng.random(count) < rate
    return subject(values, labels, answers(rng, labels, wrong, classes), owner if persons and named else None)


def _values(rng, count, columns):
    """Columns in turn of two categories and two numbers: float64 [columns, rows]."""
    kinds = np.arange(columns) % 4
    return np.array([rng.integers(4, size=count) if kind < 2 else rng.normal(size=count) for kind in kinds], "float64")


def answers(rng, labels, wrong, classes, height=3.0):
    """Logits whose highest is the label, or another class where the answer is wrong: float64 [rows, classes]."""
    logits = rng.normal(0, 0.3, (len(labels), classes))
    answer = np.where(wrong, (labels + rng.integers(1, classes, size=len(labels))) % classes, labels)
    logits[np.arange(len(labels)), answer] += height
    return logits


def subject(values, labels, logits, units=None, **known):
    """An audit of a table: `AuditSubject`.

    Args:
        values: float64 [columns, rows], numbers but for the first two of each four, which are places of LEVELS.
        labels: int or float [rows].
        logits: float64 [rows, classes].
        units: int [rows], or None where each row is one, as is stated.
        known: features and others of `Rows`.
    """
    columns = tuple(Column(f"column{place}", row, LEVELS if place % 4 < 2 else ()) for place, row in enumerate(values))
    units = np.arange(len(labels)) if units is None else units
    rows = Rows(columns, units, True, labels, logits, **known)
    classes = tuple(f"class {place}" for place in range(logits.shape[1])) if logits.shape[1] > 1 else ()
    return AuditSubject("a table", rows, classes=classes)


def regression(seed, count=2000, effect=0.0):
    """Numbers told with an error that is larger, by `effect` of its deviations, in one row of sixteen: `AuditSubject`."""
    rng = np.random.default_rng(seed)
    values = _values(rng, count, 12)
    error = np.abs(rng.normal(size=count)) + 0.6 * effect * ((values[0] == 3) & (values[4] == 0))
    labels = 10 * rng.normal(size=count)
    return subject(values, labels, (labels + error * rng.choice([-1, 1], count))[:, None])


def probabilities(seed, count=500, *, temperature=1.0, classes=10, spread=2.0, persons=0, named=True, alike=0.6):
    """Labels drawn from softmax of logits times `temperature`: below 1 the network is too sure: `AuditSubject`.

    The rows of a person have nearly the same logits, and share what decides their labels, with a correlation `alike` of
    normal numbers.
    """
    rng = np.random.default_rng(seed)
    owner = np.arange(count) // max(persons, 1)
    logits = rng.normal(0, spread, (count, classes))
    if persons:
        logits = 0.2 * logits + np.sqrt(0.96) * rng.normal(0, spread, (owner.max() + 1, classes))[owner]
    law = np.exp(temperature * (logits - logits.max(axis=1, keepdims=True)))
    ends = np.cumsum(-np.sort(-law / law.sum(axis=1, keepdims=True), axis=1), axis=1)
    normal = rng.normal(size=count)
    if persons:
        normal = np.sqrt(alike) * rng.normal(size=owner.max() + 1)[owner] + np.sqrt(1 - alike) * normal
    place = np.minimum((ends < ndtr(normal)[:, None]).sum(axis=1), classes - 1)
    labels = np.argsort(-logits, axis=1)[np.arange(count), place]
    values = _values(rng, owner.max() + 1, 4)[:, owner]
    return subject(values, labels, logits, owner if persons and named else None)


def activations(seed, count=2000, *, effect=0.0, base=0.15, share=0.05, classes=10, channels=20, distance=5.0):
    """Activations in one cloud a class, and a small one of rows of all classes in which the network errs more by `effect`.

    Returns:
        `AuditSubject`, with features; bool [rows], the small cloud.
    """
    rng = np.random.default_rng(seed)
    labels, small = rng.integers(classes, size=count), rng.random(count) < share
    centres = rng.normal(size=(classes + 1, channels))
    centres *= distance / np.linalg.norm(centres, axis=1, keepdims=True)
    features = centres[np.where(small, classes, labels)] + rng.normal(size=(count, channels))
    wrong = rng.random(count) < base + effect * small
    logits = answers(rng, labels, wrong, classes)
    audited = subject(_values(rng, count, 4), labels, logits, features=features.astype("float32"))
    return audited, small
