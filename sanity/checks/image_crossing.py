"""Image crossing: is this the map of this image? Two images, asked about one class, each map against both images' evidence.

It catches the map of another image, and whatever is the same for all images. A filter of the input may pass it: it is a necessary
condition, and no more.
"""

import numpy as np

from sanity import gates
from sanity.checks import checks
from sanity.checks.class_crossing import flips
from sanity.crossing import (
    cells_of_maps,
    crossed,
    differs,
    four,
    other_classes,
    other_question,
    own_classes,
    partners,
    ruled,
)
from sanity.crossing import gates as applicable
from sanity.effects import effects
from sanity.ruling import About, rules
from sanity.viewer import Viewer, planes


def prepare(subject, *, seed):
    """The evidence of both images of a pair for the class of either, for all methods to share -> `Effects`, or None."""
    if any(gate.status != "passed" for gate in applicable(subject)):
        return None
    return effects(subject, questions(subject), seed=seed)


def questions(subject):
    """What is asked: every sample about its own class, and where there are several, about its partner's: list of `Objective`."""
    own, mates = own_classes(subject), partners(subject)
    if subject.classes < 2 or not _crosses(own, mates).any():
        return [subject.objective]
    return [subject.objective, other_question(subject, other_classes(subject))]


def _crosses(own, mates):
    """Whether partners are asked about different classes: bool [samples]."""
    return (mates >= 0) & (own[mates] != own)


@checks.register(prepare=prepare)
def image_crossing(explainer, subject, *, seed, prepared=None, **options):
    """Does an image's map agree with that image's evidence more than with another image's, asked about the same class? -> `Evidence`.

    Samples: `maps/EFFECT` and `oracle/EFFECT`, float64 [2 maps, 2 evidence, pairs]. options: the explainer's own.
    """
    viewer, passed = Viewer(explainer, subject, seed, options), applicable(subject)
    if any(gate.status != "passed" for gate in passed):
        return viewer.evidence("image_crossing", {}, passed)
    prepared = prepared or prepare(subject, seed=seed)
    asked = questions(subject)
    maps = [viewer.maps(objective=question) for question in asked]
    read = cells_of_maps(maps, prepared)
    samples = {f"maps/{name}": paired(read[name], prepared.whole(name), subject) for name in read}
    samples |= {f"oracle/{name}": paired(*halves, subject) for name, halves in prepared.halves.items()}
    passed += [gates.usable(*(planes(values) for values in maps)), differs(read)]
    return viewer.evidence("image_crossing", samples, passed, sizes={"pairs": len(subject.names) // 2})


def paired(maps, evidence, subject):
    """The four numbers of every pair, mean over the classes of both: [questions, samples, cells] twice -> float64 [2, 2, pairs]."""
    own, mates = own_classes(subject), partners(subject)
    first = np.arange(0, len(own) - 1, 2)
    # A question of the second image about the class of the first is its other question, where the classes differ.
    differ = _crosses(own, mates)[first].astype(int)
    turns = [(np.zeros(len(first), int), differ), (differ, np.zeros(len(first), int))]
    numbers = []
    for own_turn, mate_turn in turns:
        shown = [maps[own_turn, first], maps[mate_turn, first + 1]]
        known = [evidence[own_turn, first], evidence[mate_turn, first + 1]]
        numbers.append(four(shown, known))
    return np.mean(numbers, axis=0)


@rules.register(
    name="image_crossing",
    about=About(
        "Shows the image asked about",
        "crossing",
        {
            "IMAGE-SPECIFIC": "the map of an image agrees with that image's evidence more than with another image's, {why}",
            "NOT IMAGE-SPECIFIC": "the map of an image agrees no more with that image's evidence than with another image's",
            "BARELY": "{why}",
            "UNDECIDED": "{why}",
            "ORACLE DOES NOT PASS": "these images cannot be told apart by their evidence; {why}",
        },
        similarity="rank correlation of map and evidence over cells: own image with own evidence, less own with the other's, both ways",
        ceiling="the network's own answer",
        cannot="Cannot conclude: that the network was looked at. It is crossed: the image; a filter of the image may pass.",
        counted={"images": "images", "pairs": "pairs"},
    ),
)
def judge_image_crossing(family, margins, seed):
    """Sign flips of pairs, max-T over methods and effects."""
    return ruled(family, crossed, flips, margins, seed, "IMAGE-SPECIFIC", "NOT IMAGE-SPECIFIC")
