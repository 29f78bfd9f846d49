"""Class crossing: is this the map of the class that was asked for? The same image, asked about two classes, against both classes' evidence.

The evidence is the network's own: how its score for a class falls when a cell is filled, and how it moves under small changes there.
A map that would be the same whatever class is asked for gives exactly zero. No world, no training and no labels are needed.
"""

import numpy as np

from sanity import gates
from sanity.checks import checks
from sanity.crossing import (
    cells_of_maps,
    crossed,
    differs,
    four,
    other_classes,
    other_question,
    ruled,
    two_classes,
)
from sanity.crossing import gates as applicable
from sanity.effects import effects
from sanity.ruling import About, rules
from sanity.statistics import sign_flips
from sanity.viewer import Viewer, planes


def prepare(subject, *, seed):
    """The evidence of both classes, for all methods to share -> `sanity.effects.Effects`, or None where it cannot be had."""
    if any(gate.status != "passed" for gate in (*applicable(subject), two_classes(subject))):
        return None
    return effects(subject, [subject.objective, other_question(subject, other_classes(subject))], seed=seed)


@checks.register(prepare=prepare)
def class_crossing(explainer, subject, *, seed, prepared=None, **options):
    """Does the map for a class agree with that class's evidence more than with another's, and the other's map the other way round? -> `Evidence`.

    Samples: `maps/EFFECT` and `oracle/EFFECT`, float64 [2 maps, 2 evidence, samples], for the effects removal and small change.
    options: the explainer's own.
    """
    passed = [*applicable(subject), two_classes(subject)]
    viewer = Viewer(explainer, subject, seed, options)
    if any(gate.status != "passed" for gate in passed):
        return viewer.evidence("class_crossing", {}, passed)
    prepared = prepared or prepare(subject, seed=seed)
    other = other_question(subject, other_classes(subject))
    maps = [viewer.maps(), viewer.maps(objective=other)]
    read = cells_of_maps(maps, prepared)
    samples = {f"maps/{name}": four(read[name], prepared.whole(name)) for name in read}
    samples |= {f"oracle/{name}": four(*halves) for name, halves in prepared.halves.items()}
    passed += [gates.usable(*(planes(values) for values in maps)), differs(read)]
    return viewer.evidence(
        "class_crossing", samples, passed, settings={"other_classes": other_classes(subject).tolist()}
    )


@rules.register(
    name="class_crossing",
    about=About(
        "Shows the class asked for",
        "crossing",
        {
            "CLASS-SPECIFIC": "the map for a class agrees with the evidence for that class more than with another's, {why}",
            "NOT CLASS-SPECIFIC": "the map for a class agrees no more with the evidence for that class than with another's",
            "BARELY": "{why}",
            "UNDECIDED": "{why}",
            "ORACLE DOES NOT PASS": "these classes or cells cannot be told apart; {why}",
        },
        similarity="rank correlation of map and evidence over cells of the image: own class with own evidence, less own with other, both ways",
        ceiling="the network's own answer",
        cannot="Cannot conclude: that all of a map is right, or anything about other networks, data or targets. It is crossed: the class that is asked for.",
        counted={"images": "images"},
    ),
)
def judge_class_crossing(family, margins, seed):
    """Sign flips of images, max-T over methods and effects."""
    return ruled(family, crossed, flips, margins, seed, "CLASS-SPECIFIC", "NOT CLASS-SPECIFIC")


def flips(numbers, seed):
    """p of crossings [2, 2, units] of a family, adjusted: float64 [members]."""
    return sign_flips(np.stack([crossed(one) for one in numbers]), seed=seed)
