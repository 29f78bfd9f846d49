"""Evidence: what a check measured, before any word is said about it."""

from dataclasses import dataclass, field

STATUSES = ("passed", "failed", "not measured", "not applicable", "fault")


@dataclass(frozen=True)
class Gate:
    """A condition without which a check says nothing: name, status (one of STATUSES), and what was seen."""

    name: str
    status: str
    words: str


@dataclass(frozen=True)
class Evidence:
    """check and method by name; subject in words; sizes: how many images, networks and repeats; samples: dict of name to array;
    stages: one dict a stage of what randomization did; gates; maps: dict of name to array, for the eye; settings: all options.
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

    @property
    def failed(self):
        """The gates that were not passed, those that do not apply to the subject and faults included: list of `Gate`."""
        return [gate for gate in self.gates if gate.status in ("failed", "not applicable", "fault")]
