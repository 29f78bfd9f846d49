"""Oracle: the network's own answer, measured twice. A method is judged beside it, under the effects where the oracle passes."""

import math
from dataclasses import dataclass

import numpy as np

from sanity.controls import families
from sanity.effects import CHANGE, EFFECTS, REMOVAL, measured_effects
from sanity.ruling import Ruling
from sanity.statistics import FEWEST, MOST_UNITS, Interval, bootstrap_interval, enough_units, without_interval

# What rounding leaves of a crossing of answers that are the same. One that is poorly known is larger.
SAME = 0.005


@dataclass(frozen=True)
class Reading:
    """A crossing under one effect.

    Args:
        values: float64 [units].
        interval: `Interval` of their mean.
        p: float; None where it was not tested.
    """

    values: np.ndarray
    interval: Interval
    p: float | None

    def __str__(self):
        return f"{self.interval}, p = {self.p:.2g}"


def judge_crossing(crossing, family, margins, seed):
    """Rulings on a family of methods under a crossing check.

    A method passes under one of the effects where the oracle passes: its p is small, and its interval lies above a
    twentieth of the oracle's crossing. It fails where its crossing is exactly zero. It also fails where the oracle passes
    under both effects and its interval lies below a twentieth under either. So no crossing is both too small and large
    enough, and a method that answers one of the two questions is not held to the other. Where the right answer to one
    question is the same for both that are crossed, equal maps may answer that one. Such maps are not failed. Nor are
    those of zero where removal alone was measured and the evidence of two classes is mirrored.

    Args:
        crossing: a `sanity.crossing.Crossing`.
        family: list of `Evidence`.
        margins: `Margins`.
        seed: int, of bootstrap and test.

    Returns:
        list of `Ruling`.
    """
    oracle = {name: _own_reading(crossing, family[0], name, seed) for name in measured_effects(family[0])}
    known = {name: answer for name, answer in oracle.items() if _is_known(answer, margins)}
    if not known:
        return [_oracle_ruling(crossing, evidence, oracle, margins) for evidence in family]
    adjusted = _adjusted_p(crossing, family, known, seed)
    return [
        _ruling(crossing, evidence, _readings(crossing, evidence, adjusted[place], seed), oracle, known, margins)
        for place, evidence in enumerate(family)
    ]


def _own_reading(crossing, evidence, name, seed):
    numbers = evidence.samples[f"oracle/{name}"]
    values = crossing.statistic(numbers)
    return Reading(values, _interval(values, seed), float(crossing.test([numbers], evidence.settings, seed)[0]))


def _is_known(answer, margins):
    return answer.p < margins.alpha and answer.interval.mean >= margins.known


def _oracle_ruling(crossing, evidence, oracle, margins):
    answers = "; ".join(f"{name} {answer}" for name, answer in oracle.items())
    words = [f"the network's own answer, measured twice: {answers}"]
    words += [crossing.advice(crossing, evidence, margins)] if crossing.advice else []
    remedy = _oracle_remedy(crossing, oracle, margins)
    return Ruling("INVALID", "ORACLE DOES NOT PASS", why="; ".join(words), remedy=remedy)


def _oracle_remedy(crossing, oracle, margins):
    """About how many units the oracle would need, where it is large enough but its p is not small: str."""
    large = [answer for answer in oracle.values() if answer.interval.mean >= margins.known]
    counts = [enough_units(answer.values, answer.interval.mean) for answer in large]
    units = min(len(answer.values) for answer in oracle.values())
    return _units_remedy(crossing, units, counts, "let the network's own answer pass", margins)


def _adjusted_p(crossing, family, known, seed):
    """p of every method under every known effect: list of dict of effect to float.

    The judged methods are one family, and each control is one by itself.
    """
    adjusted = [{} for _ in family]
    for places in families(family):
        keys = [(place, name) for place in places for name in known]
        numbers = [family[place].samples[f"maps/{name}"] for place, name in keys]
        values = crossing.test(numbers, family[places[0]].settings, seed)
        for (place, name), p in zip(keys, values):
            adjusted[place][name] = float(p)
    return adjusted


