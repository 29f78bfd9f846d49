"""Image crossing: is this the map of this image? Two images, asked about one class, each map against both images' evidence.

It catches the map of another image, and whatever is the same for all images. A filter of the input may pass it: it is a necessary
condition, and no more.
"""

import numpy as np

from sanity import crossing, oracle
from sanity.checks import checks
from sanity.checks.class_crossing import flip_p
from sanity.crossing import Crossing, agreement_table, crossing_contrast
from sanity.questions import classes_differ, conditions, partners, questions, target_classes
from sanity.ruling import About, rules


def image_questions(subject):
    """What is asked: every sample about its own class, and where there are several, about its partner's: list of `Objective`."""
    if not classes_differ(target_classes(subject), partners(subject)).any():
        return [subject.objective]
    return questions(subject)


def pair_table(maps, evidence, subject):
    """The four numbers of every pair, mean over the classes of both: [questions, samples, cells] twice -> float64 [2, 2, pairs]."""
    own, mates = target_classes(subject), partners(subject)
    first = np.flatnonzero(mates > np.arange(len(own)))
    second = mates[first]
    # A question of the second image about the class of the first is its other question, where the classes differ.
    other = classes_differ(own, mates)[first].astype(int)
    turns = [(np.zeros(len(first), int), other), (other, np.zeros(len(first), int))]
    numbers = []
    for own_turn, mate_turn in turns:
        shown = [maps[own_turn, first], maps[mate_turn, second]]
        known = [evidence[own_turn, first], evidence[mate_turn, second]]
        numbers.append(agreement_table(shown, known))
    return np.mean(numbers, axis=0)


IMAGES = Crossing(
    "image_crossing",
    conditions=conditions,
    questions=image_questions,
    numbers=pair_table,
    statistic=crossing_contrast,
    test=flip_p,
    passed="IMAGE-SPECIFIC",
    failed="NOT IMAGE-SPECIFIC",
    counted={"images": "images", "pairs": "pairs"},
    unit="pairs",
    sizes=lambda subject: {"pairs": len(subject.names) // 2},
)


def prepare(subject, *, seed, once=None):
    """The evidence of both images of a pair for the class of either, for all methods to share -> `Effects`, or None."""
    return crossing.prepare(IMAGES, subject, seed=seed, once=once)


@checks.register(prepare=prepare)
def image_crossing(explainer, subject, *, seed, prepared=None, **options):
    """Does an image's map agree with that image's evidence more than with another image's, asked about the same class? -> `Evidence`.

    Samples: `maps/EFFECT` and `oracle/EFFECT`, float64 [2 maps, 2 evidence, pairs]. options: the explainer's own.
    """
    return crossing.measure(IMAGES, explainer, subject, seed=seed, prepared=prepared, options=options)


@rules.register(
    name="image_crossing",
    about=About(
        "Shows the image asked about",
        "crossing",
        crossing.finding_words(
            {
                IMAGES.passed: "the map of an image agrees with that image's evidence more than with another image's, {why}",
                IMAGES.failed: "the map of an image agrees no more with that image's evidence than with another image's; {why}",
            },
            "it is not shown that the network's own answer tells these images apart",
        ),
        similarity="rank correlation of map and evidence over cells: own image with own evidence, less own with the other's, both ways",
        ceiling="the network's own answer",
        cannot="Cannot conclude: that the network was looked at. It is crossed: the image; a filter of the image may pass.",
        counted=IMAGES.counted,
    ),
)
def judge_image_crossing(family, margins, seed):
    """Sign flips of pairs, max-T over methods and effects."""
    return oracle.judge_crossing(IMAGES, family, margins, seed)
