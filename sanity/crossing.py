"""Crossing: two things that a method must tell apart are asked both ways; what lies on the diagonal, less what lies off it, decides.

What does not depend on the thing that was crossed gives exactly zero, whatever it is, so that no list of controls is needed. The
right answer is the network's own, by interventions: measured twice, the one against the other, it is the oracle of the check.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sanity import gates
from sanity.bound_explainer import BoundExplainer, pooled_maps
from sanity.effects import agreement, effects, reduce_to_cells
from sanity.evidence import Gate
from sanity.gates import MOST_DROPPED
from sanity.questions import questions


@dataclass(frozen=True)
class Crossing:
    """check, its name. conditions: subject -> gates. questions: subject -> the objectives that maps are made for.

    numbers: (maps, evidence [questions, samples, cells], subject) -> samples of one effect. statistic: those -> float64 [units].
    test: (list of them, settings of the evidence, seed) -> p of each, adjusted. passed, failed: findings. counted: sizes in words, as of `About`; unit: the
    one that is resampled. sizes, settings: subject -> what the evidence says beside its samples. advice: (crossing, evidence,
    margins) -> what to do where the oracle does not pass, or None.
    """

    check: str
    conditions: Callable
    questions: Callable
    numbers: Callable
    statistic: Callable
    test: Callable
    passed: str
    failed: str
    counted: dict
    unit: str = "images"
    sizes: Callable = lambda subject: {}
    settings: Callable = lambda subject: {}
    advice: Callable | None = None

    def refuses(self, subject):
        """Whether the subject cannot be asked: bool."""
        return any(gate.status != "passed" for gate in self.conditions(subject))


def finding_words(words, unknown):
    """What a crossing's findings say: dict of finding to words. words: of passing and failing; unknown: where the oracle does not pass."""
    return {**words, "BARELY": "{why}", "UNDECIDED": "{why}", "ORACLE DOES NOT PASS": unknown + "; {why}"}


def prepare(crossing, subject, *, seed, once=None):
    """What the network itself answers, for all methods to share -> `sanity.effects.Effects`, or None where it cannot be had.

    once: as of `sanity.checks.shared`; every crossing of a subject asks the same, so that it is measured once.
    """
    if crossing.refuses(subject):
        return None
    make = functools.partial(_own_effects, subject, seed)
    return once("effects", make) if once else make()


def _own_effects(subject, seed):
    return effects(subject, questions(subject), seed=seed)


def measure(crossing, explainer, subject, *, seed, prepared, options):
    """`Evidence` of a crossing about one method: `maps/EFFECT`, maps against effects, and `oracle/EFFECT`, the effects' two halves."""
    bound, conditions = BoundExplainer(explainer, subject, seed, options), crossing.conditions(subject)
    if crossing.refuses(subject):
        return bound.evidence(crossing.check, {}, conditions)
    prepared = prepared or prepare(crossing, subject, seed=seed)
    maps = [bound.maps(objective=question) for question in crossing.questions(subject)]
    read = maps_by_cell(maps, prepared)
    samples = {f"maps/{name}": crossing.numbers(read[name], prepared.combine(name), subject) for name in read}
    samples |= {f"oracle/{name}": crossing.numbers(*halves, subject) for name, halves in prepared.halves.items()}
    conditions += [gates.usable_maps(*(pooled_maps(values) for values in maps)), maps_differ(read)]
    sizes, settings = crossing.sizes(subject), crossing.settings(subject)
    return bound.evidence(crossing.check, samples, conditions, sizes=sizes, settings=settings)


def agreement_table(maps, evidence):
    """The four numbers of a crossing: (two maps, two pieces of evidence, each [units, cells]) -> float64 [2 maps, 2 evidence, units]."""
    return np.stack([np.stack([agreement(one, other) for other in evidence]) for one in maps])


def crossing_contrast(numbers):
    """Diagonal less the rest, so that equal maps give exactly zero: [2, 2, units] -> float64 [units]."""
    return (numbers[0, 0] - numbers[1, 0]) + (numbers[1, 1] - numbers[0, 1])


def maps_by_cell(maps, prepared):
    """Each effect's reading of several maps: dict of effect to float64 [maps, samples, cells]."""
    return {name: np.stack([reduce_to_cells(one, prepared.cells, name) for one in maps]) for name in prepared.halves}


def maps_differ(read):
    """At most a fifth of the maps say the same of every cell, under every effect: `Gate`. read: as of `maps_by_cell`."""
    flat = np.all([np.ptp(np.nan_to_num(values), axis=-1) == 0 for values in read.values()], axis=0).mean()
    words = f"{flat:.0%} of maps say the same of every cell"
    return Gate("maps differ between cells", "failed" if flat > MOST_DROPPED else "passed", words)
