"""Load: how many cores of a machine its other processes left free while something was measured.

with Load() as load:
    ...
load.free       a float, of `load.cores`
"""

import contextlib
import ctypes
import os
import sys
import threading
import time

# The share of a machine's cores below which what was measured does not count.
ENOUGH = 0.9
# Of Linux's prctl: orphans below this process become its children.
SUBREAPER = 36
# Seconds between two looks at what children did: some do not wait for theirs, which the system then counts for nobody.
PERIOD = 0.5


class Load:
    """How many cores were free between the beginning and the end of a block.

    What this process and its children did is no load. Workers of Ray outlive their parent, and are adopted where the system can.
    """

    def __enter__(self):
        _adopt_orphans(True)
        self._before, self._first_work, self._is_over = _moment(), _work_of_children(), threading.Event()
        self._last_work = dict(self._first_work)
        self._watcher = threading.Thread(target=self._watch_children, daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        self._watcher.join()
        last = _work_of_children()
        self._last_work |= last
        self._earlier = sum(work for child, work in self._first_work.items() if child not in last)
        _wait_for_ended()
        self._after = _moment()
        _adopt_orphans(False)

    def _watch_children(self):
        while not self._is_over.wait(PERIOD):
            self._last_work |= _work_of_children()

    @property
    def cores(self):
        """Cores of the machine: int."""
        import psutil

        return psutil.cpu_count()

    @property
    def by_itself(self):
        """Seconds of work of this process and its children: float, the larger of what the system counted and of what was watched."""
        _, _, own, waited_for = (after - before for before, after in zip(self._before, self._after))
        watched = sum(self._last_work.values()) - sum(self._first_work.values())
        # What the system counts of a child that has ended is all that it ever did.
        return own + max(waited_for - self._earlier, watched)

    @property
    def free(self):
        """Cores that others left free on average: float."""
        wall, busy, *_ = (after - before for before, after in zip(self._before, self._after))
        return free_cores(self.cores, wall, busy, self.by_itself)


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


def _work_of_children():
    """Seconds that each living descendant of this process has worked: dict of process to float."""
    import psutil

    work = {}
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            work[child] = sum(child.cpu_times()[:2])
    return work


def _moment():
    """Seconds of the clock, and of work of all cores, of this process, and of its children that it waited for."""
    # The extra `bench` brings it; the tests of tables need none of this.
    import psutil

    machine, process = psutil.cpu_times(), psutil.Process().cpu_times()
    idle = machine.idle + sum(getattr(machine, name, 0) for name in ("iowait", "guest", "guest_nice"))
    return time.perf_counter(), sum(machine) - idle, sum(process[:2]), sum(process[2:4])
