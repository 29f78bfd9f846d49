"""Flags: evidence about pictures in words, for each unit and in one line for a visualizer."""

from dataclasses import dataclass

import numpy as np

from sanity.statistics import FEWEST, Interval, t_interval, wilson_interval, without_interval

FLAGGED, NOT_FLAGGED, REPORTED, NOT_MEASURED = "FLAGGED", "NOT FLAGGED", "REPORTED", "NOT MEASURED"
# Below this share of what a unit's own held-out natural images reach, its pictures do not match them.
NATURAL = 0.25
# A picture that a smaller share of networks recognizes was made for one network alone.
RECOGNIZED = 0.5
ALPHA = 0.05


@dataclass(frozen=True)
class Flag:
    """What a check says of one unit's pictures.

    Args:
        check: str, the name of the check.
        unit: int, -1 for all of them together.
        word: str, "FLAGGED", "NOT FLAGGED", "REPORTED" or "NOT MEASURED".
        value: `Interval`, the number that decided.
        why: str.
    """

    check: str
    unit: int
    word: str
    value: Interval
    why: str


def flags(evidence):
    """A flag for every unit.

    Args:
        evidence: `Evidence` of one feature check.

    Returns:
        list of `Flag`.
    """
    units = [int(unit) for unit in evidence.samples["units"]]
    if evidence.failed:
        why = f"{evidence.failed[0].name}: {evidence.failed[0].words}"
        return [Flag(evidence.check, unit, NOT_MEASURED, without_interval(), why) for unit in units]
    return [
        Flag(evidence.check, unit, *_RULES[evidence.check](evidence.samples, place)) for place, unit in enumerate(units)
    ]


def summary(evidence):
    """One flag for a visualizer, decided over its units.

    Where a number is expected above zero (`stability`, `prior`), it is FLAGGED unless the interval of its mean over
    units is above zero.

    Where there is a null (`path`, `predictivity`), it is FLAGGED in two cases: pictures permuted over units would do as
    well (p above .05), or half or more of the units are flagged. It is NOT MEASURED where even held-out natural images
    in the pictures' place do not pass, since then no picture could.

    Both are NOT MEASURED for fewer than six units. Any other check is FLAGGED where half or more of the judged units
    are.

    Args:
        evidence: `Evidence` of one feature check.

    Returns:
        `Flag`.
    """
    units = flags(evidence)
    if evidence.failed:
        return Flag(evidence.check, -1, NOT_MEASURED, without_interval(), units[0].why)
    if evidence.check in _ABOVE_ZERO:
        return Flag(evidence.check, -1, *_judge_above_zero(evidence))
    return _count_flags(evidence, units)


def _judge_above_zero(evidence):
    """Word, interval over units and words for numbers [units, pictures or networks] that are expected above zero."""
    means = evidence.samples[_ABOVE_ZERO[evidence.check]].mean(axis=1)
    value = t_interval(means)
    why = f"{_ABOVE_ZERO[evidence.check]} {value} over {len(means)} units"
    if np.isnan(value.low):
        return NOT_MEASURED, value, f"{why}; fewer than {FEWEST} allow no interval"
    return (NOT_FLAGGED if value.low > 0 else FLAGGED), value, why


def _count_flags(evidence, units):
    if "null" in evidence.samples:
        return Flag(evidence.check, -1, *_judge_permutations(evidence.samples, units))
    judged = [flag for flag in units if flag.word in (FLAGGED, NOT_FLAGGED)]
    if not judged:
        return Flag(evidence.check, -1, units[0].word, without_interval(), units[0].why)
    flagged = sum(flag.word == FLAGGED for flag in judged)
    share, counted = wilson_interval(flagged, len(judged)), f"{flagged} of {len(judged)} units flagged"
    return Flag(evidence.check, -1, FLAGGED if flagged >= len(judged) / 2 else NOT_FLAGGED, share, counted)


