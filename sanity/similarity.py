"""Similarity: how alike two maps of one image are, (signed, signed) -> float; nan where the question has no answer.

Every measure is to be read against its own null: what ties alone would give, and what two random networks give.
"""
import numpy as np
from scipy import stats
from skimage.metrics import structural_similarity

from lab.registry import Registry

measures = Registry("similarity")

# Below this many values a rank correlation says nothing.
FEWEST = 8


@measures.register
def joint_abs_spearman(a, b):
    """Rank correlation of absolute values where both maps are non-zero: no reward for agreeing on zeros. The measure that decides."""
    both = (a != 0) & (b != 0)
    return _spearman(np.abs(a[both]), np.abs(b[both]))


@measures.register
def signed_spearman(a, b):
    """Rank correlation of signed values, mid-ranks for ties: a change of sign alone makes it fall."""
    return _spearman(a.ravel(), b.ravel())


@measures.register
def abs_spearman(a, b):
    """Rank correlation of absolute values, mid-ranks for ties, as most papers have it: see `tie_null` before believing it."""
    return _spearman(np.abs(a).ravel(), np.abs(b).ravel())


@measures.register
def ssim(a, b):
    """Structural similarity of absolute values (Wang, Bovik, Sheikh, Simoncelli 2004, https://doi.org/10.1109/TIP.2003.819861), each clipped at its 99th
    percentile and scaled to 0..1; Gaussian window of 1.5 pixels. nan for maps smaller than the window.
    """
    if min(a.shape) < 11:
        return float("nan")
    first, second = _scaled(a), _scaled(b)
    if first is None or second is None:
        return float("nan")
    return float(structural_similarity(first, second, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False))


def tie_fraction(a):
    """Share of a map's values that are exactly zero: float."""
    return float(np.mean(np.asarray(a) == 0))


def tie_null(a, b):
    """The abs_spearman that independent maps reach by agreeing on their zeros: 3q / (3q + p^2), p the share that is not zero, q = 1 - p."""
    share = float(np.mean((a != 0) | (b != 0)))
    return 3 * (1 - share) / (3 * (1 - share) + share**2) if share else float("nan")


def compare(first, second, measure):
    """A measure on two sets of maps [images, rows, columns], image by image: float64 [images]."""
    function = measures.get(measure)
    return np.array([function(a, b) if np.isfinite(a).all() and np.isfinite(b).all() else np.nan for a, b in zip(first, second)])


def _spearman(a, b):
    if len(a) < FEWEST or (a == a[0]).all() or (b == b[0]).all():
        return float("nan")
    return float(np.corrcoef(stats.rankdata(a), stats.rankdata(b))[0, 1])


def _scaled(a):
    values = np.abs(a).astype("float64")
    top = np.percentile(values, 99)
    if not top > 0:
        return None
    return np.clip(values / top, 0, 1)
