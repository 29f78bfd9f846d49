"""Proxy use: do decisions turn when columns are swapped between groups, beyond what the legitimate columns say?

Given P(A | L), donors of either group have the same legitimate columns on average (Rosenbaum, Rubin 1983,
https://doi.org/10.1093/biomet/70.1.41). What the output has of the group given the legitimate columns is the generalised covariance
measure of Shah and Peters 2020 (https://arxiv.org/abs/1804.07203). Only a swap shows use.
"""

from dataclasses import replace

import numpy as np

from sanity.audit.copies import TRIES, would_find
from sanity.audit.counterparts import COUNTERPARTS, Counterparts
from sanity.audit.decisions import DecisionRule, decision_rule
from sanity.audit.gates import answers_gate, trained_gates, units_gate
from sanity.audit.legitimate import list_contrasts, odds_gate, odds_on_half, smaller_side
from sanity.audit.margin import (
    BEYOND,
    FEWEST_UNITS,
    NONE,
    TOO_FEW,
    WITHIN,
    WORST,
    compare_with_margin,
    evidence_ruling,
    margin_evidence,
    rows_to_settle,
    without_sign,
)
from sanity.audit.permutation import halves
from sanity.audit.small_counts import FEWEST
from sanity.audit.swaps import TOGETHER, Swap, read_swaps
from sanity.checks import checks
from sanity.checks.decodable import (
    all_contrasts,
    contrasts_gate,
    few_table,
    inputs_among,
    legitimate_names,
    sheet_gates,
)
from sanity.evidence import Evidence, Gate
from sanity.ruling import About, rules
from sanity.seeds import derive_seed
from sanity.statistics import Interval

ALL = "protected columns"
# The margin, a share of decisions, and how often the column is drawn anew.
DELTA, DRAWS = 0.02, 199
USED, DEPENDS, UNUSED = "USED BEYOND THE MARGIN", "DEPENDS ON IT BEYOND LEGITIMATE", "USE WITHIN THE MARGIN"
OUTCOMES = {USED: "FAIL", DEPENDS: "INCONCLUSIVE", UNUSED: "PASS", TOO_FEW: "INCONCLUSIVE"}


@checks.register(claim="data", question="proxies")
def proxy_use(subject, *, seed, draws=DRAWS, tries=TRIES):
    """Do decisions turn when columns that are not legitimate are swapped between groups of a protected column?

    Args:
        subject: `sanity.audit.rows.AuditSubject`.
        seed: int.
        draws: int, how often the column is drawn anew from P(A | L).
        tries: int, null copies, and planted ones of each size.

    Returns:
        list of `Evidence`, one for each group of a protected column against the rest.
    """
    rows, has_pairs = subject.test, bool(subject.test.counterparts)
    contrasts, few, unasked = _paired_contrasts(rows) if has_pairs else (*all_contrasts(rows), {})
    paired = rows.take(_has_pair(rows)) if has_pairs else rows
    gates = _pairs_gates(subject, paired, contrasts or few, unasked) if has_pairs else _swap_gates(subject)
    # A group that is too small is another matter than a column whose counterparts say nothing.
    large_enough = (contrasts_gate(paired, contrasts),) if contrasts or few or not unasked else ()
    gates += (decision_gate(subject), *large_enough, *answers_gates(subject))
    if any(gate.status != "passed" for gate in gates):
        return [Evidence("proxy_use", ALL, subject.title, subject.sizes, {}, gates)]
    exchange = _exchange_pairs if has_pairs else _swap_columns
    swaps = [
        exchange(subject, rows, contrast, derive_seed(seed, "swapped", number))
        for number, contrast in enumerate(contrasts)
    ]
    level = 1 - subject.alpha / sum(len(swap.candidates) for swap in swaps)
    swapped = [swap.measure(draws, tries, DELTA, level) for swap in swaps]
    p, tried = read_swaps(swapped, subject.alpha, tries)
    settings = {"seed": seed, "draws": draws, "tries": tries, "left_out": few, "unasked": unasked}
    return [
        _evidence(subject, *part, contrasts, gates, settings) for part in zip(swaps, swapped, p, tried, range(len(p)))
    ]


