"""Engines: what carries out the jobs of a run, in this process, in several, or on a cluster.

An engine has `workers`, how many jobs run at once, and `carry_out(jobs, session, store)`, which yields an event when a job
starts and when it ends. The bytes of a job do not depend on the engine.
"""

from lab.refusal import Refused
from recipes.engines.local import Local

ENGINES = ("local", "processes", "ray")


def engine(name=None, workers=None, address=None, deterministic=False):
    """The engine of a name.

    Args:
        name: one of `ENGINES`; None: local for one worker, processes for more.
        workers: int, how many jobs run at once; None: one, or with Ray as many as the cluster has cores for.
        address: of a Ray cluster, or None.
        deterministic: bool, whether a GPU computes bit-equal results.

    Returns:
        `Local`, `Processes` or `recipes.engines.ray.Ray`.

    Raises:
        Refused: for several workers of the local engine, and for the address of another engine than Ray.
    """
    name = name or ("local" if workers in (None, 1) else "processes")
    if address is not None and name != "ray":
        raise Refused(f"--address is of a Ray cluster: add --engine ray. Received: --address {address}.")
    if name == "local" and workers not in (None, 1):
        raise Refused(f"--engine local does one job at a time: leave it out. Received: --workers {workers}.")
    if name == "ray":
        from recipes.engines.ray import Ray

        return Ray(address, workers, deterministic)
    if name == "local":
        return Local()
    from recipes.engines.processes import Processes

    return Processes(workers or 2, deterministic)
