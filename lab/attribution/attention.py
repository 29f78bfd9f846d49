"""Attention as it is: of one layer, rolled out over all layers, and as a flow through them. No gradient tells classes apart.

Attention says where a network looks, and not what that does to a score. The same map comes out for every class.
"""

import functools
import itertools
import numbers

import numpy as np
from scipy import sparse

from lab.attribution import explainers
from lab.attribution.attention_maps import attention_maps, lay_over_inputs, roll_out, token_relevance
from lab.attribution.options import check_one_of
from lab.attribution.token_streams import attention_address, token_streams
from lab.environment import tf
from lab.refusal import Refused

# How the heads of a layer become one.
FUSIONS = {"mean": tf.reduce_mean, "max": tf.reduce_max, "min": tf.reduce_min}
# Capacities of a flow are whole numbers of millionths.
RESOLUTION = 1_000_000


@explainers.register(resolution="attention", needs="attention")
def raw_attention(network, inputs, objective, *, layer=None, head=None, fusion="mean", query=None):
    """Raw attention of one layer, the weights by which a token reads others (Bahdanau, Cho, Bengio 2014, https://arxiv.org/abs/1409.0473).

    The same for every class.

    Args:
        layer: the address of an attention, such as "encoder_3/mha:weights", or of its layer; None: the last one.
        head: the number of a head; None: all, fused.
        fusion: "mean", "max" or "min", how heads become one.
        query: the number of the token whose row is shown, such as that of the class token; None: the mean row of the tokens that
            the score reads.

    Returns:
        unsigned float32 [batch, tokens] for ids, [batch, steps] for a series, and [batch, rows, columns] for an image without its
        class tokens; 0 for padding.

    Raises:
        Refused: for a network or a score without attention, an unknown layer or head, and for tokens that belong to no position.
    """
    check_one_of("fusion", fusion, FUSIONS)
    address = token_streams(network, objective).step(attention_address(network, layer)).address
    options = {"address": address, "head": _checked_head(network, address, head), "fusion": fusion}
    return attention_maps(network, inputs, objective, _of_one_layer, query=query, **options)


@explainers.register(needs="attention")
def attention_rollout(network, inputs, objective, *, fusion="mean", residual=0.5, discard=0.0, query=None):
    """Attention rollout, the product of the attention of all layers with their residuals (Abnar, Zuidema 2020, https://arxiv.org/abs/2005.00928).

    The same for every class. Cross-attention leads on to the tokens of the other input.

    Args:
        fusion: as of `raw_attention`.
        residual: the share of the residual, beside attention; .5 in the paper.
        discard: the share of each layer's smallest weights that is set to zero.
        query: as of `raw_attention`.

    Returns:
        as of `raw_attention`. The values of all tokens add up to 1.

    Raises:
        Refused: as `raw_attention`, and for tokens that are merged or split between attentions.
    """
    options = _checked_mixture(fusion, residual, discard)
    return attention_maps(network, inputs, objective, _rollout, query=query, **options)


def _flow_cost(network, options):
    """A flow for each token takes about as long as a gradient."""
    return 1 if network is None else max((row.keys or 1 for row in network.attentions.values()), default=1)


@explainers.register(needs="attention", cost=_flow_cost)
def attention_flow(network, inputs, objective, *, fusion="mean", residual=0.5, discard=0.0, query=None):
    """Attention flow, the largest flow from a token to the output where attention weights are capacities (Abnar, Zuidema 2020, https://arxiv.org/abs/2005.00928).

    Capacities are rounded to millionths. Flows are computed one by one on the processor: seconds an image for 200 tokens.

    Args:
        fusion: as of `raw_attention`.
        residual: as of `attention_rollout`.
        discard: as of `attention_rollout`.
        query: as of `raw_attention`.

    Returns:
        as of `raw_attention`, in units of what a token of the output can take in.

    Raises:
        Refused: as `attention_rollout`.
    """
    options = _checked_mixture(fusion, residual, discard)
    streams = token_streams(network, objective)
    shares = token_relevance(network, inputs, objective, _rows_and_shares, query=query, **options)
    samples = [tf.nest.pack_sequence_as(shares, row) for row in zip(*tf.nest.flatten(shares))]
    flows = [_flows(streams, *sample) for sample in samples]
    relevance = {stream: np.stack([flow[stream] for flow in flows]) for stream in flows[0]}
    return lay_over_inputs(network, network.inputs(inputs), streams, relevance)


def _checked_mixture(fusion, residual, discard):
    check_one_of("fusion", fusion, FUSIONS)
    for name, share in (("residual", residual), ("discard", discard)):
        if not isinstance(share, numbers.Real) or isinstance(share, bool) or not 0 <= share < 1:
            raise Refused(f"{name} is a share, 0 or more and below 1. Received: {share!r}.")
    return {"fusion": fusion, "residual": float(residual), "discard": float(discard)}


