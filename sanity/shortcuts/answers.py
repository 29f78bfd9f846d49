"""Answers: what may be said of a view after it was measured, with every number that decided it.

The outcomes are those of all verdicts. Where a view tells the labels beyond the margin it fails the question whether it tells
them; it is a candidate for a shortcut, and no proof of one.
"""

import math
from dataclasses import asdict, dataclass

from sanity.shortcuts.separability import (
    ALPHA,
    FEWEST_GROUPS,
    MOST_ALARMS,
    NOISE_VIEWS,
    PLANTED,
)
from sanity.shortcuts.swaps import EVERYTHING
from sanity.statistics import MOST_UNITS, Interval

# A planted relation is noticed where it is in so many of `PLANTED` tries, power .9.
NOTICED = 18
MARGIN, SWAP_MARGIN, MAP_MARGIN = 0.1, 0.05, 0.05
# Shares of pictures whose maps can be read, below which nothing is said.
USABLE = 0.8

CANDIDATE, UNCERTAIN, WITHIN, CONSTANT, UNKNOWN, UNMEASURED, BROKEN = (
    "CANDIDATE",
    "SIZE UNCERTAIN",
    "WITHIN THE MARGIN",
    "SAME EVERYWHERE",
    "NOT ENOUGH DATA",
    "NOT MEASURED",
    "CHECK BROKEN",
)
USED, NOT_USED, UNDECIDED = "USED", "NOT USED", "UNDECIDED"
IN_REGION, NOT_IN_REGION = "MORE IN THE REGION", "NOT MORE IN THE REGION"
# Finding -> outcome. A map proves no use, so that no map fails.
FINDINGS = {
    CANDIDATE: "FAIL",
    UNCERTAIN: "INCONCLUSIVE",
    WITHIN: "PASS",
    CONSTANT: "PASS",
    UNKNOWN: "INCONCLUSIVE",
    UNMEASURED: "INVALID",
    BROKEN: "INVALID",
    USED: "FAIL",
    NOT_USED: "PASS",
    UNDECIDED: "INCONCLUSIVE",
    IN_REGION: "INCONCLUSIVE",
    NOT_IN_REGION: "PASS",
}
CANNOT = {
    "labels": "Cannot conclude: that a network uses it, or that it is no part of the class. Sky is in the border of most pictures of birds. Views that are not listed were not looked at.",
    "maps": "Cannot conclude: that the network uses the region. A map may be wrong. The swap decides.",
    "swap": "Cannot conclude: that it is a shortcut. What surrounds a thing may belong to its class. Nothing is said of other networks or data.",
}
# The evidence in its order: what fails first, then what is open.
ORDER = {outcome: place for place, outcome in enumerate(("FAIL", "INCONCLUSIVE", "INVALID", "PASS"))}


@dataclass(frozen=True)
class Answer:
    """What is said of one view under one question.

    Args:
        question: str, "labels", "maps" or "swap".
        view: str.
        finding: str, in capitals.
        effect: `Interval`: balanced accuracy, difference of shares, or difference of accuracies.
        p: float, adjusted; None where nothing was tested.
        sentence: str, the answer in words.
        numbers: dict of name to number, for tables.
    """

    question: str
    view: str
    finding: str
    effect: Interval
    p: float | None
    sentence: str
    numbers: dict

    @property
    def outcome(self):
        """PASS, FAIL, INCONCLUSIVE or INVALID."""
        return FINDINGS[self.finding]

    @property
    def cannot(self):
        """What may not be concluded: str."""
        return CANNOT[self.question]

    def as_dict(self):
        """The answer as plain values: dict."""
        return {**asdict(self), "outcome": self.outcome, "cannot": self.cannot}


def sort_by_evidence(answers):
    """Answers with the strongest evidence first.

    Args:
        answers: list of `Answer`.

    Returns:
        list of `Answer`.
    """
    return sorted(answers, key=lambda answer: (ORDER[answer.outcome], -_number(answer.effect.mean)))


def _number(value):
    return value if value == value else -math.inf


# Labels -------------------------------------------------------------------------------------------------------------------


def judge_labels(measured, sizes, *, margin=MARGIN):
    """What is said of how well labels are told from views.

    Args:
        measured: list of `Separability`.
        sizes: `Sizes`.
        margin: float, a share of the way from chance to certainty, beyond which a view is a candidate.

    Returns:
        list of `Answer`, in the order of the views.
    """
    return [_judge_view(view, sizes, margin) for view in measured]


