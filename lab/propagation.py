"""Propagation: a backward pass over the operations of a graph in which each operation has a rule.

    multipliers = propagate({scores.name: tf.ones_like(scores)}, sources, rule_of, operations=operations)

A multiplier times a value is what the value contributes to the score. Where every rule is the gradient, multipliers are
gradients. A rule gets an `Operation` and the multipliers of its outputs, and gives those of its inputs. What a custom gradient of
a library says is passed by, since the operations inside it have rules of their own.
"""

import collections
from dataclasses import dataclass

from lab.environment import get_gradient_function, tf
from lab.refusal import Refused

# Results that depend on the shape of what they are given, and not on its numbers.
_SHAPED = {"Shape", "ShapeN", "Size", "Rank", "OnesLike", "ZerosLike"}
# Conditions that say what is masked, and what is no number.
_MASKS = {"Equal", "NotEqual", "IsFinite", "IsNan", "IsInf"}
# Where operations read what decides a choice: the places of those inputs.
_CHOICES = {"Select": 0, "SelectV2": 0, "Cast": 0, "GatherV2": 1, "GatherNd": 1, "OneHot": 0, "ScatterNd": 0}
# Functions whose slope may be infinite. To look at that of every activation takes a seventh of the time of DeepLIFT.
_STEEP = {"Sqrt", "Rsqrt", "Log", "Log1p", "Reciprocal", "Inv", "Pow"}
# Inputs that `tf.raw_ops` calls by other names than the operations themselves do, as of Max and Min.
_RENAMED = {"reduction_indices": "axis"}
# Graphs inside the graph, whose operations cannot be seen.
OPAQUE = {
    "PartitionedCall",
    "StatefulPartitionedCall",
    "While",
    "StatelessWhile",
    "If",
    "StatelessIf",
    "XlaCallModule",
    "PyFunc",
    "EagerPyFunc",
}


@dataclass(frozen=True)
class Operation:
    """An operation of a graph, as rules see it.

    Args:
        op: the graph operation.
        depends: tuple of bool, whether each input depends on the sources.
        twin: the operation that did the same for the reference, or None.
        owner: str, the path of the layer that it runs in, "" for none.
        reached: set of the names of all tensors that depend on the sources.
    """

    op: object
    depends: tuple
    twin: object = None
    owner: str = ""
    reached: object = frozenset()

    @property
    def type(self):
        """The kind of operation: str."""
        return self.op.type

    @property
    def inputs(self):
        """Its input tensors: list."""
        return list(self.op.inputs)

    @property
    def variables(self):
        """The inputs that depend on the sources: list of tensors."""
        return [tensor for tensor, depends in zip(self.op.inputs, self.depends) if depends]

    @property
    def is_joint(self):
        """Whether two inputs or more depend on the sources: bool."""
        return sum(self.depends) > 1


def propagate(seeds, sources, rule_of, *, operations, twins=None, owners=None, masks=None, choices=False):
    """Multipliers of the sources.

    Args:
        seeds: dict of a tensor's name to its multiplier, such as ones for the scores.
        sources: list of tensors, floating.
        rule_of: `Operation` -> rule; a rule is (`Operation`, multipliers of its outputs) -> dict of an input's name to its
            multiplier. It raises Refused for an operation that has none.
        operations: list of graph operations between sources and seeds, in the order in which they were made.
        twins: dict of an operation's name to that of the reference, or None.
        owners: dict of an operation's name to the path of its layer, or None.
        masks: dict of a tensor's name to what its multiplier is multiplied by, or None.
        choices: whether the sources may decide a choice among values, which rules that are gradients pass rightly.

    Returns:
        list of tensors, None for a source that the seeds do not depend on.
    """
    reached, ends = reached_names(operations, sources, owners or {}, choices), {source.name for source in sources}
    multipliers, masks = dict(seeds), masks or {}

    def take(tensor):
        value = (multipliers.get if tensor.name in ends else multipliers.pop)(tensor.name, None)
        return value * masks[tensor.name] if value is not None and tensor.name in masks else value

    for op in reversed(operations):
        outputs = [take(tensor) for tensor in op.outputs]
        depends = tuple(tensor.name in reached for tensor in op.inputs)
        if all(value is None for value in outputs) or not any(depends):
            continue
        owner = (owners or {}).get(op.name, "")
        operation = Operation(op, depends, (twins or {}).get(op.name), owner, reached)
        for name, value in rule_of(operation)(operation, outputs).items():
            add_to(multipliers, name, value)
    return [multipliers.get(source.name) for source in sources]


