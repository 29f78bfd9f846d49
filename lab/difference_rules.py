"""Difference rules: what each operation does to DeepLIFT's multipliers, so that contributions add up to a difference from a reference.

With D for the difference between input and reference, a rule keeps D(output) m(output) = sum of D(input) m(input).

linear      y = Wx + b: Dy = W Dx, so m(x) = W^T m(y), the gradient.
rescale     y = f(x) number by number: m(x) = m(y) Dy / Dx, and the gradient where Dx is zero (Shrikumar et al. 2017, section 3.5.2).
products    y = uv: Dy = Du (v + v')/2 + Dv (u + u')/2, so the gradient at the mean of both operands; likewise products of
            matrices, convolutions of two activations, and (u - v)^2.
quotients   y = u w with w = 1/v: the rule of products, then m(v) = m(w) Dw / Dv, and Dw / Dv = -1 / (v v').
softmax     log y = x - t with t = log(sum(exp(x))): rescale of both exponentials and of the logarithm. So what is added to all
            of x contributes nothing, and no multiplier of t is above 1. (A product of exp(x - c) and 1 / sum would multiply by
            sum / sum', without bound.)
reveal      Where x = Wa + b stands before f, Dx is split into its positive and its negative part, P = sum of w Da above zero and N =
cancel      below. f moves by P and N in both orders: D+ = (f(x'+P) - f(x') + f(x'+P+N) - f(x'+N)) / 2, D- likewise, and
            m(a) = sum of w m(y) D+/P over the w with w Da > 0, and of w m(y) D-/N over the others (section 3.5.3 there). Parts that
            cancel each other have contributions so, as in min(a, b) written with a ReLU.
extremes    y = max of a window. Where y rose, it rose to an entry of the input that was no larger in the reference, which gets all of
            Dy; where it fell, it fell from an entry of the reference that is no larger now. So m = Dy / D(entry) lies in 0..1.
"""

import functools

from lab.environment import tf
from lab.kernels import DENSE, KERNELS, Kernel, halves
from lab.propagation import (
    BILINEAR,
    EXTREMES,
    LINEAR,
    UNARY,
    Operation,
    add_to,
    apply,
    finite,
    gradient_of,
    gradient_rule,
    pass_rule,
    refuse_operation,
)

# Between a layer with weights and its activation.
_SHIFTS = {"BiasAdd", "AddV2", "Add", "Identity", "Reshape", "Squeeze", "ExpandDims"}
# A difference below this, as a share of the numbers themselves, is rounding.
ROUNDING = {tf.float64: 1e-11, tf.float32: 1e-5, tf.bfloat16: 1e-2, tf.float16: 1e-2}


def rule_of(operation):
    """The rule of an operation.

    Args:
        operation: `lab.propagation.Operation` with its twin.

    Returns:
        function.

    Raises:
        Refused: for an operation without a rule.
    """
    kind = operation.type
    if kind in SPECIAL:
        return SPECIAL[kind]
    if kind in LINEAR or (kind in BILINEAR and not operation.is_joint):
        return gradient_rule
    if kind in BILINEAR or kind == "SquaredDifference":
        return _product
    if not operation.is_joint and kind in UNARY | {"Maximum", "Minimum"}:
        return _rescale
    if kind in EXTREMES:
        return _extreme
    return refuse_operation(operation, "deeplift")


def reveal_cancel_of(operation, *, kernels=KERNELS):
    """The rule of an operation where activations behind layers with weights reveal what cancels.

    Args:
        operation: `lab.propagation.Operation` with its twin.
        kernels: set of str, the operations of these layers.

    Returns:
        function.

    Raises:
        Refused: for an operation without a rule.
    """
    rule = rule_of(operation)
    places = _way_to_kernel(operation, kernels) if rule is _rescale else None
    return rule if places is None else functools.partial(_reveal_cancel, places=places)


RULES = {
    "rescale": rule_of,
    "reveal_cancel": reveal_cancel_of,
    # Behind dense layers alone, as the paper advises.
    "reveal_cancel_dense": functools.partial(reveal_cancel_of, kernels=DENSE),
}


def _pairs(operation):
    """Each input beside that of the reference: list of (tensor, tensor)."""
    return list(zip(operation.op.inputs, operation.twin.inputs))