def _swap_columns(subject, rows, contrast, seed):
    legitimate, candidates = legitimate_names(subject, contrast.column), _candidates(subject, contrast.column)
    return Swap(contrast, rows, legitimate, candidates, subject.predict, decision_score(subject), seed=seed)


def _exchange_pairs(subject, rows, contrast, seed):
    return Counterparts(contrast, rows, legitimate_names(subject, contrast.column), decision_score(subject), seed=seed)


def _paired_contrasts(rows):
    """Contrasts of the rows that have a counterpart by their column.

    Args:
        rows: `Rows`.

    Returns:
        list of `sanity.audit.legitimate.Contrast`; list of str, groups with too few rows; and dict of protected column to str, why its
        use is not asked about.
    """
    contrasts, few, unasked = [], [], {}
    for column in rows.protected:
        if column.name not in rows.counterparts:
            unasked[column.name] = f"no column has counterpart_of = {column.name}"
            continue
        values = np.where(_edited(rows, column.name), column.values, np.nan)
        if not np.isfinite(values).any():
            unasked[column.name] = "no row has a counterpart that is another input"
            continue
        large, small = list_contrasts(replace(column, values=values))
        if len(large) > 1:
            unasked[column.name] = f"counterparts are of two groups, and it has {len(large)}"
            continue
        contrasts, few = contrasts + large, few + small
    return contrasts, few, unasked


def _edited(rows, column):
    """Rows with a counterpart that is not the input itself: bool [rows]."""
    return np.isfinite(rows.counterparts[column]).all(axis=1) & ~rows.unedited.get(column, np.zeros(len(rows), bool))


def _has_pair(rows):
    return np.any([_edited(rows, column) for column in rows.counterparts], axis=0)


def _pairs_gates(subject, paired, compared, unasked):
    """Counterparts hold legitimate columns by themselves, and have to be of two groups: tuple of `Gate`."""
    same = np.any(list(subject.test.unedited.values()), axis=0).sum() if subject.test.unedited else 0
    words = f"{len(paired):,} of {len(subject.test):,} rows have a counterpart"
    words += f", without {_counted(same)} whose counterpart is the input itself" if same else ""
    enough = Gate("counterparts differ from inputs", "passed" if len(paired) else "failed", words)
    several = [f"{name}: {reason}" for name, reason in unasked.items()]
    stops = bool(several) and not compared
    two = Gate("groups with counterparts", "not applicable" if stops else "passed", "; ".join(several) or words)
    return (enough, two, units_gate(subject.test), *trained_gates(subject))


def _swap_gates(subject):
    return (*sheet_gates(subject), _swap_gate(subject), _candidates_gate(subject))


def _swap_gate(subject):
    rows = subject.test
    can_ask = subject.predict is not None and rows.inputs is not None and bool(subject.input_places)
    words = "a table, and a network that can be asked again"
    lacks = "swaps need a table and a network that can be asked again; images and text need a column with counterpart_of = PROTECTED"
    return Gate("columns can be swapped", "passed" if can_ask else "not applicable", words if can_ask else lacks)


def _candidates_gate(subject):
    names = [name for name in subject.input_places if name not in subject.sheet.with_role("legitimate")]
    words = f"{len(names)} inputs are not legitimate" if names else "every input is legitimate, so that none is swapped"
    return Gate("columns to swap", "passed" if names else "not applicable", words)


def decision_gate(subject):
    """The network must tell two classes, or the sheet must state a decision.

    Args:
        subject: `sanity.audit.rows.AuditSubject`.

    Returns:
        `Gate`.
    """
    rows = subject.test
    two = rows.logits is not None and rows.logits.shape[1] == 2
    if rows.logits is not None and not rows.is_regression and (two or subject.sheet.decision):
        return Gate("decisions", "passed", "two classes, or a decision is stated")
    return Gate("decisions", "not applicable", 'the sheet states none; add [decision] with favourable = "CLASS"')


