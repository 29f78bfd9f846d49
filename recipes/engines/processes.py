"""Processes: the engine of several processes of this machine, each with a model of its own.

A process keeps its model and what it has compiled from job to job, and is given jobs of one kind where it can be. One that
is killed is replaced, and its job is done again.
"""

import collections
import graphlib
import multiprocessing
import multiprocessing.connection
import os
import time
import warnings

from recipes.engines.attempt import obstacle
from recipes.engines.worker import Orders, work_off
from recipes.events import Finished, Started

# How often a job is begun before it counts as failed because its process was killed.
TRIES = 3


class Processes:
    """Does jobs in several processes at once.

    Args:
        workers: int, number of processes.
    """

    def __init__(self, workers):
        self.workers = workers

    def carry_out(self, jobs, session, store):
        """Do jobs, each as soon as those that it needs are done.

        Args:
            jobs: list of `Job`.
            session: `Session`.
            store: `Store` of the run.

        Returns:
            iterator of `Started` and `Finished`.
        """
        orders = Orders.of(session, store, threads_of(session.recipe, self.workers))
        workers, waiting = [_Worker(orders) for _ in range(min(self.workers, len(jobs)))], _Waiting(jobs, store)
        try:
            while True:
                for worker in workers:
                    yield from _hand_out(worker, workers, waiting, store)
                if waiting.is_over:
                    return
                for worker in _wait(workers):
                    yield from _take_message(worker, waiting)
        finally:
            for worker in workers:
                worker.end()


def threads_of(recipe, workers):
    """How many threads each process has: as the recipe says, else this machine's cores divided among them.

    Args:
        recipe: `Recipe`.
        workers: int, number of processes.

    Returns:
        int.
    """
    return recipe.threads or max(1, (os.cpu_count() or 1) // workers)


def _hand_out(worker, workers, waiting, store):
    """Give an idle process the next job. Jobs whose needs failed end here."""
    while worker.is_ready and worker.job is None:
        job = waiting.next(worker.family, {other.family for other in workers})
        if job is None:
            return
        error = obstacle(job, store)
        if error:
            waiting.end(job)
            yield Started(job, os.getpid())
            yield Finished(job, os.getpid(), 0.0, error)
        else:
            worker.begin(job)
            yield Started(job, worker.process.pid)


def _wait(workers):
    """The processes that have become ready, have a result, or have ended: list of `_Worker`."""
    busy = {worker.connection: worker for worker in workers if worker.job or not worker.is_ready}
    return [busy[connection] for connection in multiprocessing.connection.wait(list(busy))]


def _take_message(worker, waiting):
    """The event that a process's job has ended; none where it became ready, or was killed and its job waits again."""
    job, process, seconds = worker.job, worker.process.pid, time.perf_counter() - worker.start
    try:
        error, messages = worker.connection.recv()
    except (EOFError, ConnectionResetError):
        error, messages = worker.replace(), ()
        if job is None or waiting.again(job):
            return
    if job is None:
        worker.is_ready = True
        return
    worker.job = None
    waiting.end(job)
    for message in waiting.new_messages(messages):
        warnings.warn(message, stacklevel=2)
    yield Finished(job, process, seconds, error)


class _Waiting:
    """The jobs that were not begun yet.

    Args:
        jobs: list of `Job`.
        store: `Store` of the run.
    """

    def __init__(self, jobs, store):
        self.jobs, self.store = {job.key: job for job in jobs}, store
        self.sorter = graphlib.TopologicalSorter(
            {key: [need for need in job.needs if need in self.jobs] for key, job in self.jobs.items()}
        )
        self.sorter.prepare()
        self.ready, self.tries, self.messages = {}, {}, set()

    @property
    def is_over(self):
        """Whether all jobs have ended: bool."""
        return not self.sorter.is_active()

    def next(self, family, families):
        """The job to do next, taken from the list.

        Args:
            family: of the process's last job, or None.
            families: set of the families of the last jobs of all processes.

        Returns:
            `Job`: of the process's own family where there is any, else of one that no other process has; or None while
            all of them wait for others.
        """
        while True:
            for key in self.sorter.get_ready():
                self._put(self.jobs[key])
            if not self.ready:
                return None
            job = self._take(family if family in self.ready else _unshared(self.ready, families))
            if not self.store.is_done(job.key):
                return job
            # The jobs that it needs were done again, with the same result.
            self.sorter.done(job.key)

    def _put(self, job):
        self.ready.setdefault(job.family, collections.deque()).append(job)

    def _take(self, family):
        job = self.ready[family].popleft()
        if not self.ready[family]:
            del self.ready[family]
        return job

    def end(self, job):
        """Note that a job has ended, so that those that need it can begin."""
        self.sorter.done(job.key)

    def again(self, job):
        """Put a job whose process was killed back, unless that happened too often: bool, whether it was."""
        self.tries[job.key] = self.tries.get(job.key, 0) + 1
        if self.tries[job.key] >= TRIES:
            return False
        self._put(job)
        return True

    def new_messages(self, messages):
        """Those of some messages that no process sent before: list of str."""
        new = [message for message in messages if message not in self.messages]
        self.messages.update(new)
        return new


def _unshared(ready, families):
    """The first family of which there are jobs and no process, else the first one: str."""
    return next((family for family in ready if family not in families), next(iter(ready)))


class _Worker:
    """One process, and the job that it does.

    Args:
        orders: `Orders`.
    """

    def __init__(self, orders):
        self.orders, self.job, self.family, self.start = orders, None, None, 0.0
        self.launches = 0
        self._launch()

    def _launch(self):
        # A fresh interpreter: a copy of this one would hold locks of TensorFlow's threads, which it does not copy.
        spawn = multiprocessing.get_context("spawn")
        self.connection, other_end = spawn.Pipe()
        self.process = spawn.Process(target=work_off, args=(other_end, self.orders), daemon=True)
        self.process.start()
        other_end.close()
        self.is_ready = False

    def begin(self, job):
        """Have the process do a job."""
        self.job, self.family, self.start = job, job.family, time.perf_counter()
        try:
            self.connection.send(job)
        except OSError:
            # It ended while it was idle. Waiting for its result finds that out.
            return

    def replace(self):
        """Start another process in the place of one that ended: str, how that one ended.

        Raises:
            RuntimeError: where it ended before its first job, and so did those before it.
        """
        self.process.join()
        code = self.process.exitcode
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        self.launches = 0 if self.is_ready else self.launches + 1
        if self.launches == TRIES:
            raise RuntimeError(f"a process of --workers {how} before its first job, {TRIES} times")
        self.connection.close()
        self.job = None
        self._launch()
        return f"its process {how}, {TRIES} times"

    def end(self):
        """End the process, whatever it does."""
        self.connection.close()
        self.process.terminate()
        self.process.join()
