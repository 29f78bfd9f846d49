"""Flags: evidence about pictures turned into words, unit by unit, and into one line for a visualizer."""

from dataclasses import dataclass

import numpy as np

from sanity.statistics import Interval, two_way, wilson

FLAGGED, CLEAR, TOLD, OPEN = "FLAGGED", "NOT FLAGGED", "REPORTED", "NOT MEASURED"
# Below this share of the natural path, in more than half of the deciding layers, a picture went another way.
NATURAL, DECIDING = 0.25, 2
# A picture that fewer networks recognize than this was made for one network alone.
RECOGNIZED = 0.5
ALPHA = 0.05


@dataclass(frozen=True)
class Flag:
    """What a check says of one unit's pictures: unit (-1: of all of them together), word, the number it rests on, and words."""

    check: str
    unit: int
    word: str
    value: Interval
    why: str


def flags(evidence):
    """Evidence of one feature check -> a `Flag` for every unit."""
    units = [int(each) for each in evidence.samples["units"]]
    if evidence.failed:
        why = f"{evidence.failed[0].name}: {evidence.failed[0].words}"
        return [Flag(evidence.check, unit, OPEN, _nothing(), why) for unit in units]
    return [
        Flag(evidence.check, unit, *_RULES[evidence.check](evidence.samples, place)) for place, unit in enumerate(units)
    ]


def summary(evidence):
    """One `Flag` for a visualizer: FLAGGED where half or more of the units that could be judged are; where there is a null, only
    by it: where pictures dealt to units at random would do as well (p above .05).
    """
    each = flags(evidence)
    judged = [flag for flag in each if flag.word in (FLAGGED, CLEAR)]
    if not judged:
        return Flag(evidence.check, -1, each[0].word, _nothing(), each[0].why)
    flagged = sum(flag.word == FLAGGED for flag in judged)
    share = wilson(flagged, len(judged))
    null = evidence.samples.get("null")
    p = None if null is None else float(np.mean(null >= null[0] - 1e-12))
    word = FLAGGED if (flagged >= len(judged) / 2 if p is None else p > ALPHA) else CLEAR
    tested = "" if p is None else f"; p = {p:.2g} of {len(null)} ways to deal pictures to units"
    return Flag(evidence.check, -1, word, share, f"{flagged} of {len(judged)} units flagged{tested}")


def _path(samples, place):
    """The last DECIDING layers that tell the unit's natural images from others decide."""
    told = np.flatnonzero(np.isfinite(samples["share"][place]))[-DECIDING:]
    if not len(told):
        return OPEN, _nothing(), "no layer tells this unit's natural images from others"
    share, low, high = (samples[name][place][told] for name in ("share", "low", "high"))
    away = int((high < NATURAL).sum())
    value = Interval(float(share.mean()), float(low.mean()), float(high.mean()))
    why = f"share of the natural path {value}; upper bound below {NATURAL} in {away} of {len(told)} deciding layers"
    return FLAGGED if away > len(told) / 2 else CLEAR, value, why


def _reach(samples, place):
    ratio, percentile = samples["ratio"][place], samples["percentile"][place]
    value = _spread(ratio)
    return TOLD, value, f"{value} of the highest natural score; above {percentile.mean():.0f}% of natural images"


def _stability(samples, place):
    value = _interval(samples["silhouette"][place], place)
    return FLAGGED if not value.low > 0 else CLEAR, value, f"silhouette {value}"


def _prior(samples, place):
    value = _interval(samples["excess"][place], place)
    why = f"random networks' pictures are further away than own seeds by {value}"
    return FLAGGED if not value.low > 0 else CLEAR, value, why


def _predictivity(samples, place):
    own, gain = samples["choices"][place, place], samples["gain"][place]
    value = Interval(float(gain), float("nan"), float("nan"))
    why = f"chooses right {own:.2f} of the time, {gain:+.2f} against other pictures, contrast and brightness"
    return FLAGGED if not gain > 0 else CLEAR, value, why


def _transfer(samples, place):
    seen = np.concatenate([value[place] for name, value in samples.items() if "/" in name])
    value = wilson(int(seen.sum()), len(seen))
    return FLAGGED if value.mean < RECOGNIZED else CLEAR, value, f"recognized in {value} of looks by other networks"


def _interval(values, place):
    return two_way(np.asarray(values)[None], seed=place)


def _spread(values):
    return Interval(float(np.mean(values)), float(np.min(values)), float(np.max(values)))


def _nothing():
    return Interval(*[float("nan")] * 3)


_RULES = {
    "path": _path,
    "reach": _reach,
    "stability": _stability,
    "prior": _prior,
    "predictivity": _predictivity,
    "transfer": _transfer,
}
