"""Axioms: properties that a map must have by the function that it explains."""

import numpy as np

from sanity.localisation import relevances
from sanity.metrics import metrics
from sanity.removal import cell_masks, grid, original_scores, positions_shape, scores, usual_fill
from sanity.seeds import derive_seed


@metrics.register(better="low")
def non_sensitivity(bound, maps, seed):
    """Non-sensitivity: share of grid cells with relevance and no effect, or effect and no relevance (Nguyen, Martinez 2020, https://arxiv.org/abs/2007.07584).

    The grid has eight by eight cells. No relevance or effect means below a hundredth of the sample's largest.

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], in 0..1.
    """
    subject, rng = bound.subject, np.random.default_rng(derive_seed(seed, "non-sensitivity"))
    relevance, before = relevances(maps, positions_shape(subject)), original_scores(subject)
    values, falls = [], []
    for mask in cell_masks(grid(relevance.shape[1:])):
        values.append(relevance[:, mask].sum(axis=1))
        falls.append(np.abs(before - scores(subject, np.broadcast_to(mask, relevance.shape), usual_fill(subject), rng)))
    values, falls = np.array(values), np.array(falls)
    return np.mean((values > 0.01 * values.max(axis=0)) != (falls > 0.01 * falls.max(axis=0)), axis=0)
