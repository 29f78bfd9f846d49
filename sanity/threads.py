"""Threads: one function of several arguments side by side, each in one thread."""

from joblib import Parallel, cpu_count, delayed
from threadpoolctl import ThreadpoolController

from lab.environment import tf


def in_threads(function, arguments):
    """The results of a function that depends on its argument alone, computed in as many threads as TensorFlow has: as many
    as the process was limited to, or as there are cores.

    Libraries of linear algebra use one thread meanwhile: on few rows several wait for each other, and on a busy machine take many
    times their time.

    All of them end before an error is raised, and of several errors that of the first argument is.

    Args:
        function: argument -> result.
        arguments: iterable.

    Returns:
        list of results, in the order of the arguments.
    """
    controller, count = ThreadpoolController(), tf.config.threading.get_intra_op_parallelism_threads() or cpu_count()

    def limited(argument):
        # OpenMP has a limit for each thread.
        with controller.limit(limits=1):
            return _outcome(function, argument)

    with controller.limit(limits=1):
        outcomes = Parallel(n_jobs=count, prefer="threads")(delayed(limited)(argument) for argument in arguments)
    for _, error in outcomes:
        if error is not None:
            raise error
    return [result for result, _ in outcomes]


def _outcome(function, argument):
    """The result and None, or None and the error: the other threads end before it is raised, and give their limits back."""
    try:
        return function(argument), None
    except Exception as error:
        return None, error
