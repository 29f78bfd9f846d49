"""Verdict: the rules that turn evidence into words, declared in one place.

One pretrained network has no trained twins, so nothing here can PASS: a method that responded is INCONCLUSIVE with the
finding RESPONDED. See `CANNOT` for what is never concluded.
"""

import html
from dataclasses import asdict, dataclass

import numpy as np

from sanity.statistics import Interval, pairs, two_way

OUTCOMES = ("PASS", "FAIL", "INCONCLUSIVE", "INVALID")
FINDINGS = (
    "RESPONDED",
    "SIGN RESPONDS",
    "DID NOT RESPOND",
    "INPUT-DOMINATED",
    "UNDECIDED",
    "NO REPRODUCIBLE SIGNAL",
    "GATE FAILED",
)
MEASURE = "joint_abs_spearman"
SIGNED = "signed_spearman"
# Words that promise more than a check can give; no sentence of a verdict holds one.
FORBIDDEN = ("faithful", "trustworthy", "correct", "explains", "proves")
CANNOT = "Cannot conclude: that the maps are right, that one method is better than another, or anything about other networks, data or targets. Noise responds too."


@dataclass(frozen=True)
class Margins:
    """floor: a ceiling below it is no signal. high, low: shares of the ceiling above which maps did not, below which they did respond."""

    floor: float = 0.1
    high: float = 0.7
    low: float = 0.5


@dataclass(frozen=True)
class Verdict:
    """outcome, one of OUTCOMES; finding, one of FINDINGS; effect, ceiling and null, each an Interval; p, adjusted, or None where
    one network allows no test; sizes; similarity, the measure in words; sentence; cannot, what is not concluded; why, the
    clause that decided.
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

    def as_dict(self):
        """The record as plain values, for JSON."""
        return asdict(self)

    def _repr_html_(self):
        words = [html.escape(each) for each in (self.finding, self.outcome, self.sentence, self.cannot)]
        return "<p><b>{}</b> ({}): {}<br><small>{}</small></p>".format(*words)


def judge(family, *, margins=Margins(), seed=0):
    """Evidence of a family of methods under one check -> list of `Verdict`, in its order. seed: of the bootstrap."""
    return [_verdict(evidence, margins, seed) for evidence in family]


def intervals(evidence, measure, seed):
    """Effect (trained against random), ceiling and null (random against random) of a measure: three `Interval`s."""
    samples = evidence.samples
    return (
        two_way(samples[f"between/{measure}"], seed=seed),
        two_way(samples[f"ceiling/{measure}"], seed=seed),
        pairs(samples[f"random/{measure}"], seed=seed),
    )


def _verdict(evidence, margins, seed):
    effect, ceiling, null = intervals(evidence, MEASURE, seed)
    outcome, finding, why = _decide(evidence, (effect, ceiling, null), intervals(evidence, SIGNED, seed), margins)
    sentence = _sentence(evidence, finding, effect, ceiling, null, why)
    similarity = f"{MEASURE}: Spearman of |map|, channels pooled by L2, pixels where both maps are non-zero; no resize"
    return Verdict(
        evidence.check,
        evidence.method,
        outcome,
        finding,
        effect,
        ceiling,
        null,
        None,
        evidence.sizes,
        similarity,
        sentence,
        CANNOT,
        why,
        tuple(asdict(gate) for gate in evidence.gates),
        evidence.settings,
    )


def _decide(evidence, unsigned, signed, margins):
    """-> outcome, finding, the clause that decided. Gates first, then the ceiling, then the maps."""
    effect, ceiling, null = unsigned
    if evidence.failed:
        return "INVALID", "GATE FAILED", f"gate failed: {evidence.failed[0].name} ({evidence.failed[0].words})"
    if not ceiling.low > margins.floor:
        return "INVALID", "NO REPRODUCIBLE SIGNAL", f"the ceiling's lower bound is not above {margins.floor}"
    if null.low >= ceiling.high:
        return "FAIL", "INPUT-DOMINATED", "random networks agree with each other as much as the trained one with itself"
    if effect.low >= margins.high * ceiling.mean and null.mean >= margins.high * ceiling.mean:
        return "FAIL", "DID NOT RESPOND", f"between and null are at or above {margins.high} of the ceiling"
    if effect.high <= margins.low * ceiling.mean and null.high <= margins.high * ceiling.mean:
        return "INCONCLUSIVE", "RESPONDED", f"between is below {margins.low} of the ceiling; one network allows no more"
    if signed[0].high <= margins.low * signed[1].mean and signed[1].low > margins.floor:
        return (
            "INCONCLUSIVE",
            "SIGN RESPONDS",
            f"signed maps fell below {margins.low} of their ceiling; for absolute ones {_open(effect, ceiling, null, margins)}",
        )
    return "INCONCLUSIVE", "UNDECIDED", _open(effect, ceiling, null, margins)


def _open(effect, ceiling, null, margins):
    if np.isnan(effect.mean) or np.isnan(null.mean):
        return "similarity is undefined: too few pixels where both maps are non-zero"
    if effect.high > margins.low * ceiling.mean:
        return f"the upper bound of between, {effect.high:.2f}, is above {margins.low} of the ceiling, {margins.low * ceiling.mean:.2f}"
    return f"the upper bound of the null, {null.high:.2f}, is above {margins.high} of the ceiling, {margins.high * ceiling.mean:.2f}"


_SENTENCES = {
    "RESPONDED": "RESPONDED to weight randomization on {subject}",
    "SIGN RESPONDS": "SIGN RESPONDS to weight randomization on {subject}: signed maps changed; of where they are strong, regardless of sign, that cannot be said",
    "DID NOT RESPOND": "DID NOT RESPOND to weight randomization on {subject}",
    "INPUT-DOMINATED": "INPUT-DOMINATED on {subject}: the map is decided by the picture, not by the weights",
    "UNDECIDED": "UNDECIDED on {subject}: {why}",
    "NO REPRODUCIBLE SIGNAL": "INVALID on {subject}: the method does not agree with itself on the trained network",
    "GATE FAILED": "INVALID on {subject}: {why}",
}


def _sentence(evidence, finding, effect, ceiling, null, why):
    sizes = f"{evidence.sizes['images']} images, {evidence.sizes['networks']} random networks"
    numbers = f"between {effect}, ceiling {ceiling}, random-random {null}"
    return f"{_SENTENCES[finding].format(subject=evidence.subject, why=why)} ({numbers}; {sizes})."