def _checked_head(network, address, head):
    """A head's number as an int, or None for all heads."""
    if head is None:
        return None
    count = network.attentions[address].heads
    whole = isinstance(head, numbers.Integral) and not isinstance(head, bool)
    if not whole or not 0 <= head < count:
        near = f" Nearest: {min(max(head, 0), count - 1)}." if whole else ""
        raise Refused(f"{address!r} has {count} heads, numbered from 0. Received: head={head!r}.{near}")
    return int(head)


# Inside a graph -----------------------------------------------------------------------------------------------------------


def _of_one_layer(attended, address, head, fusion):
    step, weights = attended.streams.step(address), attended.weights[address]
    fused = FUSIONS[fusion](weights, axis=1) if head is None else weights[:, head]
    return {step.keys: attended.read(step, fused)}


def _rollout(attended, **mixture):
    return roll_out(attended, functools.partial(_shares, **mixture))


def _shares(attended, step, fusion, residual, discard):
    """What of a query's token comes from its residual [batch, queries], and from each key [batch, queries, keys]; they add up to 1."""
    fused = FUSIONS[fusion](attended.weights[step.address], axis=1)
    attention = (1 - residual) * _without_smallest(fused, attended.present(step), discard)
    total = residual + tf.reduce_sum(attention, axis=-1)
    return tf.math.divide_no_nan(residual, total), tf.math.divide_no_nan(attention, total[..., None])


def _without_smallest(attention, present, discard):
    """Attention [batch, queries, keys] with a share of its smallest weights set to zero, of those between present tokens."""
    if not discard:
        return attention
    ranked = tf.where(present > 0, attention, -1.0)
    ordered = tf.sort(tf.reshape(ranked, [tf.shape(attention)[0], -1]), axis=-1)
    count = tf.reduce_sum(present, axis=(1, 2))
    absent = tf.cast(tf.shape(ordered)[1], tf.float32) - count
    place = tf.cast(absent, tf.int32) + tf.cast(discard * count, tf.int32)
    place = tf.minimum(place, tf.shape(ordered)[1] - 1)
    smallest = tf.gather(ordered, place[:, None], axis=1, batch_dims=1)
    return tf.where(attention >= smallest[..., None], attention, 0.0)


def _rows_and_shares(attended, **mixture):
    """The rows that the score reads by stream, and the shares of each attention by address."""
    return attended.rows, {step.address: _shares(attended, step, **mixture) for step in attended.streams.steps}


# On the processor -----------------------------------------------------------------------------------------------------------


def _flows(streams, rows, shares):
    """The largest flow of one sample from each token of each stream to the tokens that the score reads.

    Args:
        streams: `TokenStreams`.
        rows: dict of a stream that the score reads to [tokens], above 0 for the tokens that it reads.
        shares: dict of address to the capacities of residuals [queries] and of attention [queries, keys].

    Returns:
        dict of a stream to float64 [tokens].
    """
    nodes = itertools.count(1)
    counts = {
        stream: shares[step.address][1].shape[axis]
        for step in streams.steps
        for axis, stream in enumerate((step.queries, step.keys))
    }
    levels, edges = {(stream, 0): _take(nodes, count) for stream, count in counts.items()}, []
    for step in streams.steps:
        upper, lower = _take(nodes, counts[step.queries]), levels[step.keys, step.keys_at]
        kept, passed = shares[step.address]
        edges.append((upper, levels[step.queries, step.queries_at], kept))
        edges.append((np.repeat(upper, len(lower)), np.tile(lower, len(upper)), passed.ravel()))
        levels[step.queries, step.queries_at + 1] = upper
    read = np.concatenate([levels[streams.end(stream)][row > 0] for stream, row in rows.items()])
    graph = _capacities([*edges, (np.zeros_like(read), read, np.full(len(read), np.inf))], next(nodes))
    return {stream: _flows_to(graph, levels[stream, 0]) / max(1, len(read)) for stream in counts}


def _take(nodes, count):
    return np.fromiter(itertools.islice(nodes, count), int, count)


def _capacities(edges, size):
    """A graph of whole capacities, in which node 0 is the output."""
    origins, targets, shares = map(np.concatenate, zip(*edges))
    whole = np.minimum(np.rint(shares * RESOLUTION), np.iinfo("int32").max).astype("int32")
    return sparse.csr_matrix((whole, (origins, targets)), shape=(size, size))


def _flows_to(graph, places):
    """The largest flow from the output to each of some nodes: float64 [nodes]."""
    return np.array([sparse.csgraph.maximum_flow(graph, 0, int(place)).flow_value for place in places]) / RESOLUTION
