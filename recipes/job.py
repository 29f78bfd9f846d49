"""Job: a small, picklable description of one piece of work."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """key: where the files go. kind: which function does it. given: its arguments, plain values. needs: keys it waits for.
    passes: roughly how many gradients of one sample it takes.
    """

    key: str
    kind: str
    given: dict
    needs: tuple = ()
    passes: float = 0
