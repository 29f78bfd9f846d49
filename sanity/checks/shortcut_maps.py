"""Shortcut maps: do maps of the true class lie in a region more than those of another class, on the same picture?

A map shows no use, so that no map fails. Whether the network uses a region is asked by `shortcut_swaps`.
"""

import numpy as np

from lab.attribution import explainers
from sanity.checks import checks
from sanity.controls import EXPECTED
from sanity.evidence import Evidence, Gate
from sanity.ruling import About, Ruling, rules
from sanity.shortcuts import map_shares
from sanity.statistics import Interval

NAME = "shortcut_maps"
MARGIN = 0.05
# Share of pictures whose maps can be read, below which nothing is said.
USABLE = 0.8
IN_REGION, NOT_IN_REGION, UNDECIDED = "MORE IN THE REGION", "NOT MORE IN THE REGION", "UNDECIDED"
OUTCOMES = {IN_REGION: "INCONCLUSIVE", NOT_IN_REGION: "PASS", UNDECIDED: "INCONCLUSIVE"}


@checks.register(claim="data", table="shortcuts")
def shortcut_maps(subject, *, seed, options=None, margin=MARGIN):
    """Do maps of the true class lie in a region more than maps of another class?

    Args:
        subject: `sanity.shortcuts.subject.ShortcutSubject` with pictures to explain and a method.
        seed: int.
        options: dict, options of the method.
        margin: float, a difference of shares.

    Returns:
        list of `Evidence`, one a region, and those of blind explainers, the controls.
    """

    def ask(explainer, options):
        return map_shares.measure(explainer, subject.explained, subject.groups, seed=seed, options=options)

    shares = ask(subject.explainer, options or {})
    rows = [map_evidence(share, subject, margin=margin) for share in shares]
    controls = {name: ask(explainers.get(name), {}) for name in EXPECTED[NAME]}
    return [*rows, *(map_evidence(_farthest(row), subject, margin=margin, name=name) for name, row in controls.items())]


def _farthest(shares):
    """The share of a control that is farthest from none."""
    return max(shares, key=lambda share: np.nan_to_num(share.difference.mean, nan=-1.0))


def map_evidence(share, subject, *, margin=MARGIN, name=None):
    """Evidence of where maps lie.

    Args:
        share: `sanity.shortcuts.map_shares.MapShare`.
        subject: `sanity.shortcuts.subject.ShortcutSubject`.
        margin: float, a difference of shares.
        name: str, a control; None: the region.

    Returns:
        `Evidence`.
    """
    words = f"{share.usable:.0%} of pictures have two maps that differ and speak for their class; needed: {USABLE:.0%}"
    gate = Gate("maps of two classes differ", "passed" if share.usable >= USABLE else "failed", words)
    difference = share.difference
    samples = {"difference": np.array([difference.mean, difference.low, difference.high]), "values": share.values}
    numbers = {"true": share.true, "other": share.other, "area": share.area, "usable": share.usable}
    settings = {"margin": margin, "numbers": numbers, "region": share.region, "explained_by": name or subject.method}
    return Evidence(NAME, name or share.region, subject.title, subject.sizes, samples, (gate,), settings=settings)


@rules.register(
    name=NAME,
    about=About(
        "Maps do not lie there",
        "true class less another",
        dict.fromkeys(OUTCOMES, "{why}"),
        number="share of the positive map",
        similarity="share of the positive map of the true class in the region, less that of another class",
        sampled=False,
        counted={"samples": "pictures", "groups": "groups", "classes": "classes"},
        cannot="Cannot conclude: that the network uses the region. A map may be wrong. The swap decides.",
    ),
)
def judge_maps(family, margins, seed):
    """Where maps lie, by the interval of the difference and the margin.

    Args:
        family: list of `Evidence`.
        margins: `Margins`, not used: the margin is that of the user.
        seed: int, not used.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    return [_ruling(evidence) for evidence in family]


def _ruling(evidence):
    settings, difference = evidence.settings, Interval(*map(float, evidence.samples["difference"]))
    margin, region, numbers = settings["margin"], settings["region"], settings["numbers"]
    finding = UNDECIDED
    if difference.low > margin:
        finding = IN_REGION
    elif -margin < difference.low and difference.high < margin:
        finding = NOT_IN_REGION
    words = {
        IN_REGION: f"maps of the true class lie in {region} more than maps of another class",
        NOT_IN_REGION: f"maps of the true class lie in {region} no more than maps of another class",
        UNDECIDED: f"it is open whether maps of the true class lie in {region} more",
    }
    why = (
        f"{words[finding]}. Share of the positive map by {settings['explained_by']}: {numbers['true']:.2f} and {numbers['other']:.2f}; "
        f"margin {margin:.2f}. The region is {numbers['area']:.2f} of the picture"
    )
    return Ruling(OUTCOMES[finding], finding, difference, why=why, also=(("margin", f"{margin:.2f}"),))
