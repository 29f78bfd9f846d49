"""Kernels: operations that are linear in an input by weights, with their bias, as rules for layers with weights see them."""

from lab.environment import tf
from lab.propagation import apply

CONVOLUTIONS = {"Conv2D", "Conv3D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "Conv3DBackpropInputV2"}
DENSE = {"MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum"}
KERNELS = CONVOLUTIONS | DENSE
# Between a kernel and its bias.
_SHAPES = {"Reshape", "Squeeze", "Identity", "Transpose", "BatchToSpaceND"}


def halves(values):
    """What is above zero and what is below, with zeros elsewhere.

    Args:
        values: tensor, or None.

    Returns:
        two tensors of its shape; None and None of None.
    """
    return (None, None) if values is None else (tf.nn.relu(values), tf.minimum(values, 0))


class Kernel:
    """A linear operation with weights: its input x, its weights W and its bias b.

    Args:
        operation: `lab.propagation.Operation`.
        names: set of str, the operations of the forward pass, where it matters whether relevance below zero can arrive.
    """

    def __init__(self, operation, names=frozenset()):
        self.op, self.place = operation.op, operation.depends.index(True)
        self.x, self.z = self.op.inputs[self.place], self.op.outputs[0]
        # Of a transposed convolution the first input says the shape.
        floating = [place for place, tensor in enumerate(self.op.inputs) if tensor.dtype.is_floating]
        self.weight_place = next(place for place in floating if place != self.place)
        self.weights = self.op.inputs[self.weight_place]
        has_layout = "data_format" in self.op.node_def.attr
        self.channels_first = has_layout and self.op.get_attr("data_format").startswith(b"NC")
        self.bias, layout = _bias_of(self.z, self.z.shape[1 if self.channels_first else -1])
        # Keras adds a bias along the last axis where that is as long as there are channels, whatever the layout.
        self.bias_first = self.channels_first if layout is None else layout.startswith(b"NC")
        # Whether a ReLU alone reads z + b, so that no relevance arrives where that is below zero.
        self.is_rectified = _is_rectified(self.z, self.bias is not None, operation.reached, names)

    def forward(self, x, weights):
        """The operation of other inputs and weights.

        Args:
            x: tensor in the shape of its input.
            weights: tensor in the shape of its weights.

        Returns:
            tensor in the shape of its output.
        """
        inputs = list(self.op.inputs)
        inputs[self.place], inputs[self.weight_place] = x, weights
        return apply(self.op, inputs)[0]

    def back(self, weights, values):
        """The transpose of the operation with other weights.

        Args:
            weights: tensor in the shape of its weights.
            values: tensor in the shape of its output.

        Returns:
            tensor in the shape of its input.
        """
        x = tf.zeros_like(self.x)
        return tf.gradients(self.forward(x, weights), x, grad_ys=values)[0]

    def with_bias(self, values, bias):
        """Values and a bias.

        Args:
            values: tensor in the shape of its output.
            bias: tensor [channels], or None.

        Returns:
            tensor in the shape of its output.
        """
        if bias is None:
            return values
        # With all axes, since TensorFlow's optimizer of layouts turns no shorter shape.
        return values + (tf.reshape(bias, [1, -1, *[1] * (len(values.shape) - 2)]) if self.bias_first else bias)


def _is_rectified(tensor, has_bias, reached, names):
    """Whether a ReLU alone reads a tensor, after its bias where it has one: bool."""
    shifts = 0
    while True:
        readers = [op for op in tensor.consumers() if op.name in names]
        if len(readers) != 1 or sum(value.name in reached for value in readers[0].inputs) != 1:
            return False
        if readers[0].type in ("Relu", "Relu6"):
            return shifts == has_bias
        if readers[0].type not in _SHAPES | {"BiasAdd", "AddV2", "Add"}:
            return False
        shifts += readers[0].type not in _SHAPES
        tensor = readers[0].outputs[0]


def _bias_of(tensor, channels):
    """What is added to the output of a linear operation, and along which axis: tensor [channels] or None, layout or None."""
    start, total, axis = 0, channels, None
    for _ in range(5):
        consumers = [op for op in tensor.consumers() if op.type in _SHAPES | {"ConcatV2", "BiasAdd", "AddV2", "Add"}]
        if len(consumers) != 1:
            return None, None
        if consumers[0].type == "ConcatV2":
            start, total, axis = _place_in_groups(consumers[0], tensor, channels)
        if consumers[0].type in _SHAPES | {"ConcatV2"}:
            tensor = consumers[0].outputs[0]
            continue
        other = next((value for value in consumers[0].inputs if value.name != tensor.name), None)
        is_bias = other is not None and other.shape.rank is not None and other.shape.num_elements() == total
        moved = tensor.op.type in _SHAPES
        layout = consumers[0].get_attr("data_format") if consumers[0].type == "BiasAdd" and not moved else None
        if not is_bias:
            return None, None
        along_last = axis == 1 and layout is not None and not layout.startswith(b"NC")
        return tf.reshape(other, [-1]) if along_last else tf.reshape(other, [-1])[start : start + channels], layout
    return None, None


def _place_in_groups(concatenation, tensor, channels):
    """Where the channels of one group begin among those of all groups, how many there are, and on which axis: int or None."""
    axis, parts = tf.get_static_value(concatenation.inputs[-1]), list(concatenation.inputs)[:-1]
    sizes = [part.shape[axis] for part in parts]
    place = [part.name for part in parts].index(tensor.name)
    are_groups = None not in sizes and sizes[place] == channels
    return (sum(sizes[:place]), sum(sizes), axis) if are_groups else (None, None, axis)