def answers_gates(subject):
    """The answers must be finite numbers, where there are any: tuple of `Gate`.

    Args:
        subject: `sanity.audit.rows.AuditSubject`.
    """
    return () if subject.test.logits is None else (answers_gate(subject.test),)


def _candidates(subject, column):
    """Inputs that are swapped: each that is not legitimate, and all but the protected column together: dict."""
    legitimate = subject.sheet.with_role("legitimate")
    alone = {name: tuple(places) for name, places in subject.input_places.items() if name not in legitimate}
    others = [name for name in alone if name != column]
    if len(others) < 2:
        return alone
    return alone | {TOGETHER: tuple(place for name in others for place in alone[name])}


def decision_score(subject):
    """A score that is above zero where a decision is favourable, on the scale of log odds.

    Args:
        subject: `sanity.audit.rows.AuditSubject`.

    Returns:
        float64 [rows, classes] -> float64 [rows].
    """
    # Of two classes without a stated decision the second is the favourable one.
    rule = decision_rule(subject) if subject.sheet.decision else DecisionRule(1, 0.0)
    return lambda logits: rule.scores(logits) - rule.threshold


def _evidence(subject, swap, swapped, p, tried, number, contrasts, gates, settings):
    """What was measured of one contrast: `Evidence`."""
    contrast = contrasts[number]
    findings = [
        compare_with_margin(one, without_sign(share), DELTA, subject.alpha) for one, share in zip(p, swapped.shares)
    ]
    place = min(range(len(findings)), key=lambda candidate: (WORST.index(findings[candidate]), p[candidate]))
    effect = without_sign(swapped.shares[place])
    evidence = margin_evidence(
        "proxy_use",
        contrast.name,
        subject,
        p=float(p[place]),
        effect=effect,
        tries=tried,
        delta=DELTA,
        why=_clauses(swapped, place, tried, contrast, subject),
        units=smaller_side(swap.members, swap.odds.units),
        gates=(*gates, _odds_gate(swap)),
        samples={"output p": p[-1:], "shares": swapped.shares, "by candidate": p[:-1]},
        settings={**settings, "candidates": swapped.names[:-1], "rows": len(swap.members)},
        needed=rows_to_settle(len(swap.members), effect, DELTA, swap.most),
        also=(
            (
                "output given the legitimate columns",
                f"p = {p[-1]:.2g}. What one layer does with it is another question.",
            ),
            *_also(subject, swapped, settings["unasked"]),
        ),
        tables={
            f"{_exchanged(swapped)}: {contrast.name}": _listed(swapped, p, findings),
            **few_table(settings["left_out"]),
        },
    )
    return replace(evidence, sizes={**evidence.sizes, "rows": len(swap.members)})


def _also(subject, swapped, unasked):
    """What was not asked about, and rows that were left out: pairs of name and text."""
    yield from ((f"use of {name}", f"not asked about: {reason}.") for name, reason in unasked.items())
    same = {name: int(values.sum()) for name, values in subject.test.unedited.items() if values.any()}
    if COUNTERPARTS in swapped.names:
        yield from (
            (f"counterparts of {name} that are the input itself", f"{_counted(count)}, left out.")
            for name, count in same.items()
        )


def _counted(rows):
    return f"{rows:,}" if rows >= FEWEST else f"fewer than {FEWEST}"


def _exchanged(swapped):
    return "Counterparts of the other group" if COUNTERPARTS in swapped.names else "Columns swapped between groups"


def _odds_gate(swap):
    seed = derive_seed(swap.seed, "odds")
    fitted = halves(swap.odds.units, seed=seed)
    odds = odds_on_half(swap.features, swap.members, swap.odds.units, fitted)
    return odds_gate(swap.features, swap.members, odds, fitted, seed=seed)


