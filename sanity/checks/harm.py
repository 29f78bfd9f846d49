"""Harm: did errors rise on current data, by more than the margin?

With labels this is a difference of two means. Without labels no test of inputs can tell, since labels may have changed their
meaning: then two estimates are shown with what they rest on, and nothing passes or fails.
"""

import numpy as np

from sanity.audit.copies import TRIES, list_copies, read_copies
from sanity.audit.drift import deal_blocks
from sanity.audit.encoding import encode_features, encode_inputs
from sanity.audit.eyes import Eyes
from sanity.audit.gates import answers_gate, labels_gate
from sanity.audit.harm import (
    BALANCED,
    EFFECTIVE,
    EFFECTIVE_ROWS,
    error_rise,
    estimate_rise,
    label_shares,
)
from sanity.audit.margin import FEWEST_UNITS, NONE, evidence_ruling, limit_finding
from sanity.audit.permutation import draw_sides, min_p
from sanity.audit.rows import joined_units
from sanity.checks import checks
from sanity.checks.shift import ROWS, comparison_gates
from sanity.evidence import Evidence, Gate
from sanity.ruling import About, rules
from sanity.seeds import derive_seed
from sanity.statistics import Interval, without_interval

ROSE, NO_RISE = "ERRORS ROSE", "DID NOT RISE BEYOND THE MARGIN"
UNKNOWN, TOO_FEW = "HARM UNKNOWN", "NOT ENOUGH DATA"
# Rise of the error rate, and that of a regression as a share of its mean error; labelled units of the current data.
DELTA, DELTA_OF_NUMBERS, LABELLED = 0.02, 0.1, 100


@checks.register(claim="data", question="shift")
def harm(subject, *, seed, tries=TRIES, resamples=60):
    """Did errors rise between the reference and current data?

    Args:
        subject: `sanity.audit.rows.AuditSubject`.
        seed: int.
        tries: int, null copies, and planted ones of each size.
        resamples: int, of units, where errors are estimated without labels.

    Returns:
        list of one `Evidence`.
    """
    gates = comparison_gates(subject, ROWS)
    if not any(gate.status != "passed" for gate in gates):
        gates += (_labels_gate(subject.test), *_answers_gates(subject))
    if any(gate.status != "passed" for gate in gates):
        return [Evidence("harm", "errors", subject.title, subject.sizes, {}, gates)]
    reference = subject.test.take(subject.test.labelled)
    delta = DELTA_OF_NUMBERS * reference.errors.mean() if reference.is_regression else DELTA
    labelled = subject.current.take(subject.current.labelled)
    if labelled.unit_count >= LABELLED:
        return [_measured(subject, reference, labelled, gates, float(delta), seed, tries)]
    return [_estimated(subject, reference, labelled.unit_count, gates, float(delta), seed, resamples)]


def _labels_gate(rows):
    gate = labels_gate(rows)
    if rows.logits is None:
        return Gate("answers are known", "failed", "the network's answers are not known")
    # A set without an error, or without a right answer, can still be compared.
    return Gate(gate.name, "passed", gate.words) if gate.name == "errors differ" else gate


def _answers_gates(subject):
    return tuple(answers_gate(rows) for rows in (subject.test, subject.current) if rows.logits is not None)


def _measured(subject, reference, current, gates, delta, seed, tries):
    effect = error_rise(reference.errors, current.errors, reference.units, current.units, level=1 - subject.alpha)
    tried = _tried(subject, reference, current, delta, seed, tries)
    units = min(reference.unit_count, current.unit_count)
    clause = f"errors are {reference.errors.mean():.3f} in the reference and {current.errors.mean():.3f} now"
    planted = tried.words(f"a rise of {delta:.2g}")
    why = {
        ROSE: f"{clause}, a rise that chance does not give",
        NO_RISE: f"{clause}, and a rise by more than {delta:.2g} is ruled out; {planted}",
        TOO_FEW: f"{clause}, and a rise by more than {delta:.2g} is not ruled out; {planted}",
    }
    return Evidence(
        "harm",
        "errors",
        subject.title,
        {**subject.sizes, "current": len(current), "units": units},
        {
            "effect": np.array([effect.mean, effect.low, effect.high]),
            "planted": tried.planted,
            "null": tried.null,
            "labelled": np.array([1]),
        },
        (*gates, tried.gate),
        settings={"seed": seed, "tries": tries, "delta": delta, "alpha": subject.alpha, "why": why, "also": ()},
    )


