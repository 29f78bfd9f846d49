"""Isolation: a method is called, and network, inputs and process are afterwards what they were before, whatever it did."""

import contextlib
import copy
import os
import random
import sys

import numpy as np

from lab.attribution import explainers
from lab.environment import keras, tf

# Where our own families live: they are pure, which the tests prove for each, and are not watched for what they cannot do.
_OWN = "lab.attribution."


class MethodFault(RuntimeError):
    """A method did what no explainer may: it changed the weights or its inputs, left the process, or gave what is no map."""


def isolated(explainer, network, inputs, objective, options):
    """What an explainer returns, its network compared and put back after the call, on an exception too.

    A method from elsewhere is given copies of the inputs; random states, working directory and standard output are kept from it.
    Raises MethodFault where it changed the weights or its inputs, or called sys.exit; and whatever it raises itself.
    """
    own = getattr(explainer, "__module__", "").startswith(_OWN)
    before, passed = network.snapshot(), inputs if own else tf.nest.map_structure(np.array, inputs)
    try:
        with contextlib.nullcontext() if own else process_kept():
            maps = explainer(network, passed, objective, **options)
    except SystemExit as error:
        raise MethodFault(
            f"A method returns maps. Received: {explainers.name(explainer)}, which called sys.exit({error.code!r})."
        ) from error
    finally:
        changed = network.restore(before)
    _refuse_changes(explainer, changed, inputs, passed)
    return maps


def _refuse_changes(explainer, changed, inputs, passed):
    pairs = zip(tf.nest.flatten(inputs), tf.nest.flatten(passed))
    wrote = passed is not inputs and not all(np.array_equal(one, other) for one, other in pairs)
    deeds = [f"changed {', '.join(changed[:4])} (put back)"] if changed else []
    deeds += ["wrote into its inputs"] if wrote else []
    if deeds:
        raise MethodFault(
            f"A method leaves network and inputs as they were. Received: {explainers.name(explainer)}, which {' and '.join(deeds)}."
        )


@contextlib.contextmanager
def process_kept():
    """While open, what is printed goes to the error stream; afterwards random states and working directory are as before."""
    states, folder = _random_states(), os.getcwd()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _put_back(states)
        os.chdir(folder)


def _random_states():
    """Every global random state of the process: Python's, numpy's, TensorFlow's and Keras's."""
    attributes = keras.src.backend.common.global_state
    kept = {name: attributes.get_global_attribute(name) for name in _KERAS_SEEDS}
    # TensorFlow's public functions only set a seed: that there was none before can be said in no other way.
    eager = {name: copy.copy(vars(_eager()).get(name, _ABSENT)) for name in _EAGER_SEEDS}
    return random.getstate(), np.random.get_state(), eager, kept


def _put_back(states):
    python, numpy, eager, kept = states
    random.setstate(python)
    np.random.set_state(numpy)
    for name, value in eager.items():
        if value is not _ABSENT:
            setattr(_eager(), name, value)
        elif hasattr(_eager(), name):
            delattr(_eager(), name)
    for name, value in kept.items():
        keras.src.backend.common.global_state.set_global_attribute(name, value)


_KERAS_SEEDS = ("global_random_seed", "global_seed_generator")
_EAGER_SEEDS = ("_seed", "_rng")
_ABSENT = type("Absent", (), {})


def _eager():
    from tensorflow.python.eager import context

    return context.context()