def _readings(crossing, evidence, adjusted, seed):
    """A method under every effect that was measured: dict of effect to `Reading`."""
    values = {name: crossing.statistic(evidence.samples[f"maps/{name}"]) for name in measured_effects(evidence)}
    return {name: Reading(rows, _interval(rows, seed), adjusted.get(name)) for name, rows in values.items()}


def _ruling(crossing, evidence, readings, oracle, known, margins):
    """A method's ruling, with the numbers of the effect that it passes by, or else that has the smallest p."""
    bars = {name: margins.small * answer.interval.mean for name, answer in known.items()}
    best = min(known, key=lambda name: _rank_effect(readings[name], known[name], bars[name], margins))
    outcome, finding, why = _decide(crossing, readings, best, bars, margins)
    remedy = _crossing_remedy(crossing, readings, bars, margins) if finding == "UNDECIDED" else ""
    fewest = _fewest_units(crossing, margins)
    if outcome == "FAIL" and len(readings[best].values) < fewest:
        few = f"{fewest} {crossing.counted[crossing.unit]}"
        outcome, why, remedy = "INCONCLUSIVE", f"{why}; fewer than {few} decide nothing", f"Give at least {few}."
    elif outcome == "FAIL" and (alike := _same_answers(oracle)):
        outcome, finding = "INCONCLUSIVE", "UNDECIDED"
        why = f"{why}; by {alike} the network's own answer is the same for both, too"
    elif outcome == "FAIL" and _is_mirrored(crossing, evidence):
        outcome, finding = "INCONCLUSIVE", "UNDECIDED"
        why = f"{why}; the two classes are mirrored, so that the network's own answer without its sign is zero, too. A map of magnitudes cannot be told from none"
    also = (("effect", best), *((name, _in_words(readings.get(name), known.get(name))) for name in EFFECTS))
    reading = readings[best]
    ceiling = known[best].interval
    return Ruling(outcome, finding, reading.interval, ceiling, p=reading.p, why=why, also=also, remedy=remedy)


def _fewest_units(crossing, margins):
    """How many units a verdict needs, whatever their numbers: int. `sanity.verdict` limits a PASS by images too."""
    return max(FEWEST, margins.images) if crossing.unit == "images" else FEWEST


def _same_answers(oracle):
    """The effects by which the network's own answer is the same for both that are crossed: str, "" for none.

    For one unit of two classes small changes say the same of both. For a linear network they say the same of every
    image.
    """
    return " and by ".join(
        name for name, answer in oracle.items() if max(-answer.interval.low, answer.interval.high) <= SAME
    )


def _is_mirrored(crossing, evidence):
    """Whether removal alone was measured, and the network's own answer without its sign crosses to zero: bool."""
    numbers = evidence.samples.get(f"unsigned/{REMOVAL}")
    return numbers is not None and bool(np.nanmean(np.abs(crossing.statistic(numbers))) <= SAME)


def _passes(reading, bar, margins):
    return reading.p < margins.alpha and reading.interval.low > bar


def _rank_effect(reading, answer, bar, margins):
    """Effects by which a method passes first, then by p; among equals that with the larger share of the oracle's."""
    return not _passes(reading, bar, margins), reading.p, -reading.interval.mean / answer.interval.mean


def _decide(crossing, readings, best, bars, margins):
    """Outcome, finding and why."""
    significant = readings[best].p < margins.alpha
    small = readings[best].interval.high <= bars[best]
    share = f"less than {margins.small} of what the network's own answer reaches"
    if _passes(readings[best], bars[best], margins):
        why = f"by {best}: p is below {margins.alpha}, and it is above {margins.small} of the network's own answer"
        return "PASS", crossing.passed, why
    if not any(np.nan_to_num(reading.values).any() for reading in readings.values()):
        return "FAIL", crossing.failed, f"exactly zero for all {crossing.counted[crossing.unit]}"
    if significant and small:
        return "INCONCLUSIVE", "BARELY", f"by {best} it shows, but by {share}"
    if len(bars) == len(EFFECTS) and _is_zero(readings, bars):
        return "FAIL", crossing.failed, f"by {' and by '.join(EFFECTS)}, {share}"
    return "INCONCLUSIVE", "UNDECIDED", _open_question(crossing, readings, bars, margins)


