"""Overview: a global explanation from local ones, the mean absolute attribution per feature."""

import numpy as np

from lab.feature_means import feature_means
from sanity.statistics import Interval


def overview(maps, labels=None, *, seed, draws=1000):
    """Mean absolute attribution per feature, over all samples and per label.

    Args:
        maps: float [samples, ..., features]: features of a table, channels of an image or a layer. Magnitudes are
            averaged over positions.
        labels: one a sample, or None.
        seed: int.
        draws: int, resamples of the bootstrap over samples.

    Returns:
        dict of label (None: all) to list of 95% `Interval`s, one a feature. For one sample they are that sample alone.
    """
    sizes = np.abs(np.asarray(maps, "float64"))
    sizes = sizes.reshape(len(sizes), -1, sizes.shape[-1]).mean(axis=1)
    groups = {None: np.arange(len(sizes))}
    for row, label in enumerate([] if labels is None else labels):
        groups[label] = np.append(groups.get(label, np.array([], int)), row)
    return {
        label: [Interval(*map(float, numbers)) for numbers in feature_means(sizes[rows], seed=seed, draws=draws).T]
        for label, rows in groups.items()
    }
