"""Attempt: one job done and sealed, or why it was not. Every engine does its jobs through here."""

import contextlib
import traceback

from lab.refusal import describe
from recipes import signals
from recipes.inputs import Inputs
from recipes.jobs import work
from recipes.lock import Lost


def obstacle(job, store):
    """Why a job cannot be done: a job that it needs failed.

    Args:
        job: `Job`.
        store: `Store` of the run.

    Returns:
        str, or None where nothing stands in its way.
    """
    needs = () if job.gathers else (key for key in job.needs if key not in job.optional)
    missing = [key for key in needs if not store.is_done(key)]
    return f"waits for {missing[0]}, which failed" if missing else None


def attempt(job, session, store):
    """Do one job and seal its files. The traceback of a failure is written beside the run.

    Args:
        job: `Job`.
        session: `Session`.
        store: `Store` of the run.

    Returns:
        the error in one line if it fails, or None.
    """
    try:
        outcome = work(job, Inputs(store, job), session)
        signals.stop_if_arrived()
        store.put(job.key, outcome.files, fault=outcome.fault, needs=job.needs, identity=job.identity)
    except Lost:
        # Another process does these jobs now.
        raise
    except Exception as error:
        signals.stop_if_arrived()
        # One job's failure must not stop the others. It is reported, its traceback is kept, and the exit code is 3. On a full disk
        # the traceback finds no room either, and only the reported line remains.
        _keep_trace(job, store, traceback.format_exc())
        return describe(error)
    _keep_trace(job, store, outcome.trace)
    return outcome.fault


def trace_path(job, store):
    """Where the traceback of a job that failed lies.

    Args:
        job: `Job`.
        store: `Store` of the run.

    Returns:
        path.
    """
    return store.path / f"failed-{job.key.replace('/', '+')}.txt"


def _keep_trace(job, store, trace):
    path = trace_path(job, store)
    if trace is None:
        path.unlink(missing_ok=True)
        return
    with contextlib.suppress(OSError):
        store.write(path.name, trace.encode("utf-8", "backslashreplace"))
