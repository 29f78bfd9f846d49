"""Follow: what is running where in a run, read from its journal while another process writes it."""

import fcntl
import json
import time

from lab.refusal import Refused
from lab.remote import is_remote
from recipes.journal import journal_path
from recipes.lock import Watch, lock_path

# Seconds between two looks at the journal.
PAUSE = 0.5


def follow(run_folder, say, pause=PAUSE):
    """Say what happens in a run until its jobs are done, or until nobody works on it any more.

    Args:
        run_folder: path.
        say: function of a line of text.
        pause: float, seconds between two looks.

    Raises:
        Refused: for a run that no process has worked on since it could be followed.
    """
    path = journal_path(run_folder)
    if not path.is_file():
        raise Refused(f"A run can be followed once it has begun. Received: {run_folder}, which has no journal.")
    watch = Watch(lock_path(run_folder)) if is_remote(run_folder) else None
    state, read, begun = _State(), 0, False
    while True:
        alive = watch.is_held() if watch else _is_held(run_folder)
        lines = _whole_lines(path)
        if read > len(lines):
            # The run was given again, and its journal begun anew.
            state, read = _State(), 0
        for line in lines[read:]:
            text = state.take(json.loads(line))
            if begun or not alive:
                say(text)
        if not begun:
            say(state.summary())
        read, begun = len(lines), True
        if not alive:
            say(f"{run_folder}: nobody works on it; {state.done} of {state.total} jobs were done")
            return
        time.sleep(pause)


def _whole_lines(path):
    """The lines of a journal, without one that is still being written: list of str. A journal may be removed meanwhile."""
    try:
        return path.read_text(encoding="utf-8").split("\n")[:-1]
    except FileNotFoundError:
        return []


def _is_held(run_folder):
    """Whether a process writes to a run: bool. The lock is shared for an instant, and neither made nor taken."""
    try:
        with open(lock_path(run_folder), "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


class _State:
    """What the lines of a journal add up to."""

    def __init__(self):
        self.total, self.done, self.running = 0, 0, {}

    def take(self, values):
        """Add a line of the journal: str, what it says."""
        if "total" in values:
            self.total, self.done = values["total"], values["done"]
            return f"{self.done} of {self.total} jobs were done before"
        job, process = values["job"], values["process"]
        if "seconds" not in values:
            self.running[job] = process, values["time"]
            return f"begun   {job}  in process {process}"
        self.running.pop(job, None)
        if values["error"]:
            return f"failed  {job}: {values['error']}"
        self.done += 1
        return f"done    {job}  {values['seconds']:.1f} s  ({self.done} of {self.total})"

    def summary(self):
        """How many jobs are done, and what is running where: str."""
        running = [
            f"{job} in process {process} for {max(0.0, time.time() - start):.0f} s"
            for job, (process, start) in self.running.items()
        ]
        return f"{self.done} of {self.total} jobs are done" + (f"; running: {', '.join(running)}" if running else "")
