"""Activation rules: what ReLU-like activations pass back in place of their gradient, as rules of `lab.propagation`.

guided       the gradient, of the positive part of what comes (Springenberg et al. 2014).
deconv       the positive part of what comes, whatever the forward pass did (Zeiler, Fergus 2013).
redirected   the gradient, but for a sample where it is zero everywhere the positive part of what comes (Olah et al. 2017, in the
             code of https://distill.pub/2017/feature-visualization).
"""

from lab.environment import tf
from lab.propagation import gradient_rule, propagate
from lab.refusal import Refused
from lab.registry import nearest

ACTIVATIONS = ("Relu", "Relu6", "LeakyRelu", "Elu", "Selu")


def _guided(operation, outputs):
    return gradient_rule(operation, [tf.nn.relu(outputs[0])])


def _deconv(operation, outputs):
    return {operation.inputs[0].name: tf.nn.relu(outputs[0])}


def _redirected(operation, outputs):
    slopes = gradient_rule(operation, outputs)[operation.inputs[0].name]
    is_dead = tf.reduce_all(tf.equal(slopes, 0), axis=range(1, len(slopes.shape)), keepdims=True)
    return {operation.inputs[0].name: tf.where(is_dead, tf.nn.relu(outputs[0]), slopes)}


RULES = {"guided": _guided, "deconv": _deconv, "redirected": _redirected}


def ruled_gradient(scores, sources, rule, *, operations, owners=None):
    """Inside a trace: the gradient of scores, with another rule at each ReLU-like activation.

    Args:
        scores: tensor.
        sources: list of tensors, floating.
        rule: str, one of RULES.
        operations: list of graph operations between sources and scores, in the order in which they were made.
        owners: dict of an operation's name to the path of its layer, or None.

    Returns:
        list of tensors, None for a source that the scores do not depend on.

    Raises:
        Refused: for an unknown rule, and where the rule applies to no activation.
    """
    if rule not in RULES:
        raise Refused(f"A rule of activations is one of {', '.join(RULES)}. Received: {rule!r}. {nearest(rule, RULES)}")
    ruled = []

    def rule_of(operation):
        if operation.type not in ACTIVATIONS:
            return gradient_rule
        ruled.append(operation)
        return RULES[rule]

    seeds = {scores.name: tf.ones_like(scores)}
    slopes = propagate(seeds, sources, rule_of, operations=operations, owners=owners, choices=True)
    if not ruled:
        raise Refused(
            f"The {rule} rule needs an activation such as ReLU between inputs and score ({', '.join(ACTIVATIONS)}). Received: a network without one."
        )
    return slopes
