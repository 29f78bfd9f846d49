"""Extremes: which rows show a view's relation with the labels best, and which feature carries it, for a person to look at."""

import numpy as np

# Rows shown of each class, and classes that are shown.
ROWS, CLASSES = 3, 4


def extreme_rows(features, labels):
    """For each class, those of its rows that are most unlike the other classes by a view.

    Args:
        features: float [rows, features].
        labels: sequence of str.

    Returns:
        dict of class to list of int, places of rows; the largest classes only.
    """
    labels = np.array(labels)
    scaled = _scaled(features)
    names, counts = np.unique(labels, return_counts=True)
    largest = names[np.argsort(-counts, kind="stable")][:CLASSES]
    return {str(name): _most_typical(scaled, labels == name) for name in sorted(largest)}


def _most_typical(scaled, members):
    direction = scaled[members].mean(axis=0) - scaled[~members].mean(axis=0)
    places = np.flatnonzero(members)
    return places[np.argsort(-(scaled[places] @ direction), kind="stable")][:ROWS].tolist()


def leading_feature(features, names, labels):
    """The feature whose means differ most between classes.

    Args:
        features: float [rows, features].
        names: list of str, those of the features.
        labels: sequence of str.

    Returns:
        str, and dict of class to its mean: float; the largest classes only.
    """
    labels, scaled = np.array(labels), _scaled(features)
    classes, counts = np.unique(labels, return_counts=True)
    means = np.stack([scaled[labels == name].mean(axis=0) for name in classes])
    place = int((counts @ means**2).argmax())
    largest = sorted(classes[np.argsort(-counts, kind="stable")][:CLASSES])
    return names[place], {str(name): float(features[labels == name, place].mean()) for name in largest}


def _scaled(features):
    deviation = features.std(axis=0)
    return (features - features.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
