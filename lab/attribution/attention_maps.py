"""Attention maps: a rule computes from the attention of all layers how much a score has from each token, in one graph.

The tokens of words, steps and patches then become a map over the input.
"""

import functools
import numbers
from dataclasses import dataclass

import numpy as np

from lab import routines
from lab.attention.budget import chunk_size
from lab.attribution.token_streams import token_streams, values_address
from lab.environment import tf
from lab.maps import resized
from lab.refusal import Refused
from lab.relevance import PASSES
from lab.scoring import score
from lab.tokens import Grid

# The query of a map that none is named for.
READ = -1


@dataclass(frozen=True)
class Attended:
    """What a rule is given, inside a graph: float32 tensors of all attention that the score depends on.

    Args:
        network: the `Network`.
        streams: `TokenStreams`.
        scores: tensor [batch].
        factors: dict of address to the weights as they are in the graph.
        values: dict of address to [batch, heads, keys, channels].
        rows: dict of a stream that the score reads to [batch, tokens], shares of the tokens that it reads, which add up to 1.
        query: int tensor, the token that is named, whose share is then 1; below 0 for none.
        kept: dict of a stream to [batch, tokens], 1 for tokens and 0 for padding; without streams that have none.
        relevance: function that `trace_relevance` of `lab.transformer_rules` gives; None: the rule does not ask for it.
    """

    network: object
    streams: object
    scores: object
    factors: dict
    values: dict
    rows: dict
    query: object
    kept: dict
    relevance: object = None

    @property
    def weights(self):
        """Weights of all attention: dict of address to [batch, heads, queries, keys]."""
        return {address: tf.cast(factor, tf.float32) for address, factor in self.factors.items()}

    @functools.cached_property
    def slopes(self):
        """The score's gradient at all weights, in their shape: dict of address to tensor."""
        return _slopes(self.scores, self.factors)

    def present(self, step):
        """Which pairs of tokens an attention is between, without the inputs' padding: float32 [batch, queries, keys]."""
        pairs = tf.ones_like(self.weights[step.address][:, 0])
        queries, keys = self.kept.get(step.queries), self.kept.get(step.keys)
        pairs = pairs if queries is None else pairs * queries[:, :, None]
        return pairs if keys is None else pairs * keys[:, None]

    def read(self, step, matrices):
        """The row of the query that is named, else the mean of those that the score reads, or of all of an earlier stream.

        Args:
            step: the `Step` of the matrices.
            matrices: tensor [batch, queries, keys].

        Returns:
            tensor [batch, keys].
        """
        shares = self.rows.get(step.queries)
        if shares is None or shares.shape[1] != matrices.shape[1]:
            shares = tf.ones_like(matrices[:, :, 0]) / tf.cast(tf.shape(matrices)[1], tf.float32)
        return tf.einsum("bq,bqk->bk", _name_query(shares, self.query), matrices)


def attention_maps(network, inputs, objective, rule, *, query=None, address=None, trace=None, **options):
    """Maps over the inputs of what a rule finds for the tokens.

    Args:
        network: a `Network` with attention.
        inputs: arrays that it takes.
        objective: an `Objective`.
        rule: as of `token_relevance`, of dicts of a stream to [batch, tokens].
        query: int, the token whose row is explained; None: the tokens that the score reads, counted alike.
        address: of the one attention that the rule looks at, which it is given; None: it follows tokens through all.
        trace: as of `token_relevance`.
        options: keyword arguments of the rule.

    Returns:
        float32 [batch, tokens] for ids, [batch, steps] for a series, and [batch, rows, columns] for an image; for several inputs
        arrays in their structure and shape.

    Raises:
        Refused: as `token_relevance`, and for tokens that no position of an input belongs to.
    """
    relevance = token_relevance(network, inputs, objective, rule, query=query, address=address, trace=trace, **options)
    return lay_over_inputs(network, network.inputs(inputs), token_streams(network, objective), relevance)