def divide_differences(numerator, denominator, size, otherwise):
    """A quotient of two differences, or another number where the denominator is rounding.

    Args:
        numerator: tensor.
        denominator: tensor.
        size: tensor, how large the numbers are whose difference the denominator is.
        otherwise: tensor.

    Returns:
        tensor.
    """
    known = tf.abs(denominator) > ROUNDING[denominator.dtype] * size
    return tf.where(known, numerator / tf.where(known, denominator, tf.ones_like(denominator)), otherwise)


def _difference(value, reference):
    return value - reference, tf.maximum(tf.abs(value), tf.abs(reference))


def _rescale(operation, outputs):
    place = operation.depends.index(True)
    value, reference = _pairs(operation)[place]
    change, size = _difference(value, reference)
    rise = operation.op.outputs[0] - operation.twin.outputs[0]
    return {value.name: outputs[0] * divide_differences(rise, change, size, _mean_slope(operation, place))}


def _mean_slope(operation, place):
    """The gradient of a function of one number, the mean of those at the input and at the reference."""
    slopes = [
        gradient_of(op, [op.inputs[place]], [tf.ones_like(op.outputs[0])])[op.inputs[place].name]
        for op in (operation.op, operation.twin)
    ]
    return finite((slopes[0] + slopes[1]) / 2, operation.op)


def _way_to_kernel(operation, kernels):
    """The inputs to follow from an activation back to the layer with weights before it: list of places, or None."""
    places, op = [operation.depends.index(True)], operation.op
    while True:
        op = op.inputs[places[-1]].op
        varying = [place for place, tensor in enumerate(op.inputs) if tensor.name in operation.reached]
        if len(varying) != 1 or op.type not in _SHIFTS | kernels:
            return None
        if op.type in kernels:
            return places
        if op.type in ("AddV2", "Add") and op.inputs[varying[0]].shape.as_list() != op.outputs[0].shape.as_list():
            # One number of the kernel is repeated before several activations.
            return None
        places.append(varying[0])


def _follow(op, places):
    for place in places:
        op = op.inputs[place].op
    return op


def _reveal_cancel(operation, outputs, *, places):
    place, op = places[0], _follow(operation.op, places)
    kernel = Kernel(Operation(op, tuple(tensor.name in operation.reached for tensor in op.inputs)))
    change = kernel.x - _follow(operation.twin, places).inputs[kernel.place]
    (up, down), (rising, falling) = halves(change), halves(kernel.weights)
    start, shape = operation.twin.inputs[place], tf.shape(operation.op.inputs[place])
    raised = tf.reshape(kernel.forward(up, rising) + kernel.forward(down, falling), shape)
    lowered = tf.reshape(kernel.forward(up, falling) + kernel.forward(down, rising), shape)
    shares = [
        tf.reshape(outputs[0] * ratio, tf.shape(kernel.z))
        for ratio in _ratios(operation, place, start, raised, lowered)
    ]
    above = kernel.back(rising, shares[0]) + kernel.back(falling, shares[1])
    below = kernel.back(falling, shares[0]) + kernel.back(rising, shares[1])
    return {kernel.x.name: tf.where(change > 0, above, tf.where(change < 0, below, (above + below) / 2))}


def _ratios(operation, place, start, raised, lowered):
    """What the output of an activation moves by what raises its input, and by what lowers it, for each unit of these: two tensors."""

    def moved(change):
        inputs = list(operation.twin.inputs)
        inputs[place] = start + change
        return apply(operation.twin, inputs)[0]

    before, both = operation.twin.outputs[0], moved(raised + lowered)
    above, below = moved(raised), moved(lowered)
    rise, fall = (above - before + both - below) / 2, (below - before + both - above) / 2
    slope, size = _mean_slope(operation, place), tf.abs(start)
    return divide_differences(rise, raised, size, slope), divide_differences(fall, lowered, size, slope)


def _product(operation, outputs):
    means = [
        (value + reference) / 2 if depends else value
        for (value, reference), depends in zip(_pairs(operation), operation.depends)
    ]
    means = [tf.identity(mean) for mean in means]
    slopes = tf.gradients(apply(operation.op, means), means, grad_ys=outputs, stop_gradients=means)
    values = {}
    for tensor, depends, slope in zip(operation.op.inputs, operation.depends, slopes):
        if depends:
            add_to(values, tensor.name, slope)
    return values


