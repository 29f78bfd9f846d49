"""Snapshot: a network at one moment, held by reference, so that changes are found and undone.

A buffer that was not written to has its old address in memory, and is not read. Only others are compared.
"""

import ctypes
import functools
import inspect
from dataclasses import dataclass, field

import numpy as np

from lab.environment import keras, tf

_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]

# Attributes of any layer that decide what it computes or learns; they are written to `__dict__`, without Keras's setters.
_ATTRIBUTES = ("activation", "call", "_trainable", "_dtype_policy")
# Counters of a network, which change with every call.
_COUNTED = ("traces",)
_ABSENT = object()
_VARIABLES = (keras.Variable, tf.Variable)
_PLAIN = (bool, int, float, str, bytes)
_SCALARS = (*_PLAIN, np.generic)
# Items of a list that is compared item by item: a vocabulary is not.
_LONG = 64
# What any layer or model has, and what training writes: nothing that a call at inference depends on, but for the dtypes.
_KEPT_BY_KERAS = frozenset({*vars(keras.layers.Layer()), *vars(keras.Model()), *vars(keras.Sequential())})
_KEPT_BY_KERAS -= {"_dtype_policy", "_functional", "autocast"}
_KEPT_BY_KERAS |= {
    "optimizer",
    "history",
    "stop_training",
    "stop_predicting",
    "_compile_config",
    "_eval_epoch_iterator",
}
_KEPT_BY_KERAS |= {"_compiled_trainable_state", "_self_update_uid"}


@dataclass(frozen=True)
class Snapshot:
    """A network at one moment.

    Args:
        values: dict of name to (variable, tensor).
        attributes: dict of (path, attribute) to (layer or network, value).
        trainable: dict of name to whether a variable is trained.
        compiled: the keys of the compiled routines.
        transient: names of variables that any call of a model changes, seeds and recurrent states. They are put back,
            and do not count as changes.
    """

    values: dict
    attributes: dict
    trainable: dict
    compiled: frozenset
    transient: frozenset


def take(network, variables):
    """The snapshot of a network.

    Args:
        network: a `Network`.
        variables: the variables of its layers, as of `held_variables`.

    Returns:
        `Snapshot`.
    """
    every_variable = variables | _training_variables(network.model)
    before = {name: (variable, _value(variable)) for name, variable in every_variable.items()}
    attributes = {
        (path, name): (layer, layer.__dict__.get(name, _ABSENT))
        for path, layer in network.tree.items()
        for name in (*_ATTRIBUTES, *(name for name in _constructor_arguments(type(layer)) if name in layer.__dict__))
    }
    attributes |= {
        ("network", name): (network, network.__dict__.get(name, _ABSENT)) for name in _network_attributes(network)
    }
    trainable = {
        name: variable.trainable for name, variable in every_variable.items() if isinstance(variable, keras.Variable)
    }
    return Snapshot(
        before, attributes, trainable, frozenset(network.compiled), _transient_names(network.tree, every_variable)
    )


@functools.cache
def _constructor_arguments(kind):
    """The names of the arguments of a layer's class and its base classes: tuple of str.

    Under these names a layer keeps how it computes (an epsilon, a slope, a stride). Other attributes are its own notes.
    """
    makers = [vars(base)["__init__"] for base in kind.__mro__ if inspect.isfunction(vars(base).get("__init__"))]
    return tuple(sorted({name for maker in makers for name in inspect.signature(maker).parameters} - {"self"}))


def _network_attributes(network):
    """The attributes and methods of a network, any of which may be replaced later."""
    methods = {name for name, attribute in vars(type(network)).items() if inspect.isfunction(attribute)}
    return {*vars(network), *methods} - {*_COUNTED}


@dataclass(frozen=True)
class Wiring:
    """What a trace of layers depends on besides the values of their variables.

    Args:
        facts: tuple of ((path, attribute), value): plain values with their type, other objects by their id.
        held: tuple of these objects, so that no other object can get their ids.
    """

    facts: tuple
    held: tuple = field(compare=False)


def wiring(layers, notes=frozenset()):
    """The wiring of layers, whose attributes count, public or not: plain values, lists of them, functions and variables.

    Of another object, and of a long list or array, it counts which one it is, and not what was changed inside it.

    Args:
        layers: dict of path to layer.
        notes: set of (path, attribute), what a call itself writes and so does not depend on.

    Returns:
        `Wiring`.
    """
    held = []
    facts = tuple(
        ((path, name), _fact(value, held))
        for path, layer in layers.items()
        for name, value in layer.__dict__.items()
        if name not in _KEPT_BY_KERAS and (path, name) not in notes
    )
    return Wiring(facts, tuple(held))


def changes(before, after):
    """The attributes that differ: frozenset of (path, attribute).

    Args:
        before: `Wiring`.
        after: `Wiring`, later.
    """
    return frozenset(place for place, _ in set(before.facts) ^ set(after.facts))


