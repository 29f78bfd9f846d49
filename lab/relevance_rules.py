"""Relevance rules: how layer-wise relevance propagation (LRP) shares the relevance of a value among what it was computed from.

A multiplier c stands for relevance by value, R = x c. So whatever is linear passes relevance on by its gradient, since z = sum x w
and R(x) = x w c sum to z c, and a bias keeps its share b c.

epsilon       c(x) = W^T (c z / (z + e sign z)): the gradient, but for weak z (Bach et al. 2015, section 3.1).
z_plus        only what raises z counts: x+ W+ and x- W-, over their sum with b+ (alpha 1, beta 0).
alpha_beta    alpha times what raises z less beta times what lowers it, each over its own sum.
gamma         what has the sign of z counts 1 + gamma times (Montavon et al. 2019).
w_square      shares by w^2; flat: by equal parts; z_box: by x W - low W+ - high W-. They do not vanish with x, and give relevance
              itself, for the first layer alone (Montavon et al. 2017).
activations   keep the relevance: c(x) = c y / x.
gates         of a product with a bounded function (sigmoid, the inverse of a norm), the other operand gets all (Arras et al. 2017).
products      of two activations share half and half; softmax by its first-order expansion, where R(x) = x (R - s sum R), which in
              c is the gradient (Achtibat et al. 2024, AttnLRP).
extremes      the largest gets all.
"""

from dataclasses import dataclass

from lab.environment import tf
from lab.propagation import (
    BILINEAR,
    EXTREMES,
    LINEAR,
    apply,
    finite,
    gradient_of,
    gradient_rule,
    pass_rule,
    refuse_operation,
    stop_rule,
)
from lab.refusal import Refused

KERNELS = {
    "Conv2D", "Conv3D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "Conv3DBackpropInputV2", "MatMul", "BatchMatMul",
    "BatchMatMulV2", "BatchMatMulV3", "Einsum",
}  # fmt: skip
DENSE = {"MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum"}
ACTIVATIONS = {
    "Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Expm1", "Sigmoid", "Tanh", "Softplus", "Softsign", "Erf", "Square", "Abs",
    "ClipByValue", "Sqrt", "Maximum", "Minimum",
}  # fmt: skip
# Bounded functions, and inverses of a size, that scale a signal. Of two, that of the smaller number is the gate.
GATES = {"Rsqrt": 0, "Reciprocal": 0, "Inv": 0, "Sigmoid": 1, "Softmax": 1, "Erf": 1, "Erfc": 1, "ClipByValue": 2}
GATES |= {"Minimum": 2, "Maximum": 2, "Relu6": 2, "Tanh": 3}
# Operations that a gate may go through on its way to the product.
_CARRY = {"Mul", "AddV2", "Add", "Sub", "RealDiv", "Neg", "BiasAdd", "Reshape", "Cast", "Identity", "IdentityN"}
_CARRY |= {"ExpandDims", "BroadcastTo", "Squeeze", "Transpose", "Tile"}
# Between a kernel and its bias.
_SHAPES = {"Reshape", "Squeeze", "Identity", "Transpose", "BatchToSpaceND"}
# What keeps signs, and what is never negative.
_KEEP_SIGNS = {"MaxPool", "AvgPool", "Pad", "Reshape", "Identity", "Mean", "Squeeze", "Transpose", "Cast"}
_NEVER_NEGATIVE = {"Relu", "Relu6", "Sigmoid", "Softmax", "Square", "Abs"}
# A denominator is kept this far from zero.
STABLE = 1e-6
# The least number of a rule, and the one where none is named.
_VALUES = {"epsilon": (1e-12, STABLE), "gamma": (0, 0.25), "alpha_beta": (1, 2.0)}


