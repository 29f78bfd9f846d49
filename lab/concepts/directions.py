"""Directions: concept activation vectors, and the derivative of a score along them."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from lab import routines
from lab.concepts.activations import masked_mean, position_weights, refuse_layers
from lab.environment import tf
from lab.refusal import Refused
from lab.scoring import score

FITS = ("logistic", "mean_difference")


def cav(positive, negative, *, fit="logistic"):
    """The concept activation vector: the normal of the plane that separates a concept's activations from others.

    Activations are divided by their root mean square first, so that the vector does not depend on their scale.

    Args:
        positive: float [inputs, channels], activations of the concept.
        negative: float [inputs, channels], of other inputs.
        fit: "logistic", a logistic regression, or "mean_difference", the difference of means (Pahde et al. 2022,
            https://arxiv.org/abs/2202.03482), which noise that the concept does not cause cannot turn.

    Returns:
        float64 [channels] of length one; zeros where both are equal.

    Raises:
        Refused: for an unknown fit, and for activations without rows or of different channels.

    Kim et al. 2018, https://arxiv.org/abs/1711.11279
    """
    _refuse_shapes(positive, negative, fit)
    rows, labels = _stacked(positive, negative)
    if fit == "mean_difference":
        vector = rows[labels == 1].mean(axis=0) - rows[labels == 0].mean(axis=0)
    else:
        vector = _classifier().fit(rows, labels).coef_[0]
    length = np.linalg.norm(vector)
    return vector / length if length > 0 else vector


def held_out_accuracy(positive, negative, *, groups=None, seed, folds=5):
    """How well a logistic regression tells a concept's activations from others that it was not fitted to.

    Args:
        positive: float [inputs, channels].
        negative: float [inputs, channels].
        groups: source of each row, positive ones first; inputs of one source stay on one side. None: each its own.
        seed: int, of the split.
        folds: int.

    Returns:
        float, the mean of the accuracies on both sides, .5 for chance.
    """
    rows, labels = _stacked(positive, negative)
    groups = np.arange(len(rows)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    splitter = StratifiedGroupKFold(min(folds, *np.bincount(labels)), shuffle=True, random_state=seed)
    right = np.full(len(rows), np.nan)
    for fitted, held_out in splitter.split(rows, labels, groups):
        if len(set(labels[fitted])) == 2:
            right[held_out] = (
                _classifier().fit(rows[fitted], labels[fitted]).predict(rows[held_out]) == labels[held_out]
            )
    return float(np.mean([np.nanmean(right[labels == label]) for label in (0, 1)]))


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


def _classifier():
    return LogisticRegression(C=1.0, max_iter=1000)


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
