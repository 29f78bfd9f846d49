"""Controls: what each check must say of the explainers that are blind on purpose, in every run.

A run whose controls come out otherwise has a broken check. Do not read its other verdicts.
"""

from dataclasses import dataclass

from lab.attribution import explainers
from sanity.gates import OF_SUBJECT
from sanity.statistics import FEWEST

# Outcomes, or findings, that blind explainers must get. A check that says otherwise of one of them cannot be believed about others.
# Stability and invariance are no virtues by themselves: a filter of the input has both.
EXPECTED = {
    "parameters": {"edges": ("FAIL",), "input_magnitude": ("FAIL",), "centre": ("FAIL",), "noise": ("INVALID",)},
    "labels": {"edges": ("FAIL",), "input_magnitude": ("FAIL",), "centre": ("FAIL",), "noise": ("INVALID",)},
    "cue": {"edges": ("FAIL",), "input_magnitude": ("FAIL",), "centre": ("FAIL",), "noise": ("INVALID",)},
    "classes": dict.fromkeys(("edges", "input_magnitude", "centre"), ("FAIL", "ANSWERS ALIKE", "ORACLE DOES NOT PASS"))
    | {"noise": ("INVALID",)},
    "truth": {
        **dict.fromkeys(("edges", "input_magnitude", "centre"), ("FAIL", "ORACLE DOES NOT PASS", "GATE FAILED")),
        "noise": ("FAIL", "INCONCLUSIVE", "ORACLE DOES NOT PASS"),
    },
    "sensitivity": {"centre": ("STABLE",), "noise": ("FAIL",)},
    "invariance": {"centre": ("INVARIANT",)},
    "completeness": {"edges": ("INCONCLUSIVE",), "centre": ("INCONCLUSIVE",)},
    # None of them is ahead of the best of them.
    "faithfulness": dict.fromkeys(
        ("edges", "input_magnitude", "centre", "noise"),
        ("NO BETTER THAN RANDOM ORDER", "UNDECIDED", "METRIC UNRELIABLE", "ORACLE DOES NOT PASS"),
    ),
    # Where an input is one-hot, its magnitude is the same in every cell. Small changes say the same of both classes of one unit,
    # and of all images of a linear network: there equal maps are undecided.
    "class_crossing": dict.fromkeys(
        ("edges", "input_magnitude", "centre", "noise"),
        ("NOT CLASS-SPECIFIC", "UNDECIDED", "ORACLE DOES NOT PASS", "GATE FAILED"),
    ),
    "image_crossing": {
        "centre": ("NOT IMAGE-SPECIFIC", "UNDECIDED", "ORACLE DOES NOT PASS"),
        "noise": ("FAIL", "INCONCLUSIVE", "ORACLE DOES NOT PASS"),
    },
    "place": dict.fromkeys(("centre", "noise"), ("FAIL", "INCONCLUSIVE", "ORACLE DOES NOT PASS")),
    "retraining": {"noise": ("FAIL", "INCONCLUSIVE", "ORACLE DOES NOT PASS")},
    "implementation": {},
    "derivative": dict.fromkeys(("edges", "input_magnitude", "centre", "noise"), ("FAIL",)),
    "contract": dict.fromkeys(("edges", "input_magnitude", "centre", "noise"), ("PASS",)),
    "entropy": dict.fromkeys(("edges", "noise"), ("INCONCLUSIVE",)),
}
for _name, _check in EXPECTED.items():
    _check["constant"] = ("PASS",) if _name == "contract" else ("INVALID",)
# Checks of attention have controls of their own. They are heads and networks, and no explainers.
EXPECTED["attention_use"] = {"head of zero values": ("UNUSED",), "another input": ("USED",)}
EXPECTED["attention_order"] = {
    "position alone": ("NOT IN ORDER", "UNDECIDED", "ORACLE DOES NOT PASS"),
    "uniform weights": ("NOT IN ORDER", "ORACLE DOES NOT PASS"),
}
# The pictures of a network that was built to fool. The path must notice; of other checks nothing is expected.
FOOLED = "fooled network"
EXPECTED["path"] = {FOOLED: ("FAIL",)}
# Views of noise tell no label, and all of a picture decides its class. Maps that are the same for all classes are not read.
NOISE = "views of noise"
EXPECTED["shortcut_labels"] = {NOISE: ("PASS",)}
EXPECTED["shortcut_swaps"] = {"everything": ("USED",)}
EXPECTED["shortcut_maps"] = {
    "edges": ("GATE FAILED",),
    "noise": ("NOT MORE IN THE REGION", "UNDECIDED", "GATE FAILED"),
}


def control_names(check):
    """What a check may measure as a control: what is blind or fools on purpose, and controls of the check itself.

    Args:
        check: str, the name of the check.

    Returns:
        set of str.
    """
    return {*explainers.names(control=True), FOOLED, *EXPECTED.get(check, ())}


def families(family):
    """Which p values are adjusted together: those of the judged methods, and each control by itself.

    Args:
        family: list of `Evidence`.

    Returns:
        list of lists of places in the family, the judged methods' first.
    """
    judged = [place for place, evidence in enumerate(family) if evidence.method not in control_names(evidence.check)]
    return ([judged] if judged else []) + [[place] for place in range(len(family)) if place not in judged]


@dataclass(frozen=True)
class Audit:
    """One control under one check.

    Args:
        control: str, its name.
        outcome: str, what the check said.
        expected: tuple of str, the outcomes or findings that it must get.
        held: bool, whether it got one of them.
    """

    control: str
    outcome: str
    expected: tuple
    held: bool


def audit(verdicts):
    """Compare verdicts on controls with what is expected of them. Other methods are passed over.

    So are controls that could not be asked, since the check does not apply or a gate of the subject failed.

    Args:
        verdicts: list of `Verdict`.

    Returns:
        list of `Audit`.
    """
    audits = []
    for verdict in verdicts:
        expected = EXPECTED.get(verdict.check, {}).get(verdict.method)
        if expected and _could_be_asked(verdict):
            held = bool({verdict.outcome, verdict.finding} & set(expected))
            audits.append(Audit(verdict.method, verdict.outcome, expected, held))
    return audits


def _could_be_asked(verdict):
    """Whether the check applied, the subject was fit for it, and there were images enough for a FAIL: bool."""
    if verdict.outcome == "INCONCLUSIVE" and verdict.sizes.get("images", FEWEST) < FEWEST:
        return False
    failed = {gate["name"] for gate in verdict.gates if gate["status"] == "failed"}
    return verdict.finding != "NOT APPLICABLE" and not failed & set(OF_SUBJECT)
