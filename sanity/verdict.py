"""Verdict: what may be said of a method after a check, with every number that it rests on.

    judge(family) -> [Verdict]      evidence of several methods under one check, judged beside each other

The rules are beside their checks, the margins in `sanity.ruling`, and nowhere else.
"""

import html
from dataclasses import asdict, dataclass, replace

import sanity.checks  # noqa: F401  (registering)
from lab.refusal import Refused
from sanity.ruling import Margins, Ruling, rules
from sanity.statistics import Interval

# Words that promise more than a check can give; no sentence of a verdict holds one.
FORBIDDEN = ("faithful", "trustworthy", "correct", "explains", "proves")
FOOTER = "Passing is necessary, not sufficient: noise passes some checks too. Verdicts do not transfer across architecture, data or target class."


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
    checks = {evidence.check for evidence in family}
    if len(checks) != 1:
        raise Refused(f"A family is judged under one check. Received: {', '.join(sorted(checks)) or 'nothing'}.")
    rule = rules.get(checks.pop())
    sound = [evidence for evidence in family if not evidence.failed]
    ruled = dict(zip(map(id, sound), rule(sound, margins, seed))) if sound else {}
    about = rules.tag(rule, "about")
    rulings = [ruled.get(id(evidence)) or _gate_ruling(evidence) for evidence in family]
    if about.sampled:
        rulings = [_limit_small_samples(ruling, evidence, margins) for ruling, evidence in zip(rulings, family)]
    return [_verdict(evidence, ruling, about) for evidence, ruling in zip(family, rulings)]


def _limit_small_samples(ruling, evidence, margins):
    """The ruling, but no PASS from a handful of images."""
    few = evidence.sizes.get("images", margins.images) < margins.images
    if ruling.outcome != "PASS" or not few:
        return ruling
    why = f"{ruling.why}; fewer than {margins.images} images allow no more"
    return replace(ruling, outcome="INCONCLUSIVE", why=why)


def _gate_ruling(evidence):
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
