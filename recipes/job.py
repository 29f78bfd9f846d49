"""Job: a small, picklable description of one piece of work."""

import re
from dataclasses import dataclass

# How the keys of jobs begin that measure what the network itself shows.
ANSWERS = "answers/"


@dataclass(frozen=True)
class Job:
    """One piece of work.

    Args:
        key: folder of its files inside the run.
        kind: name of the function that does it.
        arguments: plain values for that function.
        needs: keys of the jobs that have to be done before, whose files it is given.
        passes: rough number of gradients of one sample that it takes.
        of_default: whether these are gradients of the network that the lab loads by default, and not of the one that is asked about.
        gathers: whether it goes on without those of its needs that failed, and says so.
        optional: keys of those of its needs without which it goes on where they failed; the others have to be done.
        reads: names of what it takes of the session beside its arguments, see `Session.hash_of`.
        judged_in: name of the family of verdicts that its evidence belongs to; "" for a job that measures no evidence. Then
            its arguments name the check, and the method or what else the verdict is on.
        identity: SHA-256 of all that decides its bytes (`recipes.identity`), or "" where that was not worked out.
    """

    key: str
    kind: str
    arguments: dict
    needs: tuple = ()
    passes: float = 0
    gathers: bool = False
    reads: tuple = ()
    identity: str = ""
    judged_in: str = ""
    optional: tuple = ()
    of_default: bool = False

    @property
    def family(self):
        """The folder of the job, whose jobs share what one process prepares and compiles: str."""
        return self.key.rpartition("/")[0]


@dataclass(frozen=True)
class Outcome:
    """The result of a job.

    Args:
        files: dict of file name to bytes.
        fault: the fault that these files report, in one line, or None.
        trace: traceback of the fault, or None.
    """

    files: dict
    fault: str | None = None
    trace: str | None = None


def slug(text):
    """Text as a part of a job's key, which is a folder: str."""
    return re.sub(r"[^\w.-]+", "-", text).strip(".-") or "unnamed"
