"""Crossing: maps for two questions against the evidence for both; the diagonal less the rest decides.

A map that does not depend on what was crossed gives exactly zero, so that no list of controls is needed. The right
answer is the network's own, by interventions. It is measured twice, and the two measurements against each other are the
oracle.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lab.kinds import kind_of
from lab.refusal import Refused
from sanity import gates
from sanity.answers import answers, share
from sanity.bound_explainer import BoundExplainer, pooled_maps
from sanity.effects import REMOVAL, Effects, agreement, effects, reduce_to_cells
from sanity.evidence import Gate
from sanity.gates import MOST_DROPPED
from sanity.questions import conditions as questioned
from sanity.questions import crossed_texts, questions


@dataclass(frozen=True)
class Crossing:
    """What a crossing check asks, and how it is tested.

    Args:
        check: str, the name of the check.
        conditions: subject -> list of `Gate`.
        questions: subject -> the objectives that are explained.
        numbers: (maps, evidence [questions, samples, cells], subject) -> samples of one effect.
        statistic: such samples -> float64 [units].
        test: (list of such samples, settings of the evidence, seed) -> adjusted p of each.
        passed: str, the finding of a method that passes.
        failed: str, the finding of a method that fails.
        counted: dict of size to its words, as of `About`.
        unit: str, the size that is resampled.
        sizes: subject -> dict, other sizes of the evidence.
        settings: subject -> dict, settings of the evidence.
        advice: (crossing, evidence, margins) -> what to do where the oracle does not pass, or None.
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
        """Whether the check does not apply to the subject: bool."""
        return any(gate.status != "passed" for gate in self.conditions(subject))


def finding_words(words, unknown):
    """The words of a crossing's findings.

    Args:
        words: dict, for passing and failing.
        unknown: str, for an oracle that does not pass.

    Returns:
        dict of finding to words.
    """
    return {**words, "BARELY": "{why}", "UNDECIDED": "{why}", "ORACLE DOES NOT PASS": unknown + "; {why}"}


def prepare(crossing, subject, *, seed, once=None):
    """The effects that the network itself shows, for all methods to share.

    Args:
        crossing: the `Crossing`.
        subject: the `Subject`.
        seed: int.
        once: as of `sanity.checks.prepare_shared`. Every crossing of a subject shares its effects, so that they are
            measured once.

    Returns:
        `sanity.effects.Effects`, or None where the check does not apply.
    """
    if crossing.refuses(subject):
        return None
    return Effects.of(share("effects", subject, seed, once))


# Of an image, 49 cells are filled twice and changed four times, by forward passes for both questions: 131 were measured.
@answers.register(name="effects", passes=120)
def own_effects(subject, *, seed):
    """The effects that a network shows, which all crossings of a subject share.

    Args:
        subject: the `Subject`.
        seed: int.

    Returns:
        dict of arrays, as of `Effects.arrays`; empty where no crossing applies.
    """
    if any(gate.status != "passed" for gate in questioned(subject)):
        return {}
    subject = crossed_texts(subject)
    return effects(subject, questions(subject), seed=seed).arrays


def measure(crossing, explainer, subject, *, seed, prepared, options):
    """Evidence of a crossing about one method.

    Args:
        crossing: the `Crossing`.
        explainer: the method.
        subject: the `Subject`.
        seed: int.
        prepared: what `prepare` gives; None: computed here.
        options: dict, options of the method.

    Returns:
        `Evidence` with samples `maps/EFFECT`, maps against effects, and `oracle/EFFECT`, the two halves of the effects.
    """
    conditions = crossing.conditions(subject)
    if crossing.refuses(subject):
        return BoundExplainer(explainer, subject, seed, options).evidence(crossing.check, {}, conditions)
    count, subject = len(subject.names), crossed_texts(subject)
    bound, left_out = BoundExplainer(explainer, subject, seed, options), count - len(subject.names)
    prepared = prepared or prepare(crossing, subject, seed=seed)
    maps = [bound.scaled_maps(objective=question) for question in crossing.questions(subject)]
    refuse_units(subject, *maps)
    cell_maps = maps_by_cell(maps, prepared)
    samples = {f"maps/{name}": crossing.numbers(cell_maps[name], prepared.combine(name), subject) for name in cell_maps}
    samples |= {f"oracle/{name}": crossing.numbers(*halves, subject) for name, halves in prepared.halves.items()}
    samples |= _unsigned_answer(crossing, prepared, subject)
    conditions += [gates.usable_maps(*(pooled_maps(values) for values in maps)), maps_differ(cell_maps)]
    sizes = {**crossing.sizes(subject), **({"left out": left_out} if left_out else {})}
    settings = crossing.settings(subject)
    return bound.evidence(crossing.check, samples, conditions, sizes=sizes, settings=settings)


def _unsigned_answer(crossing, prepared, subject):
    """The network's own answer without its sign, where removal alone was measured: dict of samples, else empty.

    Of two classes whose evidence is mirrored it scores zero.
    """
    if list(prepared.halves) != [REMOVAL]:
        return {}
    answer = prepared.combine(REMOVAL)
    return {f"unsigned/{REMOVAL}": crossing.numbers(np.abs(answer), answer, subject)}


def refuse_units(subject, *maps):
    """Raise Refused for maps of a layer's units, where positions have no neighbours over which a map could be stretched.

    Args:
        subject: the `Subject`.
        maps: arrays, as a method gives them.
    """
    kind = kind_of(subject.inputs)
    wrong = [np.shape(values) for values in maps if np.shape(values) != subject.inputs.shape]
    if wrong and not kind.has_neighbours:
        raise Refused(
            f"A map of a {kind.noun} holds a number for every {kind.unit}, {subject.inputs.shape}. Received: {wrong[0]}, such as a layer's units have. Ask a method that explains the inputs."
        )


def agreement_table(maps, evidence):
    """The four numbers of a crossing.

    Args:
        maps: two arrays [units, cells].
        evidence: two arrays [units, cells].

    Returns:
        float64 [2 maps, 2 evidence, units].
    """
    return np.stack([np.stack([agreement(cells, effect) for effect in evidence]) for cells in maps])


def crossing_contrast(numbers):
    """The diagonal less the rest, so that equal maps give exactly zero: [2, 2, units] -> float64 [units]."""
    return (numbers[0, 0] - numbers[1, 0]) + (numbers[1, 1] - numbers[0, 1])


def maps_by_cell(maps, prepared):
    """Maps reduced to cells, for each effect.

    Args:
        maps: list of arrays [samples, ...].
        prepared: `Effects`.

    Returns:
        dict of effect to float64 [maps, samples, cells].
    """
    return {
        name: np.stack([reduce_to_cells(raw_maps, prepared.cells, name, prepared.occupied) for raw_maps in maps])
        for name in prepared.halves
    }


def maps_differ(cell_maps):
    """At most a fifth of the maps are the same in every cell under every effect.

    Args:
        cell_maps: as of `maps_by_cell`.

    Returns:
        `Gate`.
    """
    flat = np.all([_same_in_every_cell(values) for values in cell_maps.values()], axis=0).mean()
    words = f"{flat:.0%} of maps say the same of every cell"
    return Gate("maps differ between cells", "failed" if flat > MOST_DROPPED else "passed", words)


def _same_in_every_cell(values):
    """Whether maps have one value in all cells that hold something, or none: bool [...] of [..., cells]."""
    return np.ma.ptp(np.ma.masked_invalid(values), axis=-1).filled(0) == 0
