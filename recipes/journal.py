"""Journal: what happens in a run, line by line, in a file beside its folder, for whoever watches from another terminal.

It is no part of the run: it says when and where jobs were done, which differs between two runs of the same bytes.
"""

import contextlib
import json
import time

from lab.remote import is_remote
from recipes.events import Started

# Seconds between two writings of a journal at a remote address, where nothing can be added to a file; and how much of the time
# they may take.
PAUSE, SHARE = 1.0, 0.05


class Journal:
    """The file `root/<recipe>/.<digest>.journal`, begun anew whenever the run goes on.

    Args:
        store: `Store` of the run.
        total: int, number of jobs of the run.
        done: int, number of those that were done before.
    """

    def __init__(self, store, total, done):
        self.path, first = journal_path(store.path), _line({"total": total, "done": done})
        self._lines, self._due = [first], 0.0
        if is_remote(self.path):
            store.closing.callback(self._write_whole)
            self._write_whole()
            return
        with contextlib.suppress(OSError):
            self.path.write_bytes(first)

    def write(self, event):
        """Add that a job has begun or ended. A full disk stops no job.

        Args:
            event: `Started` or `Finished`.
        """
        values = {"job": event.job.key, "process": event.process}
        if not isinstance(event, Started):
            values |= {"seconds": round(event.seconds, 3), "error": event.error}
        if is_remote(self.path):
            self._lines.append(_line(values))
            if time.monotonic() > self._due:
                self._write_whole()
            return
        with contextlib.suppress(OSError), open(self.path, "ab") as file:
            file.write(_line(values))

    def _write_whole(self):
        """Write all lines to a remote address."""
        start = time.monotonic()
        with contextlib.suppress(OSError):
            self.path.write_bytes(b"".join(self._lines))
        end = time.monotonic()
        self._due = end + max(PAUSE, (end - start) / SHARE)


def journal_path(run_folder):
    """The journal of a run, beside the run's folder: path."""
    return run_folder.with_name(f".{run_folder.name}.journal")


def _line(values):
    text = json.dumps({"time": round(time.time(), 3), **values}, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")