def add_to(multipliers, name, value):
    """Add a multiplier of a tensor to those that it has from other operations.

    Args:
        multipliers: dict of a tensor's name to its multiplier.
        name: str.
        value: tensor.
    """
    multipliers[name] = multipliers[name] + value if name in multipliers else value


def pair_operations(operations, others):
    """Operations beside those that do the same for a reference.

    Args:
        operations: list of graph operations.
        others: list of graph operations, made by the same calls.

    Returns:
        dict of an operation's name to the other.

    Raises:
        Refused: where they are not the same operations, as of a model that keeps tensors between its calls.
    """
    operations, others = _with_inputs(operations), _with_inputs(others)
    if not _are_alike(operations, others):
        raise Refused(
            "A reference goes the same way through a network as an input. Received: a network that does something else in its second call. Use integrated_gradients."
        )
    return {op.name: other for op, other in zip(operations, others)}


def _with_inputs(operations):
    # A constant is made once in a graph, when it is first used.
    return [op for op in operations if op.inputs]


def _are_alike(operations, others):
    return [op.type for op in operations] == [op.type for op in others]


def stands_for_all(operations, others):
    """Whether what one row gives broadcasts against what all rows give, since no operation joins rows with another axis.

    Args:
        operations: list of graph operations, of any number of rows.
        others: list of graph operations, made by the same calls for one row.

    Returns:
        bool; False where it cannot be told.
    """
    operations, others = _with_inputs(operations), _with_inputs(others)
    return _are_alike(operations, others) and all(
        _broadcasts(tensor.shape, other.shape)
        for op, twin in zip(operations, others)
        for tensor, other in zip(op.outputs, twin.outputs)
        if tensor.dtype.is_floating
    )


def _broadcasts(shape, one):
    """Whether a shape is another whose free axis has length 1: bool."""
    if shape.rank is None or shape.rank != one.rank:
        return False
    return all(
        other is not None and (side == other or (side is None and other == 1)) for side, other in zip(shape, one)
    )


def reached_names(operations, sources, owners, choices=False):
    """Names of floating tensors that depend on the sources.

    Args:
        operations: list of graph operations, in the order in which they were made.
        sources: list of tensors.
        owners: dict of an operation's name to the path of its layer.
        choices: as of `propagate`.

    Returns:
        set of str.

    Raises:
        Refused: for a graph inside the graph, and for a choice that the sources decide.
    """
    reached = {source.name for source in sources}
    conditions = set()
    for op in operations:
        names = [tensor.name for tensor in op.inputs]
        if op.type in _SHAPED or not any(name in reached or name in conditions for name in names):
            continue
        if not choices:
            _refuse_condition(op, conditions)
        _refuse_loop(op, owners)
        for tensor in op.outputs:
            if tensor.dtype.is_floating and any(name in reached for name in names):
                reached.add(tensor.name)
            elif not tensor.dtype.is_floating and not _is_mask(op, reached):
                conditions.add(tensor.name)
    return reached


