"""Backgrounds: whether a method says the same whatever stands in the place of what is taken away.

baseline_agreement(network, inputs, ...) -> float64 [batch, baselines, baselines]
"""

import numpy as np
from scipy import stats

from lab import chunks
from lab.embeddings import are_numbers
from lab.environment import tf
from lab.explanation import explain
from lab.refusal import Refused
from lab.targets import as_objective


def baseline_agreement(network, inputs, objective="top", *, method, baselines, seed=0, **options):
    """How far the maps of one method agree in rank when each baseline is used alone (Spearman 1904, https://doi.org/10.2307/1412159).

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: as of `lab.explain`.
        method: a method with the option `baselines`, such as "kernel_shap" or "integrated_gradients".
        baselines: two or more: a list of numbers, or arrays [baselines, ...] in the structure of the inputs.
        seed: as of `lab.explain`, the same for all.
        options: other options of the method.

    Returns:
        float64 [batch, baselines, baselines], rank correlations with mid-ranks for ties; NaN where a map is constant.

    Raises:
        Refused: for a method without that option, and for fewer than two baselines.
    """
    listed = [[number] for number in np.atleast_1d(baselines)] if are_numbers(baselines) else None
    if listed is None:
        listed = [chunks.take(baselines, [place]) for place in range(len(tf.nest.flatten(baselines)[0]))]
    if len(listed) < 2:
        raise Refused(f"Baselines are compared with each other, two or more. Received: {len(listed)}.")
    # The top class is that of the inputs, and the same for all.
    target = as_objective(network, network.inputs(inputs), objective)
    records = [explain(network, inputs, target, method=method, baselines=one, seed=seed, **options) for one in listed]
    maps = [
        np.concatenate([leaf.reshape(len(leaf), -1) for leaf in tf.nest.flatten(record.maps)], axis=1)
        for record in records
    ]
    return _rank_correlations(stats.rankdata(np.stack(maps, axis=1), axis=2))


def _rank_correlations(ranks):
    """Correlations of rows: [batch, rows, numbers] -> [batch, rows, rows], NaN for a row of equal numbers."""
    centred = ranks - ranks.mean(axis=2, keepdims=True)
    lengths = np.sqrt((centred**2).sum(axis=2, keepdims=True))
    units = centred / np.where(lengths > 0, lengths, np.nan)
    return units @ units.transpose(0, 2, 1)
