"""Clock: what two pieces of work cost beside each other on a machine that is shared and noisy."""

import statistics
import time


def interleaved(works, repeats, warm=True):
    """Median seconds of each of several callables (dict of name to callable), run in turn: dict of name to float.

    Each is run once before, unless its first call is what is measured (`warm=False`).
    """
    for work in works.values() if warm else ():
        work()
    seconds = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}
