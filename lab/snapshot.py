"""Snapshot: a network at one moment, held by reference, so that changes are found and undone.

A buffer that was not written to has its old address in memory, and is not read. Only others are compared.
"""

import ctypes
import functools
import inspect
import itertools
import operator
from dataclasses import dataclass, field

import numpy as np

from lab.environment import keras, tf

_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]

# Attributes of any layer that decide what it computes or learns; they are written to `__dict__`, without Keras's setters.
_ATTRIBUTES = ("activation", "call", "_trainable", "_dtype_policy")
# What changes with calls of a network: a counter, and what its wiring was last.
_COUNTED = ("traces", "_wiring")
_ABSENT = object()
_VARIABLES = (keras.Variable, tf.Variable)
_PLAIN = (bool, int, float, str, bytes)
_SCALARS = (*_PLAIN, np.generic)
# What is compared by what it holds, and how many items such a list has at most: a vocabulary is not.
_NESTED, _LONG = (list, tuple, dict, np.ndarray), 64
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
_KEPT_BY_KERAS |= {"_compiled_trainable_state"}
# How the names begin of what TensorFlow notes to save a layer.
_KEPT_BY_TENSORFLOW = "_self_"


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
        objects: list of all attributes, names and values.
        nested: tuple of (value, fact) of lists, tuples, dicts and arrays, in which something may change.
        held: list of the objects that facts know by their id, so that no other one can get it.
    """

    facts: tuple
    objects: list = field(compare=False)
    nested: tuple = field(compare=False)
    held: list = field(compare=False)

    def still_holds(self, objects):
        """Whether all attributes are the same objects, and hold the same: bool."""
        are_same = len(objects) == len(self.objects) and all(map(operator.is_, objects, self.objects))
        return are_same and all(_fact(value, []) == fact for value, fact in self.nested)


def wiring(layers, notes=frozenset(), last=None):
    """The wiring of layers, whose attributes count, public or not: plain values, lists of them, functions and variables.

    Of another object, and of a long list or array, it counts which one it is, and not what was changed inside it.

    Args:
        layers: dict of path to layer.
        notes: set of (path, attribute), what a call itself writes and so does not depend on.
        last: the `Wiring` of the same layers and notes before, which is given back where it still holds; None: read anew.

    Returns:
        `Wiring`.
    """
    attributes = (itertools.chain(layer.__dict__, layer.__dict__.values()) for layer in layers.values())
    objects = list(itertools.chain.from_iterable(attributes))
    if last is not None and last.still_holds(objects):
        return last
    values = {
        (path, name): value
        for path, layer in layers.items()
        for name, value in layer.__dict__.items()
        if not (name in _KEPT_BY_KERAS or name.startswith(_KEPT_BY_TENSORFLOW) or (path, name) in notes)
    }
    held = []
    facts = {place: _fact(value, held) for place, value in values.items()}
    nested = tuple((value, facts[place]) for place, value in values.items() if isinstance(value, _NESTED))
    return Wiring(tuple(facts.items()), objects, nested, held)


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
    if not isinstance(value, _NESTED) or (value.size if isinstance(value, np.ndarray) else len(value)) > _LONG:
        held.append(value)
        return id(value)
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes()
    items = itertools.chain(*value.items()) if isinstance(value, dict) else value
    return tuple(_fact(item, held) for item in items)


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


def replicas(variable):
    """The variables of TensorFlow behind one of Keras or TensorFlow: one, or one a device where a strategy spreads it.

    Args:
        variable: keras.Variable or tf.Variable.

    Returns:
        sequence of tf.Variable.
    """
    plain = getattr(variable, "_value", variable)
    return plain.values if isinstance(plain, tf.distribute.DistributedValues) else (plain,)


def _value(variable):
    # The raw operation: reading by Keras or TensorFlow costs four times as much.
    plain = replicas(variable)[0]
    return tf.raw_ops.ReadVariableOp(resource=plain.handle, dtype=plain.dtype)


def _address(tensor):
    """Where a tensor's bytes lie, on whatever device: int."""
    capsule = tf.experimental.dlpack.to_dlpack(tensor)
    return ctypes.cast(_pointer(capsule, b"dltensor"), ctypes.POINTER(ctypes.c_void_p))[0]


def _same(one, other):
    """Whether two tensors hold the same bytes, NaN included."""
    return one.shape == other.shape and np.asarray(one).tobytes() == np.asarray(other).tobytes()
