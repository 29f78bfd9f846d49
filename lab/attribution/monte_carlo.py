"""Monte Carlo: weighted sums of maps over copies of each input, computed in blocks that fit the network's memory."""

import numpy as np

from lab import chunks
from lab.environment import tf


def accumulate(network, arrays, objective, samples, sample, explain, *, weights=None, powers=(1,)):
    """Weighted sums of maps over copies of each input.

    Args:
        network: a `Network`.
        arrays: structure of arrays [batch, ...], of which copies are made.
        objective: an `Objective`.
        samples: how many copies of each input.
        sample: `(block of the arrays, indices) -> (copies [rows, width, ...], factors)`. A copy depends on its index alone.
        explain: `(copies [rows * width, ...], objective) -> maps`, multiplied by the factors where these are not None.
        weights: [samples]; None: 1 / samples each.
        powers: the powers of the maps, each summed by itself.

    Returns:
        list of structures of float32 arrays, one a power.
    """
    weights = np.full(samples, 1 / samples) if weights is None else np.asarray(weights)
    most, count = chunks.size(network), len(tf.nest.flatten(arrays)[0])
    block_sums = [
        _accumulate_block(
            arrays, objective, np.arange(count)[part], most, weights.astype("float32"), sample, explain, powers
        )
        for part in chunks.slices(count, most)
    ]
    return [tf.nest.map_structure(lambda *parts: np.concatenate(parts), *power_sums) for power_sums in zip(*block_sums)]


def _accumulate_block(arrays, objective, rows, most, weights, sample, explain, powers):
    """The sums of some rows, with as many copies at once as fit."""
    block, totals = chunks.take(arrays, rows), None
    for part in chunks.slices(len(weights), max(1, most // len(rows))):
        indices = np.arange(len(weights))[part]
        copies, factors = sample(block, indices)
        maps = explain(tf.nest.map_structure(_flatten_copies, copies), objective.rows(np.repeat(rows, len(indices))))
        maps = _unflatten_copies(maps, len(rows), len(indices))
        maps = maps if factors is None else tf.nest.map_structure(np.multiply, maps, factors)
        sums = [_weighted_sum(maps, power, weights[indices]) for power in powers]
        totals = sums if totals is None else tf.nest.map_structure(np.add, totals, sums)
    return totals


def _flatten_copies(leaf):
    return np.asarray(leaf).reshape(-1, *leaf.shape[2:])


def _unflatten_copies(maps, rows, width):
    return tf.nest.map_structure(lambda leaf: leaf.reshape(rows, width, *leaf.shape[1:]), maps)


def _weighted_sum(maps, power, weights):
    return tf.nest.map_structure(lambda leaf: np.einsum("ns...,s->n...", leaf**power, weights), maps)