@dataclass(frozen=True)
class Rule:
    """How a layer with weights shares relevance.

    Args:
        name: str, one of KERNEL_RULES.
        value: float, epsilon of "epsilon", gamma of "gamma", alpha of "alpha_beta", whose beta is alpha - 1; None: 1e-6, 0.25, 2.
        bias: whether the bias gets a share.

    Raises:
        Refused: for an epsilon of 0 or less, a gamma below 0, and an alpha below 1.
    """

    name: str = "epsilon"
    value: float | None = None
    bias: bool = True

    def __post_init__(self):
        least, default = _VALUES.get(self.name, (0, 0))
        value = default if self.value is None else self.value
        if not least <= value < float("inf"):
            raise Refused(f"The number of the rule {self.name} is {least:g} or more. Received: {value!r}.")
        object.__setattr__(self, "value", value)


def stabilize(values, epsilon=STABLE):
    """Values moved away from zero by epsilon, with their sign; zero counts as positive.

    Args:
        values: tensor.
        epsilon: float.

    Returns:
        tensor.
    """
    return values + tf.cast(epsilon, values.dtype) * tf.where(values < 0, -tf.ones_like(values), tf.ones_like(values))


# Layers with weights ------------------------------------------------------------------------------------------------------


class Kernel:
    """A linear operation with weights: its input x, its weights W and its bias b.

    Args:
        operation: `lab.propagation.Operation`.
    """

    def __init__(self, operation):
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


def _epsilon(kernel, rule, outputs):
    z = kernel.with_bias(kernel.z, kernel.bias if rule.bias else None)
    return kernel.back(kernel.weights, outputs * z / stabilize(z, rule.value))


def _signed(kernel, outputs, raising, lowering, bias):
    """Multipliers where x+ goes by some weights and x- by others, of relevance over their sum."""
    if _is_never_negative(kernel.x):
        total = stabilize(kernel.with_bias(kernel.forward(kernel.x, raising), bias))
        return kernel.back(raising, outputs / total)
    positive, negative = tf.nn.relu(kernel.x), tf.minimum(kernel.x, 0)
    total = kernel.forward(positive, raising) + kernel.forward(negative, lowering)
    shares = outputs / stabilize(kernel.with_bias(total, bias))
    return tf.where(kernel.x > 0, kernel.back(raising, shares), kernel.back(lowering, shares))


def _is_never_negative(tensor):
    """Whether a tensor comes from a function that is never negative, through what keeps signs: bool."""
    op = tensor.op
    while op.type in _KEEP_SIGNS:
        op = op.inputs[0].op
    return op.type in _NEVER_NEGATIVE


def _relevance(kernel, rule, outputs):
    return outputs * kernel.with_bias(kernel.z, kernel.bias)


def _alpha_beta(kernel, rule, outputs):
    relevance = _relevance(kernel, rule, outputs)
    rising, falling = tf.nn.relu(kernel.weights), tf.minimum(kernel.weights, 0)
    with_bias = kernel.bias is not None and rule.bias
    values = _signed(kernel, rule.value * relevance, rising, falling, tf.nn.relu(kernel.bias) if with_bias else None)
    if rule.value == 1:
        return values
    bias = tf.minimum(kernel.bias, 0) if with_bias else None
    return values - _signed(kernel, (rule.value - 1) * relevance, falling, rising, bias)


def _gamma(kernel, rule, outputs):
    relevance = _relevance(kernel, rule, outputs)
    z = kernel.with_bias(kernel.z, kernel.bias)
    rising = kernel.weights + rule.value * tf.nn.relu(kernel.weights)
    falling = kernel.weights + rule.value * tf.minimum(kernel.weights, 0)
    biases = [
        None if kernel.bias is None or not rule.bias else kernel.bias + rule.value * part
        for part in ((None, None) if kernel.bias is None else (tf.nn.relu(kernel.bias), tf.minimum(kernel.bias, 0)))
    ]
    above = tf.cast(z > 0, z.dtype)
    return _signed(kernel, relevance * above, rising, falling, biases[0]) + _signed(
        kernel, relevance * (1 - above), falling, rising, biases[1]
    )


# Multipliers of inputs by multipliers of outputs.
KERNEL_RULES = {"epsilon": _epsilon, "alpha_beta": _alpha_beta, "gamma": _gamma}


