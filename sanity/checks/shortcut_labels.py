"""Shortcut labels: are labels told from a view alone, such as the border of pictures or one column of a table?

Each view is compared with exchanged labels, max-T over views. It is a candidate for a shortcut, and no proof of one.
"""

from dataclasses import asdict

import numpy as np

from sanity.checks import checks
from sanity.controls import NOISE
from sanity.evidence import Evidence, Gate
from sanity.ruling import About, Ruling, rules
from sanity.shortcuts import separability
from sanity.shortcuts.separability import ALPHA, FEWEST_GROUPS, MOST_ALARMS, NOISE_VIEWS, PLANTED, STRENGTHS
from sanity.statistics import Interval, units_to_one_side, without_interval

NAME = "shortcut_labels"
# A planted relation is noticed where it is in so many of `PLANTED` tries, power .9.
NOTICED = 18
MARGIN = 0.1
CANDIDATE, UNCERTAIN, WITHIN = "CANDIDATE", "SIZE UNCERTAIN", "WITHIN THE MARGIN"
CONSTANT, UNKNOWN = "SAME EVERYWHERE", "NOT ENOUGH DATA"
OUTCOMES = {
    CANDIDATE: "FAIL",
    UNCERTAIN: "INCONCLUSIVE",
    WITHIN: "PASS",
    CONSTANT: "PASS",
    UNKNOWN: "INCONCLUSIVE",
}


@checks.register(claim="data", table="shortcuts")
def shortcut_labels(subject, *, seed, permutations=999, margin=MARGIN):
    """Are labels told from a view alone, beyond the margin?

    Args:
        subject: `sanity.shortcuts.subject.ShortcutSubject` with views.
        seed: int.
        permutations: int, how often labels are exchanged between groups.
        margin: float, a share of the way from chance to certainty, beyond which a view is a candidate.

    Returns:
        list of `Evidence`, one a view, and that of views of noise, the control.
    """
    measured, sizes, _ = separability.measure(
        subject.views, subject.labels, subject.groups, seed=seed, permutations=permutations
    )
    return label_evidence(measured, sizes, margin=margin, title=subject.title, faults=subject.faults)


def label_evidence(measured, sizes, *, margin=MARGIN, title="the data", faults=()):
    """Evidence of what was measured of views, and of views of noise.

    Args:
        measured: list of `sanity.shortcuts.separability.Separability`.
        sizes: `sanity.shortcuts.separability.Sizes`.
        margin: float, a share of the way from chance to certainty.
        title: str, the data in words.
        faults: names of views that raised an error.

    Returns:
        list of `Evidence`, that of noise last.
    """
    counts = {"samples": sizes.rows, "groups": sizes.groups, "classes": len(sizes.classes)}
    shared = {"margin": margin, "bound": _bound(sizes, margin), "too_few": _too_few(sizes)}
    rows = [_view_evidence(view, title, counts, shared, _gates(view, sizes, faults)) for view in measured]
    few = (Gate("enough groups for views of noise", "not applicable", _too_few(sizes)),) if shared["too_few"] else ()
    noise = {"alarms": np.array([sizes.alarms])}
    return [*rows, Evidence(NAME, NOISE, title, counts, noise, few, settings={**shared, "sizes": asdict(sizes)})]


def _view_evidence(view, title, counts, shared, gates):
    noticed = smallest_noticed(view.planted)
    samples = {
        "accuracy": np.array([view.accuracy.mean, view.accuracy.low, view.accuracy.high]),
        "chance": np.array([view.chance]),
        "p": np.array([view.p]),
        "planted": np.array([count for _, count in view.planted], int),
        "constant": np.array([view.constant]),
    }
    numbers = {"chance": view.chance, "bound": shared["bound"], "noticed": noticed}
    return Evidence(NAME, view.view, title, counts, samples, gates, settings={**shared, "numbers": numbers})


def _gates(view, sizes, faults):
    """Why nothing can be said of a view: tuple of `Gate`."""
    words = view.fault.rstrip(".")
    if view.fault:
        return (
            Gate("view ran", "fault", words)
            if view.view in faults
            else Gate("view sees these data", "not applicable", words),
        )
    alarms = f"{sizes.alarms} of {NOISE_VIEWS} told the labels. Name groups of samples that belong together"
    status = "failed" if sizes.is_enough and sizes.alarms > MOST_ALARMS else "passed"
    return (Gate("views of noise tell nothing", status, alarms),)


def _bound(sizes, margin):
    """The balanced accuracy at the margin: float."""
    chance = 1 / max(1, len(sizes.classes))
    return chance + margin * (1 - chance)


