"""Machine: how many cores and how much memory this process may use."""

import os


def cores():
    """The number of cores that this process may use: int."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory():
    """The memory of this machine in GiB: float, NaN where the system does not say."""
    if not hasattr(os, "sysconf"):
        return float("nan")
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
