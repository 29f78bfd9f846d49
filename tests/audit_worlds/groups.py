"""Groups: people in groups of given sizes, and a network whose rates in each group are set by hand."""

import numpy as np

from sanity.audit.rows import AuditSubject, Column, Rows
from sanity.audit.sheet import ColumnSheet, Decision, Sheet

CLASSES = ("denied", "granted")
SIZES = (1000, 500, 300, 200, 100, 60, 40, 20)
TPR, FPR = 0.7, 0.2
SHEET = Sheet(decision=Decision(favourable="granted"), rows_are_units=True)


def subject_of(labels, decided, columns, *, units=None, sheet=SHEET, **known):
    """A subject whose network decides as it is told.

    Args:
        labels: int [rows].
        decided: bool [rows], whether the decision is favourable.
        columns: dict of protected column to int [rows], nan where missing.
        units: int [rows], or None: rows are units.
        sheet: `Sheet`.
        known: other values of `AuditSubject`.

    Returns:
        `AuditSubject`.
    """
    logits = np.where(np.asarray(decided)[:, None], [-1.0, 1.0], [1.0, -1.0])
    protected = tuple(
        Column(name, np.asarray(codes, "float64"), tuple(f"g{code}" for code in range(int(np.nanmax(codes)) + 1)))
        for name, codes in columns.items()
    )
    sheet = sheet.model_copy(update={"columns": {name: ColumnSheet(roles=("protected",)) for name in columns}})
    rows = Rows((), np.arange(len(labels)) if units is None else units, True, labels, logits, protected=protected)
    return AuditSubject("net", rows, sheet=sheet, classes=CLASSES, **known)


def people(seed, sizes=SIZES, *, rates=None, persons=None, bias=None):
    """People in groups whose true and false positive rates are the same but for those that are set.

    Args:
        seed: int.
        sizes: tuple of int, rows of each group.
        rates: dict of group to its true positive rate.
        persons: int, rows of each person, all with the same label and much the same decision; None: one.
        bias: group, a fifth of whose labels are turned, together with what is decided.

    Returns:
        `AuditSubject`.
    """
    rng = np.random.default_rng(seed)
    each = persons or 1
    groups = np.repeat(np.repeat(np.arange(len(sizes)), np.array(sizes) // each), each)
    units = np.arange(len(groups)) // each
    labels = (rng.random(units.max() + 1) < 0.5).astype(int)[units]
    true_rate = np.array([(rates or {}).get(group, TPR) for group in range(len(sizes))])[groups]
    shared = rng.random(units.max() + 1)[units]
    chance = np.where(rng.random(len(groups)) < 0.8, shared, rng.random(len(groups))) if each > 1 else shared
    decided = chance < np.where(labels == 1, true_rate, FPR)
    if bias is not None:
        turned = (groups == bias) & (rng.random(len(groups)) < 0.2)
        labels, decided = np.where(turned, 1 - labels, labels), np.where(turned, ~decided, decided)
    return subject_of(labels, decided, {"group": groups}, units=units)
