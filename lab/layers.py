"""Layer paths: every layer of a Keras model under a name that says where it is.

`walk(model) -> {path: layer}`. A child of a Functional or Sequential model is named by its `layer.name`. Any other is
named by the attribute, list index or dict key that holds it.
"""

from dataclasses import dataclass

from lab.environment import keras

# Wrappers that run the inner layer inside a loop, where a trace records one step only.
LOOPS = (keras.layers.TimeDistributed, keras.layers.RNN, keras.layers.Bidirectional)


@dataclass(frozen=True)
class Layer:
    """One row of `network.layers()`: path, Keras type, output shape (batch first, None where free), parameters, calls."""

    path: str
    type: str
    shape: tuple
    parameters: int
    calls: int


def walk(model):
    """All layers of a model, parents before children: dict of path to layer, the model itself under ''."""
    tree = {"": model}
    visited = {id(model)}
    _descend(model, "", tree, visited)
    return tree


def _descend(parent, prefix, tree, visited):
    for name, child in _children(parent):
        if id(child) in visited:
            continue
        visited.add(id(child))
        path = _unique_path(f"{prefix}/{name}" if prefix else name, tree)
        tree[path] = child
        _descend(child, path, tree, visited)


def _unique_path(path, taken):
    """The path, with a number where another layer has it already: Keras does not forbid two layers of one name."""
    count, free = 1, path
    while free in taken:
        count, free = count + 1, f"{path}#{count + 1}"
    return free


def _children(parent):
    if isinstance(parent, (keras.Sequential, keras.src.models.Functional)):
        return [(layer.name, layer) for layer in parent.layers if not isinstance(layer, keras.layers.InputLayer)]
    direct = list(parent._flatten_layers(include_self=False, recursive=False))
    name_by_layer = {}
    # A layer's own attributes before those that Keras and TensorFlow keep for themselves.
    for attribute in sorted(vars(parent), key=lambda name: name.startswith("_")):
        for name, layer in _held_layers(attribute, vars(parent)[attribute]):
            name_by_layer.setdefault(id(layer), name)
    return [(name_by_layer.get(id(layer), layer.name), layer) for layer in direct]


def _held_layers(name, value):
    """Layers that an attribute holds, directly or in lists and dicts: yields (name, layer)."""
    if name in ("_layers", "_functional", "_metrics") or name.startswith("_self_"):
        return
    if isinstance(value, keras.layers.Layer):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _held_layers(f"{name}/{key}", item)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _held_layers(f"{name}/{index}", item)


def enclosing_loop(path, layers):
    """The path of the wrapper that runs a layer inside a loop, or None.

    Args:
        path: str, the path of the layer.
        layers: dict of path to layer, all layers of the model.

    Returns:
        str, or None.
    """
    parts = path.split("/")
    for length in range(1, len(parts)):
        parent = "/".join(parts[:length])
        if isinstance(layers.get(parent), LOOPS):
            return parent
    return None


def variables(layers):
    """The own variables of each layer: dict of 'path/name' to keras.Variable."""
    by_path = {}
    for path, layer in layers.items():
        for variable in (*layer._trainable_variables, *layer._non_trainable_variables):
            by_path[_unique_path(f"{path}/{variable.name}" if path else variable.name, by_path)] = variable
    return by_path
