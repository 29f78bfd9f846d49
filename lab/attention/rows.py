"""Rows: how much attention each key gets from the queries that a score reads."""

import numpy as np

from lab import routines
from lab.attention.budget import chunk_size
from lab.attention.interventions import all_heads
from lab.environment import tf
from lab.refusal import Refused
from lab.scoring import score


def key_weights(network, inputs, objective, *, query=None):
    """The weight that every head gives to each key, in the row of one query or of those that the score reads.

    A network may read one query, such as a first token, or all of them. So queries count by the norm of the score's gradient
    at their rows. A query that the score does not read counts as zero.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        query: int, the index of a query; None: the mean over queries, by how much the score depends on them.

    Returns:
        dict of address to float32 [batch, heads, keys]; where the score reads no query, the mean over all.

    Raises:
        Refused: for a network without attention, and for a query that a layer does not have.
    """
    all_heads(network)
    addresses = list(network.attentions)
    _refuse_query(network, query)

    def body(batched, shared):
        (inputs, numbers), (weights, query) = batched, shared
        trace = network.trace(inputs, [*objective.paths, *addresses])
        tensors = [trace.activations[address] for address in addresses]
        slopes = tf.gradients(score(objective.structure, weights, numbers, trace), tensors)
        return {address: _mean_row(*pair, query) for address, *pair in zip(addresses, tensors, slopes)}

    batched, weights = routines.prepare(network, inputs, objective)
    shared = (weights, np.int32(-1 if query is None else query))
    key = ("key weights", objective.structure)
    return routines.run(network, key, body, batched, shared, most=chunk_size(network, batched[0]))


def _refuse_query(network, query):
    counts = [row.queries for row in network.attentions.values() if row.queries is not None]
    if query is not None and not 0 <= query < min(counts, default=query + 1):
        raise Refused(f"A query is an index of 0 or more, below {min(counts)}. Received: {query!r}.")


def _mean_row(weights, slope, query):
    """Weights [batch, heads, queries, keys] as the mean over queries by their shares: [batch, heads, keys]."""
    weights = tf.cast(weights, tf.float32)
    slope = tf.zeros_like(weights) if slope is None else tf.cast(slope, tf.float32)
    norms = tf.sqrt(tf.reduce_sum(slope**2, axis=[1, 3]))
    norms = tf.where(tf.reduce_any(norms > 0, axis=1, keepdims=True), norms, 1.0)
    by_score = norms / tf.reduce_sum(norms, axis=1, keepdims=True)
    shares = tf.where(query < 0, by_score, tf.one_hot(query, tf.shape(norms)[1])[None])
    return tf.einsum("bhqk,bq->bhk", weights, shares)