def _too_few(sizes):
    """Why nothing can be said of so few rows: str, "" where there are enough."""
    if sizes.is_enough:
        return ""
    if len(sizes.classes) < 2:
        return f"two classes are needed with {FEWEST_GROUPS} groups each, and there is {len(sizes.classes) or 'none'}"
    return f"{2 * FEWEST_GROUPS} groups are needed that can exchange labels, and there are {sizes.units}"


def smallest_noticed(planted):
    """The smallest correlation of a planted relation that was noticed with power .9: float, or None.

    Args:
        planted: tuple of (correlation, how many of `PLANTED` were noticed).
    """
    return next((strength for strength, count in planted if count >= NOTICED), None)


@rules.register(
    name=NAME,
    about=About(
        "Labels are not told from it",
        "told from the view",
        dict.fromkeys(OUTCOMES, "{why}"),
        number="balanced accuracy",
        similarity="balanced accuracy of a classifier of the view alone, on groups that it was not fitted to",
        null="exchanged labels",
        sampled=False,
        better="lower",
        counted={"samples": "samples", "groups": "groups", "classes": "classes"},
        cannot="Cannot conclude: that a network uses it, or that it is no part of the class. Sky is in the border of most pictures of birds. Views that are not listed were not looked at.",
    ),
)
def judge_labels(family, margins, seed):
    """A candidate where labels are told beyond the margin, p adjusted over all views by max-T.

    Args:
        family: list of `Evidence`.
        margins: `Margins`, not used: the margin is that of the user.
        seed: int, not used.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    return [_noise_ruling(row) if row.method == NOISE else _ruling(row) for row in family]


def _noise_ruling(evidence):
    """That of the control: views of noise tell the labels no more often than chance allows."""
    alarms = int(evidence.samples["alarms"][0])
    finding = CANDIDATE if alarms > MOST_ALARMS else WITHIN
    why = f"{alarms} of {NOISE_VIEWS} views of noise tell the labels, and {MOST_ALARMS} may by chance"
    return Ruling(OUTCOMES[finding], finding, why=why)


def _ruling(evidence):
    samples, settings = evidence.samples, evidence.settings
    accuracy, planted = Interval(*map(float, samples["accuracy"])), _planted(samples)
    finding = _find(samples, settings, accuracy, planted)
    why = _words(finding, evidence)
    if settings["too_few"] or finding == CONSTANT:
        return Ruling(OUTCOMES[finding], finding, why=why)
    if finding in (WITHIN, UNKNOWN):
        why += f". {_planted_words(planted)}"
    remedy = _remedy(accuracy, evidence) if finding in (UNCERTAIN, UNKNOWN) else ""
    chance, p = without_interval(samples["chance"][0]), float(samples["p"][0])
    also = (("margin", f"{settings['bound']:.2f}"),)
    return Ruling(OUTCOMES[finding], finding, accuracy, null=chance, p=p, why=why, also=also, remedy=remedy)


def _planted(samples):
    return tuple(zip(STRENGTHS, samples["planted"].tolist()))


def _find(samples, settings, accuracy, planted):
    if settings["too_few"]:
        return UNKNOWN
    if samples["constant"][0]:
        return CONSTANT
    p, bound = samples["p"][0], settings["bound"]
    if p <= ALPHA and accuracy.low > bound:
        return CANDIDATE
    if p <= ALPHA and accuracy.high >= bound:
        return UNCERTAIN
    # Without a planted relation that was noticed, the classifier may be blind here.
    is_seeing = p <= ALPHA or smallest_noticed(planted) is not None
    return WITHIN if accuracy.high < bound and is_seeing else UNKNOWN


def _words(finding, evidence):
    view, margin = evidence.method, f"the margin at {evidence.settings['bound']:.2f}"
    words = {
        CANDIDATE: f"labels are told from {view} alone, beyond {margin}",
        UNCERTAIN: f"labels are told from {view} alone, and whether beyond {margin} is open",
        WITHIN: f"labels are told from {view} by no more than {margin}",
        CONSTANT: f"{view} is the same in all samples, and tells nothing",
        UNKNOWN: f"it is open whether labels are told from {view}; {margin}",
    }
    return evidence.settings["too_few"] or words[finding]


def _planted_words(planted):
    strength = smallest_noticed(planted)
    if strength is None:
        return f"Planted relations were noticed in fewer than {NOTICED} of {PLANTED} tries, even of correlation .9"
    return (
        f"A planted relation of correlation {strength:.1f} was noticed in {dict(planted)[strength]} of {PLANTED} tries"
    )


def _remedy(accuracy, evidence):
    """About how many groups would bring the interval to one side of the margin: a sentence, or ""."""
    groups = evidence.sizes["groups"]
    count = units_to_one_side(accuracy, evidence.settings["bound"], groups)
    return f"About {count} groups in place of {groups} would settle it." if count else ""
