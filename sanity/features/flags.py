"""Flags: evidence about pictures turned into words, unit by unit, and into one line for a visualizer."""

from dataclasses import dataclass

import numpy as np

from sanity.statistics import FEWEST, Interval, over_units, unmeasured, wilson

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
        return [Flag(evidence.check, unit, OPEN, unmeasured(), why) for unit in units]
    return [
        Flag(evidence.check, unit, *_RULES[evidence.check](evidence.samples, place)) for place, unit in enumerate(units)
    ]


def summary(evidence):
    """One `Flag` for a visualizer, decided over its units.

    Where a number is expected above zero (`stability`, `prior`): FLAGGED unless the interval of its mean over units is. Where
    there is a null: FLAGGED where pictures dealt to units at random would do as well (p above .05). Both are NOT MEASURED for
    fewer than six units. Else FLAGGED where half or more of the units that could be judged are.
    """
    units = flags(evidence)
    if evidence.failed:
        return Flag(evidence.check, -1, OPEN, unmeasured(), units[0].why)
    if evidence.check in _ABOVE_ZERO:
        return Flag(evidence.check, -1, *_above_zero(evidence))
    return _counted(evidence, units)


def _above_zero(evidence):
    """Word, interval over units and words for numbers [units, pictures or networks] that are expected above zero."""
    means = evidence.samples[_ABOVE_ZERO[evidence.check]].mean(axis=1)
    value = over_units(means)
    why = f"{_ABOVE_ZERO[evidence.check]} {value} over {len(means)} units"
    if np.isnan(value.low):
        return OPEN, value, f"{why}; fewer than {FEWEST} allow no interval"
    return (CLEAR if value.low > 0 else FLAGGED), value, why


def _counted(evidence, units):
    judged = [flag for flag in units if flag.word in (FLAGGED, CLEAR)]
    if not judged:
        return Flag(evidence.check, -1, units[0].word, unmeasured(), units[0].why)
    flagged = sum(flag.word == FLAGGED for flag in judged)
    share, counted = wilson(flagged, len(judged)), f"{flagged} of {len(judged)} units flagged"
    null = evidence.samples.get("null")
    if null is None:
        return Flag(evidence.check, -1, FLAGGED if flagged >= len(judged) / 2 else CLEAR, share, counted)
    if len(judged) < FEWEST:
        return Flag(evidence.check, -1, OPEN, share, f"{counted}; fewer than {FEWEST} allow no test")
    p = float(np.mean(null >= null[0] - 1e-12))
    tested = f"{counted}; p = {p:.2g} of {len(null)} ways to deal pictures to units"
    return Flag(evidence.check, -1, FLAGGED if p > ALPHA else CLEAR, share, tested)


def _path(samples, place):
    """The last DECIDING layers that tell the unit's natural images from others decide."""
    told = np.flatnonzero(np.isfinite(samples["share"][place]))[-DECIDING:]
    if not len(told):
        return OPEN, unmeasured(), "no layer tells this unit's natural images from others"
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
    return _one_unit(samples["silhouette"][place], "silhouette {}", "pictures")


def _prior(samples, place):
    words = "random networks' pictures are further away than own seeds by {}"
    return _one_unit(samples["excess"][place], words, "random networks")


def _one_unit(values, words, counted):
    """Word, interval and words for one unit's numbers, which are expected above zero; no word from a handful."""
    value = over_units(values)
    why = words.format(value)
    if np.isnan(value.low):
        return OPEN, value, f"{why} over {len(values)} {counted}; fewer than {FEWEST} allow no interval"
    return (CLEAR if value.low > 0 else FLAGGED), value, why


def _predictivity(samples, place):
    own, gain = samples["choices"][place, place], samples["gain"][place]
    value = Interval(float(gain), float("nan"), float("nan"))
    why = f"chooses right {own:.2f} of the time, {gain:+.2f} against other pictures, contrast and brightness"
    return FLAGGED if not gain > 0 else CLEAR, value, why


def _transfer(samples, place):
    """By picture, since looks of several networks at one picture are no samples of their own."""
    seen = np.mean([value[place] for name, value in samples.items() if "/" in name], axis=0)
    value = over_units(seen)
    why = f"recognized in {value} of looks by other networks"
    return FLAGGED if value.mean < RECOGNIZED else CLEAR, value, why


def _spread(values):
    return Interval(float(np.mean(values)), float(np.min(values)), float(np.max(values)))


# What a mean over units must lie above zero of.
_ABOVE_ZERO = {"stability": "silhouette", "prior": "excess"}
_RULES = {
    "path": _path,
    "reach": _reach,
    "stability": _stability,
    "prior": _prior,
    "predictivity": _predictivity,
    "transfer": _transfer,
}
