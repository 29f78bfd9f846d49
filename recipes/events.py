"""Events: what an engine says of the jobs of a run while they are done."""

from dataclasses import dataclass

from recipes.job import Job


@dataclass(frozen=True)
class Started:
    """A job has begun.

    Args:
        job: `Job`.
        process: int, number of the process that does it.
    """

    job: Job
    process: int


@dataclass(frozen=True)
class Finished:
    """A job has ended.

    Args:
        job: `Job`.
        process: int, number of the process that did it.
        seconds: float, its wall time.
        error: why it failed, in one line, or None.
    """

    job: Job
    process: int
    seconds: float
    error: str | None = None
