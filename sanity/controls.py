"""Controls: what each check must say of the explainers that are blind on purpose, in every run.

A run whose controls come out otherwise has a broken check, and its other verdicts are not to be read.
"""

from dataclasses import dataclass

EXPECTED = {
    "parameters": {
        "edges": ("FAIL",),
        "input_magnitude": ("FAIL",),
        "noise": ("INVALID",),
        "constant": ("INVALID",),
    },
}


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
        if expected:
            found.append(Audit(verdict.method, verdict.outcome, expected, verdict.outcome in expected))
    return found
