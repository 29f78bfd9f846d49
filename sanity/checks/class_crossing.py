"""Class crossing: is this the map of the class that was asked for? Maps of two classes against the evidence for both.

The evidence is the network's own: how its score for a class falls when a cell is filled, and changes under noise there.
A map that is the same for every class gives exactly zero. No world, no training and no labels are needed.
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
    """Adjusted p of crossings of a family, the larger of two tests.

    The one test has images for units. The other has groups of classes that share none, where there are six or more. A map of the class alone never
    looks at the network. By luck it agrees with the evidence of some classes, alike in all of their images.

    Args:
        numbers: list of float [2, 2, images], one a member.
        settings: dict, settings of the evidence.
        seed: int.

    Returns:
        float64 [members].
    """
    values = np.stack([crossing_contrast(table) for table in numbers])
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
    counted={
        "images": "images",
        "groups": "groups of classes",
        "left out": "texts left out, equal ones or of fewer than two cells",
    },
    sizes=lambda subject: {"groups": int(class_groups(class_pairs(subject)).max() + 1)},
    settings=lambda subject: {"class_pairs": class_pairs(subject)},
    advice=advice,
)


def prepare(subject, *, seed, once=None):
    """The evidence for both classes, for all methods to share.

    Args:
        subject: the `Subject`.
        seed: int.
        once: as of `sanity.checks.prepare_shared`; crossings of one subject share their effects.

    Returns:
        `sanity.effects.Effects`, or None where the check does not apply.
    """
    return crossing.prepare(CLASSES, subject, seed=seed, once=once)


@checks.register(prepare=prepare, answer="effects")
def class_crossing(explainer, subject, /, *, seed, prepared=None, **options):
    """Does the map for a class agree with that class's evidence more than with another's, and the other way round?

    Args:
        explainer: the method.
        subject: the `Subject`.
        seed: int.
        prepared: what `prepare` gives, to share among methods; None: computed here.
        options: options of the method.

    Returns:
        `Evidence` with samples `maps/EFFECT` and `oracle/EFFECT`, float64 [2 maps, 2 evidence, samples].
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
                CLASSES.failed: "the map for a class agrees no more with the evidence for that class than with another's: {why}",
            },
            "it is not shown that the network's own answer tells these classes apart",
        ),
        similarity="rank correlation of map and evidence over cells of the image: own class with own evidence, less own with other, both ways",
        ceiling="the network's own answer",
        cannot="Cannot conclude: that the network was looked at, that all of a map is right, or anything about other networks, data or targets. It is crossed: the class that is asked for. Where classes form fewer than six groups that share none, a map of the class alone may pass by luck. Of texts, so may one that knows only words and class. It need not look at the network.",
        counted=CLASSES.counted,
        better="higher",
    ),
)
def judge_class_crossing(family, margins, seed):
    """Sign flips of images, max-T over methods and effects.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of bootstrap and test.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    return oracle.judge_crossing(CLASSES, family, margins, seed)
