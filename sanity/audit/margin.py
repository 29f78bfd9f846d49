"""Margin: the one table that turns an adjusted p, an interval and a margin into a finding, for every question of an audit.

A small p says that something is there, and not that it is large. A finding rests on both, and no finding is a PASS unless the
interval lies within the margin and an effect of the margin's size would have been found.
"""

from dataclasses import replace

import numpy as np

from sanity.audit.copies import would_find
from sanity.evidence import Evidence
from sanity.ruling import Ruling, rules
from sanity.statistics import Interval

BEYOND, UNCERTAIN, WITHIN = "BEYOND THE MARGIN", "OF UNCERTAIN SIZE", "WITHIN THE MARGIN"
NONE, TOO_FEW = "NONE ABOVE THE MARGIN", "NOT ENOUGH DATA"
OUTCOMES = {BEYOND: "FAIL", UNCERTAIN: "INCONCLUSIVE", WITHIN: "PASS", NONE: "PASS", TOO_FEW: "INCONCLUSIVE"}
# What is found of several together is what is found of the first here.
WORST = (BEYOND, UNCERTAIN, TOO_FEW, WITHIN, NONE)
# With fewer units on a side nothing passes or fails.
FEWEST_UNITS = 12


def compare_with_margin(p, effect, delta, alpha=0.05):
    """What is found of an effect.

    Args:
        p: float, adjusted.
        effect: `Interval`, larger is worse.
        delta: float, the margin.
        alpha: float, the level.

    Returns:
        str, BEYOND, UNCERTAIN, WITHIN, NONE or TOO_FEW.
    """
    if p <= alpha:
        return BEYOND if effect.low > delta else WITHIN if effect.high < delta else UNCERTAIN
    return NONE if effect.high < delta else TOO_FEW


def without_sign(difference):
    """The size of a difference that may have either sign; its upper bound holds either way.

    Args:
        difference: three floats, the difference and its bounds.

    Returns:
        `Interval`, without bounds that say anything where the difference is not known.
    """
    mean, low, high = map(float, difference)
    if not np.isfinite([mean, low, high]).all():
        return Interval(float("nan"), float("-inf"), float("inf"))
    low, high = (low, high) if mean >= 0 else (-high, -low)
    return Interval(abs(mean), low, max(high, -low))


def margin_finding(noun, finding):
    """A finding of the table in the words of a check.

    Args:
        noun: str, what is looked for, in capitals, such as "WEAK SLICE".
        finding: str, as of `compare_with_margin`.

    Returns:
        str; the last two findings are the same for every check.
    """
    return finding if finding in (NONE, TOO_FEW) else f"{noun} {finding}"


def margin_evidence(
    check, method, subject, *, p, effect, tries, delta, why, units, gates=(), samples=None, settings=None, **known
):
    """Evidence that the rule of the table decides.

    Args:
        check: str.
        method: str, what it speaks of, such as "groups of rows".
        subject: `AuditSubject`.
        p: float, adjusted.
        effect: `Interval`, larger is worse.
        tries: `sanity.audit.copies.Tries`.
        delta: float, the margin.
        why: dict of BEYOND and the others to the clause that decided.
        units: int, units on the smaller side; None: they are so few that their number is not shown.
        gates: tuple of `Gate`, beside that of the null copies.
        samples: dict of name to array, others that are shown.
        settings: dict, of the check.
        known: needed, int, the rows that would settle what is open; also, tuple of (name, text), other numbers; tables, dict of
            title to list of dict, that the page shows; and others.

    Returns:
        `Evidence`.
    """
    decided = {
        "p": np.array([p]),
        "effect": np.array([effect.mean, effect.low, effect.high]),
        "planted": tries.planted,
        "null": tries.null,
    }
    return Evidence(
        check,
        method,
        subject.title,
        {**subject.sizes, "units": units} if units is not None else {"rows": len(subject.test)},
        {**(samples or {}), **decided},
        (*gates, tries.gate),
        settings={**(settings or {}), "delta": delta, "alpha": subject.alpha, "why": why, **known},
    )


def margin_words(noun):
    """The findings of a check with the clause that decided, for its `About`: dict."""
    return {margin_finding(noun, finding): "{why}" for finding in OUTCOMES}


