"""Ruling: what a rule says of one method's evidence, the margins that it decides by, and the words of its sentences.

A rule is a function (family of Evidence, margins, seed) -> one Ruling each, in order, registered under its check's name with the
tag `about`. Gates have been seen to before.
"""

from dataclasses import dataclass, field

from lab.registry import Registry
from sanity.statistics import Interval

rules = Registry("rule")
MEASURE, SIGNED = "joint_abs_spearman", "signed_spearman"
MAPS = f"{MEASURE}: Spearman of |map|, channels pooled by L2, pixels where both maps are non-zero; no resize"
OUTCOMES = ("PASS", "FAIL", "INCONCLUSIVE", "INVALID")


@dataclass(frozen=True)
class Margins:
    """Every threshold of every rule, calibrated in `sanity/CALIBRATION.md`.

    floor: a ceiling whose lower bound is not above it is no signal. high, low: shares of the ceiling at or above which maps did
    not, at or below which they did respond. alpha: of adjusted p. label: share of the ceiling below which permuted labels
    show; equal: half width of the equivalence interval there. blind, other: shares of the ceiling for maps of another class.
    gap: of completeness, in mean differences. stable, unstable: similarity under small noise. same: relative L2 of maps that
    ought to be equal. rough: how many times the measurement's own error a derivative may be off. reliable: Krippendorff's alpha. images: fewer allow no PASS, since an interval over them knows too little
    of others. small: share of the oracle's crossing below which a crossing is none. known: an oracle's crossing below it says
    too little.
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
    small: float = 0.05
    known: float = 0.2


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
class About:
    """question: the column of the report card. effect, ceiling, null: what the three numbers are called, and number: what they are
    numbers of. said: finding to words. sampled: whether the verdict is about more images than those it saw, so that a handful allows no PASS.
    """

    question: str
    effect: str
    said: dict
    number: str = ""
    similarity: str = MAPS
    ceiling: str = ""
    null: str = ""
    sampled: bool = True
    cannot: str = "Cannot conclude: that the maps are right, that one method is better than another, or anything about other networks, data or targets."
    counted: dict = field(
        default_factory=lambda: {"images": "images", "replicates": "trained networks", "networks": "untrained networks"}
    )

    def sentence(self, evidence, ruling):
        """The verdict in plain sentences: what was found, the numbers, and how much was looked at."""
        words = self.said.get(ruling.finding, "").format(why=ruling.why) or ruling.why
        found = f"{ruling.finding} on {evidence.subject}: {words}."
        if ruling.finding in ("GATE FAILED", "NOT APPLICABLE", "FAULT"):
            return found
        return " ".join(filter(None, [found, self._numbers(ruling), self._sizes(evidence.sizes)]))

    def _numbers(self, ruling):
        named = ((self.effect, ruling.effect), (self.ceiling, ruling.ceiling), (self.null, ruling.null))
        if ruling.finding == "ORACLE DOES NOT PASS":  # What was not read is not shown as a number beside what was.
            named = [(name, interval) for name, interval in named if interval.mean == interval.mean]
        numbers = [f"{name} {interval}" for name, interval in named if name]
        numbers += [] if ruling.p is None else [f"p = {ruling.p:.2g}"]
        start = f"{self.number}: " if self.number and numbers else ""
        words = start + "; ".join(numbers)
        return f"{words[:1].upper()}{words[1:]}." if numbers else ""

    def _sizes(self, sizes):
        counted = ", ".join(f"{sizes[key]} {name}" for key, name in self.counted.items() if key in sizes)
        return f"Looked at: {counted}." if counted else ""
