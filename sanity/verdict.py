"""Verdict: what may be said of a method after a check, with every number that it rests on.

    judge(family) -> [Verdict]      evidence of several methods under one check, judged beside each other

The rules are in `sanity.rules`, the margins here, and nowhere else.
"""

import html
from dataclasses import asdict, dataclass, replace

from lab.refusal import Refused
from sanity.statistics import Interval

OUTCOMES = ("PASS", "FAIL", "INCONCLUSIVE", "INVALID")
# Words that promise more than a check can give; no sentence of a verdict holds one.
FORBIDDEN = ("faithful", "trustworthy", "correct", "explains", "proves")
FOOTER = "Passing is necessary, not sufficient: noise passes some checks too. Verdicts do not transfer across architecture, data or target class."


@dataclass(frozen=True)
class Margins:
    """Every threshold of every rule, calibrated in `sanity/CALIBRATION.md`.

    floor: a ceiling whose lower bound is not above it is no signal. high, low: shares of the ceiling at or above which maps did
    not, at or below which they did respond. alpha: of adjusted p. label: share of the ceiling below which permuted labels
    show; equal: half width of the equivalence interval there. blind, other: shares of the ceiling for maps of another class.
    gap: of completeness, in mean differences. stable, unstable: similarity under small noise. same: relative L2 of maps that
    ought to be equal. rough: how many times the measurement's own error a derivative may be off. reliable: Krippendorff's alpha. images: fewer allow no PASS, since an interval over them knows too little
    of others.
    """

    floor: float = 0.1
    high: float = 0.7
    low: float = 0.5
    alpha: float = 0.05
    label: float = 0.8
    equal: float = 0.05
    blind: float = 0.9
    other: float = 0.7
    gap: float = 0.05
    stable: float = 0.9
    unstable: float = 0.5
    rough: float = 3.0
    same: float = 0.02
    reliable: float = 0.4
    images: int = 8


@dataclass(frozen=True)
class Ruling:
    """outcome, one of OUTCOMES; finding, in capitals; effect, ceiling, null: `Interval`s, undefined where there is none; p, adjusted,
    or None; why: the clause that decided; numbers: the effect in words; also: other intervals by name.
    """

    outcome: str
    finding: str
    effect: Interval = Interval(float("nan"), float("nan"), float("nan"))
    ceiling: Interval = Interval(float("nan"), float("nan"), float("nan"))
    null: Interval = Interval(float("nan"), float("nan"), float("nan"))
    p: float | None = None
    why: str = ""
    also: tuple = ()


@dataclass(frozen=True)
class Verdict:
    """A row of the report card: outcome and finding; effect, ceiling and null, each an Interval; p, adjusted, or None; sizes;
    similarity, the measure in words; sentence; cannot, what is not concluded; why, the clause that decided; gates; settings.
    """

    check: str
    method: str
    outcome: str
    finding: str
    effect: Interval
    ceiling: Interval
    null: Interval
    p: float | None
    sizes: dict
    similarity: str
    sentence: str
    cannot: str
    why: str
    gates: tuple
    settings: dict
    also: dict

    @property
    def passed(self):
        """Whether the outcome is PASS, and not FAIL, INVALID or INCONCLUSIVE: bool."""
        return self.outcome == "PASS"

    def as_dict(self):
        """The record as plain values, for JSON."""
        return asdict(self)

    def _repr_html_(self):
        words = [html.escape(each) for each in (self.finding, self.outcome, self.sentence, self.cannot)]
        return "<p><b>{}</b> ({}): {}<br><small>{}</small></p>".format(*words)


def judge(family, *, margins=Margins(), seed=0):
    """Evidence of a family of methods under one check -> list of `Verdict`, in its order. seed: of the bootstrap.

    Raises Refused for evidence of several checks, and for a check whose numbers are not judged.
    """
    from sanity.rules import rules

    checks = {evidence.check for evidence in family}
    if len(checks) != 1:
        raise Refused(f"A family is judged under one check. Received: {', '.join(sorted(checks)) or 'nothing'}.")
    rule = rules.get(checks.pop())
    sound = [evidence for evidence in family if not evidence.failed]
    ruled = dict(zip(map(id, sound), rule(sound, margins, seed))) if sound else {}
    about = rules.tag(rule, "about")
    rulings = [ruled.get(id(evidence)) or _refused(evidence) for evidence in family]
    if about.sampled:
        rulings = [_of_enough(ruling, evidence, margins) for ruling, evidence in zip(rulings, family)]
    return [_verdict(evidence, ruling, about) for evidence, ruling in zip(family, rulings)]


def _of_enough(ruling, evidence, margins):
    """The ruling, but no PASS from a handful of images."""
    few = evidence.sizes.get("images", margins.images) < margins.images
    if ruling.outcome != "PASS" or not few:
        return ruling
    why = f"{ruling.why}; fewer than {margins.images} images allow no more"
    return replace(ruling, outcome="INCONCLUSIVE", why=why)


def _refused(evidence):
    gate = evidence.failed[0]
    finding = {"not applicable": "NOT APPLICABLE", "fault": "FAULT"}.get(gate.status, "GATE FAILED")
    return Ruling("INVALID", finding, why=f"gate {gate.status}: {gate.name} ({gate.words})")


def _verdict(evidence, ruling, about):
    return Verdict(
        evidence.check,
        evidence.method,
        ruling.outcome,
        ruling.finding,
        ruling.effect,
        ruling.ceiling,
        ruling.null,
        ruling.p,
        evidence.sizes,
        about.similarity,
        about.sentence(evidence, ruling),
        about.cannot,
        ruling.why,
        tuple(asdict(gate) for gate in evidence.gates),
        evidence.settings,
        dict(ruling.also),
    )
