"""Worker: what a process that does jobs needs: the session of a run, opened anew, and the jobs that it is sent."""

import gc
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import warnings
from dataclasses import dataclass

from lab.environment import limit_threads, tf
from lab.refusal import Refused
from recipes.engines.attempt import attempt
from recipes.identity import hashes
from recipes.session import Session
from recipes.sources import Sources
from recipes.store import Store

# Kinds of warnings that one process would print, too.
FOR_USERS = (UserWarning, RuntimeWarning)


@dataclass(frozen=True)
class Orders:
    """What a process needs to know before its first job, as plain values.

    Args:
        sources: dict, as of `Sources.as_values`.
        folder: str, where paths of the sources begin.
        root: str, absolute path or address, folder of all runs.
        run: list of str, name of the recipe and digest of the run.
        hashes: dict of name to str, what the jobs read, see `Session.hash_of`.
        allow_code: bool, whether model files may run Python code of their own.
        threads: int, number of threads.
        deterministic: bool, whether a GPU computes bit-equal results.
    """

    sources: dict
    folder: str
    root: str
    run: list
    hashes: dict
    allow_code: bool
    threads: int
    deterministic: bool = False

    @classmethod
    def of(cls, jobs, session, store, threads, deterministic=False):
        """The orders for the processes of a run.

        Args:
            jobs: list of `Job`, those that are done.
            session: `Session`.
            store: `Store` of the run.
            threads: int, number of threads of each process.
            deterministic: bool, whether a GPU computes bit-equal results.

        Returns:
            `Orders`.
        """
        root, run = str(store.path.parent.parent.resolve()), [store.path.parent.name, store.path.name]
        return cls(
            session.sources.as_values(),
            os.getcwd(),
            root,
            run,
            hashes(jobs, session),
            session.allow_code,
            threads,
            deterministic,
        )


def work_off(connection, orders):
    """Do the jobs that a connection brings until it closes.

    Args:
        connection: `multiprocessing.connection.Connection`. It brings `Job`s, and takes an error or None and a list of
            warnings, once before the first job and then after each.
        orders: `Orders`.
    """
    _settle()
    gc.freeze()
    try:
        session, store = open_session(orders)
    except Refused as refusal:
        connection.send((str(refusal), []))
        return
    # Ready for the first job.
    connection.send((None, []))
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        connection.send(attempt_with_warnings(job, session, store))


def open_session(orders):
    """The session and the store of a run, in a process of its own.

    Args:
        orders: `Orders`.

    Returns:
        (`Session`, `Store`).

    Raises:
        Refused: where something that the jobs read is other than when the run began: model, images, code or versions.
    """
    os.chdir(orders.folder)
    limit_threads(orders.threads)
    if orders.deterministic:
        tf.config.experimental.enable_op_determinism()
    sources = Sources.from_values(orders.sources)
    session = Session(sources, orders.root, allow_code=orders.allow_code, threads=orders.threads)
    # The network is loaded here, before any other: Keras counts the names of layers over a process.
    _refuse_changes(orders.hashes, {name: session.hash_of(name) for name in orders.hashes})
    return session, Store(orders.root, *orders.run)


def _refuse_changes(before, now):
    """Raise Refused where something that the jobs read is other than when the run began."""
    changed = [name for name in before if before[name] != now[name]]
    if changed:
        raise Refused(
            f"A run needs what it began with until its end. Received: another {', '.join(changed)}. Give the command again."
        )


def attempt_with_warnings(job, session, store):
    """Do one job, and keep what it warns of.

    Args:
        job: `Job`.
        session: `Session`.
        store: `Store` of the run.

    Returns:
        (error in one line or None, list of str).
    """
    with warnings.catch_warnings(record=True) as caught:
        for category in FOR_USERS:
            warnings.simplefilter("always", category)
        error = attempt(job, session, store)
    return error, [str(warning.message) for warning in caught if _is_for_users(warning)]


def _is_for_users(warning):
    return issubclass(warning.category, FOR_USERS)


def _settle():
    """Leave Ctrl-C to the parent and end with it; what a library prints goes to the error stream."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
