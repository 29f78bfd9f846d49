"""Transformer rules: relevance of attention weights as Chefer, Gur, Wolf 2021 share it (https://arxiv.org/abs/2012.09838).

weights       what raises the output counts, x+ W+ and x- W-, without the bias (equations 4 and 5).
sums          of two tensors, as of a residual: each gets its share of the two absolute sums of a sample, so that what has opposite
              signs does not grow (equations 9 and 10).
products      of two tensors share half and half, which is what equation 10 comes to.
the rest      softmax, layers of normalization and activations keep the relevance, as in the authors' code. Where a normalized
              number is 0, the numbers beside it take its relevance, which is a rule of the lab.
"""

import functools

from lab import routines
from lab.embeddings import Embedded, embedding_network
from lab.environment import keras, tf
from lab.kernels import KERNELS, Kernel
from lab.propagation import gradient_of, propagate, reached_names, stop_rule
from lab.relevance_rules import KERNEL_RULES, Rule, activation_rule, plain_rule, stabilize

PLUS = Rule("alpha_beta", 1.0, bias=False)
_NORMALIZATIONS = (keras.layers.LayerNormalization, keras.layers.RMSNormalization)
_SUMS = {"AddV2", "Add"}


class Normalizations:
    """Interceptor that notes what each layer of normalization gets.

    `inputs[name of its output]` is a tensor, and the list of axes over which it is normalized.
    """

    def __init__(self):
        self.inputs = {}

    def __call__(self, layer, call, args, kwargs):
        outputs = call(*args, **kwargs)
        if isinstance(layer, _NORMALIZATIONS):
            self.inputs[outputs.name] = next(iter((*args, *kwargs.values()))), tf.nest.flatten(layer.axis)
        return outputs


def trace_relevance(network, objective, inputs, numbers, weights, reads):
    """Inside a trace: scores, what is read, and a function that gives the relevance of attention weights.

    Args:
        network: a `Network`.
        objective: an `Objective`.
        inputs: tensors that the network takes.
        numbers: the objective's numbers by row.
        weights: tensor, the objective's weights.
        reads: addresses that are read.

    Returns:
        tensor [batch]; dict of address to tensor; and function of a list of tensors of attention weights that gives the relevance
        of each, a list of tensors in their shapes.
    """
    embedded, norms = embedding_network(network), Normalizations()
    vectors = list(embedded.sources) if isinstance(embedded, Embedded) else []
    scores, operations, owners, read = routines.trace_operations(
        network, objective, weights, inputs, numbers, reads=[*reads, *vectors], interceptors=[norms]
    )
    sources = [leaf for leaf in tf.nest.flatten(inputs) if leaf.dtype.is_floating] + [read[path] for path in vectors]

    def relevance(tensors):
        behind = reached_names(operations, tensors, owners)
        rule_of = functools.partial(_rule_of, behind, norms.inputs)
        seeds = {scores.name: 1 / stabilize(scores)}
        values = propagate(seeds, [*tensors, *sources], rule_of, operations=operations, owners=owners)
        return [tf.zeros_like(x) if value is None else x * value for x, value in zip(tensors, values)]

    return scores, read, relevance


def _rule_of(behind, normalized, operation):
    """The rule of an operation; what lies before all attention weights needs none.

    Args:
        behind: set of the names of tensors behind attention weights.
        normalized: as `Normalizations.inputs`.
        operation: `lab.propagation.Operation`.
    """
    names = [tensor.name for tensor in operation.op.outputs]
    if not behind.intersection(names):
        return stop_rule
    if names[0] in normalized:
        return functools.partial(_keep, *normalized[names[0]])
    if operation.type == "Softmax":
        return activation_rule
    if operation.type in _SUMS and operation.is_joint:
        return _share_sum
    if operation.type in KERNELS and not operation.is_joint:
        return _weighted
    return plain_rule(operation)


def _keep(x, axes, operation, outputs):
    """All relevance of a layer's output goes to its input.

    A number near 0 can take none. Its output is made by the numbers that are normalized with it, which take that by their sizes.
    Where all of them are 0 the output is a bias, and relevance ends there.
    """
    relevance, sizes = outputs[0] * operation.op.outputs[0], tf.abs(x)
    left = tf.reduce_sum(relevance * (1 - x / stabilize(x)), axis=axes, keepdims=True)
    shares = tf.math.divide_no_nan(sizes, tf.reduce_sum(sizes, axis=axes, keepdims=True))
    return {x.name: (relevance + left * shares) / stabilize(x)}


def _weighted(operation, outputs):
    kernel = Kernel(operation)
    return {kernel.x.name: KERNEL_RULES[PLUS.name](kernel, PLUS, outputs[0])}


def _share_sum(operation, outputs):
    """Relevance of the parts of a sum, each scaled to its share of the absolute sums (equation 10)."""
    parts, multipliers = operation.variables, gradient_of(operation.op, operation.variables, outputs)
    if any(part.shape.rank != operation.op.outputs[0].shape.rank for part in parts):
        return multipliers
    sums = {part.name: _sum_of_sample(part * multipliers[part.name]) for part in parts}
    total, sizes = tf.add_n(list(sums.values())), tf.add_n([tf.abs(value) for value in sums.values()])
    share = tf.math.divide_no_nan(total, sizes)
    return {name: value * tf.sign(sums[name]) * share for name, value in multipliers.items()}


def _sum_of_sample(values):
    return tf.reduce_sum(values, axis=list(range(1, len(values.shape))), keepdims=True)
