"""Snapshot: what a network was at one moment, held by reference, so that a change is noticed and undone.

A buffer that was not written to is known by its place in memory, without reading it; only others are compared.
"""

import ctypes
from dataclasses import dataclass

import numpy as np

from lab.environment import keras, tf

_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]

# Attributes of a layer that decide what it computes or learns; written to `__dict__`, past Keras's own setters.
_ATTRIBUTES = ("activation", "call", "_trainable")
_ABSENT = object()
_VARIABLES = (keras.Variable, tf.Variable)


@dataclass(frozen=True)
class Snapshot:
    """values: dict of name to (variable, tensor). attributes: dict of (path, attribute) to (layer, value). trainable: dict of
    name to whether a variable is trained.
    """

    values: dict
    attributes: dict
    trainable: dict


def taken(model, layers, variables):
    """The snapshot of a model: layers, dict of path to layer; variables: what is `held` by them."""
    held = variables | _beside(model)
    values = {name: (variable, _value(variable)) for name, variable in held.items()}
    attributes = {
        (path, name): (layer, layer.__dict__.get(name, _ABSENT))
        for path, layer in layers.items()
        for name in _ATTRIBUTES
    }
    trainable = {name: variable.trainable for name, variable in held.items() if isinstance(variable, keras.Variable)}
    return Snapshot(values, attributes, trainable)


def wiring(layers):
    """What a trace of these layers depends on beside their variables: a tuple that can be compared."""
    return tuple(layer.__dict__.get(name) for layer in layers.values() for name in ("activation", "call"))


def restored(snapshot):
    """Put back whatever differs -> the names of what did, list of str."""
    changed = [name for name, (variable, before) in snapshot.values.items() if _put_back(variable, before)]
    for (path, name), (layer, before) in snapshot.attributes.items():
        if layer.__dict__.get(name, _ABSENT) is not before:
            layer.__dict__.pop(name) if before is _ABSENT else layer.__dict__.update({name: before})
            changed.append(f"{path}.{name.lstrip('_')}".lstrip("."))
    for name, before in snapshot.trainable.items():
        variable = snapshot.values[name][0]
        if variable.trainable != before:
            variable.trainable = before
            changed.append(f"{name}.trainable")
    return changed


def _put_back(variable, before):
    now = _value(variable)
    if _address(now) == _address(before) or _same(now, before):
        return False
    getattr(variable, "_value", variable).assign(before, read_value=False)
    return True


def held(layers):
    """Every variable that layers hold, states and seeds included: dict of name to variable."""
    variables = {}
    for path, layer in layers.items():
        for variable in _attached(layer):
            variables.setdefault(id(variable), (f"{path}/{variable.name}".lstrip("/"), variable))
    return _named(variables.values())


def _beside(model):
    """The variables of a compiled model's optimizer and metrics: dict of name to variable."""
    optimizer = getattr(model, "optimizer", None)
    variables = [*(optimizer.variables if optimizer else []), *(getattr(model, "metrics_variables", None) or [])]
    return _named((f"training/{variable.path}", variable) for variable in variables)


def _attached(layer):
    """The variables among a layer's own attributes, in lists of any depth (a recurrent layer's states), and its seeds'."""
    attributes = [value for value in vars(layer).values() if isinstance(value, (list, tuple, *_VARIABLES))]
    leaves = [leaf for value in attributes for leaf in keras.tree.flatten(value) if isinstance(leaf, _VARIABLES)]
    return [*leaves, *(generator.state for generator in layer._seed_generators)]


def _named(pairs):
    """Pairs of (name, variable) as a dict, a name that is taken getting the first number that makes it new."""
    named = {}
    for name, variable in pairs:
        count, free = 1, name
        while free in named:
            count, free = count + 1, f"{name}#{count + 1}"
        named[free] = variable
    return named


def _value(variable):
    # The operation itself: a read of Keras's or TensorFlow's own costs four times as much.
    plain = getattr(variable, "_value", variable)
    return tf.raw_ops.ReadVariableOp(resource=plain.handle, dtype=plain.dtype)


def _address(tensor):
    """Where a tensor's bytes lie, on whatever device: int."""
    capsule = tf.experimental.dlpack.to_dlpack(tensor)
    return ctypes.cast(_pointer(capsule, b"dltensor"), ctypes.POINTER(ctypes.c_void_p))[0]


def _same(one, other):
    """Whether two tensors hold the same bytes, NaN included."""
    return one.shape == other.shape and np.asarray(one).tobytes() == np.asarray(other).tobytes()
