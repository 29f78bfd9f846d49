"""Interventions: attention weights made uniform, permuted or set to zero, of any heads, in one trace for all of them.

An intervention is a traceable function `(weights [batch, heads, queries, keys], seed) -> weights`. Which heads it changes
is a tensor, so that one trace serves every head of every layer.
"""

import functools
from dataclasses import replace

import numpy as np

from lab import routines
from lab.address import parse
from lab.attention.budget import chunk_size
from lab.environment import tf
from lab.refusal import Refused
from lab.registry import nearest
from lab.scoring import score


def open_keys(weights):
    """Which keys a query may attend to: those that some head gives a weight above zero.

    A mask is the same for all heads of a layer, and leaves weights of exactly zero. A sharp head may round others to zero.

    Args:
        weights: float [batch, heads, queries, keys].

    Returns:
        bool [batch, heads, queries, keys].
    """
    return tf.broadcast_to(tf.reduce_any(weights > 0, axis=1, keepdims=True), tf.shape(weights))


def uniform(weights, seed):
    """Every open key of a query gets the same weight, and all keep their sum (Wiegreffe, Pinter 2019, https://arxiv.org/abs/1908.04626).

    Args:
        weights: float [batch, heads, queries, keys].
        seed: unused, nothing is drawn.

    Returns:
        float [batch, heads, queries, keys].
    """
    del seed
    is_open = tf.cast(open_keys(weights), tf.float32)
    # One, but for a mask after the softmax. Nothing is learned through it where networks are trained with uniform weights.
    mass = tf.stop_gradient(tf.reduce_sum(tf.cast(weights, tf.float32), axis=-1, keepdims=True))
    return tf.cast(mass * tf.math.divide_no_nan(is_open, tf.reduce_sum(is_open, axis=-1, keepdims=True)), weights.dtype)


def permuted(weights, seed):
    """The weights of every query are dealt anew to its open keys (Jain, Wallace 2019, https://arxiv.org/abs/1902.10186).

    All samples of a batch are dealt by the same random order of keys, so that none depends on those beside it.

    Args:
        weights: float [batch, heads, queries, keys].
        seed: int [2].

    Returns:
        float [batch, heads, queries, keys].
    """
    is_open, shape = open_keys(weights), tf.shape(weights)
    order = tf.random.stateless_uniform(tf.concat([[1], shape[1:]], 0), seed)
    shuffled = tf.argsort(tf.where(is_open, order, 2.0), axis=-1)
    dealt = tf.gather(weights, shuffled, batch_dims=3)
    # The n-th open key gets the n-th of the shuffled weights.
    places = tf.cumsum(tf.cast(is_open, tf.int32), axis=-1, exclusive=True)
    return tf.where(is_open, tf.gather(dealt, tf.minimum(places, shape[-1] - 1), batch_dims=3), weights)


def knocked_out(weights, seed):
    """All weights are zero, so that the head adds nothing (Michel, Levy, Neubig 2019, https://arxiv.org/abs/1905.10650).

    Args:
        weights: float [batch, heads, queries, keys].
        seed: unused, nothing is drawn.

    Returns:
        float [batch, heads, queries, keys].
    """
    del seed
    return tf.zeros_like(weights)


def all_heads(network):
    """Every head of a network, in the order in which attention runs.

    Args:
        network: a `Network`.

    Returns:
        list of (address, head), the address of the weights and the head's index.

    Raises:
        Refused: for a network without attention, and for attention whose number of heads the model leaves free.
    """
    if not network.attentions:
        raise Refused(
            f"Heads belong to attention, a softmax that is multiplied with values. Received: {network.name}, which computes none."
        )
    free = [address for address, row in network.attentions.items() if row.heads is None]
    if free:
        raise Refused(
            f"Heads are counted. Received: {free[0]!r}, whose number of heads the model leaves free. Give it a fixed shape."
        )
    return [(address, head) for address, row in network.attentions.items() for head in range(row.heads)]


