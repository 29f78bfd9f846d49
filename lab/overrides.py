"""Overrides: other gradients of ReLU-like activations, used while a graph is being traced.

    with override("guided") as fired:
        trace = network.trace(inputs)
        slopes = tf.gradients(score, inputs)     # fired: the operations whose gradient was the rule's

An operation keeps the rule that it was made under, in any layer, nested or not. Only `tf.gradients` uses it, not a tape.
"""

import contextlib
import threading

from lab.environment import tf
from lab.refusal import Refused

RULES = ("guided", "deconv", "redirected")

_PLAIN = {
    "Relu": lambda op, slope: tf.raw_ops.ReluGrad(gradients=slope, features=op.outputs[0]),
    "Relu6": lambda op, slope: tf.raw_ops.Relu6Grad(gradients=slope, features=op.outputs[0]),
    "LeakyRelu": lambda op, slope: tf.raw_ops.LeakyReluGrad(
        gradients=slope, features=op.inputs[0], alpha=op.get_attr("alpha")
    ),
    "Elu": lambda op, slope: tf.raw_ops.EluGrad(gradients=slope, outputs=op.outputs[0]),
    "Selu": lambda op, slope: tf.raw_ops.SeluGrad(gradients=slope, outputs=op.outputs[0]),
}


class _RuleLog(threading.local):
    """One list for each trace of this thread, the innermost last: rules note in it the operations that they served."""

    def __init__(self):
        self.lists = []


_fired = _RuleLog()


@contextlib.contextmanager
def override(rule):
    """While open, ReLU-like operations made in the current graph get another gradient -> list that fills with their names.

    Args:
        rule: "guided" passes the plain gradient of the positive part of the incoming one. "deconv" passes the positive
            part of the incoming one, whatever the forward pass did. "redirected" passes the plain gradient, except for
            a sample where that is zero everywhere, which gets the positive part of the incoming one
            (Olah et al. 2017, in the code of https://distill.pub/2017/feature-visualization).

    Raises:
        Refused: on leaving, where no gradient went through such an operation.
    """
    if rule not in RULES:
        raise Refused(f"A gradient rule is one of {', '.join(RULES)}. Received: {rule!r}.")
    graph, names = tf.compat.v1.get_default_graph(), []
    _fired.lists.append(names)
    try:
        with graph.gradient_override_map({kind: f"lab_{rule}_{kind}" for kind in _PLAIN}):
            yield names
    finally:
        _fired.lists.pop()
    _refuse_missed(graph, names, rule)


def _refuse_missed(graph, names, rule):
    """Raise Refused unless all ReLU-like operations of the graph follow the rule and a gradient reached one of them."""
    missed = [op.name for op in graph.get_operations() if op.type in _PLAIN and not _follows_rule(op, rule)]
    if missed:
        raise Refused(
            f"The {rule} rule holds for every ReLU-like activation. Received: {missed[0]!r}, made without it."
        )
    if not names:
        raise Refused(
            f"The {rule} rule needs an activation such as ReLU between inputs and score ({', '.join(_PLAIN)}). Received: a network without one."
        )


def _follows_rule(op, rule):
    try:
        return op.get_attr("_gradient_op_type").decode() == f"lab_{rule}_{op.type}"
    except ValueError:
        return False


def _guided(kind):
    def gradient(op, slope):
        _fired.lists[-1].append(op.name)
        return _PLAIN[kind](op, tf.nn.relu(slope))

    return gradient


def _deconv(kind):
    del kind  # The forward pass does not matter.

    def gradient(op, slope):
        _fired.lists[-1].append(op.name)
        return tf.nn.relu(slope)

    return gradient


def _redirected(kind):
    def gradient(op, slope):
        _fired.lists[-1].append(op.name)
        plain = _PLAIN[kind](op, slope)
        dead = tf.reduce_all(tf.equal(plain, 0.0), axis=range(1, len(plain.shape)), keepdims=True)
        return tf.where(dead, tf.nn.relu(slope), plain)

    return gradient


for _kind in _PLAIN:
    tf.RegisterGradient(f"lab_redirected_{_kind}")(_redirected(_kind))
    tf.RegisterGradient(f"lab_guided_{_kind}")(_guided(_kind))
    tf.RegisterGradient(f"lab_deconv_{_kind}")(_deconv(_kind))
