"""Shares: the tables of what counts errors and times nothing, line by line as they are counted."""

import numpy as np

from sanity.statistics import wilson_interval


def share(hits):
    """How many of some runs are hits, with Wilson's interval of 95%: str, such as 0.030 (0.014-0.064) of 200."""
    hits = np.asarray(list(hits), bool)
    interval = wilson_interval(int(hits.sum()), len(hits))
    return f"{interval.mean:.3f} ({interval.low:.3f}-{interval.high:.3f}) of {len(hits)}"


def print_head(*columns):
    """Print the head of a table in Markdown."""
    print_row(*columns)
    print("|" + "---|" * len(columns), flush=True)


def print_row(*cells):
    """Print one line of a table in Markdown."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)