def _fact(value, held):
    """A value that can be compared with a later one of the same attribute."""
    if value is None or isinstance(value, _SCALARS):
        return type(value), value
    if isinstance(value, (list, tuple)) and len(value) <= _LONG:
        return tuple(_fact(item, held) for item in value)
    if isinstance(value, np.ndarray) and value.size <= _LONG:
        return value.dtype, value.shape, value.tobytes()
    if isinstance(value, dict) and len(value) <= _LONG:
        return tuple(_fact(item, held) for pair in value.items() for item in pair)
    held.append(value)
    return id(value)


def restore(network, snapshot):
    """Put back whatever differs -> the names of what differed, list of str.

    Where layers computed in another way in between, the routines that were compiled in between are dropped.

    Args:
        network: a `Network`.
        snapshot: the `Snapshot` that was taken of it.

    Returns:
        list of str, empty where nothing differed.
    """
    moved = [name for name, (variable, before) in snapshot.values.items() if _put_back(variable, before)]
    changed = [name for name in moved if name not in snapshot.transient]
    rewired = [place for place, (owner, before) in snapshot.attributes.items() if _rewire(owner, place[1], before)]
    for key in set(network.compiled) - snapshot.compiled if rewired else ():
        del network.compiled[key]
    changed += [f"{path}.{name.lstrip('_')}".lstrip(".") for path, name in rewired]
    for name, before in snapshot.trainable.items():
        variable = snapshot.values[name][0]
        if variable.trainable != before:
            variable.trainable = before
            changed.append(f"{name}.trainable")
    return changed


def _rewire(owner, name, before):
    """Put back one attribute -> whether it differed: bool."""
    now = owner.__dict__.get(name, _ABSENT)
    if now is before or (isinstance(now, _PLAIN) and type(now) is type(before) and now == before):
        return False
    owner.__dict__.pop(name) if before is _ABSENT else owner.__dict__.update({name: before})
    return True


def _put_back(variable, before):
    if not differs(variable, before):
        return False
    getattr(variable, "_value", variable).assign(before, read_value=False)
    return True


def values(variables):
    """What variables hold, by reference: dict of name to tensor.

    Args:
        variables: dict of name to variable.

    Returns:
        dict of name to tensor.
    """
    return {name: _value(variable) for name, variable in variables.items()}


def differs(variable, before):
    """Whether a variable holds other bytes than before.

    Args:
        variable: a Keras or TensorFlow variable.
        before: tensor, what it held, as of `values`.

    Returns:
        bool.
    """
    now = _value(variable)
    return _address(now) != _address(before) and not _same(now, before)


def held_variables(layers):
    """Every variable that layers hold, states and seeds included: dict of name to variable."""
    variables = {}
    for path, layer in layers.items():
        for variable in _attached_variables(layer):
            variables.setdefault(id(variable), (f"{path}/{variable.name}".lstrip("/"), variable))
    return _unique_names(variables.values())


def _training_variables(model):
    """The variables of a compiled model's optimizer and metrics: dict of name to variable."""
    optimizer = getattr(model, "optimizer", None)
    variables = [*(optimizer.variables if optimizer else []), *(getattr(model, "metrics_variables", None) or [])]
    return _unique_names((f"training/{variable.path}", variable) for variable in variables)


def _attached_variables(layer):
    """The variables among a layer's own attributes and lists of them (such as recurrent states), and its seeds'."""
    attributes = [value for value in vars(layer).values() if isinstance(value, (list, tuple, *_VARIABLES))]
    leaves = [leaf for value in attributes for leaf in keras.tree.flatten(value) if isinstance(leaf, _VARIABLES)]
    return [*leaves, *(generator.state for generator in layer._seed_generators)]


def _transient_names(layers, variables):
    """The names of the seeds and recurrent states among variables: frozenset of str."""
    states = [keras.tree.flatten(getattr(layer, "states", None) or []) for layer in layers.values()]
    seeds = [generator.state for layer in layers.values() for generator in layer._seed_generators]
    places = {id(state) for state in [*seeds, *(state for layer_states in states for state in layer_states)]}
    return frozenset(name for name, variable in variables.items() if id(variable) in places)


def _unique_names(pairs):
    """Pairs of (name, variable) as a dict; a repeated name gets the first number that makes it unique."""
    by_name = {}
    for name, variable in pairs:
        count, free = 1, name
        while free in by_name:
            count, free = count + 1, f"{name}#{count + 1}"
        by_name[free] = variable
    return by_name


def _value(variable):
    # The raw operation: reading by Keras or TensorFlow costs four times as much.
    plain = getattr(variable, "_value", variable)
    return tf.raw_ops.ReadVariableOp(resource=plain.handle, dtype=plain.dtype)


def _address(tensor):
    """Where a tensor's bytes lie, on whatever device: int."""
    capsule = tf.experimental.dlpack.to_dlpack(tensor)
    return ctypes.cast(_pointer(capsule, b"dltensor"), ctypes.POINTER(ctypes.c_void_p))[0]


def _same(one, other):
    """Whether two tensors hold the same bytes, NaN included."""
    return one.shape == other.shape and np.asarray(one).tobytes() == np.asarray(other).tobytes()
