"""Estimate: about how long jobs take here, by the gradients that they need and the time of one, measured once."""

from dataclasses import dataclass

# Least number of seconds to compile the first job of a kind, for a small network.
COMPILING = 2.0
# Fewest gradients for which a measurement is worth its time.
FEWEST = 200
# Kinds of jobs of which one compiles for all others of its folder.
SHARED = ("pictures", "shard maps", "audit answers", "audit untrained", "audit counterparts", "audit pretrained")


@dataclass(frozen=True)
class Speed:
    """What one sample's gradient takes here.

    Args:
        gradient: float, seconds; None where it was not measured.
        compiling: float, seconds of compiling it.
    """

    gradient: float | None
    compiling: float


def measure_speeds(waiting, session):
    """The speed of the network that is asked about, and of the one that the lab loads by default where jobs ask it.

    Args:
        waiting: list of `Job`.
        session: `Session`.

    Returns:
        dict of `Job.of_default` to `Speed`. The second network is measured only where the first one is.
    """
    network = Speed(*measure_seconds(sum(job.passes for job in waiting), session))
    if network.gradient is None or not any(job.of_default for job in waiting):
        return {False: network, True: network}
    gradient, compiling = session.seconds_per_default_gradient()
    return {False: network, True: Speed(gradient, max(COMPILING, compiling))}


def measure_seconds(passes, session):
    """Seconds of one sample's gradient and of compiling it.

    Args:
        passes: float, number of gradients that are to be computed.
        session: `Session`.

    Returns:
        float, float. The first is None where a measurement is not worth its time.
    """
    if passes < FEWEST or session.sources.world or session.network.size is None or len(session.network.places()) > 1:
        return None, COMPILING
    gradient, compiling = session.seconds_per_gradient()
    return gradient, max(COMPILING, compiling)


def expected_seconds(waiting, speeds):
    """Seconds that each job is expected to take; in a world, relative to each other.

    Args:
        waiting: list of `Job`, in their order.
        speeds: dict, as of `measure_speeds`.

    Returns:
        dict of key to float.
    """
    compiled, expected = set(), {}
    for job in waiting:
        speed = speeds[job.of_default]
        is_compiled = not job.passes or compiled_with(job) in compiled
        expected[job.key] = job.passes * (speed.gradient or 0.002) + (0.0 if is_compiled else speed.compiling) + 0.05
        compiled.add(compiled_with(job))
    return expected


def compiled_with(job):
    """What is compiled once for several jobs: a layer's pictures, a method's maps of all shards; any other job compiles its own.

    Args:
        job: `Job`.

    Returns:
        tuple of str.
    """
    return job.kind, job.family if job.kind in SHARED else job.key
