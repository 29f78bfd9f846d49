"""Scoring: how each kind of objective term turns an activation into one number per sample, inside a trace.

`(activation [batch, ..., channels], *numbers [batch, ...]) -> score [batch]`
"""

from lab.environment import tf
from lab.taps import preactivation


def score(structure, weights, numbers, trace):
    """The weighted sum of the terms of an objective: float32 [batch].

    structure: `Objective.structure`; weights: [terms]; numbers: `Objective.numbers`; trace: what the network computed.
    """
    total = 0.0
    for position, (kind, where, linear) in enumerate(structure):
        activation = trace.logits(where) if kind == "logit" else trace.activations[where]
        if linear:
            activation, _ = preactivation(activation)
        term = _KINDS[kind](_floating(activation), *numbers[position])
        total += tf.cast(weights[position], term.dtype) * term
    return total


def _floating(activation):
    return tf.cast(activation, tf.float32) if activation.dtype in (tf.float16, tf.bfloat16) else activation


def _positions(activation):
    """[batch, ..., channels] as [batch, positions, channels]."""
    shape = tf.shape(activation)
    return tf.reshape(activation, (shape[0], -1, activation.shape[-1]))


def _mean(activation):
    return tf.reduce_mean(_positions(activation), axis=1)


def _logit(activation, index):
    scores = activation if len(activation.shape) == 2 else activation[:, None]
    return tf.gather(scores, index, axis=1, batch_dims=1)


def _channel(activation, index):
    return tf.gather(_mean(activation), index, axis=1, batch_dims=1)


def _neuron(activation, index, row, column):
    if len(activation.shape) == 2:
        return tf.gather(activation, index, axis=1, batch_dims=1)
    grid = activation if len(activation.shape) == 4 else _positions(activation)[:, None]
    height, width = tf.unstack(tf.shape(grid)[1:3])
    rows = tf.where(row < 0, height // 2, row)
    columns = tf.where(column < 0, width // 2, column)
    return tf.gather_nd(grid, tf.stack([rows, columns, index], axis=1), batch_dims=1)


def _layer(activation):
    return tf.reduce_mean(tf.square(_positions(activation)), axis=(1, 2))


def _direction(activation, vector):
    return tf.reduce_sum(_mean(activation) * tf.cast(vector, activation.dtype), axis=1)


def _cosine(activation, vector):
    mean, vector = _mean(activation), tf.cast(vector, activation.dtype)
    return tf.reduce_sum(tf.math.l2_normalize(mean, 1, 1e-24) * tf.math.l2_normalize(vector, 1, 1e-24), axis=1)


_KINDS = {
    "logit": _logit,
    "channel": _channel,
    "neuron": _neuron,
    "layer": _layer,
    "direction": _direction,
    "cosine": _cosine,
}
