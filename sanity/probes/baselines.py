"""Baselines: the inputs themselves as rows of numbers, without any network: pixels, columns, or which tokens occur."""

import numpy as np
from skimage.transform import resize

from lab.environment import tf
from lab.kinds import kind_of

# Pixels of a side, steps of a series, and tokens that are counted.
SIDE, STEPS, TOKENS = 12, 32, 300


def input_features(inputs):
    """Inputs as rows of numbers: small pixels, short series, columns, or which tokens occur.

    Args:
        inputs: arrays as a network takes them, [inputs, ...] or a structure of such.

    Returns:
        float32 [inputs, features].
    """
    return np.concatenate([_features(np.asarray(leaf)) for leaf in tf.nest.flatten(inputs)], axis=1)


def position_features(inputs, owners, positions, count):
    """What stands at single positions: the token there, or the values.

    Args:
        inputs: arrays as a network takes them.
        owners: int [rows], the input of each row.
        positions: int [rows], where in the layer.
        count: int, positions of the layer; None: as many as the input has.

    Returns:
        float32 [rows, features]; those of the whole input where the layer has other positions than it.
    """
    leaf = np.asarray(tf.nest.flatten(inputs)[0])
    if not _has_positions_of(leaf, count):
        return input_features(inputs)[owners]
    if kind_of(leaf).name == "tokens":
        return _one_hot(leaf[owners, positions])
    return leaf[owners, positions].astype("float32")


def _has_positions_of(leaf, count):
    """Whether the positions of a layer are the tokens of a text, or the steps of a series: bool."""
    return kind_of(leaf).name in ("tokens", "series") and count in (None, leaf.shape[1])


def position_types(inputs, owners, positions, count):
    """The token at each position, the type of a control task: int [rows], or None for inputs of other kinds.

    Args:
        inputs: arrays as a network takes them.
        owners: int [rows].
        positions: int [rows].
        count: int, positions of the layer; None: as many as the input has.

    Returns:
        int [rows], or None; None too where the layer has other positions than the text.
    """
    leaf = np.asarray(tf.nest.flatten(inputs)[0])
    is_tokens = kind_of(leaf).name == "tokens" and _has_positions_of(leaf, count)
    return np.unique(leaf[owners, positions], return_inverse=True)[1] if is_tokens else None


def _features(leaf):
    kind = kind_of(leaf).name
    if kind == "image":
        sides = [min(SIDE, length) for length in leaf.shape[1:3]]
        small = [resize(image.astype("float32"), (*sides, leaf.shape[-1]), anti_aliasing=True) for image in leaf]
        return np.stack(small).reshape(len(leaf), -1)
    if kind == "series":
        steps = min(STEPS, leaf.shape[1])
        return np.stack([resize(series, (steps, leaf.shape[2])) for series in leaf]).reshape(len(leaf), -1)
    if kind == "tokens":
        return _occurrences(leaf)
    return leaf.reshape(len(leaf), -1).astype("float32")


def _occurrences(ids):
    """Which of the most frequent tokens occur in each text: float32 [texts, tokens]."""
    values, counts = np.unique(ids, return_counts=True)
    common = values[np.argsort(-counts, kind="stable")[:TOKENS]]
    return np.stack([(ids == token).any(axis=1) for token in common], axis=1).astype("float32")


def _one_hot(ids):
    values, counts = np.unique(ids, return_counts=True)
    common = values[np.argsort(-counts, kind="stable")[:TOKENS]]
    return (ids[:, None] == common).astype("float32")