def _judge_view(view, sizes, margin):
    bound = _bound(sizes, margin)
    finding = _find(view, sizes, bound)
    return Answer(
        "labels",
        view.view,
        finding,
        view.accuracy,
        None if finding in (UNMEASURED, CONSTANT) or not sizes.is_enough else view.p,
        " ".join(_label_sentences(finding, view, sizes, bound)),
        {"chance": view.chance, "bound": bound, "noticed": smallest_noticed(view.planted)},
    )


def _bound(sizes, margin):
    """The balanced accuracy at the margin: float."""
    chance = 1 / max(1, len(sizes.classes))
    return chance + margin * (1 - chance)


def _find(view, sizes, bound):
    if view.fault:
        return UNMEASURED
    if not sizes.is_enough:
        return UNKNOWN
    if sizes.alarms > MOST_ALARMS:
        return BROKEN
    if view.constant:
        return CONSTANT
    if view.p <= ALPHA and view.accuracy.low > bound:
        return CANDIDATE
    if view.p <= ALPHA and view.accuracy.high >= bound:
        return UNCERTAIN
    # Without a planted relation that was noticed, the classifier may be blind here.
    is_seeing = view.p <= ALPHA or smallest_noticed(view.planted) is not None
    return WITHIN if view.accuracy.high < bound and is_seeing else UNKNOWN


def smallest_noticed(planted):
    """The smallest correlation of a planted relation that was noticed with power .9: float, or None.

    Args:
        planted: tuple of (correlation, how many of `PLANTED` were noticed).
    """
    return next((strength for strength, count in planted if count >= NOTICED), None)


def _label_sentences(finding, view, sizes, bound):
    yield f"{finding}: {_label_words(finding, view, sizes)}."
    if finding in (UNMEASURED, CONSTANT, BROKEN) or not sizes.is_enough:
        return
    yield f"Balanced accuracy {view.accuracy}; exchanged labels {view.chance:.2f}; p = {view.p:.2g}; the margin is at {bound:.2f}."
    yield f"Looked at: {sizes.rows} samples in {sizes.groups} groups and {len(sizes.classes)} classes."
    if finding in (WITHIN, UNKNOWN):
        yield _planted_sentence(view.planted)
    if finding in (UNCERTAIN, UNKNOWN):
        yield from _remedy(view, sizes, bound)


def _label_words(finding, view, sizes):
    words = {
        CANDIDATE: f"labels are told from {view.view} alone",
        UNCERTAIN: f"labels are told from {view.view} alone, but it is open how well",
        WITHIN: f"labels are told from {view.view} by no more than the margin",
        CONSTANT: f"{view.view} is the same in all samples, and tells nothing",
        UNKNOWN: f"it is open whether labels are told from {view.view}",
        UNMEASURED: f"{view.view} could not be measured. {view.fault.rstrip('.')}",
        BROKEN: f"{sizes.alarms} of {NOISE_VIEWS} views of noise told the labels too. Name groups of samples that belong together",
    }
    if finding == UNKNOWN and not sizes.is_enough:
        return too_few_words(sizes)
    return words[finding]


def too_few_words(sizes):
    """Why nothing can be said of so few rows: str.

    Args:
        sizes: `Sizes` that are not enough.

    Returns:
        str.
    """
    if len(sizes.classes) < 2:
        return f"two classes are needed with {FEWEST_GROUPS} groups each, and there is {len(sizes.classes) or 'none'}"
    return f"{2 * FEWEST_GROUPS} groups are needed that can exchange labels, and there are {sizes.units}"


def _planted_sentence(planted):
    strength = smallest_noticed(planted)
    if strength is None:
        return f"Planted relations were noticed in fewer than {NOTICED} of {PLANTED} tries, even of correlation .9."
    count = dict(planted)[strength]
    return f"A planted relation of correlation {strength:.1f} was noticed in {count} of {PLANTED} tries."


def _remedy(view, sizes, bound):
    """About how many groups would bring the interval to one side of the margin: at most one sentence."""
    room, half = abs(view.accuracy.mean - bound), (view.accuracy.high - view.accuracy.low) / 2
    count = math.ceil(sizes.groups * (half / room) ** 2) if room > 0 else MOST_UNITS + 1
    if sizes.groups < count <= MOST_UNITS:
        yield f"About {count} groups in place of {sizes.groups} would settle it."


# Network ------------------------------------------------------------------------------------------------------------------


