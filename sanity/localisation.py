"""Localisation: how much of a map lies where the truth is, (relevance, mask) -> float for one sample.

relevance: float [...], not negative. mask: bool of the same shape. All are 1 for a map that equals the mask, and nan
for an empty mask.
"""

import numpy as np
from scipy import stats

from lab.environment import tf
from lab.maps import pooled, resized
from lab.registry import Registry

localisations = Registry("localisation")


@localisations.register
def mass(relevance, mask):
    """Relevance mass accuracy, the share of relevance inside (Arras, Osman, Samek 2022, https://arxiv.org/abs/2003.07258).

    Args:
        relevance: float [...], not negative.
        mask: bool of the same shape, where the truth lies.

    Returns:
        float in 0..1.
    """
    return float(relevance[mask].sum() / relevance.sum()) if mask.any() and relevance.sum() > 0 else float("nan")


@localisations.register
def rank(relevance, mask):
    """Relevance rank accuracy, the share of the highest values inside, as many as the mask has (Arras, Osman, Samek 2022, https://arxiv.org/abs/2003.07258).

    Values that tie at the edge of the highest count by their share. So a constant map gets the mask's area wherever it
    lies.

    Args:
        relevance: float [...], not negative.
        mask: bool of the same shape, where the truth lies.

    Returns:
        float in 0..1.
    """
    return _precision(relevance.ravel(), mask.ravel(), int(mask.sum()))


@localisations.register
def pointing(relevance, mask):
    """Pointing game, whether the highest value lies inside (Zhang et al. 2018, https://arxiv.org/abs/1608.00507).

    Ties give the expected hit; nan for an empty mask.

    Args:
        relevance: float [...], not negative.
        mask: bool of the same shape, where the truth lies.

    Returns:
        float in 0..1.
    """
    return float(mask[relevance == relevance.max()].mean()) if mask.any() else float("nan")


@localisations.register
def auc(relevance, mask):
    """Area under the ROC curve for the mask, mid-ranks for ties (Fawcett 2006, https://doi.org/10.1016/j.patrec.2005.10.010).

    It is nan for an empty or full mask.

    Args:
        relevance: float [...], not negative.
        mask: bool of the same shape, where the truth lies.

    Returns:
        float in 0..1.
    """
    inside, outside = int(mask.sum()), int((~mask).sum())
    if not inside or not outside:
        return float("nan")
    ranks = stats.rankdata(relevance.ravel())[mask.ravel()].sum()
    return float((ranks - inside * (inside + 1) / 2) / (inside * outside))


@localisations.register
def top_k(relevance, mask, k=10):
    """Top-k intersection, the share of the ten highest values inside (Theiner, Mueller-Budack, Ewerth 2022, https://arxiv.org/abs/2104.14995).

    Args:
        relevance: float [...], not negative.
        mask: bool of the same shape, where the truth lies.
        k: int, how many of the highest values.

    Returns:
        float in 0..1.
    """
    return _precision(relevance.ravel(), mask.ravel(), min(k, mask.size))


@localisations.register
def attribution_localisation(relevance, mask):
    """Attribution localisation, the share of positive relevance inside (Kohlbrenner et al. 2020, https://arxiv.org/abs/1910.09840).

    For maps without sign it is `mass`; the check gives it the positive part of the signed map.

    Args:
        relevance: float [...], not negative.
        mask: bool of the same shape, where the truth lies.

    Returns:
        float in 0..1.
    """
    return mass(np.maximum(relevance, 0), mask)


def relevances(maps, shape):
    """Absolute maps in the shape of masks, channels pooled by L2. Maps of another resolution are resized.

    Args:
        maps: arrays, as a method gives them.
        shape: (samples, ...), without channels.

    Returns:
        float64 of that shape.
    """
    return np.abs(signed_relevances(maps, shape, "l2"))


def signed_relevances(maps, shape, pooling="total"):
    """Signed maps in the shape of masks. Maps of another resolution are resized.

    Args:
        maps: arrays, as a method gives them.
        shape: (samples, ...), without channels.
        pooling: str, how channels are pooled.

    Returns:
        float64 of that shape.
    """
    leaf = tf.nest.flatten(maps)[0]
    if leaf.ndim == len(shape) + 1:
        flat = leaf.reshape(*leaf.shape[:-1], leaf.shape[-1])
        leaf = pooled(flat, pooling) if flat.ndim > 3 else pooled(flat[:, None], pooling)[:, 0]
    return (leaf if leaf.shape == tuple(shape) else resized(leaf, *shape[1:])).astype("float64")


def _precision(relevance, mask, count):
    if not count or not mask.any():
        return float("nan")
    edge = np.sort(relevance)[-count]
    above, tied = relevance > edge, relevance == edge
    return float((mask[above].sum() + mask[tied].mean() * (count - above.sum())) / count)