def select(network, address=None, head=None):
    """Some heads of a network, for `outputs_under` and `scores_under`.

    Args:
        network: a `Network`.
        address: str, the address of the weights, such as "encoder/attention:weights"; None: all layers.
        head: int, the index of a head; None: all heads.

    Returns:
        dict of address to bool [heads], with every address of the network.

    Raises:
        Refused: for an address or a head that the network does not have.
    """
    heads = all_heads(network)
    if address is not None and address not in network.attentions:
        raise Refused(f"Unknown attention. Received: {address!r}. {nearest(address, network.attentions)}")
    wanted = {(at, number) for at, number in heads if address in (None, at) and head in (None, number)}
    if not wanted:
        counts = sorted({row.heads for at, row in network.attentions.items() if address in (None, at)})
        raise Refused(f"A head is an index below the number of heads, {counts[-1]}. Received: {head!r}.")
    return {
        at: np.array([(at, number) in wanted for number in range(row.heads)]) for at, row in network.attentions.items()
    }


def replacements(network, intervention, selection, seed, silent):
    """What `Network.trace` takes as `replaced` for an intervention; only inside a trace.

    Args:
        network: a `Network`.
        intervention: `(weights, seed) -> weights`.
        selection: dict of address to bool tensor [heads], as of `select`.
        seed: int tensor.
        silent: dict of address to bool tensor [heads], those whose values are zero as well; empty: no head's.

    Returns:
        dict of address, of weights and of values, to a function of the tensor there.
    """
    changed = {
        address: functools.partial(_change_heads, intervention, selection[address], tf.stack([seed, place]))
        for place, address in enumerate(network.attentions)
    }
    values = {
        str(replace(parse(address), port="values")): functools.partial(_silence, heads)
        for address, heads in silent.items()
    }
    return {**changed, **values}


def _silence(selected, values):
    """Values of zero for the selected heads; values that heads share, where all heads that share them are selected."""
    shared = tf.reduce_all(tf.reshape(selected, (tf.shape(values)[1], -1)), axis=1)
    return tf.where(shared[None, :, None, None], tf.zeros_like(values), values)


def _change_heads(intervention, selected, seed, weights):
    def change():
        return tf.where(selected[None, :, None, None], intervention(weights, seed), weights)

    changed = tf.cond(tf.reduce_any(selected), change, lambda: tf.identity(weights))
    return tf.ensure_shape(changed, weights.shape)


def outputs_under(network, inputs, intervention, selection, *, seed, silent=None):
    """The network's outputs before softmax and sigmoid, while the attention of some heads is changed.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        intervention: `(weights, seed) -> weights`, such as `permuted`.
        selection: as of `select`.
        seed: int, of what is drawn.
        silent: selection of heads whose values are zero meanwhile, as a control; None: no head's.

    Returns:
        dict of output name to float32 array.
    """

    def body(batched, shared):
        trace = network.trace(batched[0], replaced=replacements(network, intervention, *shared))
        return {name: tf.cast(trace.logits(name), tf.float32) for name in trace.outputs}

    arrays = network.inputs(inputs)
    key = ("outputs under", intervention)
    return routines.run(
        network, key, body, (arrays,), (selection, np.int32(seed), silent or {}), most=chunk_size(network, arrays)
    )


def scores_under(network, inputs, objective, intervention, selection, *, seed):
    """The objective's score of each sample, while the attention of some heads is changed.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        intervention: as of `outputs_under`.
        selection: as of `select`.
        seed: int, of what is drawn.

    Returns:
        float32 [batch].
    """

    def body(batched, shared):
        (inputs, numbers), (weights, *change) = batched, shared
        trace = network.trace(inputs, objective.paths, replaced=replacements(network, intervention, *change, {}))
        return score(objective.structure, weights, numbers, trace)

    batched, weights = routines.prepare(network, inputs, objective)
    key = ("scores under", objective.structure, intervention)
    shared = (weights, selection, np.int32(seed))
    return routines.run(network, key, body, batched, shared, most=chunk_size(network, batched[0]))
