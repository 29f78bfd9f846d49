"""Evidence: what a check measured, before any word is said about it."""

from dataclasses import dataclass, field

STATUSES = ("passed", "failed", "not measured", "not applicable", "fault")


@dataclass(frozen=True)
class Gate:
    """A condition without which a check says nothing.

    Args:
        name: str.
        status: str, one of STATUSES.
        words: str, what was measured.
    """

    name: str
    status: str
    words: str


@dataclass(frozen=True)
class Evidence:
    """What a check measured of one method on one subject.

    Args:
        check: str, the name of the check.
        method: str, the name of the method.
        subject: str, the network in words.
        sizes: dict, how many images, networks and repeats.
        samples: dict of name to array.
        gates: tuple of `Gate`.
        stages: tuple of dict, what each stage of randomization did.
        maps: dict of name to array, for display.
        settings: dict, all options of check and method.
        part: str, the part of the subject that it is about, such as a unit; "" for all of it.
    """

    check: str
    method: str
    subject: str
    sizes: dict
    samples: dict
    gates: tuple
    stages: tuple = ()
    maps: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    part: str = ""

    @property
    def failed(self):
        """The gates that were not passed: list of `Gate`, those that do not apply last, or they would hide the others."""
        gates = [gate for gate in self.gates if gate.status in ("failed", "not applicable", "fault")]
        return sorted(gates, key=lambda gate: gate.status == "not applicable")
