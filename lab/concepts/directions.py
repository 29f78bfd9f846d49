"""Directions: concept activation vectors, and the derivative of a score along them."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from lab import routines
from lab.concepts.activations import masked_mean, position_weights, refuse_layers
from lab.environment import tf
from lab.refusal import Refused
from lab.scoring import score

# Parts that are left out in turn, and parts of a larger side that stand for it.
FOLDS, PARTS = 5, 5


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


def held_out_scores(positive, negative, *, groups=None, folds=FOLDS):
    """What a ridge regression says of inputs that it was not fitted to, above zero for the concept.

    Folds hold as many sources of either side, or a vector of many channels would know the side of what was left out.

    Args:
        positive: float [inputs, channels].
        negative: float [inputs, channels], about as many.
        groups: source of each row, positive ones first; inputs of one source are left out together. None: each its own.
        folds: int.

    Returns:
        float64 [inputs], positive ones first; nan where a fold left one side without inputs.
    """
    rows = np.concatenate([positive, negative]).astype("float64")
    labels = np.repeat([1, 0], [len(positive), len(negative)])
    fold_of = _deal(labels, np.arange(len(rows)) if groups is None else np.asarray(groups), folds)
    scores = np.full(len(rows), np.nan)
    for fold in range(folds):
        fitted, held_out = fold_of != fold, fold_of == fold
        if len(set(labels[fitted])) == 2 and held_out.any():
            # Halfway between the means of both sides.
            centre = np.mean([rows[fitted & (labels == label)].mean(axis=0) for label in (0, 1)], axis=0)
            vector = _ridge(rows[fitted] - centre, labels[fitted])
            scores[held_out] = (rows[held_out] - centre) @ vector
    return scores


def _deal(labels, groups, folds):
    """The fold of each row: sources of either side are dealt by turns."""
    fold_of_group = {}
    for label in (1, 0):
        sources = [group for group in dict.fromkeys(groups[labels == label].tolist()) if group not in fold_of_group]
        fold_of_group |= {group: place % folds for place, group in enumerate(sources)}
    return np.array([fold_of_group[group] for group in groups.tolist()])


def held_out_accuracy(positive, negative, *, groups=None):
    """How well a concept's activations are told from others by a regression that was not fitted to them.

    Where there are many more others, it is the mean over at most five parts of them that are as many as the concept's.

    Args:
        positive: float [inputs, channels].
        negative: float [inputs, channels].
        groups: source of each row, positive ones first; inputs of one source are left out together. None: each its own.

    Returns:
        float, the mean of the accuracies on both sides, .5 for chance.
    """
    groups = np.arange(len(positive) + len(negative)) if groups is None else np.asarray(groups)
    parts = int(np.clip(len(negative) // len(positive), 1, PARTS))
    size = len(negative) if parts == 1 else len(positive)
    return float(np.mean([_accuracy(positive, negative, groups, part * size, size) for part in range(parts)]))


def _accuracy(positive, negative, groups, start, size):
    """The accuracy against one part of the others."""
    part = slice(start, start + size)
    others = len(positive) + np.arange(len(negative))[part]
    known = np.concatenate([groups[: len(positive)], groups[others]])
    scores = held_out_scores(positive, negative[part], groups=known)
    sides = (scores[: len(positive)] > 0, scores[len(positive) :] < 0)
    return np.mean([np.mean(side) for side in sides])


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
    if fit not in _FITTED:
        raise Refused(f"A vector is fitted by {' or '.join(map(repr, _FITTED))}. Received: fit={fit!r}.")
    shapes = [np.shape(rows) for rows in (positive, negative)]
    if any(len(shape) != 2 or not shape[0] for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise Refused(
            f"A vector is fitted to two arrays [inputs, channels] of the same channels. Received: {shapes[0]} and {shapes[1]}."
        )
