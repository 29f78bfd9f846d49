"""Recording: the operations of one call of a model, added to later traces without calling Keras again, in a third of the time."""

import functools

from lab.environment import tf

# Operations that call Python, which knows the graph that it was traced in.
_PYTHON = {"PyFunc", "EagerPyFunc", "PyFuncStateless"}
# Operations that pass on what a variable holds, at no cost.
_READS = {"ReadVariableOp", "Identity"}


class Recording:
    """The operations of one traced call, with the tensors that are wanted of it.

    Args:
        graph: the FuncGraph of the call, whose inputs are those of the model in flattened order, and then what it captured.
        tensors: structure whose graph tensors are wanted; of other graphs' tensors and of anything else None is kept.
        wiring: what the trace depended on besides variables, as of `lab.snapshot.wiring`.
    """

    def __init__(self, graph, tensors, wiring):
        # Kept with the graph, whose ids must not go to other objects.
        self.graph, self.wiring = graph, wiring
        self.captures = list(graph.captures)
        self.inputs = graph.inputs[: len(graph.inputs) - len(self.captures)]
        self.structure = tf.nest.map_structure(lambda part: part.name if _belongs(part, graph) else None, tensors)
        # With the shapes, of which some cannot be inferred again.
        definition = graph.as_graph_def(add_shapes=True)
        self.definition = _without_places(_without(definition, [tensor.op.name for tensor in graph.inputs]))
        self.can_replay = not self.definition.library.function and not any(map(_is_bound, self.definition.node))

    def fits(self, inputs, wiring):
        """Whether the operations can be added for these inputs of this wiring.

        Args:
            inputs: structure of graph tensors.
            wiring: as of the recording.

        Returns:
            bool.
        """
        leaves = tf.nest.flatten(inputs)
        return (
            self.can_replay
            and [_signature(leaf) for leaf in leaves] == [_signature(leaf) for leaf in self.inputs]
            and wiring == self.wiring
        )

    @functools.cached_property
    def weight_names(self):
        """Names of tensors that are computed from variables and not from the inputs, and read beside them: list of str."""
        # Variables, and arrays such as the mean of a Normalization.
        held = {inside.op.name for _, inside in self.captures}
        moving, weights, names = {tensor.op.name for tensor in self.inputs}, set(held), set()
        for node in self.definition.node:
            op, origins = self.graph.get_operation_by_name(node.name), set(map(_origin, node.input))
            if origins & moving or (op.op_def.is_stateful and op.type not in _READS):
                moving.add(node.name)
                names.update(tensor.name for tensor in op.inputs if _is_computed(tensor, weights - held))
            elif origins & weights:
                weights.add(node.name)
        return sorted(names)

    @functools.cached_property
    def effects(self):
        """Names of operations that are run for what they do, such as assertions: list of str."""
        operations = (self.graph.get_operation_by_name(node.name) for node in self.definition.node)
        return [op.name for op in operations if op.op_def.is_stateful and op.type not in _READS]

    def add_weights(self):
        """Add the operations that compute weights, such as folded ones, to the graph that is being traced.

        Returns:
            dict of the names in `weight_names` to tensors of that graph.
        """
        graph, names = tf.compat.v1.get_default_graph(), self.weight_names
        definition = _leading_to(self.definition, set(map(_origin, names)))
        mapped = _read_by(definition, self._captured(graph, definition))
        return dict(zip(names, tf.graph_util.import_graph_def(definition, mapped, names, name="")))

    def replay(self, inputs, structure, weights=None):
        """Add the operations that lead to wanted tensors to the graph that is being traced, and those that have effects.

        Args:
            inputs: structure of graph tensors that the recording fits.
            structure: part of `structure`, the names of the tensors that are wanted.
            weights: dict as of `add_weights` around a loop whose turns are traced here; None: each turn computes them.

        Returns:
            the tensors of the graph that is being traced, in the structure of their names.
        """
        graph = tf.compat.v1.get_default_graph()
        sources = dict(zip((inside.name for inside in self.inputs), map(graph.capture, tf.nest.flatten(inputs))))
        sources |= {name: graph.capture(tensor) for name, tensor in (weights or {}).items()}
        wanted = {name for name in tf.nest.flatten(structure) if name is not None}
        definition = _leading_to(self.definition, {*map(_origin, wanted - set(sources)), *self.effects}, set(sources))
        sources |= self._captured(graph, definition, wanted)
        names = sorted(wanted - set(sources))
        added = tf.graph_util.import_graph_def(definition, _read_by(definition, sources), names, name="")
        by_name = {**sources, **dict(zip(names, added))}
        return tf.nest.map_structure(by_name.get, structure)

    def _captured(self, graph, definition, wanted=frozenset()):
        """What the call captured and a part of its operations reads, or that is wanted itself: dict of name to tensor of the graph.

        Every captured tensor has operations of its own in each loop around the call.
        """
        read = {_origin(name) for node in definition.node for name in node.input}
        needed = [
            (outside, inside) for outside, inside in self.captures if inside.op.name in read or inside.name in wanted
        ]
        return {inside.name: graph.capture(outside) for outside, inside in needed}


def _without(definition, names):
    """A graph's definition without some of its nodes, what is mapped in their place: XLA knows no placeholders."""
    kept = [node for node in definition.node if node.name not in names]
    del definition.node[:]
    definition.node.extend(kept)
    return definition


def _without_places(definition):
    """A graph's definition whose operations need not be where others are, which a later trace may not have."""
    for node in definition.node:
        node.attr.pop("_class", None)
    return definition


def _origin(name):
    """The name of the node that an input of a node comes from: str."""
    return name.removeprefix("^").partition(":")[0]


def _is_computed(tensor, weights):
    """Whether a tensor is computed from variables, and not merely read."""
    return tensor.op.name in weights and tensor.dtype.is_floating and tensor.op.type not in _READS


def _leading_to(definition, names, known=frozenset()):
    """The part of a graph's definition that some of its nodes are computed by, up to tensors that are known by name."""
    needed, known = set(names), {name.removesuffix(":0") for name in known}
    for node in reversed(definition.node):
        if node.name in needed:
            needed.update(_origin(name) for name in node.input if name.removeprefix("^") not in known)
    part = type(definition)()
    part.CopyFrom(definition)
    return _without(part, {node.name for node in definition.node} - needed)


def _read_by(definition, sources):
    """Those of the sources that a definition reads, or waits for: dict of what it calls each to the tensor."""
    # "name" stands for the first result of an operation, and "^name" for its end.
    read = {name for node in definition.node for name in node.input}
    mapped = {name: tensor for name, tensor in sources.items() if name.removesuffix(":0") in read}
    ends = {f"^{name.removesuffix(':0')}": tensor for name, tensor in sources.items()}
    return mapped | {name: tensor for name, tensor in ends.items() if name in read}


def _belongs(part, graph):
    return tf.is_tensor(part) and getattr(part, "graph", None) is graph


def _signature(tensor):
    return tensor.dtype, tensor.shape.as_list() if tensor.shape.rank is not None else None


def _is_bound(node):
    """Whether a node calls Python, or has a gradient of its own that knows the tensors of its first graph."""
    return node.op in _PYTHON or "_gradient_op_type" in node.attr