def _in_words(reading, answer):
    if reading is None:
        return "not measured: nothing in these inputs can change a little"
    if answer is None:
        return "not measured: the network's own answer does not pass"
    return f"{reading}; the network's own answer {answer.interval}"


def _interval(values, seed):
    """Interval of the mean over units, its bounds undefined for fewer than six: `Interval`."""
    finite = values[np.isfinite(values)]
    if len(finite) < FEWEST:
        return without_interval(finite.mean() if len(finite) else float("nan"))
    return bootstrap_interval(values[None], seed=seed)


def _is_zero(readings, bars):
    """Whether both crossings count as none.

    Under removal the sign may be turned. That is not allowed where small changes, which have no sign, say the same.
    """
    removal, change = readings[REMOVAL].interval, readings[CHANGE].interval
    small = removal.high <= bars[REMOVAL] and change.high <= bars[CHANGE]
    return bool(small and (removal.low >= -bars[REMOVAL] or change.high < 0))


def _open_question(crossing, readings, bars, margins):
    """What is missing for a verdict: str."""
    below = _all_below(readings, bars)
    if below and len(bars) < len(EFFECTS):
        (known,) = bars
        missing = "the network's own answer does not pass" if len(readings) == len(EFFECTS) else "nothing was measured"
        return (
            f"by {known} it is below {margins.small} of the network's own answer; by the other effect {missing}. "
            "So a map of the other effect alone cannot be told from none"
        )
    if below:
        return f"below zero by {REMOVAL}, as a map of the other sign is, and below {margins.small} of the network's own answer by {CHANGE}"
    return f"neither above nor below {margins.small} of the network's own answer by its interval, at p below {margins.alpha}"


def _crossing_remedy(crossing, readings, bars, margins):
    """About how many units would settle an open question, by the deviation of these: str, "" where none would.

    One effect above its bar is enough to pass. To fail takes both below.
    """
    units, counts = len(readings[REMOVAL].values), []
    if not _all_below(readings, bars):
        counts = [enough_units(readings[name].values, readings[name].interval.mean - bar) for name, bar in bars.items()]
        counts.append(_units_to_fail(readings, bars))
    return _units_remedy(crossing, units, counts, "settle it", margins)


def _all_below(readings, bars):
    """Whether a method stays below a twentieth of the oracle under every known effect: bool."""
    return all(readings[name].interval.high <= bar for name, bar in bars.items())


def _units_to_fail(readings, bars):
    """About how many units would show both effects below their bars, as `_is_zero` asks: float."""
    if len(bars) < len(EFFECTS):
        return math.inf
    means = {name: readings[name].interval.mean for name in EFFECTS}
    removal, change = (readings[name].values for name in EFFECTS)
    # A map of the other sign is told from none under removal, unless small changes say the same.
    unturned = min(enough_units(removal, bars[REMOVAL] + means[REMOVAL]), enough_units(change, -means[CHANGE]))
    below = [enough_units(readings[name].values, bars[name] - means[name]) for name in EFFECTS]
    return max(*below, unturned)


def _units_remedy(crossing, units, counts, purpose, margins):
    """What number of units would do: str, "" where that is not known. `counts` are of ways that would each do."""
    fewest, words = _fewest_units(crossing, margins), crossing.counted[crossing.unit]
    counts = [count for count in counts if units < count <= MOST_UNITS]
    if units < FEWEST or (units < fewest and not counts):
        return f"Give at least {fewest} {words}."
    return f"About {max(fewest, min(counts))} {words} in place of {units} would {purpose}." if counts else ""
