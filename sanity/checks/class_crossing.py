"""Class crossing: is this the map of the class that was asked for? The same image, asked about two classes, against both classes' evidence.

The evidence is the network's own: how its score for a class falls when a cell is filled, and how it moves under small changes there.
A map that would be the same whatever class is asked for gives exactly zero. No world, no training and no labels are needed.
"""

import numpy as np

from sanity import crossing, oracle
from sanity.checks import checks
from sanity.class_pairs import advice, class_groups, class_pairs
from sanity.crossing import Crossing, agreement_table, crossing_contrast
from sanity.questions import conditions, questions, two_classes
from sanity.ruling import About, rules
from sanity.statistics import FEWEST, sign_flips


def flip_p(numbers, settings, seed):
    """p of crossings [2, 2, images] of a family, adjusted, the larger of two tests: float64 [members].

    Images are the one unit, groups of classes that share none the other, where there are six or more: a map of the class that never
    looks at the network goes with the evidence of some classes by luck, in all of their images alike.
    """
    values = np.stack([crossing_contrast(one) for one in numbers])
    by_image, groups = sign_flips(values, seed=seed), class_groups(settings.get("class_pairs") or [(0, 1)])
    if groups.max() + 1 < FEWEST:
        return by_image
    sums = np.nan_to_num(values) @ (groups[:, None] == np.arange(groups.max() + 1))
    return np.maximum(by_image, sign_flips(sums, seed=seed))


CLASSES = Crossing(
    "class_crossing",
    conditions=lambda subject: [*conditions(subject), two_classes(subject)],
    questions=questions,
    numbers=lambda maps, evidence, subject: agreement_table(maps, evidence),
    statistic=crossing_contrast,
    test=flip_p,
    passed="CLASS-SPECIFIC",
    failed="NOT CLASS-SPECIFIC",
    counted={"images": "images", "groups": "groups of classes"},
    sizes=lambda subject: {"groups": int(class_groups(class_pairs(subject)).max() + 1)},
    settings=lambda subject: {"class_pairs": class_pairs(subject)},
    advice=advice,
)


def prepare(subject, *, seed, once=None):
    """The evidence of both classes, for all methods to share -> `sanity.effects.Effects`, or None where it cannot be had."""
    return crossing.prepare(CLASSES, subject, seed=seed, once=once)


@checks.register(prepare=prepare)
def class_crossing(explainer, subject, *, seed, prepared=None, **options):
    """Does the map for a class agree with that class's evidence more than with another's, and the other's map the other way round? -> `Evidence`.

    Samples: `maps/EFFECT` and `oracle/EFFECT`, float64 [2 maps, 2 evidence, samples], for the effects removal and small change.
    options: the explainer's own.
    """
    return crossing.measure(CLASSES, explainer, subject, seed=seed, prepared=prepared, options=options)


@rules.register(
    name="class_crossing",
    about=About(
        "Shows the class asked for",
        "crossing",
        crossing.finding_words(
            {
                CLASSES.passed: "the map for a class agrees with the evidence for that class more than with another's, {why}",
                CLASSES.failed: "the map for a class agrees no more with the evidence for that class than with another's; {why}",
            },
            "it is not shown that the network's own answer tells these classes apart",
        ),
        similarity="rank correlation of map and evidence over cells of the image: own class with own evidence, less own with other, both ways",
        ceiling="the network's own answer",
        cannot="Cannot conclude: that the network was looked at, that all of a map is right, or anything about other networks, data or targets. It is crossed: the class that is asked for; where classes form fewer than six groups that share none, a map of the class alone, which never looks at the network, may pass by luck.",
        counted=CLASSES.counted,
    ),
)
def judge_class_crossing(family, margins, seed):
    """Sign flips of images, max-T over methods and effects."""
    return oracle.judge_crossing(CLASSES, family, margins, seed)