def token_relevance(network, inputs, objective, rule, *, query=None, address=None, trace=None, **options):
    """What a rule finds for tokens, from all attention and its gradients in one pass.

    Args:
        network: as of `attention_maps`.
        inputs: as of `attention_maps`.
        objective: as of `attention_maps`.
        rule: traceable `(Attended, **options)` -> structure of tensors [batch, ...].
        query: as of `attention_maps`.
        address: as of `attention_maps`.
        trace: function such as `lab.transformer_rules.trace_relevance`, for a rule that reads relevance; None: for all others.
        options: keyword arguments of the rule.

    Returns:
        the structure that the rule returns, as arrays.

    Raises:
        Refused: for a network or a score without attention, for a token that is not there, and where tokens that are followed are
            merged or split between attentions.
    """
    streams = token_streams(network, objective)
    if address is None:
        streams.refuse_merged()
    else:
        options["address"] = address

    def body(batched, shared):
        (inputs, numbers), (weights, query) = batched, shared
        traced = (trace or _trace)(network, objective, inputs, numbers, weights, _reads(streams))
        return rule(_attended(network, streams, inputs, query, *traced), **options)

    (arrays, numbers), weights = routines.prepare(network, inputs, objective)
    ends = [address] if address else streams.ends.values()
    counts = [_query_count(network, streams, streams.step(end), tf.nest.flatten(arrays)) for end in ends]
    query = np.int32(READ if query is None else _checked_query(query, counts))
    key = ("attention", objective.structure, rule, tuple(sorted(options.items())))
    most = chunk_size(network, arrays, PASSES if trace else 1)
    return routines.run(network, key, body, (arrays, numbers), (weights, query), most=most)


def read_rows(attended):
    """The rule of `token_relevance` for the tokens that the score reads: dict of a stream to [batch, tokens]."""
    return attended.rows


def roll_out(attended, passed_on):
    """The row of the product of all layers' matrices, from the output down, so that no matrices are multiplied.

    Args:
        attended: `Attended`.
        passed_on: function of (`Attended`, `Step`) that gives what a query's token keeps [batch, queries] or 1, and what comes to
            it from each key [batch, queries, keys].

    Returns:
        dict of a stream to [batch, tokens].
    """
    relevance = {attended.streams.end(stream): row for stream, row in attended.rows.items()}
    for step in reversed(attended.streams.steps):
        row = relevance.pop((step.queries, step.queries_at + 1), None)
        if row is not None:
            kept, passed = passed_on(attended, step)
            before, read = (step.queries, step.queries_at), (step.keys, step.keys_at)
            relevance[before] = relevance.get(before, 0) + row * kept
            relevance[read] = relevance.get(read, 0) + tf.einsum("bq,bqk->bk", row, passed)
    return {stream: values for (stream, _), values in relevance.items()}


def _reads(streams):
    addresses = [step.address for step in streams.steps]
    return [*addresses, *map(values_address, addresses)]


def _trace(network, objective, inputs, numbers, weights, reads):
    trace = network.trace(inputs, [*objective.paths, *reads])
    return score(objective.structure, weights, numbers, trace), trace.activations


def _attended(network, streams, inputs, query, scores, read, relevance=None):
    ports = {step.address: values_address(step.address) for step in streams.steps}
    factors = {address: read[address] for address in ports}
    values = {address: tf.cast(read[port], tf.float32) for address, port in ports.items()}
    last = _slopes(scores, {address: factors[address] for address in streams.ends.values()})
    rows = {stream: _name_query(_read_rows(last[address]), query) for stream, address in streams.ends.items()}
    kept = _kept_tokens(network, streams, inputs, factors)
    return Attended(network, streams, scores, factors, values, rows, query, kept, relevance)


def _kept_tokens(network, streams, inputs, factors):
    """Where streams have no padding: dict of a stream to float32 [batch, tokens], without those of inputs that have none."""

    def of_tokens(masked, count):
        # Where tokens are as many as an input has steps. A class token beside a text of any length is known in the graph alone.
        ones = tf.ones(tf.stack([tf.shape(masked)[0], count]))
        return tf.cond(tf.shape(masked)[1] == count, lambda: 1 - tf.cast(masked, tf.float32), lambda: ones)

    masks, kept = network.masks(inputs), {}
    beside = network.text_inputs.beside if network.text_inputs else []
    for step in streams.steps:
        for stream, axis in ((step.queries, 2), (step.keys, 3)):
            count = factors[step.address].shape[axis]
            for place in streams.places[stream]:
                mask = masks[place]
                if mask is not None and place not in beside and mask.shape[1] == count:
                    masked = tf.reduce_all(mask, axis=-1) if len(mask.shape) == 3 else mask
                    kept.setdefault(stream, of_tokens(masked, tf.shape(factors[step.address])[axis]))
    return kept