def judge_swaps(effects, accuracy, *, margin=SWAP_MARGIN):
    """What is said of what swaps cost a network.

    Args:
        effects: list of `sanity.shortcuts.swaps.SwapEffect`, that of `EVERYTHING` first.
        accuracy: float, without a swap.
        margin: float, a difference of accuracies.

    Returns:
        list of `Answer`, without one of `EVERYTHING`.
    """
    control, *others = effects
    knows = control.drop.low > margin
    return [_judge_swap(effect, accuracy, margin, knows) for effect in others]


def _judge_swap(effect, accuracy, margin, knows):
    finding = _place_swap(effect, margin) if knows and effect.changed else UNMEASURED
    words = {
        USED: f"answers follow {effect.swap} of another class",
        NOT_USED: f"answers keep to the picture when {effect.swap} comes from another class",
        UNDECIDED: f"it is open whether answers follow {effect.swap} of another class",
        UNMEASURED: f"{effect.swap} is the same in pictures of all classes"
        if knows
        else f"the network does not tell these classes apart, even where {EVERYTHING} is swapped",
    }
    numbers = {"same": effect.same, "other": effect.other, "donor": effect.donor, "accuracy": accuracy}
    sentence = (
        f"{finding}: {words[finding]}. Accuracy {effect.same:.2f} with a donor of the same class, {effect.other:.2f} with another's; "
        f"difference {effect.drop}; margin {margin:.2f}. Without a swap it is {accuracy:.2f}.{_class_words(effect)}"
    )
    if finding == UNDECIDED:
        sentence += _pictures_remedy(effect, margin)
    return Answer("swap", effect.swap, finding, effect.drop, None, sentence, numbers)


def _pictures_remedy(effect, margin):
    """About how many pictures would bring the interval of a swap to one side of the margin: a sentence, or ""."""
    number, room = len(effect.values), abs(effect.drop.mean - margin)
    half = (effect.drop.high - effect.drop.low) / 2
    count = math.ceil(number * (half / room) ** 2) if room > 0 else MOST_UNITS + 1
    return f" About {count} pictures in place of {number} would settle it." if number < count <= MOST_UNITS else ""


def _place_swap(effect, margin):
    """The finding on all pictures, unless that on one of the classes says otherwise."""
    drops = [effect.drop, *(interval for _, interval in effect.classes)]
    if any(interval.low > margin for interval in drops):
        return USED
    return _place(max(drops, key=lambda interval: interval.high), margin, (USED, NOT_USED))


def _class_words(effect):
    """The class that loses most, and how many were not looked at by themselves: str, "" where there is nothing to say."""
    worst = max(effect.classes, key=lambda pair: pair[1].mean, default=None)
    words = "" if worst is None else f" Of classes, {worst[0]} loses most: {worst[1]}."
    return words + (f" {effect.unseen} classes have too few groups to be looked at alone." if effect.unseen else "")


def _place(interval, margin, findings):
    """The first finding where an interval is above the margin, the second where it is within, else UNDECIDED."""
    if interval.low > margin:
        return findings[0]
    return findings[1] if -margin < interval.low and interval.high < margin else UNDECIDED


def judge_maps(shares, method, *, margin=MAP_MARGIN):
    """What is said of where maps lie.

    Args:
        shares: list of `sanity.shortcuts.map_shares.MapShare`.
        method: str, the name of the method.
        margin: float, a difference of shares.

    Returns:
        list of `Answer`.
    """
    return [_judge_share(share, method, margin) for share in shares]


def _judge_share(share, method, margin):
    finding = _place(share.difference, margin, (IN_REGION, NOT_IN_REGION)) if share.usable >= USABLE else UNMEASURED
    words = {
        IN_REGION: f"maps of the true class lie in {share.region} more than maps of another class",
        NOT_IN_REGION: f"maps of the true class lie in {share.region} no more than maps of another class",
        UNDECIDED: f"it is open whether maps of the true class lie in {share.region} more",
        UNMEASURED: f"{share.usable:.0%} of pictures have two maps that differ and speak for their class",
    }
    numbers = {"true": share.true, "other": share.other, "area": share.area, "usable": share.usable}
    sentence = f"{finding}: {words[finding]}."
    if finding != UNMEASURED:
        sentence += (
            f" Share of the positive map by {method}: {share.true:.2f} and {share.other:.2f}; difference {share.difference}; "
            f"margin {margin:.2f}. The region is {share.area:.2f} of the picture."
        )
    return Answer("maps", share.region, finding, share.difference, None, sentence, numbers)
