"""Heads: the weights of every head layer by layer, numbers that describe them, and how much a score depends on each head."""

import numpy as np

from lab import routines
from lab.attention.budget import chunk_size, weight_bytes
from lab.attention.interventions import all_heads, knocked_out, scores_under, select, uniform
from lab.environment import tf
from lab.refusal import Refused
from lab.scoring import score


def read(network, inputs, addresses=None):
    """The attention weights of one layer after another, so that no two are held at once.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        addresses: list of addresses of `network.attentions`; None: all of them.

    Returns:
        iterator of (address, float32 [batch, heads, queries, keys]).

    Raises:
        Refused: for an unknown address, and for inputs whose weights in one layer exceed the memory budget.
    """
    arrays = network.inputs(inputs)
    addresses = [address for address, _ in all_heads(network)] if addresses is None else list(addresses)
    for address in dict.fromkeys(addresses):
        select(network, address)
        _refuse_beyond_budget(network, arrays, address)
        yield address, _weights_at(network, arrays, address)


def _weights_at(network, arrays, address):
    def body(batched, _):
        return tf.cast(network.trace(batched[0], [address]).activations[address], tf.float32)

    return routines.run(network, ("weights", address), body, (arrays,), (), most=chunk_size(network, arrays))


def _refuse_beyond_budget(network, arrays, address):
    sample_bytes, samples = weight_bytes(network, arrays, address), len(tf.nest.flatten(arrays)[0])
    if sample_bytes * samples > network.memory:
        raise Refused(
            f"The weights of one layer fit into the memory budget, {network.memory:,} bytes. Received: {samples} inputs of {sample_bytes:,} bytes at {address!r}. Give {max(1, network.memory // sample_bytes)} inputs at most."
        )


def distance_from_uniform(network, inputs, address):
    """How far the weights of each head are from uniform ones: half the sum of absolute differences, the mean over queries.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        address: of `network.attentions`.

    Returns:
        float32 [batch, heads], 0 where nothing can be moved: of one key, of uniform weights, and of a query whose other keys
            are masked.
    """
    select(network, address)

    def body(batched, _):
        weights = tf.cast(network.trace(batched[0], [address]).activations[address], tf.float32)
        return tf.reduce_mean(tf.reduce_sum(tf.abs(weights - uniform(weights, None)), axis=-1) / 2, axis=-1)

    arrays = network.inputs(inputs)
    key = ("distance from uniform", address)
    return routines.run(network, key, body, (arrays,), (), most=chunk_size(network, arrays))


def entropy(weights, queries=None):
    """The entropy of each head's weights over the keys, the mean over queries (Vig, Belinkov 2019, https://arxiv.org/abs/1906.04284).

    Args:
        weights: float [batch, heads, queries, keys].
        queries: bool [batch, queries], those that count, such as all but padding; None: all.

    Returns:
        float64 [batch, heads], in nats: 0 for one key, ln(keys) for uniform weights.
    """
    shares = np.asarray(weights, "float64")
    # A mask after the softmax, or a softmax over queries, leaves rows of another sum.
    shares = shares / np.maximum(shares.sum(axis=-1, keepdims=True), 1e-12)
    terms = np.where(shares > 0, shares * np.log(np.where(shares > 0, shares, 1)), 0)
    return _mean_over_queries(-terms.sum(axis=-1), queries)


def mean_distance(weights, queries=None):
    """How far from a query the keys are that a head attends to (Vig, Belinkov 2019, https://arxiv.org/abs/1906.04284).

    Args:
        weights: float [batch, heads, queries, keys], of queries and keys that are the same positions.
        queries: as of `entropy`.

    Returns:
        float64 [batch, heads], in positions: the mean distance by weight, then over queries.
    """
    shares = np.asarray(weights, "float64")
    distances = np.abs(np.arange(shares.shape[2])[:, None] - np.arange(shares.shape[3]))
    return _mean_over_queries((shares * distances).sum(axis=-1), queries)


def _mean_over_queries(values, queries):
    """Mean of [batch, heads, queries] over the queries that count: float64 [batch, heads]."""
    counted = np.ones((len(values), values.shape[2])) if queries is None else np.asarray(queries, "float64")
    return np.einsum("bhq,bq->bh", values, counted) / counted.sum(axis=1, keepdims=True)


def head_importance(network, inputs, objective):
    """How fast the score of each sample changes when a head is turned down, for all heads in one pass.

    It is |d score / d m| for a factor m = 1 of the head's product (Michel, Levy, Neubig 2019, https://arxiv.org/abs/1905.10650);
    the paper takes the mean over samples.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.

    Returns:
        dict of address to float32 [batch, heads]; 0 for a head that no gradient of the score reaches.

    Raises:
        Refused: for a network without attention.
    """
    all_heads(network)
    addresses = list(network.attentions)

    def body(batched, weights):
        inputs, numbers = batched
        trace = network.trace(inputs, [*objective.paths, *addresses])
        tensors = [trace.activations[address] for address in addresses]
        slopes = tf.gradients(score(objective.structure, weights, numbers, trace), tensors)
        return {address: _factor_slope(*pair) for address, *pair in zip(addresses, tensors, slopes)}

    batched, weights = routines.prepare(network, inputs, objective)
    key = ("head importance", objective.structure)
    return routines.run(network, key, body, batched, weights, most=chunk_size(network, batched[0]))


def _factor_slope(weights, slope):
    """|d score / d m| of a factor m of each head's weights. The product is linear in them: [batch, heads]."""
    if slope is None:
        return tf.zeros(tf.shape(weights)[:2])
    return tf.abs(tf.reduce_sum(tf.cast(weights, tf.float32) * tf.cast(slope, tf.float32), axis=[2, 3]))


def knock_out(network, inputs, objective, addresses=None):
    """The exact change of the score without each head (Michel, Levy, Neubig 2019, https://arxiv.org/abs/1905.10650).

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        addresses: list of addresses of `network.attentions`; None: all of them.

    Returns:
        dict of address to float32 [batch, heads]: the score without the head less the score; one pass for each head.

    Raises:
        Refused: for a network without attention, and for an unknown address.
    """
    heads = all_heads(network)
    changes = {address: [] for address in (network.attentions if addresses is None else addresses)}
    for address in changes:
        select(network, address)
    before = routines.scores(network, inputs, objective)
    for address, head in [place for place in heads if place[0] in changes]:
        without = scores_under(network, inputs, objective, knocked_out, select(network, address, head), seed=0)
        changes[address].append(without - before)
    return {address: np.stack(columns, axis=1) for address, columns in changes.items()}
