"""Shortcut swaps: does a network use a region? What another class's region costs is compared with what any swap costs."""

import numpy as np

from sanity.checks import checks
from sanity.evidence import Evidence, Gate
from sanity.gates import TELLS_CLASSES
from sanity.ruling import About, Ruling, rules
from sanity.shortcuts import swaps as swapping
from sanity.statistics import Interval, units_to_one_side

NAME = "shortcut_swaps"
MARGIN = 0.05
USED, NOT_USED, UNDECIDED = "USED", "NOT USED", "UNDECIDED"
OUTCOMES = {USED: "FAIL", NOT_USED: "PASS", UNDECIDED: "INCONCLUSIVE"}


@checks.register(claim="data", table="shortcuts")
def shortcut_swaps(subject, *, seed, swaps=None, margin=MARGIN):
    """Does the network use a region, so that its answers follow the region of another class?

    Args:
        subject: `sanity.shortcuts.subject.ShortcutSubject` with a network, pictures and classes.
        seed: int.
        swaps: names of `lab list swaps`; None: all.
        margin: float, a difference of accuracies.

    Returns:
        list of `Evidence`, one a swap, and that of all of the picture, the control.
    """
    names = list(swapping.swaps) if swaps is None else swaps
    effects, accuracy = swapping.measure(
        subject.network, list(subject.pictures), subject.classes, subject.groups, names, seed=seed, fit=subject.fit
    )
    class_names = subject.network.names_in(subject.network.output_name())
    return swap_evidence(effects, accuracy, margin=margin, subject=subject, class_names=class_names)


def swap_evidence(effects, accuracy, *, subject, margin=MARGIN, class_names=None):
    """Evidence of what swaps cost a network.

    Args:
        effects: list of `sanity.shortcuts.swaps.SwapEffect`, that of `EVERYTHING` first.
        accuracy: float, without a swap.
        subject: `sanity.shortcuts.subject.ShortcutSubject`.
        margin: float, a difference of accuracies.
        class_names: names of the network's classes, or None.

    Returns:
        list of `Evidence`, that of `EVERYTHING` last.
    """
    control, *others = effects
    low = control.drop.low
    status = "passed" if low > margin else "failed"
    tells = Gate(TELLS_CLASSES, status, f"everything swapped costs {control.drop} of accuracy; margin {margin:.2f}")
    return [_evidence(effect, accuracy, margin, subject, tells, class_names) for effect in (*others, control)]


def _evidence(effect, accuracy, margin, subject, tells, class_names):
    same = f"{effect.swap} is the same in pictures of all classes"
    differs = Gate("regions of classes differ", "passed" if effect.changed else "not applicable", same)
    names = [class_names[label] if class_names else f"class {label}" for label, _ in effect.classes]
    drops = [effect.drop, *(interval for _, interval in effect.classes)]
    samples = {
        "drops": np.array([[drop.mean, drop.low, drop.high] for drop in drops]),
        "values": effect.values,
    }
    numbers = {"same": effect.same, "other": effect.other, "donor": effect.donor, "accuracy": accuracy}
    settings = {"margin": margin, "numbers": numbers, "class_names": names, "unseen": effect.unseen}
    return Evidence(NAME, effect.swap, subject.title, subject.sizes, samples, (tells, differs), settings=settings)


@rules.register(
    name=NAME,
    about=About(
        "The network does not use it",
        "another class's in place of the same class's",
        dict.fromkeys(OUTCOMES, "{why}"),
        number="cost in accuracy",
        similarity="accuracy with a donor of the same class, less that with a donor of another class",
        sampled=False,
        better="lower",
        counted={"samples": "pictures", "groups": "groups", "classes": "classes"},
        cannot="Cannot conclude: that it is a shortcut. What surrounds a thing may belong to its class. Nothing is said of other networks or data.",
    ),
)
def judge_swaps(family, margins, seed):
    """Used where the interval of the drop, or of that of one class, is above the margin; not used where all are within.

    Args:
        family: list of `Evidence`.
        margins: `Margins`, not used: the margin is that of the user.
        seed: int, not used.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    return [_ruling(evidence) for evidence in family]


def _ruling(evidence):
    margin, numbers = evidence.settings["margin"], evidence.settings["numbers"]
    drops = [Interval(*map(float, row)) for row in evidence.samples["drops"]]
    finding, swap = _place_swap(drops, margin), evidence.method
    words = {
        USED: f"answers follow {swap} of another class",
        NOT_USED: f"answers keep to the picture when {swap} comes from another class",
        UNDECIDED: f"it is open whether answers follow {swap} of another class",
    }
    why = (
        f"{words[finding]}. Accuracy {numbers['same']:.2f} with a donor of the same class, {numbers['other']:.2f} with another's; "
        f"margin {margin:.2f}. Without a swap it is {numbers['accuracy']:.2f}{_class_words(evidence, drops[1:])}"
    )
    remedy = _pictures_remedy(len(evidence.samples["values"]), drops[0], margin) if finding == UNDECIDED else ""
    return Ruling(OUTCOMES[finding], finding, drops[0], why=why, also=(("margin", f"{margin:.2f}"),), remedy=remedy)


def _place_swap(drops, margin):
    """The finding on all pictures, unless that on one of the classes says otherwise."""
    if any(interval.low > margin for interval in drops):
        return USED
    widest = max(drops, key=lambda interval: interval.high)
    return NOT_USED if -margin < widest.low and widest.high < margin else UNDECIDED


def _class_words(evidence, drops):
    """The class that loses most, and how many were not looked at by themselves: str, "" where there is nothing to say."""
    named = list(zip(evidence.settings["class_names"], drops))
    name, worst = max(named, key=lambda pair: pair[1].mean, default=("", None))
    words = "" if worst is None else f". Of classes, {name} loses most: {worst}"
    unseen = evidence.settings["unseen"]
    return words + (f". {unseen} classes have too few groups to be looked at alone" if unseen else "")


def _pictures_remedy(pictures, drop, margin):
    """About how many pictures would bring the interval of a swap to one side of the margin: a sentence, or ""."""
    count = units_to_one_side(drop, margin, pictures)
    return f"About {count} pictures in place of {pictures} would settle it." if count else ""
