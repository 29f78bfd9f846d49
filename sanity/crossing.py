"""Crossing: two things that a method must tell apart are asked both ways; what lies on the diagonal, less what lies off it, decides.

What does not depend on the thing that was crossed gives exactly zero, whatever it is, so that no list of controls is needed. The
right answer is the network's own, by interventions: measured twice, the one against the other, it is the oracle of the check.
"""

import math

import numpy as np

from lab import routines
from lab.attribution import explainers
from sanity.effects import CHANGE, REMOVAL, agreement, by_cell
from sanity.evidence import Gate
from sanity.gates import MOST_DROPPED
from sanity.ruling import Ruling
from sanity.statistics import FEWEST, two_way, unmeasured

EFFECTS = (REMOVAL, CHANGE)
# A sum of two normal quantiles: power .9 for a two-sided test at .05.
POWER = 1.96 + 1.28


def class_scores(subject):
    """Every class's score of the asked output, mean over positions, two columns for one unit: float64 [samples, classes]."""
    values = routines.outputs(subject.network, subject.inputs)[subject.network.output_name(subject.output)]
    values = values.reshape(len(values), -1, values.shape[-1]).mean(axis=1)
    return np.concatenate([-values, values], axis=1) if values.shape[1] == 1 else values


def own_classes(subject):
    """The class that each sample is asked about: int [samples]."""
    return np.broadcast_to(subject.objective.numbers(len(subject.names))[0][0], len(subject.names))


def partners(subject):
    """Each sample's partner, two by two in order, the last of an odd number without one (-1): int [samples]."""
    rows = np.arange(len(subject.names)) ^ 1
    return np.where(rows < len(rows), rows, -1)


def other_classes(subject):
    """Another class for each sample: its partner's, or where that is the same, the highest of its other ones: int [samples]."""
    own, mates, values = own_classes(subject), partners(subject), class_scores(subject).copy()
    values[np.arange(len(own)), own] = -np.inf
    differ = (mates >= 0) & (own[mates] != own)
    return np.where(differ, own[mates], values.argmax(axis=1))


def other_question(subject, classes):
    """The subject's question about other classes; of one unit that tells two classes apart, the same with the sign turned: `Objective`."""
    ((_, term),) = subject.objective.terms
    shape = subject.network.outputs[subject.network.output_name(subject.output)]
    if (len(shape) < 2 or shape[-1] == 1) and term.kind != "class_score":
        return -subject.objective
    return subject.objective.about([int(index) for index in classes])


def gates(subject):
    """Whether a subject can be asked about cells of its inputs: list of `Gate`."""
    floating = isinstance(subject.inputs, np.ndarray) and subject.inputs.dtype.kind == "f"
    single = len(subject.objective.terms) == 1
    return [
        Gate(
            "one floating input",
            _status(floating),
            "an array of floats" if floating else "several inputs, or whole numbers",
        ),
        Gate("one class is asked about", _status(single), str(subject.objective)),
    ]


def two_classes(subject):
    """Whether there is another class to ask about: `Gate`."""
    return Gate("more than one class", _status(subject.classes > 1), f"{subject.classes} outputs; needed: 2")


def _status(holds):
    return "passed" if holds else "not applicable"


def four(maps, evidence):
    """The four numbers of a crossing: (two maps, two pieces of evidence, each [units, cells]) -> float64 [2 maps, 2 evidence, units]."""
    return np.stack([np.stack([agreement(one, other) for other in evidence]) for one in maps])


def crossed(numbers):
    """Diagonal less the rest, so that equal maps give exactly zero: [2, 2, units] -> float64 [units]."""
    return (numbers[0, 0] - numbers[1, 0]) + (numbers[1, 1] - numbers[0, 1])


def cells_of_maps(maps, prepared):
    """Each effect's reading of several maps: dict of effect to float64 [maps, samples, cells]."""
    return {name: np.stack([by_cell(one, prepared.cells, name) for one in maps]) for name in prepared.halves}


def differs(read):
    """At most a fifth of the maps say the same of every cell, under every effect: `Gate`. read: as of `cells_of_maps`."""
    flat = np.all([np.ptp(np.nan_to_num(values), axis=-1) == 0 for values in read.values()], axis=0).mean()
    words = f"{flat:.0%} of maps say the same of every cell"
    return Gate("maps differ between cells", "failed" if flat > MOST_DROPPED else "passed", words)


# Judging ------------------------------------------------------------------------------------------------------------------


def ruled(family, statistic, test, margins, seed, passed, failed):
    """Rulings on a family by crossings -> list of `Ruling`.

    statistic: samples of one effect -> float64 [units]; test: (list of samples, seed) -> p of each, adjusted. passed, failed:
    findings. A method passes under one of the effects that the oracle passes under. It fails where it is exactly zero, and where the
    oracle passes under both effects and it is less than a twentieth of the oracle's under either: a method that answers one of the
    two questions is not held to the other.
    """
    oracle = _oracle(family[0].samples, statistic, test, margins, seed)
    known = [name for name in EFFECTS if oracle[name][2]]
    if not known:
        return [_unknown(oracle) for _ in family]
    adjusted = _adjusted(family, known, test, seed)
    return [
        _ruling(
            evidence, {name: adjusted[place, name] for name in known}, oracle, statistic, margins, seed, passed, failed
        )
        for place, evidence in enumerate(family)
    ]


