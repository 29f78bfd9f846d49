"""Slices: does the network err more in some group of rows than elsewhere, by more than the margin?

Chung et al. 2019 (https://arxiv.org/abs/1807.06068) search groups of rows by their columns. Here the largest of all is compared
with the largest under errors that units have exchanged (Westfall, Young 1993), and its size is measured on rows that did not choose
it.
"""

import numpy as np

from sanity.audit.copies import TRIES
from sanity.audit.margin import margin_words, register_margin_rule
from sanity.audit.slices import list_slices
from sanity.audit.weak_evidence import search_gates, size_gate, weak_evidence
from sanity.audit.weak_slices import find_weak_slices
from sanity.checks import checks
from sanity.evidence import Evidence
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
    gates = search_gates(subject, rows)
    if not any(gate.status == "failed" for gate in gates):
        searched = list_slices(rows)
        gates += (size_gate(searched, ALL),)
    if any(gate.status == "failed" for gate in gates):
        return [Evidence("slices", ALL, subject.title, subject.sizes, {}, gates)]
    settings = {"seed": seed, "draws": draws, "tries": tries, "beyond": beyond}
    weak = find_weak_slices(searched, rows, alpha=subject.alpha, **settings)
    return [
        weak_evidence(
            "slices",
            ALL,
            "group",
            subject,
            weak,
            names=_names(weak),
            gates=gates,
            samples={"places": np.flatnonzero(subject.test.labelled)},
            settings=settings,
            tables={"Groups of rows with more errors": weak.table()},
        )
    ]


def _names(weak):
    """The slices that stand out, three at most: str."""
    count = len(weak.weakest)
    more = f" and {count - 3} more" if count > 3 else ""
    return "; ".join(weak.slices.name(place) for place in weak.weakest[:3]) + more


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
