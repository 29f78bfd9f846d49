"""Job: a small, picklable description of one piece of work."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """key: where the files go. kind: which function does it. given: its arguments, plain values. needs: keys it waits for.
    passes: roughly how many gradients of one sample it takes. gathers: whether it does without those of its needs that failed, and
    says so.
    """

    key: str
    kind: str
    given: dict
    needs: tuple = ()
    passes: float = 0
    gathers: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a job: its files, dict of name to bytes; the fault that they tell of, in a line, with its traceback, or None."""

    files: dict
    fault: str | None = None
    trace: str | None = None