def register_margin_rule(name, noun, about):
    """Register the rule of a check that is decided by the table.

    Its evidence has samples p, float [1], effect, float [3], mean and bounds, and planted, bool [sizes, tries], whether each
    planted effect was found; and settings delta, alpha and why, dict of BEYOND and the others to the clause that decided.

    Args:
        name: str, of the check.
        noun: str, as of `margin_finding`.
        about: `sanity.ruling.About`.
    """

    def rule(family, margins, seed):
        return [_ruling(evidence, noun) for evidence in family]

    rule.__doc__ = f"{noun.capitalize()} by the table of `sanity.audit.margin`."
    # A rule stands beside its check.
    rule.__module__ = f"sanity.checks.{name}"
    rules.register(rule, name=name, about=about)


def _ruling(evidence, noun):
    settings, effect = evidence.settings, Interval(*map(float, evidence.samples["effect"]))
    units = evidence.sizes.get("units", 0)
    p = float(evidence.samples["p"][0])
    finding = limit_finding(
        compare_with_margin(p, effect, settings["delta"], settings["alpha"]),
        evidence.samples["planted"],
        units,
    )
    ruling = evidence_ruling(evidence, outcome_of(finding, units), finding, remedy=remedy(finding, evidence))
    return replace(ruling, finding=margin_finding(noun, finding))


def evidence_ruling(evidence, outcome, finding, *, remedy=""):
    """The ruling of a finding, with the effect, the p and the clause that the evidence holds.

    Args:
        evidence: `Evidence` with a sample effect, float [3], and one p, float [1], where p decided; its setting why is a dict of
            finding to clause.
        outcome: str.
        finding: str.
        remedy: str.

    Returns:
        `Ruling`.
    """
    samples, settings = evidence.samples, evidence.settings
    return Ruling(
        outcome,
        finding,
        Interval(*map(float, samples["effect"])),
        p=float(samples["p"][0]) if "p" in samples else None,
        why=settings["why"].get(finding, ""),
        also=tuple(settings.get("also", ())),
        remedy=remedy,
    )


def limit_finding(finding, planted, units):
    """NONE becomes NOT ENOUGH DATA where an effect of the margin's size would not have been found in 16 of 20 tries.

    WITHIN becomes OF UNCERTAIN SIZE there: what is measured may be another, smaller effect than the one that is present.

    Args:
        finding: str.
        planted: bool [sizes, tries], of half the margin, the margin and twice the margin.
        units: int, units on the smaller side.

    Returns:
        str.
    """
    if finding in (NONE, WITHIN) and (units < FEWEST_UNITS or not would_find(planted)):
        return TOO_FEW if finding == NONE else UNCERTAIN
    return finding


def outcome_of(finding, units):
    """The outcome of a finding, INCONCLUSIVE at best with fewer than twelve units.

    Args:
        finding: str.
        units: int, units on the smaller side.

    Returns:
        str.
    """
    return OUTCOMES[finding] if units >= FEWEST_UNITS else "INCONCLUSIVE"


def rows_to_settle(rows, effect, delta, most=np.inf):
    """About how many rows would settle what is open.

    Args:
        rows: int, those that were looked at.
        effect: `Interval`, without a sign.
        delta: float, the margin.
        most: int, rows that a check looks at.

    Returns:
        int, 0 where there are as many, or where so many are not looked at.
    """
    needed = np.ceil(rows * ((effect.high - effect.low) / 2 / (0.6 * delta)) ** 2)
    return int(needed) if np.isfinite(needed) and rows < needed <= most else 0


def remedy(finding, evidence):
    """What would settle what is open.

    Args:
        finding: str.
        evidence: `Evidence` of a check of an audit.

    Returns:
        str, "" where nothing is open.
    """
    needed, units = evidence.settings.get("needed"), evidence.sizes.get("units", 0)
    if units < FEWEST_UNITS:
        return f"Give at least {FEWEST_UNITS} units on each side."
    if finding in (TOO_FEW, UNCERTAIN) and needed:
        return f"About {needed:,} rows would settle it."
    return ""
