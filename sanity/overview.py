"""Overview: a global view from local ones. What a method says of all samples together is another story than what it says of one."""

import numpy as np

from sanity.statistics import two_way


def overview(maps, labels=None, *, seed, draws=1000):
    """Mean absolute attribution per feature, over all samples and per label: dict of label (None: all) to `Interval`s, one a feature.

    maps: float [samples, ..., features]: a table's features, an image's channels, a layer's channels; magnitudes are averaged
    over positions. labels: one a sample. Intervals: 95%, bootstrap over samples; of one sample they are that sample alone.
    """
    sizes = np.abs(np.asarray(maps, "float64"))
    sizes = sizes.reshape(len(sizes), -1, sizes.shape[-1]).mean(axis=1)
    groups = {None: np.arange(len(sizes))}
    for place, label in enumerate([] if labels is None else labels):
        groups[label] = np.append(groups.get(label, np.array([], int)), place)
    return {
        label: [two_way(sizes[None, rows, each], seed=seed, draws=draws) for each in range(sizes.shape[1])]
        for label, rows in groups.items()
    }