def _judge_permutations(samples, units):
    """Word, share of units flagged, and words, from means under permuted pictures, the observed one first."""
    words = [flag.word for flag in units]
    flagged = words.count(FLAGGED)
    share = wilson_interval(flagged, len(units))
    counted = f"{flagged} of {len(units)} units flagged, {words.count(NOT_FLAGGED)} not, {words.count(NOT_MEASURED)} undecided"
    if len(units) < FEWEST:
        return NOT_MEASURED, share, f"{counted}; fewer than {FEWEST} allow no test"
    p, known = (_permutation_p(samples[name]) for name in ("null", "known"))
    if not known <= ALPHA:
        why = f"natural images, each held out, do not go with their own units either, p = {known:.2g}"
        return NOT_MEASURED, share, f"{counted}; {why}: name other units, or more images"
    if np.isnan(p):
        return NOT_MEASURED, share, counted
    why = f"{counted}; p = {p:.2g} of {len(samples['null'])} ways to deal pictures to units"
    return FLAGGED if p > ALPHA or flagged >= len(units) / 2 else NOT_FLAGGED, share, why


def _permutation_p(null):
    """p of the first of some means, the observed one: float, nan where they are not finite."""
    return float(np.mean(null >= null[0] - 1e-12)) if np.isfinite(null).all() else float("nan")


def _judge_crossing(samples, place):
    """By the crossing of units: the share of what held-out natural images reach, and the lead over the nearest unit."""
    share, lead = (Interval(*map(float, samples[name][:, place])) for name in ("decided", "lead"))
    rival = int(samples["rival"][place])
    if np.isnan(share.low):
        return (
            NOT_MEASURED,
            share,
            "the unit's held-out natural images do not match its others better than other units' do",
        )
    why = f"the pictures match the unit's natural images rather than other units' by {share} of what its held-out ones reach"
    better = f"{why}; they match those of unit {rival} better"
    if share.low > NATURAL:
        # Pictures of a similar unit have a share as well, and honest ones may lean towards such a unit.
        return (NOT_MEASURED, share, better) if lead.high < 0 else (NOT_FLAGGED, share, why)
    if lead.high < 0:
        return FLAGGED, share, better
    if share.high < NATURAL:
        return FLAGGED, share, f"{why}; below {NATURAL}"
    return NOT_MEASURED, share, f"{why}; undecided, the interval holds {NATURAL}"


def _reach(samples, place):
    ratio, percentile = samples["ratio"][place], samples["percentile"][place]
    value = _range_of(ratio)
    return REPORTED, value, f"{value} of the highest natural score; above {percentile.mean():.0f}% of natural images"


def _stability(samples, place):
    return _judge_unit(samples["silhouette"][place], "silhouette {}", "pictures")


def _prior(samples, place):
    words = "random networks' pictures are further away than own seeds by {}"
    return _judge_unit(samples["excess"][place], words, "random networks")


def _judge_unit(values, words, counted):
    """Word, interval and words for one unit's numbers, which are expected above zero; NOT_MEASURED for a handful."""
    value = t_interval(values)
    why = words.format(value)
    if np.isnan(value.low):
        return NOT_MEASURED, value, f"{why} over {len(values)} {counted}; fewer than {FEWEST} allow no interval"
    return (NOT_FLAGGED if value.low > 0 else FLAGGED), value, why


def _transfer(samples, place):
    """By picture, since verdicts of several networks on one picture are not independent samples."""
    recognized = np.mean([value[place] for name, value in samples.items() if "/" in name], axis=0)
    value = t_interval(recognized)
    why = f"recognized in {value} of looks by other networks"
    return FLAGGED if value.mean < RECOGNIZED else NOT_FLAGGED, value, why


def _range_of(values):
    return Interval(float(np.mean(values)), float(np.min(values)), float(np.max(values)))


# Samples whose mean over units must be above zero.
_ABOVE_ZERO = {"stability": "silhouette", "prior": "excess"}
_RULES = {
    "path": _judge_crossing,
    "reach": _reach,
    "stability": _stability,
    "prior": _prior,
    "predictivity": _judge_crossing,
    "transfer": _transfer,
}
