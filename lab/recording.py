"""Recording: the operations of one call of a model, added to later traces without calling Keras again, in a third of the time."""

from lab.environment import tf

# Operations that call Python, which knows the graph that it was traced in.
_PYTHON = {"PyFunc", "EagerPyFunc", "PyFuncStateless"}


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
        self.definition = _without(definition, [tensor.op.name for tensor in graph.inputs])
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

    def replay(self, inputs):
        """Add the operations to the graph that is being traced.

        Args:
            inputs: structure of graph tensors that the recording fits.

        Returns:
            the structure of the wanted tensors, of the graph that is being traced.
        """
        graph = tf.compat.v1.get_default_graph()
        sources = {inside.name: graph.capture(outside) for outside, inside in self.captures}
        leaves = map(graph.capture, tf.nest.flatten(inputs))
        sources |= {inside.name: leaf for inside, leaf in zip(self.inputs, leaves)}
        names = sorted({name for name in tf.nest.flatten(self.structure) if name is not None} - set(sources))
        mapped = _read_by(self.definition, sources)
        added = tf.graph_util.import_graph_def(self.definition, input_map=mapped, return_elements=names, name="")
        by_name = {**sources, **dict(zip(names, added))}
        return tf.nest.map_structure(by_name.get, self.structure)


def _without(definition, names):
    """A graph's definition without some of its nodes, what is mapped in their place: XLA knows no placeholders."""
    kept = [node for node in definition.node if node.name not in names]
    del definition.node[:]
    definition.node.extend(kept)
    return definition


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