def _oracle(samples, statistic, test, margins, seed):
    """Each effect's own crossing: dict of name to (interval, p, whether it can be relied on)."""
    answers = {}
    for name in EFFECTS:
        numbers = samples[f"oracle/{name}"]
        interval, p = _interval(statistic(numbers), seed), float(test([numbers], seed)[0])
        answers[name] = (interval, p, bool(p < margins.alpha and interval.mean >= margins.known))
    return answers


def _unknown(oracle):
    words = "; ".join(f"{name} {interval}, p = {p:.2g}" for name, (interval, p, _) in oracle.items())
    return Ruling("INVALID", "ORACLE DOES NOT PASS", why=f"the network's own answer, measured twice: {words}")


def _adjusted(family, known, test, seed):
    """p of every method under every known effect, the judged ones one family, each control by itself: dict of (place, effect) to float."""
    blind = set(explainers.names(control=True))
    judged = [place for place, evidence in enumerate(family) if evidence.method not in blind]
    groups = ([judged] if judged else []) + [[place] for place in range(len(family)) if place not in judged]
    adjusted = {}
    for places in groups:
        keys = [(place, name) for place in places for name in known]
        values = test([family[place].samples[f"maps/{name}"] for place, name in keys], seed)
        adjusted |= dict(zip(keys, map(float, values)))
    return adjusted


def _ruling(evidence, adjusted, oracle, statistic, margins, seed, passed, failed):
    values = {name: statistic(evidence.samples[f"maps/{name}"]) for name in adjusted}
    intervals = {name: _interval(rows, seed) for name, rows in values.items()}
    bars = {name: margins.small * oracle[name][0].mean for name in adjusted}
    best = min(adjusted, key=lambda name: (adjusted[name], -intervals[name].mean / oracle[name][0].mean))
    also = tuple(
        (name, f"{intervals[name]}, p = {adjusted[name]:.2g}; the network's own answer {oracle[name][0]}")
        for name in adjusted
    ) + tuple(
        (name, "not measured: the network's own answer does not pass") for name in EFFECTS if name not in adjusted
    )
    numbers = {"effect": intervals[best], "ceiling": oracle[best][0], "p": adjusted[best], "also": also}
    small = intervals[best].high <= bars[best]
    if adjusted[best] < margins.alpha and intervals[best].high > bars[best]:
        return Ruling("PASS", passed, **numbers, why=f"by {best}: p is below {margins.alpha}")
    if not any(np.nan_to_num(statistic(evidence.samples[f"maps/{name}"])).any() for name in EFFECTS):
        return Ruling("FAIL", failed, **numbers, why="exactly zero for every one of them")
    if adjusted[best] < margins.alpha and small:
        why = f"by {best} it shows, but by less than {margins.small} of what the network's own answer reaches"
        return Ruling("INCONCLUSIVE", "BARELY", **numbers, why=why)
    if len(adjusted) == len(EFFECTS) and _none(intervals, bars):
        why = f"by {' and by '.join(EFFECTS)}, less than {margins.small} of what the network's own answer reaches"
        return Ruling("FAIL", failed, **numbers, why=why)
    return Ruling("INCONCLUSIVE", "UNDECIDED", **numbers, why=_open(values, intervals, bars, margins))


def _interval(values, seed):
    """Interval of the mean over units, its bounds undefined for fewer than six: `Interval`."""
    finite = values[np.isfinite(values)]
    if len(finite) < FEWEST:
        return unmeasured(finite.mean() if len(finite) else float("nan"))
    return two_way(values[None], seed=seed)


def _none(intervals, bars):
    """Whether both crossings are none. Of removal alone the sign may be turned; not where small changes, which have none, say the same."""
    removal, change = intervals[REMOVAL], intervals[CHANGE]
    small = removal.high <= bars[REMOVAL] and change.high <= bars[CHANGE]
    return bool(small and (removal.low >= -bars[REMOVAL] or change.high < 0))


def _open(values, intervals, bars, margins):
    """What is missing for a verdict: about how many units would settle it, as the deviation of these foretells."""
    needs = [_needed(values[name], intervals[name], bars[name]) for name in values]
    finite = [count for count in needs if count is not None]
    more = f"; about {min(finite)} in place of {len(next(iter(values.values())))} would settle it" if finite else ""
    return f"neither above zero at {margins.alpha} nor below a twentieth of the network's own answer{more}"


def _needed(values, interval, bar):
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return None
    room = max(interval.mean, bar - interval.mean)
    count = math.ceil((POWER * values.std(ddof=1) / room) ** 2) if room > 0 else 0
    return count if len(values) < count <= 10_000 else None