def _clauses(swapped, place, tried, contrast, subject):
    start, candidate = inputs_among(subject, contrast.column), swapped.names[place]
    what = "all columns that are not legitimate" if candidate == TOGETHER else candidate
    planted = tried.words(f"Use that turns {DELTA:.0%} of decisions")
    swap = f"{start}Swapping {what} between groups of {contrast.name} turns"
    swaps = "swaps between groups"
    if candidate == COUNTERPARTS:
        swap = f"{start}Giving inputs their counterparts of the other group than {contrast.name} turns"
        swaps = "counterparts of the other group"
    return {
        USED: f"{swap} more than {DELTA:.0%} of decisions",
        UNUSED: f"{swap} less than {DELTA:.0%} of decisions. {planted}",
        DEPENDS: f"{start}The output goes with {contrast.name} beyond the legitimate columns. Whether {swaps} turn more than {DELTA:.0%} of decisions is open",
        TOO_FEW: f"{start}Whether {swaps} of {contrast.name} turn more than {DELTA:.0%} of decisions is open. {planted}",
    }


def _listed(swapped, p, findings):
    """Each candidate, those that turn most first: list of dict."""
    rows = [
        {
            "column": name,
            "share of decisions": float(share[0]),
            "low": float(share[1]),
            "high": float(share[2]),
            "change of log odds": float(logit),
            "p": float(one),
            "finding": finding,
        }
        for name, share, logit, one, finding in zip(swapped.names, swapped.shares, swapped.logits, p, findings)
    ]
    return sorted(rows, key=lambda row: -abs(row["share of decisions"]))


def _decide(evidence):
    """USED, DEPENDS, UNUSED or TOO_FEW: str. Use needs a swap, and what only the output shows is not called so."""
    samples, settings = evidence.samples, evidence.settings
    effect, alpha = Interval(*map(float, samples["effect"])), settings["alpha"]
    p, output = float(samples["p"][0]), float(samples["output p"][0])
    of_swap = compare_with_margin(p, effect, settings["delta"], alpha)
    if of_swap == BEYOND:
        return USED
    settled = evidence.sizes["units"] >= FEWEST_UNITS and would_find(samples["planted"])
    if of_swap in (WITHIN, NONE) and settled:
        return UNUSED
    return DEPENDS if min(p, output) <= alpha else TOO_FEW


def _ruling(evidence):
    finding, needed = _decide(evidence), evidence.settings["needed"]
    few = evidence.sizes["units"] < FEWEST_UNITS
    remedy = f"Give at least {FEWEST_UNITS} units on each side." if few else f"About {needed:,} rows would settle it."
    is_open = few or (needed and finding in (DEPENDS, TOO_FEW))
    outcome = "INCONCLUSIVE" if few else OUTCOMES[finding]
    return evidence_ruling(evidence, outcome, finding, remedy=remedy if is_open else "")


@rules.register(
    name="proxy_use",
    about=About(
        "Decisions do not turn on stand-ins",
        "share that turns",
        dict.fromkeys(OUTCOMES, "{why}"),
        number="share of decisions",
        similarity="share of decisions that are favourable with columns of matched donors of the group less those with donors of the rest, or as a member less as another where there are counterparts, by unit, at a level that holds for all columns together",
        sampled=False,
        better="lower",
        counted={"rows": "rows", "units": "units on the smaller side"},
        cannot="Cannot conclude: that the legitimate columns are rightly called so, that use is lawful, or what one layer does. Use that differs in sign between people may cancel.",
    ),
)
def proxy_use_rule(family, margins, seed):
    """Use by the interval of a swap; else dependence of the output given the legitimate columns.

    Args:
        family: list of `Evidence`.
        margins: `sanity.ruling.Margins`, which are not used.
        seed: int, which is not used.

    Returns:
        list of `Ruling`.
    """
    return [_ruling(evidence) for evidence in family]