def bottlenecks(operations, sources, end):
    """Tensors that every path from the sources to the end goes through.

    Args:
        operations: list of graph operations, in the order in which they were made.
        sources: list of tensors.
        end: tensor.

    Returns:
        list of their names, in order.
    """
    reached = reached_names(operations, sources, {}, choices=True)
    needed = _leading_to(end, operations)
    uses = collections.Counter(tensor.name for op in needed for tensor in op.inputs)
    awaited = {source.name for source in sources if uses[source.name]}
    names = [source.name for source in sources if awaited == {source.name}]
    for op in needed:
        uses.subtract(tensor.name for tensor in op.inputs)
        awaited = {name for name in awaited if uses[name]}
        produced = {tensor.name for tensor in op.outputs if tensor.name in reached and uses[tensor.name]}
        awaited |= produced
        names += [name for name in produced if awaited == {name}]
    return names


def _leading_to(end, operations):
    """The operations that a tensor is computed by, in order."""
    wanted, needed = {end.name}, []
    for op in reversed(operations):
        if any(tensor.name in wanted for tensor in op.outputs):
            wanted.update(tensor.name for tensor in op.inputs)
            needed.append(op)
    return needed[::-1]


def _refuse_loop(op, owners):
    """Raise Refused for a graph inside the graph, and for the lists of tensors that its loops read."""
    if op.type in OPAQUE or any(tensor.dtype == tf.variant for tensor in op.outputs):
        owner = owners.get(op.name)
        where = f"in layer {owner!r}" if owner else f"as {op.name!r}"
        raise Refused(
            f"A rule for each operation needs to see every one. Received: a graph of its own {where} ({op.type}), such as a loop over steps of unknown number or a model saved without its layers. Give inputs of a fixed length or the .keras file, or use integrated_gradients."
        )


def _is_mask(op, reached):
    """Whether an operation says what is masked: it compares numbers of the sources with a constant, bool."""
    return op.type in _MASKS and sum(tensor.name in reached for tensor in op.inputs) < 2


def _refuse_condition(op, conditions):
    """Raise Refused for a choice or a place that depends on the numbers of the sources, other than a mask."""
    if op.type in _CHOICES and op.inputs[_CHOICES[op.type]].name in conditions:
        raise Refused(
            f"A choice among values has no rule where the inputs decide it. Received: {op.name!r} (operation {op.type}). Write it with an activation such as ReLU."
        )


def gradient_rule(operation, outputs):
    """The gradient, which is right for whatever is linear in its inputs.

    Args:
        operation: `Operation`.
        outputs: list of multipliers of its outputs, None where none reaches it.

    Returns:
        dict of an input's name to its multiplier.
    """
    return gradient_of(operation.op, operation.variables, outputs)


def gradient_of(op, inputs, outputs):
    """The gradient of one operation.

    Args:
        op: graph operation.
        inputs: list of its input tensors.
        outputs: list of multipliers of its outputs, or None.

    Returns:
        dict of an input's name to its multiplier, without inputs that have no gradient.
    """
    # Not tf.gradients, which goes through all of the graph behind the inputs each time.
    values = [
        tf.zeros_like(tensor) if value is None and tensor.dtype.is_floating else value
        for tensor, value in zip(op.outputs, outputs)
    ]
    function = get_gradient_function(op)
    slopes = () if function is None else function(op, *values)
    slopes = slopes if isinstance(slopes, (list, tuple)) else [slopes]
    names, totals = {tensor.name for tensor in inputs}, {}
    for tensor, slope in zip(op.inputs, slopes):
        if slope is not None and tensor.name in names:
            slope = tf.convert_to_tensor(slope)
            slope.set_shape(tensor.shape)
            add_to(totals, tensor.name, slope)
    return totals


def finite(slopes, op):
    """Slopes of an operation, and zero where there is none, as of a square root at zero.

    Args:
        slopes: tensor.
        op: graph operation.

    Returns:
        tensor.
    """
    if op.type not in _STEEP:
        return slopes
    return tf.where(tf.math.is_finite(slopes), slopes, tf.zeros_like(slopes))


def pass_rule(operation, outputs):
    """Each output's multiplier goes to the input of the same place, as of IdentityN.

    Args:
        operation: `Operation`.
        outputs: list of multipliers of its outputs.

    Returns:
        dict of an input's name to its multiplier.
    """
    values = {}
    for tensor, depends, value in zip(operation.op.inputs, operation.depends, outputs):
        if depends and value is not None:
            add_to(values, tensor.name, value)
    return values


