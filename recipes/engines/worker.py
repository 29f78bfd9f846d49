"""Worker: what a process that does jobs needs: the session of a run, opened anew, and the jobs that it is sent."""

import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import warnings
from dataclasses import dataclass

from lab.environment import limit_threads, tf
from lab.refusal import Refused
from recipes import schema
from recipes.engines.attempt import attempt
from recipes.manifest import describe_run
from recipes.session import Session
from recipes.store import Store

# Kinds of warnings that one process would print, too.
FOR_USERS = (UserWarning, RuntimeWarning)


@dataclass(frozen=True)
class Orders:
    """What a process needs to know before its first job, as plain values.

    Args:
        recipe: dict, the recipe's own keys.
        folder: str, where paths of the recipe begin.
        root: str, absolute, folder of all runs.
        digest: str, of the run.
        allow_code: bool, whether model files may run Python code of their own.
        threads: int, number of threads.
        deterministic: bool, whether a GPU computes bit-equal results.
    """

    recipe: dict
    folder: str
    root: str
    digest: str
    allow_code: bool
    threads: int
    deterministic: bool = False

    @classmethod
    def of(cls, session, store, threads, deterministic=False):
        """The orders for the processes of a run.

        Args:
            session: `Session`.
            store: `Store` of the run.
            threads: int, number of threads of each process.
            deterministic: bool, whether a GPU computes bit-equal results.

        Returns:
            `Orders`.
        """
        recipe, root = session.recipe.model_dump(exclude_unset=True), store.path.parent.parent.resolve()
        return cls(recipe, os.getcwd(), str(root), store.path.name, session.allow_code, threads, deterministic)


def work_off(connection, orders):
    """Do the jobs that a connection brings until it closes.

    Args:
        connection: `multiprocessing.connection.Connection`. It brings `Job`s, and takes an error or None and a list of
            warnings, once before the first job and then after each.
        orders: `Orders`.
    """
    _settle()
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
        Refused: where what decides the run is other than when it began: model, images, code or versions.
    """
    os.chdir(orders.folder)
    limit_threads(orders.threads)
    if orders.deterministic:
        tf.config.experimental.enable_op_determinism()
    recipe = schema.recipe(orders.recipe)
    session = Session(recipe, orders.root, allow_code=orders.allow_code, threads=orders.threads)
    # The network is loaded here, before any other: Keras counts the names of layers over a process.
    _refuse_changes(describe_run(recipe, session), orders)
    return session, Store(orders.root, recipe.name, orders.digest)


def _refuse_changes(manifest, orders):
    if manifest["digest"] == orders.digest:
        return
    before = json.loads(
        (Store(orders.root, manifest["recipe"]["name"], orders.digest).path / "manifest.json").read_text("utf-8")
    )
    changed = [
        name
        for part in ("hashes", "code", "versions")
        for name in sorted({*before[part], *manifest[part]})
        if before[part].get(name) != manifest[part].get(name)
    ]
    raise Refused(
        f"A run needs what it began with until its end. Received: another {', '.join(changed) or 'recipe'}. Give the command again."
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
