"""Perturbation: how well a map predicts the score when positions are filled with the sample's mean, in a table with the column's."""

import numpy as np
from scipy import stats

from lab import routines
from lab.kinds import kind_of
from lab.objectives import CLASSES
from lab.refusal import Refused
from sanity.localisation import relevances, signed_relevances
from sanity.metrics import metrics
from sanity.removal import (
    cell_masks,
    fill_positions,
    grid,
    orders,
    original_scores,
    positions_shape,
    scores,
    top_mask,
    usual_fill,
)
from sanity.seeds import derive_seed

SUBSETS = 40
SHARES = (0.05, 0.1, 0.2, 0.35, 0.5)


@metrics.register(better="high")
def sensitivity_n(bound, maps, seed):
    """Sensitivity-n: correlation, over random subsets, of the sum of the map inside with the fall of the score, mean over sizes (Ancona et al. 2018, https://arxiv.org/abs/1711.06104).

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], in -1..1.
    """
    return np.mean([_correlations(bound, maps, seed, share) for share in (0.02, 0.1, 0.4)], axis=0)


@metrics.register(better="high")
def faithfulness_correlation(bound, maps, seed):
    """Faithfulness correlation: the same for subsets of a fifth of the positions (Bhatt, Weller, Moura 2020, https://arxiv.org/abs/2005.00631).

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], in -1..1.
    """
    return _correlations(bound, maps, seed, 0.2)


@metrics.register(better="high")
def faithfulness_estimate(bound, maps, seed):
    """Faithfulness estimate: correlation of each cell's relevance with the fall of the score without it (Alvarez-Melis, Jaakkola 2018, https://arxiv.org/abs/1806.07538).

    The grid has eight by eight cells.

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], in -1..1.
    """
    subject = bound.subject
    values, falls = [], []
    relevance, before = signed_relevances(maps, positions_shape(subject)), original_scores(subject)
    for mask in cell_masks(grid(relevance.shape[1:])):
        values.append(relevance[:, mask].sum(axis=1))
        falls.append(
            before
            - scores(subject, np.broadcast_to(mask, relevance.shape), usual_fill(subject), np.random.default_rng(seed))
        )
    return _correlation(np.array(values), np.array(falls))


@metrics.register(better="low")
def infidelity(bound, maps, seed):
    """Infidelity at the best scale: mean squared error of I . map against the fall of the score, relative to zeros (Yeh et al. 2019, https://arxiv.org/abs/1901.09392).

    I is the input less the filled input. 0 is exact, 1 no better than a map of zeros. It is for maps in the shape of
    the inputs.

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], nan for maps of another shape.
    """
    subject, rng = bound.subject, np.random.default_rng(derive_seed(seed, "infidelity"))
    inputs, before = subject.inputs, original_scores(subject)
    if maps.shape != inputs.shape:
        return np.full(len(inputs), np.nan)
    predicted, falls = [], []
    for _ in range(SUBSETS):
        removed = rng.random(positions_shape(subject)) < rng.uniform(0.05, 0.4)
        after = fill_positions(subject, removed, usual_fill(subject), rng)
        predicted.append(((inputs - after) * maps).reshape(len(inputs), -1).sum(axis=1, dtype="float64"))
        falls.append(before - routines.scores(subject.network, after, subject.objective))
    predicted, falls = np.array(predicted), np.array(falls)
    scale = (predicted * falls).sum(axis=0) / np.maximum((predicted**2).sum(axis=0), 1e-300)
    return ((scale * predicted - falls) ** 2).sum(axis=0) / np.maximum((falls**2).sum(axis=0), 1e-300)


@metrics.register(better="high")
def monotonicity(bound, maps, seed):
    """Monotonicity: share of steps that do not lower the score, positions added from the least to the most relevant (Arya et al. 2019, https://arxiv.org/abs/1909.03012).

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], in 0..1.
    """
    reached = np.array(_insertion_scores(bound, maps, seed, np.linspace(0, 1, 11)))
    return np.mean(np.diff(reached, axis=0) >= 0, axis=0)


@metrics.register(better="high")
def monotonicity_correlation(bound, maps, seed):
    """Monotonicity correlation: rank correlation of each cell's relevance with the score's change under noise (Nguyen, Martinez 2020, https://arxiv.org/abs/2007.07584).

    The change is the mean square when the cell is filled with noise. Ties have mid-ranks.

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], in -1..1.
    """
    subject, rng = bound.subject, np.random.default_rng(derive_seed(seed, "monotonicity correlation"))
    relevance, before = relevances(maps, positions_shape(subject)), original_scores(subject)
    values, changes = [], []
    for mask in cell_masks(grid(relevance.shape[1:])):
        values.append(relevance[:, mask].sum(axis=1))
        drawn = [scores(subject, np.broadcast_to(mask, relevance.shape), "uniform", rng) for _ in range(4)]
        changes.append(np.mean((np.array(drawn) - before) ** 2, axis=0))
    return _correlation(_midranks(values), _midranks(changes))


