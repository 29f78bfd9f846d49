"""Ruling: what a rule says of one method's evidence, the margins that it decides by, and the words of its sentences.

A rule is a function (family of Evidence, margins, seed) -> list of Ruling, one each, in order. It is registered under
the name of its check with the tag `about`. It gets no evidence with a failed gate.
"""

import re
from dataclasses import dataclass, field

from lab.registry import Registry
from sanity.check_names import check_modules
from sanity.statistics import Interval, finite_mean, units_needed

rules = Registry("rule", check_modules)
MEASURE, SIGNED = "joint_abs_spearman", "signed_spearman"
MAPS = f"{MEASURE}: Spearman of |map|, channels pooled by L2, pixels where both maps are non-zero; no resize"
OUTCOMES = ("PASS", "FAIL", "INCONCLUSIVE", "INVALID")
# What a verdict is about.
THIS_NETWORK, TRAINED_ALIKE = "this network alone", "networks trained like this"


@dataclass(frozen=True)
class Margins:
    """Every threshold of every rule, calibrated in `sanity/CALIBRATION.md`.

    Args:
        floor: a ceiling whose lower bound is not above it is no signal.
        high: share of the ceiling at or above which maps did not respond.
        low: share of the ceiling at or below which maps did respond.
        alpha: level of adjusted p.
        label: share of the ceiling below which permuted labels show.
        equal: half width of the equivalence interval for labels.
        blind: share of the ceiling at or above which maps of another class are the same.
        other: share of the ceiling at or below which maps of another class differ.
        gap: allowed gap of completeness, in mean differences of the score.
        stable: similarity under small noise at or above which maps are stable.
        unstable: similarity under small noise below which maps are unstable.
        rough: how many times the measurement's own error a derivative may be off.
        same: relative L2 distance of maps that ought to be equal.
        reliable: Krippendorff's alpha below which a metric is not read.
        images: fewer images allow no PASS, since an interval over them knows too little of others.
        small: share of the oracle's crossing below which a crossing counts as none.
        known: crossing of an oracle below which it says too little.
        natural: share of what a unit's own held-out natural images reach, below which its pictures do not match them.
        recognized: share of looks by other networks below which a picture was made for one network alone.
        recovered: correlation with a template at or above which it counts as recovered.
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
    natural: float = 0.25
    recognized: float = 0.5
    recovered: float = 0.6


@dataclass(frozen=True)
class Ruling:
    """What a rule decided about one method.

    Args:
        outcome: str, one of OUTCOMES.
        finding: str, in capitals.
        effect: `Interval`, undefined where there is none; so are ceiling and null.
        ceiling: `Interval`.
        null: `Interval`.
        p: float, adjusted for the family; None where nothing was tested.
        why: str, the clause that decided.
        also: tuple of (name, text), other numbers.
        remedy: str, a sentence that says what would settle what is open; "" where nothing is, or nothing would.
        scope: str, what it is about, where a check may speak of one network or of many; "" elsewhere.
    """

    outcome: str
    finding: str
    effect: Interval = Interval(float("nan"), float("nan"), float("nan"))
    ceiling: Interval = Interval(float("nan"), float("nan"), float("nan"))
    null: Interval = Interval(float("nan"), float("nan"), float("nan"))
    p: float | None = None
    why: str = ""
    also: tuple = ()
    remedy: str = ""
    scope: str = ""


@dataclass(frozen=True)
class About:
    """The words of a rule.

    Args:
        question: str, the column of the report card.
        effect: str, the name of the effect in a sentence.
        findings: dict of finding to words.
        number: str, what effect, ceiling and null are numbers of.
        similarity: str, the measure in words.
        ceiling: str, the name of the ceiling; "" for none.
        alone: str, its name where a verdict is about one network; "" where it is the same.
        null: str, the name of the null; "" for none.
        sampled: bool, whether the verdict is about more images than those measured, so that a handful allows no PASS.
        cannot: str, what may not be concluded.
        of_part: str, the name of the effect in a verdict on a part, such as a unit; "" where it is the same.
        better: str, which effect is the better one, "higher" or "lower"; "" where neither is.
        counted: dict of size to its words.
    """

    question: str
    effect: str
    findings: dict
    number: str = ""
    similarity: str = MAPS
    ceiling: str = ""
    null: str = ""
    sampled: bool = True
    cannot: str = "Cannot conclude: that the maps are right, that one method is better than another, or anything about other networks, data or targets."
    alone: str = ""
    of_part: str = ""
    better: str = ""
    counted: dict = field(
        default_factory=lambda: {"images": "images", "replicates": "trained networks", "networks": "untrained networks"}
    )

    def sentence(self, evidence, ruling):
        """The verdict in plain sentences: the finding, the numbers and the sizes.

        Args:
            evidence: the `Evidence`.
            ruling: the `Ruling` on it.

        Returns:
            str.
        """
        words = self.findings.get(ruling.finding, "").format(why=ruling.why) or ruling.why
        finding = f"{ruling.finding} on {evidence.subject}{f', {ruling.scope}' if ruling.scope else ''}: {words}."
        if ruling.finding in ("GATE FAILED", "NOT APPLICABLE", "FAULT"):
            return finding
        numbers = self._numbers(ruling, self.effect_name(evidence.part))
        return " ".join(filter(None, [finding, numbers, self._sizes(evidence.sizes), ruling.remedy]))

    def _numbers(self, ruling, effect):
        ceiling = self.ceiling_name(ruling.scope)
        intervals = ((effect, ruling.effect), (ceiling, ruling.ceiling), (self.null, ruling.null))
        if ruling.finding == "ORACLE DOES NOT PASS":  # Numbers that were not judged are left out.
            intervals = [(name, interval) for name, interval in intervals if interval.mean == interval.mean]
        numbers = [f"{name} {interval}" for name, interval in intervals if name]
        numbers += [] if ruling.p is None else [f"p = {ruling.p:.2g}"]
        start = f"{self.number}: " if self.number and numbers else ""
        words = start + "; ".join(numbers)
        return f"{words[:1].upper()}{words[1:]}." if numbers else ""

    def effect_name(self, part):
        """The name of the effect of a verdict.

        Args:
            part: str, the part of the subject that it is about; "" for all of it.

        Returns:
            str.
        """
        return self.of_part if part and self.of_part else self.effect

    def ceiling_name(self, scope):
        """The name of the ceiling of a verdict.

        Args:
            scope: str, what the verdict is about.

        Returns:
            str.
        """
        return self.alone if scope == THIS_NETWORK and self.alone else self.ceiling

    def _sizes(self, sizes):
        counts = ", ".join(_count(sizes[key], name) for key, name in self.counted.items() if key in sizes)
        return f"Looked at: {counts}." if counts else ""


def _count(number, plural):
    """A number with its noun, the first word that ends in s, in the singular for one: str."""
    if number != 1:
        return f"{number} {plural}"
    return f"1 {re.sub(r'(class)es|([a-z]+)s', lambda match: match[1] or match[2], plural, count=1)}"


def images_remedy(values, bounds, margins):
    """About how many images would bring a mean to one side of what it is near to.

    Args:
        values: float [..., images].
        bounds: floats; between two of them no number of images decides.
        margins: `Margins`.

    Returns:
        str, "" where that is not known; never fewer images than a PASS needs.
    """
    by_image = finite_mean(values.reshape(-1, values.shape[-1]), 0)
    mean = finite_mean(by_image, 0)
    room = max(min(bounds) - mean, mean - max(bounds))
    count = units_needed(by_image, room)
    return f"About {max(count, margins.images)} images in place of {len(by_image)} would settle it." if count else ""
