"""Verdict: what may be said of a method after a check, with every number that decided it.

    judge(family) -> [Verdict]      evidence of several methods under one check, judged beside each other

Each rule stands beside its check. The margins stand in `sanity.ruling`, and nowhere else.
"""

import html
from dataclasses import asdict, dataclass, replace

from lab.kinds import KINDS
from lab.refusal import Refused
from sanity.ruling import Margins, Ruling, rules
from sanity.statistics import FEWEST, Interval

# Words that promise more than a check can give. No sentence of a verdict contains one.
FORBIDDEN = ("faithful", "trustworthy", "correct", "explains", "proves")
FOOTER = "Passing is necessary, not sufficient: noise passes some checks too. Verdicts do not transfer across architecture, data or target class."


@dataclass(frozen=True)
class Verdict:
    """A row of the report card.

    Args:
        check: str, the name of the check.
        method: str, the name of the method.
        outcome: str, one of `sanity.ruling.OUTCOMES`.
        finding: str, in capitals.
        effect: `Interval`.
        ceiling: `Interval`, what can be reached at most.
        null: `Interval`, what chance reaches.
        p: float, adjusted for the family; None where nothing was tested.
        sizes: dict of counts.
        similarity: str, the measure in words.
        sentence: str, the verdict in words.
        cannot: str, what may not be concluded.
        why: str, the clause that decided.
        gates: tuple of dict, the fields of each `Gate`.
        settings: dict, of the check and the method.
        also: dict of name to text, other numbers.
        remedy: str, a sentence that says what would settle what is open; "" for none.
        scope: str, what it is about, such as "this network alone" or a unit; "" where a check speaks of one thing only.
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
    remedy: str = ""
    scope: str = ""

    @property
    def passed(self):
        """Whether the outcome is PASS, and not FAIL, INVALID or INCONCLUSIVE."""
        return self.outcome == "PASS"

    def as_dict(self):
        """The verdict as plain values, for JSON: dict."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values):
        """A verdict from plain values.

        Args:
            values: dict, as of `as_dict`; None stands for numbers that are not known.

        Returns:
            `Verdict`.
        """
        intervals = {name: _interval(values[name]) for name in ("effect", "ceiling", "null")}
        return cls(**{**values, **intervals, "gates": tuple(values["gates"])})

    def _repr_html_(self):
        words = [html.escape(text) for text in (self.finding, self.outcome, self.sentence, self.cannot)]
        return "<p><b>{}</b> ({}): {}<br><small>{}</small></p>".format(*words)


def _interval(numbers):
    return Interval(**{name: float("nan") if number is None else number for name, number in numbers.items()})


def judge(family, *, margins=Margins(), seed=0):
    """Judge a family of methods under one check.

    Args:
        family: list of `Evidence` of one check.
        margins: `Margins`.
        seed: int, of the bootstrap.

    Returns:
        list of `Verdict`, in the order of the family.

    Raises:
        Refused: for evidence of several checks, and for a check that has no rule.
    """
    checks = {evidence.check for evidence in family}
    if len(checks) != 1:
        raise Refused(f"A family is judged under one check. Received: {', '.join(sorted(checks)) or 'nothing'}.")
    rule = rules.get(checks.pop())
    passing = [evidence for evidence in family if not evidence.failed]
    rulings_by_id = dict(zip(map(id, passing), rule(passing, margins, seed))) if passing else {}
    about = rules.tag(rule, "about")
    rulings = [_scoped(rulings_by_id.get(id(evidence)) or _gate_ruling(evidence), evidence.part) for evidence in family]
    if about.sampled:
        is_estimate = bool(about.ceiling)
        rulings = [
            _limit_small_samples(ruling, evidence, margins, is_estimate) for ruling, evidence in zip(rulings, family)
        ]
    return [_verdict(evidence, ruling, about) for evidence, ruling in zip(family, rulings)]


def _scoped(ruling, part):
    """The ruling, about a part of the subject where the evidence is."""
    return replace(ruling, scope=part) if part else ruling


def _limit_small_samples(ruling, evidence, margins, is_estimate):
    """The ruling; INCONCLUSIVE instead of PASS or FAIL where there are too few images."""
    # Without a ceiling a FAIL is a fact about the images at hand, and no estimate.
    fewest = {"PASS": margins.images, "FAIL": FEWEST if is_estimate else 0}.get(ruling.outcome, 0)
    if evidence.sizes.get("images", margins.images) >= fewest:
        return ruling
    why = f"{ruling.why}. Fewer than {fewest} images allow no more"
    return replace(ruling, outcome="INCONCLUSIVE", why=why, remedy=f"Give at least {fewest} images.")


def _gate_ruling(evidence):
    gate = evidence.failed[0]
    finding = {"not applicable": "NOT APPLICABLE", "fault": "FAULT"}.get(gate.status, "GATE FAILED")
    return Ruling("INVALID", finding, why=f"gate {gate.status}: {gate.name} ({gate.words})")


def _verdict(evidence, ruling, about):
    name_inputs = KINDS[evidence.settings.get("kind", "image")].name_inputs
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
        name_inputs(about.sentence(evidence, ruling)),
        name_inputs(about.cannot),
        name_inputs(ruling.why),
        tuple(asdict(gate) for gate in evidence.gates),
        evidence.settings,
        dict(ruling.also),
        name_inputs(ruling.remedy),
        ruling.scope,
    )
