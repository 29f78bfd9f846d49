"""Engines: what carries out the jobs of a run, in this process or in several.

An engine has `workers`, how many jobs run at once, and `carry_out(jobs, session, store)`, which yields an event when a job
starts and when it ends. The bytes of a job do not depend on the engine.
"""

from recipes.engines.local import Local
from recipes.engines.processes import Processes


def engine(workers=1):
    """The engine for a number of processes.

    Args:
        workers: int; 1: this process alone.

    Returns:
        `Local` or `Processes`.
    """
    return Local() if workers == 1 else Processes(workers)
