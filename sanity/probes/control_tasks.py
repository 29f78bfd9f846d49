"""Control tasks: labels that mean nothing, fixed for each type of input. What a probe learns of them it has learned by heart.

Hewitt, Liang 2019, https://arxiv.org/abs/1909.03368
"""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

# Inputs of a type, about, where types are clusters; types at most; and directions that inputs are clustered by.
SIZE, MOST_TYPES, DIRECTIONS = 8, 200, 20


def input_types(features, *, seed):
    """Types of inputs: clusters of about eight that are alike.

    Args:
        features: float [inputs, features], the inputs as numbers.
        seed: int.

    Returns:
        int [inputs], from 0 on.
    """
    scaled = StandardScaler().fit_transform(features)
    reduced = PCA(min(DIRECTIONS, *scaled.shape), random_state=seed).fit_transform(scaled)
    count = int(np.clip(len(features) // SIZE, 2, MOST_TYPES))
    count = min(count, len(np.unique(reduced, axis=0)))
    return KMeans(count, n_init=1, random_state=seed).fit_predict(reduced)


def control_labels(types, labels, *, seed):
    """A random label for each type, each class in about as many rows as it has among the labels.

    Args:
        types: int [rows], from 0 on.
        labels: int [rows], classes from 0 on.
        seed: int.

    Returns:
        int [rows].
    """
    codes = np.unique(types, return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(codes.max() + 1)
    counts = np.bincount(codes)[order]
    middles = (np.cumsum(counts) - counts / 2) / len(labels)
    ends = np.cumsum(np.bincount(labels)) / len(labels)
    label_of = np.empty(len(order), int)
    label_of[order] = np.searchsorted(ends, middles)
    return label_of[codes]
