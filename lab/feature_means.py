"""Feature means: how large the attributions of each feature are on average over samples, with their bootstrap intervals."""

import numpy as np

# Resamples that are held at once.
_CHUNK = 50


def feature_means(sizes, *, seed, draws=1000, level=0.95):
    """Mean of every feature over samples, with its bootstrap interval: samples are drawn with replacement.

    Args:
        sizes: float [samples, features], such as absolute attributions; what is not finite is left out.
        seed: int.
        draws: int, resamples.
        level: float, coverage.

    Returns:
        float64 [3, features]: mean, lower and upper bound; nan where no sample is finite. The bounds of a single sample
        are that sample.
    """
    sizes = np.asarray(sizes, "float64")
    finite = np.isfinite(sizes)
    filled = np.where(finite, sizes, 0.0)
    # Where all is finite, each draw has as many samples as there are.
    known = np.ones((len(sizes), 1)) if finite.all() else finite.astype("float64")
    rng, count = np.random.default_rng(seed), len(sizes)
    means = [_means(np.ones((1, count)), filled, known)]
    for start in range(0, draws, _CHUNK):
        counts = rng.multinomial(count, np.full(count, 1 / count), min(_CHUNK, draws - start)).astype("float64")
        means.append(_means(counts, filled, known))
    mean, resamples = means[0][0], np.concatenate(means[1:])
    bounds = np.full((2, len(mean)), np.nan)
    defined = np.isfinite(mean)
    bounds[:, defined] = np.nanquantile(resamples[:, defined], [(1 - level) / 2, (1 + level) / 2], axis=0)
    return np.stack([mean, *bounds])


def _means(counts, filled, known):
    """Means weighted by how often each sample is drawn: float64 [draws, features]; nan where nothing finite is drawn."""
    totals, numbers = counts @ filled, counts @ known
    return np.where(numbers > 0, totals / np.maximum(numbers, 1), np.nan)
