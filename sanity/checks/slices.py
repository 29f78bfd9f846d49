"""Slices: does the network err more in some group of rows than elsewhere, by more than the margin?

Chung et al. 2019 (https://arxiv.org/abs/1807.06068) search groups of rows by their columns. Here the largest of all is compared
with the largest under errors that units have exchanged (Westfall, Young 1993), and its size is measured on rows that did not choose
it.
"""

import numpy as np

from sanity.audit.copies import TRIES, list_copies, read_copies
from sanity.audit.gates import labels_gate, trained_gates, units_gate
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
from sanity.audit.permutation import exchange_rows, rolled_rows
from sanity.audit.slices import (
    centred_errors,
    distinct_slices,
    label_strata,
    list_slices,
    measured_excess,
    rows_needed,
    search_slices,
)
from sanity.checks import checks
from sanity.evidence import Evidence, Gate
from sanity.ruling import About
from sanity.seeds import derive_seed

ALL = "groups of rows"
# Excess error, and that of a regression in deviations of its error; share of rows of a planted slice.
DELTA, DELTA_OF_NUMBERS, PLANTED = 0.1, 0.3, 0.05
# Slices that are listed.
LISTED = 10


@checks.register(claim="data", question="failures")
def slices(subject, *, seed, draws=999, tries=TRIES, beyond="label"):
    """In which groups of rows, by values of one column or two, does the network err more than elsewhere?

    Args:
        subject: `sanity.audit.rows.AuditSubject`.
        seed: int.
        draws: int, exchanges of errors between units.
        tries: int, null copies, and planted ones of each size.
        beyond: "label", so that a hard class is not found again, or "none".

    Returns:
        list of one `Evidence`, with the slices that stand out in its settings.
    """
    rows = subject.test.take(subject.test.labelled)
    gates = (labels_gate(rows), units_gate(rows), *trained_gates(subject))
    searched = list_slices(rows)
    gates += (_slices_gate(searched),)
    if any(gate.status == "failed" for gate in gates):
        return [Evidence("slices", ALL, subject.title, subject.sizes, {}, gates)]
    errors, strata = centred_errors(rows, beyond), label_strata(rows, beyond)
    delta = DELTA_OF_NUMBERS if rows.is_regression else DELTA
    search = search_slices(
        searched,
        errors,
        rows.units,
        draws=draws,
        seed=derive_seed(seed, "exchanged"),
        strata=strata,
        copies=_copies(searched, rows, errors, strata, delta, seed, tries),
    )
    tried = read_copies(search.copies_p <= subject.alpha, tries)
    effect = measured_excess(searched, errors, rows.units, seed=derive_seed(seed, "measured"))
    shown = distinct_slices(searched, search, subject.alpha)[:LISTED]
    return [
        margin_evidence(
            "slices",
            ALL,
            subject,
            p=float(search.p.min()),
            effect=effect,
            tries=tried,
            delta=delta,
            why=_clauses(searched, shown, tried, delta, rows),
            units=rows.unit_count,
            gates=gates,
            samples={"members": searched.masks(shown) if shown else np.zeros((0, len(rows)), bool)},
            settings={"seed": seed, "draws": draws, "tries": tries, "beyond": beyond},
            needed=rows_needed(len(searched), errors.var(), delta, PLANTED),
            searched=len(searched),
            tables={"Groups of rows with more errors": [_row(searched, search, rows, place) for place in shown]},
        )
    ]


def _slices_gate(searched):
    words = f"{len(searched):,} groups of rows are large enough"
    return Gate("groups to search", "passed" if len(searched) else "failed", words)


def _row(searched, search, rows, place):
    """A slice as it is listed: dict."""
    mask = searched.masks([place])[0]
    return {
        "name": searched.name(place),
        "rows": int(mask.sum()),
        "error": float(rows.errors[mask].mean()),
        "elsewhere": float(rows.errors[~mask].mean()),
        "p": float(search.p[place]),
    }


def _clauses(searched, shown, tried, delta, rows):
    """The clause of each finding: dict."""
    groups, unit = f"{len(searched):,} groups of rows", " deviations" if rows.is_regression else ""
    planted = tried.words(f"a group of {PLANTED:.0%} with {delta:+.2g}{unit}")
    names = "; ".join(searched.name(place) for place in shown[:3])
    more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
    present = f"of {groups} searched, errors are more frequent in: {names}{more}"
    return {
        BEYOND: f"{present}; measured on rows that did not choose the group, by more than {delta:.2g}{unit}",
        UNCERTAIN: f"{present}; whether by more than {delta:.2g}{unit} is open",
        WITHIN: f"{present}; by less than {delta:.2g}{unit}",
        NONE: f"of {groups} searched, none has errors above the rest by more than {delta:.2g}{unit}; {planted}",
        TOO_FEW: f"of {groups} searched, none stands out, and an excess of {delta:.2g}{unit} is not ruled out; {planted}",
    }


def _copies(searched, rows, errors, strata, delta, seed, tries):
    """Errors rolled down the file, and exchanged ones with some more errors in one slice: list of float64 [rows]."""

    def exchanged(copy_seed):
        return errors[next(iter(exchange_rows(rows.units, 1, seed=copy_seed, strata=strata)))]

    def rolled(copy_seed):
        return errors[rolled_rows(rows.units, seed=copy_seed)]

    def plant(size, copy_seed):
        rng = np.random.default_rng(derive_seed(copy_seed, "slice"))
        return exchanged(copy_seed) + _added(_mask_of_share(searched, rng), size * delta, rows, rng)

    return list_copies(rolled, plant, seed=derive_seed(seed, "copies"), tries=tries)


def _mask_of_share(searched, rng):
    """A slice of about the planted share, drawn among the ten nearest: bool [rows]."""
    shares = np.concatenate(
        [
            searched.masks(np.arange(start, min(start + 512, len(searched)))).mean(axis=1)
            for start in range(0, len(searched), 512)
        ]
    )
    nearest = np.argsort(np.abs(np.log(shares / PLANTED)), kind="stable")[:10]
    return searched.masks([rng.choice(nearest)])[0]


def _added(mask, size, rows, rng):
    """What raises the mean of a slice by so much, in whole errors: float64 [rows]. Of a regression each row's error grows."""
    if rows.is_regression:
        return np.where(mask, size, 0.0)
    return np.where(mask & (rng.random(len(mask)) < size), 1.0, 0.0)


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