def _tried(subject, reference, current, delta, seed, tries):
    """Whether errors "rose" in blocks of neighbouring units of the reference, and on sides dealt at random with more errors."""
    errors = np.concatenate([reference.errors, current.errors])
    units = joined_units(reference, current)
    is_current = np.arange(len(errors)) >= len(reference)
    share = min(current.unit_count / (current.unit_count + reference.unit_count), 0.5)
    dealt = deal_blocks(reference.units, reference.times, share, seed=derive_seed(seed, "blocks"), count=tries)

    rest = iter(dealt)

    # What is said of a copy is kept, and not the copy.
    def rises(values, numbers, side):
        level = 1 - subject.alpha
        return error_rise(values[~side], values[side], numbers[~side], numbers[side], level=level).low > 0

    def rises_by_chance(copy_seed):
        return rises(reference.errors, reference.units, next(rest))

    def rises_where_planted(size, copy_seed):
        side = draw_sides(units, is_current, 1, seed=copy_seed)[1]
        return rises(_with_more(errors, side, size * delta, reference.is_regression, copy_seed), units, side)

    return read_copies(list_copies(rises_by_chance, rises_where_planted, seed=seed, tries=tries), tries)


def _with_more(errors, side, rise, is_regression, seed):
    """Errors of which the mean of one side is larger by so much: float64 [rows]."""
    if is_regression:
        return np.where(side, errors + rise, errors)
    right = max(1 - errors[side].mean(), 1e-12)
    turned = side & (np.random.default_rng(derive_seed(seed, "turned")).random(len(errors)) < rise / right)
    return np.where(turned, 1.0, errors)


def _estimated(subject, reference, labelled, gates, delta, seed, resamples):
    estimate = estimate_rise(reference, subject.current, seed=derive_seed(seed, "estimate"), resamples=resamples)
    effect = without_interval() if estimate is None else estimate.weighted
    usable = estimate is not None and estimate.holds and not estimate.disagrees
    also = () if estimate is None else _numbers(estimate)
    tables = _label_table(reference, subject.current, seed)
    return Evidence(
        "harm",
        "errors",
        subject.title,
        {
            **subject.sizes,
            "current": len(subject.current),
            "units": min(reference.unit_count, subject.current.unit_count),
        },
        {
            "effect": np.array([effect.mean, effect.low, effect.high] if usable else [np.nan] * 3),
            "planted": np.zeros((3, 0), bool),
            "labelled": np.array([0]),
        },
        gates,
        settings={
            "seed": seed,
            "resamples": resamples,
            "delta": delta,
            "alpha": subject.alpha,
            "why": {UNKNOWN: _unknown(estimate, labelled)},
            "also": also,
            "tables": tables,
        },
    )


def _unknown(estimate, labelled):
    """Why harm is not known, and what two estimates say of it: str."""
    start = f"{labelled} units of the current data are labelled, and {LABELLED} are needed"
    if estimate is None:
        return f"{start}; no column varies that rows could be weighted by"
    if estimate.disagrees:
        return f"{start}; estimates by weights and by confidence disagree: {estimate.weighted} and {estimate.confident}"
    if estimate.effective < EFFECTIVE or estimate.rows < EFFECTIVE_ROWS:
        return f"{start}; weights leave {estimate.rows:,} of the reference rows, too few like the current ones"
    if estimate.imbalance > BALANCED:
        return f"{start}; weights do not make the reference like the current data"
    return f"{start}; if labels still mean the same, errors change by {estimate.weighted}"