def _w_square(kernel, relevance, bounds):
    del bounds  # Unused.
    weights = tf.square(kernel.weights)
    total = kernel.forward(tf.ones_like(kernel.x), weights)
    return kernel.back(weights, relevance / stabilize(total))


def _flat(kernel, relevance, bounds):
    del bounds  # Unused.
    weights = tf.ones_like(kernel.weights)
    return kernel.back(weights, relevance / stabilize(kernel.forward(tf.ones_like(kernel.x), weights)))


def _z_box(kernel, relevance, bounds):
    rising, falling = tf.nn.relu(kernel.weights), tf.minimum(kernel.weights, 0)
    low, high = bounds
    z = kernel.forward(kernel.x, kernel.weights) - kernel.forward(low, rising) - kernel.forward(high, falling)
    shares = relevance / stabilize(z)
    return (
        kernel.x * kernel.back(kernel.weights, shares)
        - low * kernel.back(rising, shares)
        - high * kernel.back(falling, shares)
    )


# Relevance of inputs by relevance of outputs, for first layers alone.
FIRST_RULES = {"w_square": _w_square, "flat": _flat, "z_box": _z_box}


# Everything else ----------------------------------------------------------------------------------------------------------


def _activation(operation, outputs):
    place = operation.depends.index(True)
    x, y = operation.op.inputs[place], operation.op.outputs[0]
    slope = finite(gradient_of(operation.op, [x], [tf.ones_like(y)])[x.name])
    known = tf.abs(x) > STABLE
    return {x.name: outputs[0] * tf.where(known, y / tf.where(known, x, tf.ones_like(x)), slope)}


def _product(operation, outputs):
    inputs = list(operation.op.inputs)
    slopes = gradient_of(operation.op, inputs, outputs)
    if inputs[0].name == inputs[1].name:
        return {inputs[0].name: slopes[inputs[0].name] / 2}
    ranks = [_gate_rank(tensor, operation.reached) if operation.type == "Mul" else None for tensor in inputs]
    if ranks[0] == ranks[1]:
        return {name: slope / 2 for name, slope in slopes.items()}
    gate = min((place for place in (0, 1) if ranks[place] is not None), key=lambda place: ranks[place])
    return {inputs[1 - gate].name: slopes[inputs[1 - gate].name]}


def _gate_rank(tensor, reached):
    """How much a tensor is a gate, by the bounded function that it comes from: int, smaller is more; or None."""
    while True:
        op = tensor.op
        if op.type in GATES:
            return GATES[op.type]
        varying = [value for value in op.inputs if value.name in reached]
        if op.type not in _CARRY or len(varying) != 1:
            return None
        tensor = varying[0]


def _quotient(operation, outputs):
    """The denominator is a gate; where it alone depends on the inputs it is an activation."""
    if not operation.depends[0]:
        return _activation(operation, outputs)
    numerator = operation.op.inputs[0]
    return gradient_of(operation.op, [numerator], outputs)


def _batch_norm(operation, outputs):
    if operation.op.get_attr("is_training"):
        refuse_operation(operation, "lrp")
    return gradient_rule(operation, outputs)


SPECIAL = {
    "IdentityN": pass_rule,
    "StopGradient": stop_rule,
    "RealDiv": _quotient,
    "Softmax": gradient_rule,
    "FusedBatchNormV3": _batch_norm,
}


def plain_rule(operation):
    """The rule of an operation without weights.

    Args:
        operation: `lab.propagation.Operation`.

    Returns:
        function of the operation and the multipliers of its outputs.

    Raises:
        Refused: for an operation without a rule.
    """
    kind = operation.type
    if kind in SPECIAL:
        return SPECIAL[kind]
    if kind in LINEAR or (kind in BILINEAR and not operation.is_joint):
        return gradient_rule
    if kind in BILINEAR:
        return _product
    if kind in EXTREMES and (operation.is_joint or kind not in ("Maximum", "Minimum")):
        return gradient_rule
    if kind in ACTIVATIONS and not operation.is_joint:
        return _activation
    return refuse_operation(operation, "lrp")