@metrics.register(better="low")
def selectivity(bound, maps, seed):
    """Selectivity: mean score left, relative to the start, while the most relevant positions are removed (Montavon, Samek, Mueller 2018, https://arxiv.org/abs/1706.07979).

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], a share of the score.
    """
    subject, rng = bound.subject, np.random.default_rng(derive_seed(seed, "selectivity"))
    order = orders(relevances(maps, positions_shape(subject)), rng)
    left = [
        scores(subject, top_mask(order, share, positions_shape(subject)), usual_fill(subject), rng) for share in SHARES
    ]
    return np.mean(left, axis=0) / np.maximum(np.abs(original_scores(subject)), 1e-300)


@metrics.register(better="high")
def sufficiency(bound, maps, seed):
    """Sufficiency: among the three samples with the most alike maps, the share that has the same top class (Dasgupta, Frost, Moshkovitz 2022, https://arxiv.org/abs/2202.00734).

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], in 0..1.
    """
    del seed  # Nothing is drawn.
    subject = bound.subject
    flat = signed_relevances(maps, positions_shape(subject)).reshape(len(maps), -1)
    flat = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-300)
    alike = flat @ flat.T - 2 * np.eye(len(flat))
    top = routines.class_logits(subject.network, subject.inputs, subject.output).argmax(axis=1)
    return np.mean(top[np.argsort(-alike, axis=1)[:, :3]] == top[:, None], axis=1)


@metrics.register(better="low")
def average_drop(bound, maps, seed):
    """Average drop: share of the target's probability lost when only what the map shows is left (Chattopadhay et al. 2018, https://arxiv.org/abs/1710.11063).

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], in 0..1.
    """
    before, after = _probability_before_after(bound, maps, seed)
    return np.maximum(before - after, 0) / np.maximum(before, 1e-300)


@metrics.register(better="high")
def average_increase(bound, maps, seed):
    """Increase in confidence: whether the target's probability rises when only what the map shows is left (Chattopadhay et al. 2018, https://arxiv.org/abs/1710.11063).

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], 0 or 1.
    """
    before, after = _probability_before_after(bound, maps, seed)
    return (after > before).astype("float64")


@metrics.register(better="high")
def average_gain(bound, maps, seed):
    """Average gain: share of the probability missing to one that is won when only what the map shows is left (Zhang et al. 2024, https://arxiv.org/abs/2303.10649).

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], in 0..1.
    """
    before, after = _probability_before_after(bound, maps, seed)
    return np.maximum(after - before, 0) / np.maximum(1 - before, 1e-12)


def _probability_before_after(bound, maps, seed):
    """The target's probability before and after the inputs are mixed with their mean, weighted by the map in 0..1."""
    subject = bound.subject
    relevance = relevances(maps, positions_shape(subject))
    axes = tuple(range(1, relevance.ndim))
    low, high = relevance.min(axes, keepdims=True), relevance.max(axes, keepdims=True)
    weight = (relevance - low) / np.maximum(high - low, 1e-300)
    weight = kind_of(subject.inputs).over_features(weight)
    empty = fill_positions(subject, np.ones(positions_shape(subject), bool), usual_fill(subject), None)
    mixed = (weight * subject.inputs + (1 - weight) * empty).astype(subject.inputs.dtype)
    return _probability(subject, subject.inputs), _probability(subject, mixed)


def _probability(subject, inputs):
    """The target's probability, by softmax or, in a head of several sigmoids, its own: float64 [samples]."""
    if not any(term.kind in CLASSES for _, term in subject.objective.terms):
        raise Refused(f"A probability needs the target to be a class. Received: {subject.objective}.")
    return routines.class_probability(subject.network, inputs, subject.objective).astype("float64")


def _insertion_scores(bound, maps, seed, shares):
    """Scores while positions are inserted from the least relevant on."""
    subject, rng = bound.subject, np.random.default_rng(derive_seed(seed, "monotonicity"))
    order = orders(relevances(maps, positions_shape(subject)), rng)
    return [
        scores(subject, top_mask(order, 1 - share, positions_shape(subject)), usual_fill(subject), rng)
        for share in shares
    ]


def _correlations(bound, maps, seed, share):
    """Pearson correlation over random subsets of one size: float64 [samples]."""
    subject, rng = bound.subject, np.random.default_rng(derive_seed(seed, "subsets", int(1000 * share)))
    relevance, before = signed_relevances(maps, positions_shape(subject)), original_scores(subject)
    sums, falls = [], []
    for _ in range(SUBSETS):
        subset = top_mask(orders(rng.random(relevance.shape), rng), share, relevance.shape)
        sums.append(np.where(subset, relevance, 0).reshape(len(relevance), -1).sum(axis=1))
        falls.append(before - scores(subject, subset, usual_fill(subject), rng))
    return _correlation(np.array(sums), np.array(falls))


def _correlation(first, second):
    """Pearson over the first axis: float64 [samples]; nan where either does not vary."""
    a, b = (values - values.mean(axis=0) for values in (first, second))
    size = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
    return (a * b).sum(axis=0) / np.where(size > 0, size, np.nan)


def _midranks(rows):
    """Mid-ranks over the first axis: float64."""
    return stats.rankdata(np.array(rows), axis=0)
