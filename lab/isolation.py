"""Isolation: a method is called, and network, inputs and process are restored afterwards, whatever it did."""

import contextlib
import copy
import os
import random
import signal
import sys
import threading
import warnings

import numpy as np

from lab.attribution import explainers
from lab.environment import keras, tf
from lab.estimates import estimate_of
from lab.refusal import describe

# The package of our own methods. The tests show that each is pure, so they are not watched.
_OWN = "lab.attribution."


class MethodFault(RuntimeError):
    """A method did what no explainer may: change the weights or its inputs, leave the process, or return what is not a map."""


def call_isolated(explainer, network, inputs, objective, options):
    """What an explainer returns; its network is compared and restored after the call, also after an exception.

    An external method gets copies of the inputs, and cannot change the state of the process (`preserve_process_state`).

    Args:
        explainer: a function `(network, inputs, objective, **options)`.
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        options: dict of the explainer's options.

    Returns:
        what the explainer returns, not checked; an `Estimate` of one that states errors (`lab.estimates.estimator`).

    Raises:
        MethodFault: where it changed the network or its inputs, or left by sys.exit or another BaseException. Its own
            exceptions are raised as they are.
    """
    ours = is_ours(explainer)
    passed = inputs if ours else tf.nest.map_structure(np.array, inputs)
    before = network.snapshot()
    try:
        with contextlib.nullcontext() if ours else preserve_process_state():
            maps = estimate_of(explainer)(network, passed, objective, **options)
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise MethodFault(
            f"A method returns maps. Received: {explainers.name(explainer)}, which {_describe_exit(error)}."
        ) from error
    finally:
        changed = network.restore(before)
    _refuse_changes(explainer, changed, inputs, passed)
    return maps


def is_ours(explainer):
    """Whether an explainer itself is one of the lab's, bool; an external one that wraps one has its module's name too."""
    registered = any(explainers.get(name) is explainer for name in explainers)
    return registered and explainer.__module__.startswith(_OWN)


def _describe_exit(error):
    return f"called sys.exit({error.code!r})" if isinstance(error, SystemExit) else f"raised {describe(error)}"


def _refuse_changes(explainer, changed, inputs, passed):
    pairs = zip(tf.nest.flatten(inputs), tf.nest.flatten(passed))
    wrote = passed is not inputs and not all(np.array_equal(one, other) for one, other in pairs)
    deeds = [f"changed {', '.join(changed[:4])} (put back)"] if changed else []
    deeds += ["wrote into its inputs"] if wrote else []
    if deeds:
        raise MethodFault(
            f"A method must not change the network or its inputs. Received: {explainers.name(explainer)}, which {' and '.join(deeds)}."
        )


class _SharedState:
    """The state that a process shares, saved when its first thread enters and restored when the last one leaves."""

    def __init__(self):
        self.lock, self.inside, self.saved = threading.Lock(), 0, None

    def enter(self):
        with self.lock:
            if not self.inside:
                self.saved = [(put, read()) for read, put in _SHARED]
                sys.stdout = sys.stderr = _UnclosableStream(sys.stderr)
            self.inside += 1

    def leave(self):
        with self.lock:
            self.inside -= 1
            if not self.inside:
                for put, value in self.saved:
                    put(value)


_shared_state = _SharedState()


@contextlib.contextmanager
def preserve_process_state():
    """While open, printed text goes to the error stream; afterwards the state of the process is as before.

    The state is streams, random states, working directory, environment, signal handlers, warnings, numpy's error state,
    and settings of Keras and TensorFlow.
    """
    _shared_state.enter()
    try:
        yield
    finally:
        _shared_state.leave()


class _UnclosableStream:
    """A stream that writes to another one and cannot be closed."""

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def close(self):
        """Leave the stream open."""


def _streams():
    return sys.stdout, sys.stderr


def _restore_streams(streams):
    sys.stdout, sys.stderr = streams


def _random_states():
    """Every global random state of the process: Python's, numpy's, TensorFlow's and Keras's."""
    attributes = keras.src.backend.common.global_state
    kept = {name: attributes.get_global_attribute(name) for name in _KERAS_SEEDS}
    # TensorFlow's public functions can set a seed, but cannot say that there is none.
    eager = {name: copy.copy(vars(_eager_context()).get(name, _ABSENT)) for name in _EAGER_SEEDS}
    return random.getstate(), np.random.get_state(), eager, kept


def _restore_random_states(states):
    python, numpy, eager, kept = states
    random.setstate(python)
    np.random.set_state(numpy)
    for name, value in eager.items():
        if value is not _ABSENT:
            setattr(_eager_context(), name, value)
        elif hasattr(_eager_context(), name):
            delattr(_eager_context(), name)
    for name, value in kept.items():
        keras.src.backend.common.global_state.set_global_attribute(name, value)


def _restore_environment(variables):
    if variables != dict(os.environ):
        os.environ.clear()
        os.environ.update(variables)


def _warnings():
    return warnings.showwarning, list(warnings.filters)


def _restore_warnings(state):
    warnings.showwarning, filters = state
    if filters != warnings.filters:
        # Only `resetwarnings` also makes Python drop what it cached of them.
        warnings.resetwarnings()
        warnings.filters[:] = filters


def _handlers():
    return {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}


def _restore_handlers(handlers):
    """Restore signal handlers, where this thread may set them and Python knows what they were."""
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def _restore_eagerness(eager):
    if tf.config.functions_run_eagerly() != eager:
        tf.config.run_functions_eagerly(eager)


# The state that a process shares: how it is read, and how it is restored.
_SHARED = (
    (_streams, _restore_streams),
    (_random_states, _restore_random_states),
    (os.getcwd, os.chdir),
    (lambda: dict(os.environ), _restore_environment),
    (lambda: list(sys.path), lambda paths: sys.path.__setitem__(slice(None), paths)),
    (_warnings, _restore_warnings),
    (_handlers, _restore_handlers),
    (np.geterr, lambda state: np.seterr(**state)),
    (keras.config.floatx, keras.config.set_floatx),
    (keras.config.image_data_format, keras.config.set_image_data_format),
    (keras.config.dtype_policy, keras.config.set_dtype_policy),
    (tf.config.functions_run_eagerly, _restore_eagerness),
)
_KERAS_SEEDS = ("global_random_seed", "global_seed_generator")
_EAGER_SEEDS = ("_seed", "_rng")
_ABSENT = type("Absent", (), {})


def _eager_context():
    from tensorflow.python.eager import context

    return context.context()
