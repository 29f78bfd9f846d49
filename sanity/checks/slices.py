"""Slices: does the network err more in some group of rows than elsewhere, by more than the margin?

Chung et al. 2019 (https://arxiv.org/abs/1807.06068) search groups of rows by their columns. Here the largest of all is compared
with the largest under errors that units have exchanged (Westfall, Young 1993), and its size is measured on rows that did not choose
it.
"""

import numpy as np

from sanity.audit.copies import TRIES
from sanity.audit.gates import answers_gate, labels_gate, trained_gates, units_gate
from sanity.audit.margin import (
    BEYOND,
    NONE,
    TOO_FEW,
    UNCERTAIN,
    WITHIN,
    margin_evidence,
    margin_words,
    register_margin_rule,
)
from sanity.audit.slices import list_slices
from sanity.audit.weak_slices import find_weak_slices
from sanity.checks import checks
from sanity.evidence import Evidence, Gate
from sanity.ruling import About

ALL = "groups of rows"


@checks.register(claim="data", question="failures")
def slices(subject, *, seed, draws=999, tries=TRIES, beyond="label"):
    """In which groups of rows, by values of one column or two, does the network err more than elsewhere?

    Args:
        subject: `sanity.audit.rows.AuditSubject`.
        seed: int.
        draws: int, exchanges of errors between units.
        tries: int, null copies, and planted ones of each size.
        beyond: "label", so that a hard class is not found again; "confidence", for the predicted class and its probability;
            or "none".

    Returns:
        list of one `Evidence`, with the slices that stand out in its settings.
    """
    rows = subject.test.take(subject.test.labelled)
    gates = (labels_gate(rows), answers_gate(rows), units_gate(rows), *trained_gates(subject))
    if not any(gate.status == "failed" for gate in gates):
        searched = list_slices(rows)
        gates += (_slices_gate(searched),)
    if any(gate.status == "failed" for gate in gates):
        return [Evidence("slices", ALL, subject.title, subject.sizes, {}, gates)]
    weak = find_weak_slices(searched, rows, alpha=subject.alpha, seed=seed, draws=draws, tries=tries, beyond=beyond)
    return [
        margin_evidence(
            "slices",
            ALL,
            subject,
            p=weak.p,
            effect=weak.effect,
            tries=weak.tries,
            delta=weak.delta,
            why=_clauses(weak),
            units=rows.unit_count,
            gates=gates,
            samples={"members": weak.masks, "places": np.flatnonzero(subject.test.labelled)},
            settings={"seed": seed, "draws": draws, "tries": tries, "beyond": beyond},
            needed=weak.needed,
            searched=len(searched),
            tables={"Groups of rows with more errors": weak.table()},
        )
    ]


def _slices_gate(searched):
    words = f"{len(searched):,} groups of rows are large enough"
    return Gate("groups to search", "passed" if len(searched) else "failed", words)


def _clauses(weak):
    """The clause of each finding: dict."""
    names = "; ".join(weak.slices.name(place) for place in weak.shown[:3])
    more = f" and {len(weak.shown) - 3} more" if len(weak.shown) > 3 else ""
    searched = f"{len(weak.slices):,} groups of rows were searched"
    present = f"{searched}. Errors are more frequent in: {names}{more}."
    return {
        BEYOND: f"{present} On rows that did not choose the group, the excess is above {weak.excess}",
        UNCERTAIN: f"{present} Whether the excess is above {weak.excess} is open",
        WITHIN: f"{present} On rows that did not choose the group, the excess is below {weak.excess}",
        NONE: f"{searched}, and none has errors above the rest by more than {weak.excess}. Planted, {weak.planted}",
        TOO_FEW: f"{searched}, and none stands out. An excess of {weak.excess} is not ruled out. Planted, {weak.planted}",
    }


register_margin_rule(
    "slices",
    "WEAK SLICE",
    About(
        "Errs evenly over groups of rows",
        "largest excess error",
        margin_words("WEAK SLICE"),
        number="error inside less error outside",
        similarity="mean error inside a group less that outside, each within its label, of the group that stands out most on one half of the units, measured on the other half",
        sampled=False,
        better="lower",
        counted={"rows": "rows", "units": "units"},
        cannot="Cannot conclude: why errors are more frequent there, or that no other group exists: groups by other columns, by three conditions, or smaller ones were not searched.",
    ),
)
