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
from lab.kernels import halves
from lab.propagation import (
    BILINEAR,
    EXTREMES,
    LINEAR,
    finite,
    gradient_of,
    gradient_rule,
    pass_rule,
    refuse_operation,
    stop_rule,
)
from lab.refusal import Refused

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
# Zero below zero, where they have no slope either.
_RECTIFIERS = {"Relu", "Relu6"}
# What keeps signs, and what is never negative.
_KEEP_SIGNS = {"MaxPool", "AvgPool", "Pad", "Reshape", "Identity", "Mean", "Squeeze", "Transpose", "Cast"}
_NEVER_NEGATIVE = {"Relu", "Relu6", "Sigmoid", "Softmax", "Square", "Abs"}
# A denominator is kept this far from zero.
STABLE = 1e-6
# The smallest number above zero of a precision that does not reach every epsilon.
_SMALLEST = {"float16": 2.0**-24}
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
    epsilon = _least(epsilon, values)
    return tf.where(values < 0, values - epsilon, values + epsilon)


def _least(epsilon, values):
    """Epsilon in the precision of values; where that has none so small, the smallest above zero, since 0 / 0 is no number."""
    return tf.cast(max(epsilon, _SMALLEST.get(values.dtype.name, 0)), values.dtype)


# Layers with weights ------------------------------------------------------------------------------------------------------


def _epsilon(kernel, rule, outputs):
    size = tf.abs(kernel.with_bias(kernel.z, kernel.bias if rule.bias else None))
    return kernel.back(kernel.weights, outputs * (size / (size + _least(rule.value, size))))


def _is_never_negative(tensor):
    """Whether a tensor comes from a function that is never negative, through what keeps signs: bool."""
    op = tensor.op
    while op.type in _KEEP_SIGNS:
        op = op.inputs[0].op
    return op.type in _NEVER_NEGATIVE


def _is_signed(kernel):
    return not _is_never_negative(kernel.x)


def _sum_by_sign(kernel, above, below):
    """The operation of x above zero by some weights and of x below zero by others."""
    if not _is_signed(kernel):
        return kernel.forward(kernel.x, above)
    positive, negative = halves(kernel.x)
    return kernel.forward(positive, above) + kernel.forward(negative, below)


def _back_by_sign(kernel, shares, above, below):
    """The transpose of `_sum_by_sign`."""
    if not _is_signed(kernel):
        return kernel.back(above, shares)
    return tf.where(kernel.x > 0, kernel.back(above, shares), kernel.back(below, shares))


def _sum_of_sizes(kernel, part=1.0):
    """A part of the sum of |x W|: with z it says what raises z and what lowers it, whatever the signs of x."""
    return kernel.forward(tf.abs(kernel.x), part * tf.abs(kernel.weights))


def _back_by_sizes(kernel, shares, sizes, part=1.0):
    """Shares of z, and shares of a part of the sum of sizes, back to x.

    What raises z is (x W + |x W|) / 2. Where that is little beside what lowers it, rounding errors remain.
    """
    return kernel.back(kernel.weights, shares) + tf.sign(kernel.x) * kernel.back(part * tf.abs(kernel.weights), sizes)


def _above_zero(kernel, total, bias, times=1):
    """A sum that is never negative, and its bias, some times: moved away from zero by epsilon as often."""
    least = _least(times * STABLE, total)
    return tf.maximum(total + least if bias is None else kernel.with_bias(total, times * bias + least), least)


def _relevance(kernel, outputs):
    return outputs * kernel.with_bias(kernel.z, kernel.bias)


def _outweighs(kernel, rule):
    """Whether relevance arrives only where what raises z outweighs what lowers it: where a ReLU reads z and its bias."""
    return kernel.is_rectified and (rule.bias or kernel.bias is None)


def _alpha_beta(kernel, rule, outputs):
    relevance, biases = _relevance(kernel, outputs), halves(kernel.bias if rule.bias else None)
    if rule.value == 1:
        return _raise(kernel, rule, relevance, biases[0])
    above, below = halves(kernel.weights)
    lowered = _sum_by_sign(kernel, -below, -above)
    shares = (rule.value - 1) * relevance / _above_zero(kernel, lowered, None if biases[1] is None else -biases[1])
    raised = kernel.z + lowered if _outweighs(kernel, rule) else None
    return _raise(kernel, rule, relevance, biases[0], raised) + _back_by_sign(kernel, shares, below, above)


def _raise(kernel, rule, relevance, bias, raised=None):
    """Multipliers of what raises z, of alpha times the relevance over their sum, which may be known."""
    above, below = halves(kernel.weights)
    if not (_is_signed(kernel) and _outweighs(kernel, rule)):
        raised = _sum_by_sign(kernel, above, below) if raised is None else raised
        return _back_by_sign(kernel, rule.value * relevance / _above_zero(kernel, raised, bias), above, below)
    if raised is None:
        twice = kernel.z + _sum_of_sizes(kernel)
        shares = rule.value * relevance / _above_zero(kernel, twice, bias, times=2)
    else:
        shares = rule.value / 2 * relevance / _above_zero(kernel, raised, bias)
    return _back_by_sizes(kernel, shares, shares)


def _gamma(kernel, rule, outputs):
    relevance, bias = _relevance(kernel, outputs), kernel.bias if rule.bias else None
    if _outweighs(kernel, rule) and not _is_signed(kernel):
        weights, shift = (
            None if values is None else values + rule.value * tf.nn.relu(values) for values in (kernel.weights, bias)
        )
        return kernel.back(weights, relevance / _above_zero(kernel, kernel.forward(kernel.x, weights), shift))
    # What has the sign of z is (z + sign(z) |x W|) / 2, and outweighs the rest. All of it, and so epsilon, is that of the paper
    # over 1 + gamma / 2.
    part, times = rule.value / (2 + rule.value), 2 / (2 + rule.value)
    size = kernel.with_bias(_sum_of_sizes(kernel, part), None if bias is None else part * tf.abs(bias))
    z = kernel.with_bias(kernel.z, bias)
    if _outweighs(kernel, rule):
        shares = relevance / _above_zero(kernel, z + size, None, times)
        return _back_by_sizes(kernel, shares, shares, part)
    ones = tf.ones_like(z)
    sign = tf.where(kernel.with_bias(kernel.z, kernel.bias) < 0, -ones, ones)
    shares = relevance / stabilize(z + sign * size, times * STABLE)
    return _back_by_sizes(kernel, shares, sign * shares, part)


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
    (rising, falling), (low, high) = halves(kernel.weights), bounds
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


def activation_rule(operation, outputs):
    """Relevance is kept: the multiplier of x is that of y times y / x, and the slope where x is zero.

    Args:
        operation: `lab.propagation.Operation` of one input that depends on the sources.
        outputs: list of the multiplier of its output.

    Returns:
        dict of the input's name to its multiplier.
    """
    place = operation.depends.index(True)
    x, y = operation.op.inputs[place], operation.op.outputs[0]
    if operation.type in _RECTIFIERS:
        return {x.name: outputs[0] * tf.math.divide_no_nan(y, x)}
    slope = finite(gradient_of(operation.op, [x], [tf.ones_like(y)])[x.name], operation.op)
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
        return activation_rule(operation, outputs)
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
        return activation_rule
    return refuse_operation(operation, "lrp")
