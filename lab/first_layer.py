"""First layer: the linear operations that all of an input goes through first, whose gradient can be taken of a sum of slopes.

operations = first_operations(leaf, scores)     of a trace: the last one is a convolution, or there are none
slope_before(operations, other, total)          the gradient at another input of the same rows
"""

from lab import taps
from lab.environment import tf
from lab.propagation import apply

_CONVOLUTIONS = {"Conv2D", "Conv3D"}
# Each number by itself with a constant that all rows share.
_ELEMENTWISE = {"Mul", "AddV2", "Sub", "RealDiv"}


def first_operations(leaf, scores):
    """The linear operations that all of an input goes through first, up to a convolution.

    Args:
        leaf: graph tensor [rows, ...], an input of a network.
        scores: graph tensor that is computed from it.

    Returns:
        list of graph operations in their order, the convolution last; empty where something else reads the input too.
    """
    names, operations, tensor = taps.upstream_names(scores), [], leaf
    while not operations or operations[-1].type not in _CONVOLUTIONS:
        readers = _readers(tensor, names)
        if len(readers) != 1 or not _is_linear(readers[0], tensor):
            return []
        operations.append(readers[0])
        tensor = readers[0].outputs[0]
    return operations


def slope_before(operations, leaf, total):
    """The gradient at an input, of what is known behind its first operations.

    Args:
        operations: list of graph operations, as of `first_operations`.
        leaf: tensor [rows, ...], an input with any number of rows.
        total: tensor [rows, ...], the gradient behind the last operation.

    Returns:
        tensor in the shape of the leaf.
    """
    start = tensor = tf.identity(leaf)
    for op in operations:
        (tensor,) = apply(op, [tensor, *op.inputs[1:]])
    return tf.gradients(tensor, start, grad_ys=total)[0]


def _readers(tensor, names):
    """The operations that read the numbers of a tensor for something of these names: list."""
    return [
        op for op in tensor.consumers() if op.type not in taps.SHAPED and any(out.name in names for out in op.outputs)
    ]


def _is_linear(op, tensor):
    """Whether an operation is linear in a tensor, up to a constant, and treats each row by itself: bool."""
    if op.inputs[0].name != tensor.name or any(other.name == tensor.name for other in op.inputs[1:]):
        return False
    if op.type == "Pad":
        sides = tf.get_static_value(op.inputs[1])
        return sides is not None and not sides[0].any()
    if op.type in _ELEMENTWISE:
        shape = op.inputs[1].shape
        # With more axes than the tensor it would move the rows to another axis.
        is_shared = shape.is_fully_defined() and (shape.rank < tensor.shape.rank or shape[0] == 1)
        return is_shared and shape.rank <= tensor.shape.rank
    return op.type in _CONVOLUTIONS or op.type == "Identity"
