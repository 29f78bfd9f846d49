"""Times: when and where the jobs of a run were done, the one file of a run that may differ between two of the same bytes."""

import json
import os
import time

from recipes import machine
from recipes.store import encode

NAME = "timings.json"


def keep_times(store, ended, engine):
    """Add what an engine has done to timings.json.

    It holds when the run ended, the seconds of each job, which process of which machine made it (host:process), and under
    `machines` the processor of this machine, the engine and its number of workers.

    Args:
        store: `Store` of the run.
        ended: list of `Finished`.
        engine: what did the jobs.
    """
    host, before = os.uname().nodename, load_times(store.path / NAME)
    seconds = {event.job.key: round(event.seconds, 3) for event in ended}
    workers = {event.job.key: _name_worker(event.process, host) for event in ended}
    facts = {"processor": machine.processor(), "engine": type(engine).__name__.lower(), "workers": engine.workers}
    times = {
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "host": host,
        "seconds": {**before.get("seconds", {}), **seconds},
        "workers": {**before.get("workers", {}), **workers},
        "machines": {**before.get("machines", {}), host: facts},
    }
    store.write(NAME, encode({**before, **times}))


def _name_worker(process, host):
    return process if isinstance(process, str) else f"{host}:{process}"


def load_times(path):
    """The times of the last run.

    Args:
        path: `pathlib.Path` of timings.json.

    Returns:
        dict, empty where there was none or its file is damaged.
    """
    try:
        times = json.loads(path.read_text(encoding="utf-8"))
        tables = {name: dict(times.get(name, {})) for name in ("workers", "machines")}
        return {**times, "seconds": dict(times["seconds"]), **tables}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
