"""Threads: one function of several arguments side by side, each in one thread."""

import contextlib
from concurrent.futures import ThreadPoolExecutor, wait

from joblib import cpu_count
from threadpoolctl import ThreadpoolController

from lab.environment import tf


def in_threads(function, arguments, *, limited=True):
    """The results of a function that depends on its argument alone, computed in as many threads as TensorFlow has: as many
    as the process was limited to, or as there are cores.

    All of them end before an error is raised, and of several errors that of the first argument is.

    Args:
        function: argument -> result.
        arguments: iterable.
        limited: whether libraries of linear algebra use one thread meanwhile: on few rows several wait for each other, and on a
            busy machine take many times their time. False: for functions that call none, since to find them takes milliseconds.

    Returns:
        list of results, in the order of the arguments.
    """
    count = tf.config.threading.get_intra_op_parallelism_threads() or cpu_count()
    controller = ThreadpoolController() if limited else None

    def limit():
        return controller.limit(limits=1) if limited else contextlib.nullcontext()

    with limit():
        # OpenMP has a limit for each thread, which ends with it.
        pool = ThreadPoolExecutor(count, initializer=limit)
        try:
            futures = [pool.submit(function, argument) for argument in arguments]
            wait(futures)
        finally:
            # Where the user interrupts, what has not begun does not begin.
            pool.shutdown(cancel_futures=True)
    return [future.result() for future in futures]
