"""Processes: the engine of several processes of this machine, each with a model of its own.

A process keeps its model and what it has compiled from job to job, and is given jobs of one kind where it can be. One that
is killed is replaced, and its job is done again.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
import warnings

from lab.refusal import Refused
from recipes import machine
from recipes.engines.attempt import obstacle
from recipes.engines.waiting import TRIES, Waiting
from recipes.engines.worker import Orders, work_off
from recipes.events import Finished, Started

# GiB that a process takes before it computes, TensorFlow and a small model included.
PROCESS = 0.8
# Seconds that a process has to end before it is killed.
PATIENCE = 5.0


class Processes:
    """Does jobs in several processes at once.

    Args:
        workers: int, number of processes.
        deterministic: bool, whether a GPU computes bit-equal results.

    Raises:
        Refused: in a process that another one has started.
    """

    def __init__(self, workers, deterministic=False):
        if multiprocessing.parent_process() is not None:
            raise Refused(
                'Processes are started by the first one. Received: a process that another one started, perhaps by reading its script again. Put what the script does under: if __name__ == "__main__":'
            )
        self.workers, self.deterministic = workers, deterministic

    def carry_out(self, jobs, session, store):
        """Do jobs, each as soon as those that it needs are done.

        Args:
            jobs: list of `Job`.
            session: `Session`.
            store: `Store` of the run.

        Returns:
            iterator of `Started` and `Finished`.
        """
        orders = Orders.of(jobs, session, store, threads_of(session.sources, self.workers), self.deterministic)
        count, waiting = min(self.workers, len(jobs)), Waiting(jobs, store)
        warn_of_memory(count, session.sources.model.memory_gib)
        workers = [_Worker(orders) for _ in range(count)]
        try:
            while True:
                store.check_lock()
                for worker in workers:
                    yield from _hand_out(worker, workers, waiting, store)
                if waiting.is_over:
                    return
                for worker in _wait(workers):
                    yield from _take_message(worker, waiting)
        finally:
            _end(workers)


def threads_of(sources, workers):
    """How many threads each process has: as the recipe says, else twice its share of this machine's cores.

    With its share alone, cores would be idle while a process reads, traces or writes, and while a last job is done alone. Two
    processes have the threads that one has, so that they give its bytes.

    Args:
        sources: `recipes.sources.Sources`.
        workers: int, number of processes.

    Returns:
        int.
    """
    cores = machine.cores()
    return sources.threads or min(cores, 2 * max(1, cores // workers))


def warn_of_memory(workers, budget):
    """Warn where processes may need more memory than the machine has.

    Args:
        workers: int, number of processes.
        budget: float, GiB that each may use for its computations.
    """
    has, needs = machine.memory(), workers * (PROCESS + budget)
    if needs > has:
        warnings.warn(
            f"{workers} processes may need {needs:.0f} GiB, of {has:.0f} GiB here: fewer --workers, or a smaller model.memory_gib, need less",
            stacklevel=2,
        )


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
    busy = [worker for worker in workers if worker.job or not worker.is_ready]
    # A process that a job has started may keep the connection open after the worker has ended.
    signs = {sign: worker for worker in busy for sign in (worker.connection, worker.process.sentinel)}
    return list(dict.fromkeys(signs[sign] for sign in multiprocessing.connection.wait(list(signs))))


def _take_message(worker, waiting):
    """The event that a process's job has ended; none where it became ready, or was killed and its job waits again."""
    job, process, seconds = worker.job, worker.process.pid, time.perf_counter() - worker.start
    try:
        error, messages = worker.receive()
    except (EOFError, OSError):
        error, messages = worker.replace(), ()
        if job is None or waiting.again(job):
            return
    if job is None:
        if error:
            raise Refused(error)
        worker.is_ready = True
        return
    worker.job = None
    waiting.end(job)
    for message in messages:
        # Several processes say the same. Python shows a warning of one text and place once.
        warnings.warn(message, stacklevel=2)
    yield Finished(job, process, seconds, error)


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
        self.process = spawn.Process(target=work_off, args=(other_end, self.orders))
        with _ignore_interrupts():
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

    def receive(self):
        """The process's message. Raises EOFError where it has ended without one."""
        if not self.connection.poll():
            raise EOFError
        return self.connection.recv()

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


def _end(workers):
    """End processes, whatever they do; one that was stopped or does not listen is killed."""
    for worker in workers:
        worker.connection.close()
        worker.process.terminate()
    for worker in workers:
        worker.process.join(PATIENCE)
        worker.process.kill()
        worker.process.join()


@contextlib.contextmanager
def _ignore_interrupts():
    """While open, Ctrl-C does nothing, and processes that are started inherit that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