def _numbers(estimate):
    numbers = [
        ("change by weights", str(estimate.weighted)),
        ("share of rows that weights leave", f"{estimate.effective:.2f}"),
        ("largest difference after weighting", f"{estimate.imbalance:.2f} deviations"),
    ]
    if estimate.confident is not None:
        numbers.append(("change by confidence", str(estimate.confident)))
    if estimate.drawn:
        counts = "{:,} of the reference and {:,} of the current ones".format(*estimate.drawn)
        numbers.append(("rows of the estimates", f"{counts}, drawn by unit"))
    return tuple(numbers)


def _label_table(reference, current, seed):
    """Estimated shares of classes where nothing but these seems to have changed: dict, empty elsewhere."""
    if reference.is_regression or current.logits is None:
        return {}
    shares, _ = label_shares(reference, current)
    if shares is None or _differs_within_classes(reference, current, seed):
        return {}
    before = np.bincount(reference.labels, minlength=len(shares)) / len(reference)
    rows = [
        {"class": number, "reference": float(first), "current if only shares changed": float(second)}
        for number, (first, second) in enumerate(zip(before, shares))
    ]
    return {"Shares of classes": rows}


def _differs_within_classes(reference, current, seed, draws=199):
    """Whether features, or else inputs, differ between the sets among rows of one predicted class: bool."""
    encoded = encode_features(reference, current) or encode_inputs(reference, current)
    if not encoded.names:
        return False
    predicted = np.concatenate([reference.predicted, current.predicted])
    smallest = 1.0
    classes = [place for place in np.unique(predicted) if _both_sides(encoded.is_current[predicted == place])]
    for place in classes:
        rows = predicted == place
        part = encoded.take(rows)
        if not part.names:
            continue
        sight = Eyes(part, seed=derive_seed(seed, "within", int(place))).look(draws)
        smallest = min(smallest, float(min_p(sight.statistics).min()))
    return smallest * max(len(classes), 1) <= 0.05 or not classes


def _both_sides(is_current):
    return min(is_current.sum(), (~is_current).sum()) >= ROWS


def _harm_rule(family, margins, seed):
    """Whether errors rose, with labels; without labels harm is unknown."""
    return [_ruling(evidence) for evidence in family]


def _ruling(evidence):
    effect = Interval(*map(float, evidence.samples["effect"]))
    finding, outcome = _decide(evidence, effect)
    remedies = {
        UNKNOWN: f"Label at least {LABELLED} units of the current data.",
        TOO_FEW: "Label more units of the current data.",
    }
    return evidence_ruling(evidence, outcome, finding, remedy=remedies.get(finding, ""))


def _decide(evidence, effect):
    """Finding and outcome: (str, str)."""
    delta, units = evidence.settings["delta"], evidence.sizes["units"]
    if not evidence.samples["labelled"][0]:
        return UNKNOWN, "INCONCLUSIVE"
    if effect.low > 0:
        return ROSE, "FAIL" if effect.low > delta and units >= FEWEST_UNITS else "INCONCLUSIVE"
    if effect.high < delta and limit_finding(NONE, evidence.samples["planted"], units) == NONE:
        return NO_RISE, "PASS"
    return TOO_FEW, "INCONCLUSIVE"


rules.register(
    _harm_rule,
    name="harm",
    about=About(
        "Errors did not rise",
        "change of errors",
        {ROSE: "{why}", NO_RISE: "{why}", UNKNOWN: "{why}", TOO_FEW: "{why}"},
        number="error now less error in the reference",
        similarity="mean error of current rows less that of the reference, by Newcombe's interval or by unit; without labels the reference rows are weighted like current ones",
        sampled=False,
        better="lower",
        counted={"rows": "reference rows", "current": "current rows", "units": "units on the smaller side"},
        cannot="Cannot conclude: why errors changed or whether they will. Without labels nothing shows whether labels still mean the same.",
    ),
)
