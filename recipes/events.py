"""Events: what an engine says of the jobs of a run while they are done."""

from dataclasses import dataclass

from recipes.job import Job


@dataclass(frozen=True)
class Started:
    """A job has begun.

    Args:
        job: `Job`.
        process: number of the process that does it; with Ray, node and number where they are known.
    """

    job: Job
    process: int | str


@dataclass(frozen=True)
class Finished:
    """A job has ended.

    Args:
        job: `Job`.
        process: as of `Started`.
        seconds: float, its wall time.
        error: why it failed, in one line, or None.
    """

    job: Job
    process: int | str
    seconds: float
    error: str | None = None
