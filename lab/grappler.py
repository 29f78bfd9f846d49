"""Grappler, TensorFlow's optimizer of graphs: it is left out where it takes longer than it saves.

The lab's graphs have their batch normalization folded in and hold only what is read, which leaves it little to do.
"""

import contextlib
import copy
import functools

from lab.environment import context, on_gpu, tf


def unoptimized(function):
    """A compiled function whose graph runs as it was traced. On a GPU, where the layout of images matters, it is optimized.

    Args:
        function: a `tf.function`, or what calls one.

    Returns:
        a callable of the same arguments.
    """

    def call(*arguments):
        with contextlib.nullcontext() if on_gpu() else _without_grappler():
            return function(*arguments)

    return call


@contextlib.contextmanager
def _without_grappler():
    """Functions that this thread calls are not optimized. TensorFlow reads the options of the thread at every call."""
    options = context.context().function_call_options
    unoptimized_options = _without_optimizer(options.config_proto_serialized, options.executor_type)
    # A copy, since TensorFlow's own context managers write into the options of the thread.
    context.context().function_call_options = copy.copy(unoptimized_options)
    try:
        yield
    finally:
        context.context().function_call_options = options


@functools.cache
def _without_optimizer(serialized, executor_type):
    config = tf.compat.v1.ConfigProto.FromString(serialized)
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    return context.FunctionCallOptions(executor_type, config)
