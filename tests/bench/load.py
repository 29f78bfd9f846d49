"""Load: how many cores of a machine its other processes left free while something was measured.

with Load() as load:
    ...
load.free       a float, of `load.cores`
"""

import ctypes
import os
import sys
import time

# The share of a machine's cores below which what was measured does not count.
ENOUGH = 0.9
# Of Linux's prctl: orphans below this process become its children.
SUBREAPER = 36


class Load:
    """How many cores were free between the beginning and the end of a block.

    What this process did, and what its children did that have ended, is no load. Workers of Ray outlive their parent, and are
    adopted where the system can.
    """

    def __enter__(self):
        _adopt_orphans(True)
        self._before = _moment()
        return self

    def __exit__(self, *_):
        _wait_for_ended()
        self._after = _moment()
        _adopt_orphans(False)

    @property
    def cores(self):
        """Cores of the machine: int."""
        import psutil

        return psutil.cpu_count()

    @property
    def free(self):
        """Cores that others left free on average: float."""
        wall, busy, by_itself = (after - before for before, after in zip(self._before, self._after))
        return free_cores(self.cores, wall, busy, by_itself)


def free_cores(cores, wall, busy, by_itself):
    """Cores that others left free: float, from 0 to all of them.

    Args:
        cores: int, of the machine.
        wall: float, seconds that passed.
        busy: float, seconds that its cores worked, all together.
        by_itself: float, those of them that they worked for this process and its children.

    Returns:
        float.
    """
    # Both are counted in ticks of 10 ms, so that the difference may be a little below zero.
    return min(cores, max(0.0, cores - max(0.0, busy - by_itself) / wall))


def _adopt_orphans(whether):
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SUBREAPER, int(whether), 0, 0, 0)


def _wait_for_ended():
    """Wait for all children that have ended, without which their work is not counted."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _moment():
    """Seconds of the clock, of work of all cores, and of work of this process and its ended children."""
    # The extra `bench` brings it; the tests of tables need none of this.
    import psutil

    machine, process = psutil.cpu_times(), psutil.Process().cpu_times()
    idle = machine.idle + sum(getattr(machine, name, 0) for name in ("iowait", "guest", "guest_nice"))
    return time.perf_counter(), sum(machine) - idle, sum(process[:4])
