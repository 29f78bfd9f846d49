"""Scoring: how each kind of objective term turns an activation into one number per sample, inside a trace.

`(activation [batch, ..., channels], *numbers [batch, ...]) -> score [batch]`
"""

from dataclasses import dataclass

from lab.environment import tf
from lab.objectives import CLASSES, OUTPUTS
from lab.refusal import Refused
from lab.taps import preactivation


def score(structure, weights, numbers, trace):
    """The weighted sum of the terms of an objective.

    Args:
        structure: `Objective.structure`.
        weights: [terms].
        numbers: `Objective.numbers`.
        trace: a `Trace` of the network.

    Returns:
        float32 [batch].
    """
    total = 0.0
    for position, (kind, where, linear, function) in enumerate(structure):
        if kind == "custom":
            read = {path: _read(trace.activations[path], linear) for path in where}
            term = _check_one_score(function(read), where)
        else:
            activation = trace.logits(where) if kind in OUTPUTS else trace.activations[where]
            term = _KINDS[kind](_read(activation, linear), *numbers[position])
        total += tf.cast(weights[position], term.dtype) * term
    return total


@dataclass(frozen=True)
class KnownOutputs:
    """Outputs that were computed before, in the place of the `Trace` of an objective that reads nothing else.

    Args:
        network: a `Network`.
        values: dict of output name to float32 array, logits as of `lab.routines.outputs`.
    """

    network: object
    values: dict

    def logits(self, name):
        """The logits of an output: tensor [batch, classes]."""
        return tf.constant(self.values[self.network.output_name(name)])


def is_class_score(objective):
    """Whether an objective is the score of one class a sample as it is, so that the logits of all classes hold it: bool."""
    return len(objective.terms) == 1 and all(weight == 1 and term.kind in CLASSES for weight, term in objective.terms)


def is_linear_score(objective):
    """Whether every term of an objective takes or averages numbers of an activation and nothing else: bool."""
    return all(term.kind in _LINEAR for _, term in objective.terms)


def _read(activation, linear):
    if linear:
        activation, _ = preactivation(activation)
    return tf.cast(activation, tf.float32) if activation.dtype in (tf.float16, tf.bfloat16) else activation


def _check_one_score(scores, where):
    scores = tf.convert_to_tensor(scores)
    if scores.shape.rank != 1:
        raise Refused(
            f"A custom objective gives one score a sample, [batch]. Received: {scores.shape} from {', '.join(where)}."
        )
    return scores


def _positions(activation):
    """[batch, ..., channels] as [batch, positions, channels]."""
    shape = tf.shape(activation)
    return tf.reshape(activation, (shape[0], -1, activation.shape[-1]))


def mean_over_positions(activation):
    """The mean over positions: [batch, ..., channels] -> [batch, channels]; [batch, channels] as it is."""
    return tf.reduce_mean(_positions(activation), axis=1)


def _take(values, *places):
    """What stands at each row's own place: [batch, ...] -> [batch, ...]. A batched gather has a gradient of many operations."""
    rows = tf.range(tf.shape(values)[0])
    return tf.gather_nd(values, tf.stack([rows, *places], axis=1))


def _logit(activation, index):
    scores = activation if len(activation.shape) == 2 else activation[:, None]
    return _take(scores, index)


def _class_score(activation, index):
    if activation.shape.rank == 2 and activation.shape[-1] != 1:
        return _logit(activation, index)
    return tf.reshape(activation, [-1]) * tf.cast(2 * index - 1, activation.dtype)


def _region(activation, index, weights):
    values = tf.gather(_positions(activation), index, axis=2, batch_dims=1)
    weights = tf.broadcast_to(tf.cast(weights, values.dtype), tf.shape(values))
    return tf.reduce_sum(values * weights, axis=1) / tf.reduce_sum(weights, axis=1)


def _token(activation, index, position):
    return _take(activation, position, index)


def _channel(activation, index):
    return _take(mean_over_positions(activation), index)


def _neuron(activation, index, row, column):
    if len(activation.shape) == 2:
        return _take(activation, index)
    grid = activation if len(activation.shape) == 4 else _positions(activation)[:, None]
    height, width = tf.unstack(tf.shape(grid)[1:3])
    rows = tf.where(row < 0, height // 2, row)
    columns = tf.where(column < 0, width // 2, column)
    return _take(grid, rows, columns, index)


def _layer(activation):
    return tf.reduce_mean(tf.square(_positions(activation)), axis=(1, 2))


def _direction(activation, vector, power):
    return _project(mean_over_positions(activation), vector, power)


def _direction_at(activation, vector, power, row, column):
    return _project(_take(activation, row, column), vector, power)


def _likeness(activation, vector, power):
    return _project(tf.reshape(activation, [tf.shape(activation)[0], -1]), vector, power)


def _project(values, vector, power):
    """<values, vector> times the cosine to a power; the cosine is at least .1, so that no gradient is zero at the start."""
    vector, power = tf.cast(vector, values.dtype), tf.cast(power, values.dtype)
    product = tf.reduce_sum(values * vector, axis=1)
    # Inside the root, because a norm has no gradient at zero, as for a dead layer.
    lengths = tf.sqrt(tf.reduce_sum(values**2, axis=1) * tf.reduce_sum(vector**2, axis=1) + 1e-12)
    return product * tf.maximum(product / lengths, 0.1) ** power


def _weighted(activation, indices, weights):
    values = tf.gather(mean_over_positions(activation), indices, axis=1, batch_dims=1)
    return tf.reduce_sum(values * tf.cast(weights, values.dtype), axis=1)


def _group(activation, index, rows, columns):
    values = tf.gather(activation, index, axis=3, batch_dims=1)
    inside = [_in_window(tf.shape(values)[axis], pair) for axis, pair in ((1, rows), (2, columns))]
    shares = tf.cast(inside[0][:, :, None] & inside[1][:, None, :], values.dtype)
    return tf.reduce_sum(values * shares, axis=(1, 2)) / tf.reduce_sum(shares, axis=(1, 2))


def _in_window(count, pair):
    at = tf.range(count)[None]
    return (at >= pair[:, :1]) & (at <= pair[:, 1:])


def _cosine(activation, vector):
    mean, vector = mean_over_positions(activation), tf.cast(vector, activation.dtype)
    return tf.reduce_sum(tf.math.l2_normalize(mean, 1, 1e-24) * tf.math.l2_normalize(vector, 1, 1e-24), axis=1)


_LINEAR = {"logit", "class_score", "region", "token", "channel", "neuron", "weighted", "group"}
_KINDS = {
    "logit": _logit,
    "class_score": _class_score,
    "region": _region,
    "token": _token,
    "channel": _channel,
    "neuron": _neuron,
    "layer": _layer,
    "direction": _direction,
    "direction_at": _direction_at,
    "cosine": _cosine,
    "weighted": _weighted,
    "group": _group,
    "likeness": _likeness,
}
