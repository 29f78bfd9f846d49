"""Counterparts: pictures of two groups with edited ones of the other group, whose scores are set by hand."""

import numpy as np

from sanity.audit.rows import AuditSubject, Column, Rows
from sanity.audit.sheet import ColumnSheet, Decision, Sheet

SHEET = Sheet(
    decision=Decision(favourable="granted"),
    rows_are_units=True,
    columns={"age": ColumnSheet(roles=("legitimate",)), "sex": ColumnSheet(roles=("protected",))},
)


def subject_of(seed, *, use=0.0, artefact=0.0, share=0.5, rows=1200, persons=1, noise=0.0):
    """Pictures of two groups with counterparts: being in the group adds `use` to the logit, and having been edited `artefact`."""
    rng = np.random.default_rng(seed)
    count = rows // persons
    age, members = rng.normal(size=count), (rng.random(count) < share).astype(float)
    rest = 1.2 * age + rng.normal(size=count)
    age, members, rest = (np.repeat(values, persons) for values in (age, members, rest))
    logits = rest + use * members
    edited = rest + use * (1 - members) + artefact + noise * rng.normal(size=rows)
    test = Rows(
        (Column("age", age, kind="metadata"),),
        np.arange(rows) // persons,
        True,
        (rng.random(rows) < 0.5).astype(int),
        two(logits),
        protected=(Column("sex", members, ("f", "m")),),
        counterparts={"sex": two(edited)},
    )
    return AuditSubject("net", test, sheet=SHEET, classes=("denied", "granted"), kind="image")


def two(values):
    return np.stack([np.zeros_like(values), values], axis=1)
