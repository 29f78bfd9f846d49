"""Estimate: about how long jobs take here, by the gradients that they need and the time of one, measured once."""

# Least number of seconds to compile the first job of a kind, for a small network.
COMPILING = 2.0


def measure_seconds(passes, session):
    """Seconds of one sample's gradient and of compiling it.

    Args:
        passes: float, number of gradients that are to be computed.
        session: `Session`.

    Returns:
        float, float. The first is None where a measurement is not worth its time.
    """
    if passes < 200 or session.sources.world or session.network.size is None or len(session.network.places()) > 1:
        return None, COMPILING
    gradient, compiling = session.seconds_per_gradient()
    return gradient, max(COMPILING, compiling)


def expected_seconds(waiting, gradient, compiling):
    """Seconds that each job is expected to take; in a world, relative to each other.

    Args:
        waiting: list of `Job`, in their order.
        gradient: float, seconds of one gradient, or None where it was not measured.
        compiling: float, seconds of compiling it.

    Returns:
        dict of key to float.
    """
    compiled, expected = set(), {}
    for job in waiting:
        is_compiled = not job.passes or compiled_with(job) in compiled
        expected[job.key] = job.passes * (gradient or 0.002) + (0.0 if is_compiled else compiling) + 0.05
        compiled.add(compiled_with(job))
    return expected


def compiled_with(job):
    """What is compiled once for several jobs: a layer's pictures, a method's maps of all shards; any other job compiles its own.

    Args:
        job: `Job`.

    Returns:
        tuple of str.
    """
    return job.kind, job.key.rpartition("/")[0] if job.kind in ("pictures", "shard maps") else job.key
