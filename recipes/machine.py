"""Machine: how many cores and how much memory this process may use."""

import ctypes
import os
import platform
import sys


def cores():
    """The number of cores that this process may use: int."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor():
    """The name of this machine's processor: str, its architecture where the system does not say more."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def memory():
    """The memory of this machine in GiB: float, NaN where the system does not say."""
    if not hasattr(os, "sysconf"):
        return float("nan")
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)


def return_memory():
    """Return free memory to the system. The C library keeps what lies below anything that is still in use."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
