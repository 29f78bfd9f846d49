"""Clock: what two pieces of work cost beside each other on a machine that is shared and noisy."""

import statistics
import time


def interleaved(works, repeats=7):
    """Median seconds of each of several callables (dict of name to callable), run in turn after one warm-up: dict of name to float."""
    for work in works.values():
        work()
    seconds = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def row(name, ratio, goal, note=""):
    """One line of the result."""
    met = "" if goal is None else ("met" if ratio <= goal else "MISSED")
    print(f"{name:<58} {ratio:6.2f}x   {'' if goal is None else f'goal {goal:.2f}x  {met}':<20} {note}", flush=True)
