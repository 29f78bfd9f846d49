"""Threads: one function of several arguments side by side, each in one thread."""

from joblib import Parallel, delayed
from threadpoolctl import ThreadpoolController


def in_threads(function, arguments):
    """The results of a function that depends on its argument alone, computed in as many threads as there are cores.

    Libraries of linear algebra use one thread meanwhile: on few rows several wait for each other, and on a busy machine take many
    times their time.

    Args:
        function: argument -> result.
        arguments: iterable.

    Returns:
        list of results, in the order of the arguments.
    """
    controller = ThreadpoolController()

    def limited(argument):
        # OpenMP has a limit for each thread.
        with controller.limit(limits=1):
            return function(argument)

    with controller.limit(limits=1):
        return Parallel(n_jobs=-1, prefer="threads")(delayed(limited)(argument) for argument in arguments)