def _slopes(scores, factors):
    slopes = tf.gradients(scores, list(factors.values()), unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return {address: tf.cast(slope, tf.float32) for address, slope in zip(factors, slopes)}


def _read_rows(slope):
    """Equal shares of the queries that a score reads, by its gradient at the last weights: [batch, queries]."""
    read = tf.cast(tf.reduce_any(slope != 0, axis=(1, 3)), tf.float32)
    return tf.math.divide_no_nan(read, tf.reduce_sum(read, axis=1, keepdims=True))


def _name_query(shares, query):
    """Shares of queries [batch, queries], or all for the query that is named."""
    return tf.where(query < 0, shares, tf.one_hot(query, tf.shape(shares)[1]))


def _query_count(network, streams, step, leaves):
    """How many queries an attention has, that of its input's tokens where it is free: int, or None where that is not known."""
    places = streams.places[step.queries]
    return network.attentions[step.address].queries or (leaves[places[0]].shape[1] if places else None)


def _checked_query(query, counts):
    """A query as an int, once it has been checked against the tokens of every stream that it may be one of."""
    known = [count for count in counts if count is not None]
    whole = isinstance(query, numbers.Integral) and not isinstance(query, bool)
    if not whole or query < 0 or any(query >= count for count in known):
        last = f" to {min(known) - 1}" if known else " or more"
        raise Refused(f"query is the number of a token, 0{last}. Received: {query!r}.")
    return int(query)


# Tokens over inputs -------------------------------------------------------------------------------------------------------


def lay_over_inputs(network, arrays, streams, relevance):
    """What was found for tokens as maps over the inputs, with 0 for padding.

    Args:
        network: a `Network`.
        arrays: its inputs as arrays.
        streams: `TokenStreams`.
        relevance: dict of a stream to an array [batch, tokens].

    Returns:
        as of `attention_maps`.

    Raises:
        Refused: where no input has as many positions as a stream has tokens, or patches.
    """
    leaves, mask, maps = tf.nest.flatten(arrays), network.kept_mask(arrays), {}
    for stream, values in relevance.items():
        if streams.places[stream]:
            place, values = _over_input(network, leaves, streams, stream, np.asarray(values, "float32"))
            maps[place] = values if mask is None else _without_masked(values, tf.nest.flatten(mask)[place])
    if not maps:
        raise Refused(
            f"An attention map needs tokens that come from an input. Received: {network.name}, whose attention reads learned tokens alone."
        )
    if len(leaves) == 1:
        return maps[0]
    flat = [
        _spread(maps[place], leaf.shape) if place in maps else np.zeros(leaf.shape, "float32")
        for place, leaf in enumerate(leaves)
    ]
    return tf.nest.pack_sequence_as(arrays, flat)


def _over_input(network, leaves, streams, stream, values):
    """The place of the input that a stream's tokens lie over, and their map there.

    Of several, such as token ids beside segments, it is the one whose Embedding has the most ids.
    """
    known = network.accepted.known
    for place in sorted(streams.places[stream], key=lambda place: -known.get(place, 0)):
        leaf = leaves[place]
        if leaf.ndim < 4 and leaf.shape[1] == values.shape[1]:
            return place, values
        grid = _patches(network, streams, stream, values.shape[1]) if place == network.image_place else None
        if grid is not None:
            return place, grid.unflatten(values[..., None])[..., 0]
    shapes = ", ".join(str(leaves[place].shape[1:]) for place in streams.places[stream])
    raise Refused(
        f"A map needs a token for each position of an input, or patches of an image in rows. Received: {values.shape[1]} tokens for an input of {shapes}. lab.explain(..., method='layer_gradient_x_activation') explains the tokens of a layer."
    )


def _patches(network, streams, stream, count):
    """The patches of the image among a number of tokens: `Grid`, or None."""
    grids = (grid for layer, grid in network.grids.items() if network.shapes[layer][1] == count)
    shapes = [network.shapes[network.attentions[step.address].layer] for step in streams.steps if step.keys == stream]
    # Attention over rows and columns as they are has no tokens beside them.
    planes = (Grid(0, *shape[1:3]) for shape in shapes if shape and len(shape) == 4 and shape[1] * shape[2] == count)
    return next(grids, None) or next(planes, None)


def _without_masked(values, mask):
    masked = mask.all(axis=-1) if mask.ndim > values.ndim else mask
    return np.where(masked, 0, values).astype("float32")


def _spread(values, shape):
    """A map in the shape of an input: resized to its positions, and in equal parts over these and the channels."""
    if values.shape == shape:
        return values
    share = np.prod(values.shape[1:]) / np.prod(shape[1:])
    return np.repeat((resized(values, *shape[1:-1]) * share)[..., None], shape[-1], axis=-1)