def _quotient(operation, outputs):
    (first, first_reference), (second, second_reference) = _pairs(operation)
    numerator = tf.identity((first + first_reference) / 2 if operation.depends[0] else first)
    inverse = tf.identity((1 / second + 1 / second_reference) / 2 if operation.depends[1] else 1 / second)
    slopes = tf.gradients(numerator * inverse, [numerator, inverse], grad_ys=outputs[0])
    values = {first.name: slopes[0]} if operation.depends[0] else {}
    if operation.depends[1]:
        add_to(values, second.name, -slopes[1] / (second * second_reference))
    return values


def _mean_exponential(first, second):
    """The rescale of exp, (e^a - e^b) / (a - b), as e^larger times a share in 0..1: (larger, share), which do not overflow."""
    # A mask may be the least number that there is, whose inverse would be rounded to zero.
    distance = tf.minimum(tf.abs(first - second), first.dtype.max**0.5)
    known = distance > 0
    safe = tf.where(known, distance, tf.ones_like(distance))
    return tf.maximum(first, second), tf.where(known, -tf.math.expm1(-safe) / safe, tf.ones_like(distance))


def _shares_of_total(value, reference, totals):
    """The multipliers of log(sum(exp(x))): non-negative, and 1 in all at most."""
    (largest, share), (total, total_share) = _mean_exponential(value, reference), _mean_exponential(*totals)
    return tf.exp(largest - total) * share / total_share


def _softmax(operation, outputs):
    value, reference = _pairs(operation)[0]
    totals = [tf.reduce_logsumexp(tensor, -1, keepdims=True) for tensor in (value, reference)]
    largest, share = _mean_exponential(value - totals[0], reference - totals[1])
    to_logarithms = outputs[0] * tf.exp(largest) * share
    to_total = tf.reduce_sum(to_logarithms, -1, keepdims=True)
    return {value.name: to_logarithms - to_total * _shares_of_total(value, reference, totals)}


def _log_softmax(operation, outputs):
    value, reference = _pairs(operation)[0]
    totals = [tf.reduce_logsumexp(tensor, -1, keepdims=True) for tensor in (value, reference)]
    to_total = tf.reduce_sum(outputs[0], -1, keepdims=True)
    return {value.name: outputs[0] - to_total * _shares_of_total(value, reference, totals)}


def _extreme(operation, outputs):
    places = [place for place, depends in enumerate(operation.depends) if depends]
    rise = operation.op.outputs[0] - operation.twin.outputs[0]
    smallest = operation.type in ("Min", "Minimum")
    moved = tf.cast(rise < 0 if smallest else rise > 0, rise.dtype)
    twin = _of_all_rows(operation)
    parts = [(operation.op, outputs[0] * rise * moved), (twin, outputs[0] * rise * (1 - moved))]
    shares = [gradient_of(op, [op.inputs[place] for place in places], [contribution]) for op, contribution in parts]
    values = {}
    for place in places:
        value, reference = operation.op.inputs[place], twin.inputs[place]
        contribution = shares[0][value.name] + shares[1][reference.name]
        change, size = _difference(value, reference)
        slope = divide_differences(contribution, change, size, tf.zeros_like(change))
        add_to(values, value.name, slope)
    return values


def _of_all_rows(operation):
    """The operation of the reference, with as many rows as the input has."""
    pairs = _pairs(operation)
    if all(value.shape == reference.shape for value, reference in pairs):
        return operation.twin
    rows = [tf.broadcast_to(pair[1], tf.shape(pair[0])) if pair[0].dtype.is_floating else pair[1] for pair in pairs]
    return apply(operation.twin, rows)[0].op


def _batch_norm(operation, outputs):
    """Of a batch's fixed statistics, which are linear."""
    if operation.op.get_attr("is_training"):
        refuse_operation(operation, "deeplift")
    return gradient_rule(operation, outputs)


SPECIAL = {
    "IdentityN": pass_rule,
    # What no gradient goes through adds to the score all the same.
    "StopGradient": pass_rule,
    "RealDiv": _quotient,
    "Softmax": _softmax,
    "LogSoftmax": _log_softmax,
    "FusedBatchNormV3": _batch_norm,
}
