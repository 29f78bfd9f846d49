"""Directions: concept activation vectors, and the derivative of a score along them."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from lab import routines
from lab.concepts.activations import masked_mean, position_weights, refuse_layers
from lab.environment import tf
from lab.refusal import Refused
from lab.scoring import score

FITS = ("ridge", "logistic", "mean_difference")


def cav(positive, negative, *, fit="ridge"):
    """The concept activation vector: the normal of the plane that separates a concept's activations from others.

    Activations are divided by their root mean square first, so that the vector does not depend on their scale.

    Args:
        positive: float [inputs, channels], activations of the concept.
        negative: float [inputs, channels], of other inputs.
        fit: "ridge", a ridge regression on the two classes, in closed form; "logistic", a logistic regression; or
            "mean_difference", the difference of means (Pahde et al. 2022, https://arxiv.org/abs/2202.03482), which noise
            that the concept does not cause cannot turn.

    Returns:
        float64 [channels] of length one; zeros where both are equal.

    Raises:
        Refused: for an unknown fit, and for activations without rows or of different channels.

    Kim et al. 2018, https://arxiv.org/abs/1711.11279
    """
    _refuse_shapes(positive, negative, fit)
    rows, labels = _stacked(positive, negative)
    vector = _FITTED[fit](rows, labels)
    length = np.linalg.norm(vector)
    return vector / length if length > 0 else vector


def held_out_accuracy(positive, negative, *, groups=None):
    """How well a ridge regression tells a concept's activations from others, each source left out in turn.

    Args:
        positive: float [inputs, channels].
        negative: float [inputs, channels].
        groups: source of each row, positive ones first; inputs of one source are left out together. None: each its own.

    Returns:
        float, the mean of the accuracies on both sides, .5 for chance.
    """
    rows, labels = _stacked(positive, negative)
    groups = np.arange(len(rows)) if groups is None else np.asarray(groups)
    signs = np.where(labels == 1, 1.0, -1.0)
    kernel, penalty = _kernel(rows)
    hat = np.linalg.solve(kernel + penalty * np.eye(len(rows)), kernel).T
    residuals = signs - hat @ signs
    predicted = np.empty(len(rows))
    for group in np.unique(groups):
        places = np.flatnonzero(groups == group)
        left_out = np.linalg.solve(np.eye(len(places)) - hat[np.ix_(places, places)], residuals[places])
        predicted[places] = signs[places] - left_out
    return float(np.mean([np.mean(predicted[labels == label] * signs[labels == label] > 0) for label in (0, 1)]))


def directional_derivatives(network, inputs, objective, layers):
    """How much a score changes when a vector is added to a layer at every position, per unit of the vector's length.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        layers: list of addresses of layers.

    Returns:
        dict of address to float32 [inputs, channels], the gradient summed over positions: its product with a vector is the
        derivative along it. Masked tokens do not count.

    Raises:
        Refused: for a layer that the network does not have, or that no gradient reaches.
    """

    def body(batched, weights):
        inputs, numbers = batched
        trace = network.trace(inputs, [*objective.paths, *layers])
        scores = score(objective.structure, weights, numbers, trace)
        return {
            layer: _summed(network, inputs, routines.gradient_at(scores, trace.activations[layer], layer, objective))
            for layer in layers
        }

    refuse_layers(network, layers)
    key = ("directional derivatives", objective.structure, tuple(layers))
    return routines.run(network, key, body, *routines.prepare(network, inputs, objective))


def _summed(network, inputs, slope):
    """The sum of a gradient over positions: the mean, times how many of them count."""
    weights = position_weights(network, inputs, slope)
    if weights is None:
        count = tf.cast(tf.reduce_prod(tf.shape(slope)[1:-1]), tf.float32)
    else:
        count = tf.reduce_sum(tf.cast(weights > 0, tf.float32), axis=1, keepdims=True)
    return masked_mean(network, inputs, slope) * count


def _ridge(rows, labels):
    kernel, penalty = _kernel(rows)
    weights = np.where(labels == 1, 1 / labels.sum(), -1 / (1 - labels).sum())
    return rows.T @ np.linalg.solve(kernel + penalty * np.eye(len(rows)), weights)


def _kernel(rows):
    """Products of rows, and the penalty: the mean square of a row, so that scale and number of channels do not matter."""
    kernel = rows @ rows.T
    return kernel, max(np.trace(kernel) / len(rows), 1e-300)


def _logistic(rows, labels):
    return LogisticRegression(C=1.0, max_iter=1000).fit(rows, labels).coef_[0]


def _mean_difference(rows, labels):
    return rows[labels == 1].mean(axis=0) - rows[labels == 0].mean(axis=0)


_FITTED = {"ridge": _ridge, "logistic": _logistic, "mean_difference": _mean_difference}


def _stacked(positive, negative):
    """Both sets of rows on one scale, and which of them belong to the concept."""
    rows = np.concatenate([positive, negative]).astype("float64")
    scale = np.sqrt(np.mean((rows - rows.mean(axis=0)) ** 2))
    labels = np.repeat([1, 0], [len(positive), len(negative)])
    return (rows - rows.mean(axis=0)) / (scale if scale > 0 else 1.0), labels


def _refuse_shapes(positive, negative, fit):
    if fit not in FITS:
        raise Refused(f"A vector is fitted by {' or '.join(map(repr, FITS))}. Received: fit={fit!r}.")
    shapes = [np.shape(rows) for rows in (positive, negative)]
    if any(len(shape) != 2 or not shape[0] for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise Refused(
            f"A vector is fitted to two arrays [inputs, channels] of the same channels. Received: {shapes[0]} and {shapes[1]}."
        )
