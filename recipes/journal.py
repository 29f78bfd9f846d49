"""Journal: what happens in a run, line by line, in a file beside its folder, for whoever watches from another terminal.

It is no part of the run: it says when and where jobs were done, which differs between two runs of the same bytes.
"""

import contextlib
import json
import time

from recipes.events import Started


class Journal:
    """The file `root/<recipe>/.<digest>.journal`, begun anew whenever the run goes on.

    Args:
        store: `Store` of the run.
        total: int, number of jobs of the run.
        done: int, number of those that were done before.
    """

    def __init__(self, store, total, done):
        self.path = journal_path(store.path)
        with contextlib.suppress(OSError):
            self.path.write_text(_line({"total": total, "done": done}), encoding="utf-8", errors="backslashreplace")

    def write(self, event):
        """Add that a job has begun or ended. A full disk stops no job.

        Args:
            event: `Started` or `Finished`.
        """
        values = {"job": event.job.key, "process": event.process}
        if not isinstance(event, Started):
            values |= {"seconds": round(event.seconds, 3), "error": event.error}
        with contextlib.suppress(OSError), open(self.path, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(_line(values))


def journal_path(run_folder):
    """The journal of a run: Path.

    Args:
        run_folder: `pathlib.Path`.

    Returns:
        `pathlib.Path`.
    """
    return run_folder.with_name(f".{run_folder.name}.journal")


def _line(values):
    return json.dumps({"time": round(time.time(), 3), **values}, ensure_ascii=False) + "\n"