def stop_rule(operation, outputs):
    """Nothing goes back, as of StopGradient.

    Args:
        operation: not used.
        outputs: not used.

    Returns:
        empty dict.
    """
    del operation, outputs
    return {}


def apply(op, inputs):
    """The same operation of other inputs.

    Args:
        op: graph operation.
        inputs: list of tensors, one for each of its inputs.

    Returns:
        list of its output tensors.
    """
    definition = op.op_def
    types = {arg.type_attr for arg in definition.input_arg} | {arg.number_attr for arg in definition.input_arg}
    attributes = {attr.name: op.get_attr(attr.name) for attr in definition.attr if attr.name not in types}
    names = [_RENAMED.get(arg.name, arg.name) for arg in definition.input_arg]
    if any(arg.number_attr or arg.type_list_attr for arg in definition.input_arg):
        inputs = [list(inputs)]
    function = getattr(tf.raw_ops, op.type)
    outputs = function(**dict(zip(names, inputs)), **attributes)
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


class Owners:
    """Interceptor that notes which layer each operation was made in: `owners[operation name]`, the innermost layer's path.

    Args:
        paths: dict of id(layer) to path.
    """

    def __init__(self, paths):
        self.paths, self.owners, self._count = paths, {}, 0

    def __call__(self, layer, call, args, kwargs):
        graph = tf.compat.v1.get_default_graph()
        start = len(graph.get_operations())
        outputs = call(*args, **kwargs)
        for op in graph.get_operations()[start:]:
            self.owners.setdefault(op.name, self.paths.get(id(layer), ""))
        return outputs


# Operations that are linear in each input, and in all of them together.
LINEAR = {
    "Identity", "Reshape", "Transpose", "ConcatV2", "Pack", "Unpack", "Split", "SplitV", "StridedSlice", "Slice", "Pad",
    "PadV2", "MirrorPad", "ExpandDims", "Squeeze", "Tile", "GatherV2", "GatherNd", "Cast", "Neg", "AddV2", "Add", "AddN", "Sub",
    "BiasAdd", "Sum", "Mean", "AvgPool", "AvgPool3D", "ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic",
    "BroadcastTo", "SpaceToBatchND", "BatchToSpaceND", "SpaceToDepth", "DepthToSpace", "ReverseV2", "Roll", "Cumsum",
    "MatrixBandPart", "EnsureShape", "PreventGradient", "Snapshot", "CheckNumerics", "Select", "SelectV2", "ScatterNd",
    "TensorScatterUpdate", "UnsortedSegmentSum", "DynamicStitch", "ReverseSequence",
}  # fmt: skip
# Operations that are linear in each of two inputs, and quadratic in both together.
BILINEAR = {
    "Mul", "MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "Conv2D", "Conv3D", "DepthwiseConv2dNative",
    "Conv2DBackpropInput", "Conv3DBackpropInputV2",
}  # fmt: skip
# Functions of each number by itself.
UNARY = {
    "Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Sigmoid", "Tanh", "Softplus", "Softsign", "Exp", "Expm1", "Log", "Log1p",
    "Erf", "Erfc", "Rsqrt", "Sqrt", "Square", "Reciprocal", "Inv", "Abs", "Sin", "Cos", "Atan", "Pow", "ClipByValue",
}  # fmt: skip
# The largest or smallest of some numbers.
EXTREMES = {"MaxPool", "MaxPool3D", "Max", "Min", "Maximum", "Minimum"}


def refuse_operation(operation, method):
    """Raise Refused for an operation without a rule.

    Args:
        operation: `Operation`.
        method: str, the name of the method.
    """
    where = f"in layer {operation.owner!r}" if operation.owner else "outside of any layer"
    raise Refused(
        f"{method} needs a rule for every operation. Received: {operation.type} {where}, which has none. Use integrated_gradients, which needs none."
    )
