"""Image crossing: is this the map of this image? Maps of two images for one class against the evidence of both images.

It catches the map of another image, and whatever is the same for all images. A filter of the input may pass it.
It is a necessary condition, and no more.
"""

import numpy as np

from sanity import crossing, oracle
from sanity.checks import checks
from sanity.checks.class_crossing import flip_p
from sanity.crossing import Crossing, agreement_table, crossing_contrast
from sanity.questions import classes_differ, conditions, partners, questions, target_classes
from sanity.ruling import About, rules


def image_questions(subject):
    """Every sample's own class, and where partners differ, its partner's class: list of `Objective`."""
    if not classes_differ(target_classes(subject), partners(subject)).any():
        return [subject.objective]
    return questions(subject)


def pair_table(maps, evidence, subject):
    """The four numbers of every pair, mean over the classes of both.

    Args:
        maps: float [questions, samples, cells].
        evidence: float [questions, samples, cells].
        subject: the `Subject`.

    Returns:
        float64 [2 maps, 2 evidence, pairs].
    """
    targets, partner_rows = target_classes(subject), partners(subject)
    first = np.flatnonzero(partner_rows > np.arange(len(targets)))
    second = partner_rows[first]
    # Where the classes differ, the second image's other question is about the class of the first.
    other = classes_differ(targets, partner_rows)[first].astype(int)
    pairs_of_questions = [(np.zeros(len(first), int), other), (other, np.zeros(len(first), int))]
    numbers = []
    for own_question, partner_question in pairs_of_questions:
        pair_maps = [maps[own_question, first], maps[partner_question, second]]
        pair_evidence = shared_cells(evidence[own_question, first], evidence[partner_question, second])
        numbers.append(agreement_table(pair_maps, pair_evidence))
    return np.mean(numbers, axis=0)


def shared_cells(first, second):
    """Evidence of both of a pair where either has some. Texts of a pair are compared at the words that both have.

    So what is the same for every text gives exactly zero.

    Args:
        first: float [pairs, cells], nan for a cell that does not count.
        second: float [pairs, cells].

    Returns:
        two float64 [pairs, cells], nan in the same cells.
    """
    absent = np.isnan(first) | np.isnan(second)
    return np.where(absent, np.nan, first), np.where(absent, np.nan, second)


IMAGES = Crossing(
    "image_crossing",
    conditions=conditions,
    questions=image_questions,
    numbers=pair_table,
    statistic=crossing_contrast,
    test=flip_p,
    passed="IMAGE-SPECIFIC",
    failed="NOT IMAGE-SPECIFIC",
    counted={"images": "images", "pairs": "pairs", "left out": "texts left out, equal ones or of fewer than two cells"},
    unit="pairs",
    sizes=lambda subject: {"pairs": len(subject.names) // 2},
)


def prepare(subject, *, seed, once=None):
    """The evidence for both images of a pair for the class of either, for all methods to share.

    Args:
        subject: the `Subject`.
        seed: int.
        once: as of `sanity.checks.prepare_shared`; crossings of one subject share their effects.

    Returns:
        `sanity.effects.Effects`, or None where the check does not apply.
    """
    return crossing.prepare(IMAGES, subject, seed=seed, once=once)


@checks.register(prepare=prepare, answer="effects")
def image_crossing(explainer, subject, /, *, seed, prepared=None, **options):
    """Does an image's map agree with that image's evidence more than with another image's, for the same class?

    Args:
        explainer: the method.
        subject: the `Subject`.
        seed: int.
        prepared: what `prepare` gives, to share among methods; None: computed here.
        options: options of the method.

    Returns:
        `Evidence` with samples `maps/EFFECT` and `oracle/EFFECT`, float64 [2 maps, 2 evidence, pairs].
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
                IMAGES.failed: "the map of an image agrees no more with that image's evidence than with another image's: {why}",
            },
            "it is not shown that the network's own answer tells these images apart",
        ),
        similarity="rank correlation of map and evidence over cells: own image with own evidence, less own with the other's, both ways",
        ceiling="the network's own answer",
        cannot="Cannot conclude: that the network was looked at. It is crossed: the image; a filter of the image may pass.",
        counted=IMAGES.counted,
        better="higher",
    ),
)
def judge_image_crossing(family, margins, seed):
    """Sign flips of pairs, max-T over methods and effects.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of bootstrap and test.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    return oracle.judge_crossing(IMAGES, family, margins, seed)
