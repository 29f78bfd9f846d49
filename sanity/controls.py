"""Controls: what each check must say of the explainers that are blind on purpose, in every run.

A run whose controls come out otherwise has a broken check, and its other verdicts are not to be read.
"""

from dataclasses import dataclass

# What blind explainers must come out as; a check that says otherwise of one of them cannot be believed about others.
# Stability and invariance are no virtues by themselves: a filter of the input has both.
EXPECTED = {
    "parameters": {"edges": ("FAIL",), "input_magnitude": ("FAIL",), "centre": ("FAIL",), "noise": ("INVALID",)},
    "labels": {"edges": ("FAIL",), "input_magnitude": ("FAIL",), "centre": ("FAIL",), "noise": ("INVALID",)},
    "cue": {"edges": ("FAIL",), "input_magnitude": ("FAIL",), "centre": ("FAIL",), "noise": ("INVALID",)},
    "classes": {"edges": ("FAIL",), "input_magnitude": ("FAIL",), "centre": ("FAIL",), "noise": ("INVALID",)},
    "truth": {name: ("FAIL", "INCONCLUSIVE") for name in ("edges", "input_magnitude", "centre", "noise")},
    "decoy": {"edges": ("FAIL",), "input_magnitude": ("FAIL",)},
    "sensitivity": {"centre": ("PASS",), "noise": ("FAIL",)},
    "invariance": {"centre": ("PASS",)},
    "completeness": {"edges": ("INCONCLUSIVE",), "centre": ("INCONCLUSIVE",)},
    "faithfulness": {name: ("FAIL", "INCONCLUSIVE") for name in ("edges", "input_magnitude", "centre", "noise")},
    "retraining": {"noise": ("FAIL", "INCONCLUSIVE")},
    "implementation": {},
    "entropy": {name: ("INCONCLUSIVE",) for name in ("edges", "noise")},
}
for _check in EXPECTED.values():
    _check["constant"] = ("INVALID",)
for _check in ("implementation",):
    EXPECTED[_check] = {name: ("INVALID",) for name in ("edges", "input_magnitude", "centre", "noise", "constant")}


@dataclass(frozen=True)
class Audit:
    """One control: its name, what the check said, what it had to say, and whether they agree."""

    control: str
    outcome: str
    expected: tuple
    held: bool


def audit(verdicts):
    """Verdicts on controls against what is expected of them -> list of `Audit`; other methods are passed over."""
    found = []
    for verdict in verdicts:
        expected = EXPECTED.get(verdict.check, {}).get(verdict.method)
        if expected and verdict.finding != "NOT APPLICABLE":
            found.append(Audit(verdict.method, verdict.outcome, expected, verdict.outcome in expected))
    return found
