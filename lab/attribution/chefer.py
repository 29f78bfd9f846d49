"""Attention and its gradients: how much a score has from each token, by the part of attention that raises it."""

from lab.attribution import explainers
from lab.attribution.attention_maps import attention_maps, roll_out
from lab.attribution.options import positive_integer
from lab.attribution.token_streams import attention_address, token_streams
from lab.environment import tf
from lab.refusal import Refused
from lab.transformer_rules import trace_relevance


@explainers.register(needs="attention")
def chefer(network, inputs, objective, *, query=None):
    """Generic attention explainability, relevance that is passed on by the attention that raises the score (Chefer, Gur, Wolf 2021, https://arxiv.org/abs/2103.15679).

    For self-attention, attention of two inputs to each other, and encoders with decoders (equations 5 to 11). Relevance begins
    with the identity, so that a token that the score reads itself has its share of 1. Their earlier method, by relevance
    propagation, is `transformer_attribution`.

    Args:
        query: the number of the token whose row is explained, such as that of the class token; None: the mean row of the tokens
            that the score reads.

    Returns:
        unsigned float32, as of `raw_attention`.

    Raises:
        Refused: as `attention_rollout`.
    """
    return attention_maps(network, inputs, objective, _generic_relevance, query=query)


@explainers.register(needs="attention")
def transformer_attribution(network, inputs, objective, *, query=None):
    """Transformer attribution, the relevance of attention weights where they raise the score, rolled out (Chefer, Gur, Wolf 2021, https://arxiv.org/abs/2012.09838).

    In each layer it is the mean over heads of the positive part of gradient times relevance, plus the identity. Relevance begins
    with 1, and is shared by `lab.transformer_rules`. The paper's normalization of sums runs over a sample, and so does this
    one. A normalization that is no layer of Keras shares relevance operation by operation.

    Args:
        query: as of `chefer`.

    Returns:
        unsigned float32, as of `raw_attention`.

    Raises:
        Refused: as `attention_rollout`, for cross-attention, and for an operation without a rule.
    """
    for step in token_streams(network, objective).steps:
        if step.queries != step.keys:
            raise Refused(
                f"Transformer attribution follows self-attention. Received: {step.address!r}, which reads other tokens than it adds to. Use chefer."
            )
    return attention_maps(network, inputs, objective, _relevance_rolled_out, query=query, trace=trace_relevance)


@explainers.register(resolution="attention", needs="attention")
def attention_gradcam(network, inputs, objective, *, layer=None, relu=True, query=None):
    """Grad-CAM of an attention, whose heads are the channels (as in Chefer, Gur, Wolf 2021, https://arxiv.org/abs/2012.09838).

    Each head is weighed by its mean gradient over queries and keys.

    Args:
        layer: as of `raw_attention`.
        relu: whether only positive values are kept, as in the paper; False gives the signed map.
        query: as of `chefer`.

    Returns:
        float32, as of `raw_attention`.

    Raises:
        Refused: as `raw_attention`.
    """
    address = token_streams(network, objective).step(attention_address(network, layer)).address
    options = {"address": address, "relu": bool(relu)}
    return attention_maps(network, inputs, objective, _heads_as_channels, query=query, **options)


@explainers.register(needs="attention")
def legrad(network, inputs, objective, *, last=None):
    """LeGrad, the positive gradient at the attention of every layer, averaged (Bousselham, Boggust, Chaybouti, Strobelt, Kuehne 2024, https://arxiv.org/abs/2404.03214).

    The mean over layers, heads and queries. The paper puts the head of the network on the tokens of each layer. Here the score
    of the whole network is differentiated, since no model says how its head reads the tokens of earlier layers.

    Args:
        last: how many of the last layers are averaged; None: all.

    Returns:
        unsigned float32, as of `raw_attention`.

    Raises:
        Refused: as `attention_rollout`.
    """
    last = None if last is None else positive_integer("last", last)
    return attention_maps(network, inputs, objective, _mean_positive_gradient, last=last)


# Inside a graph -----------------------------------------------------------------------------------------------------------


def _generic_relevance(attended):
    """The rows that the score reads of the relevance of every stream's tokens to every other's."""
    relevance = {}
    for step in attended.streams.steps:
        raising = _raising_attention(attended, step.address)
        for stream, axis in ((step.queries, 1), (step.keys, 2)):
            relevance.setdefault((stream, 0), {stream: _identities(raising, axis)})
        before, read = relevance[step.queries, step.queries_at], relevance[step.keys, step.keys_at]
        changes = _changes(step, raising, before, read)
        relevance[step.queries, step.queries_at + 1] = {
            stream: before.get(stream, 0) + changes.get(stream, 0) for stream in {**before, **changes}
        }
    return _read_relevance(attended, relevance)


def _relevance_rolled_out(attended):
    """The product over layers of identity and relevance where it raises the score (equations 13 and 14)."""
    factors = attended.factors
    relevance = dict(zip(factors, attended.relevance(list(factors.values()))))

    def passed_on(attended, step):
        product = attended.slopes[step.address] * tf.cast(relevance[step.address], tf.float32)
        return 1.0, tf.reduce_mean(tf.nn.relu(product), axis=1)

    return roll_out(attended, passed_on)


def _raising_attention(attended, address):
    """The mean over heads of the positive part of gradient times attention: [batch, queries, keys] (equation 5)."""
    return tf.reduce_mean(tf.nn.relu(attended.slopes[address] * attended.weights[address]), axis=1)


def _identities(matrices, axis):
    shape = tf.shape(matrices)
    return tf.eye(shape[axis], batch_shape=shape[:1])


def _changes(step, raising, before, read):
    """What is added to the relevance of a stream's tokens to all streams (equations 6 and 7; across streams 10 and 11).

    The relevance of the keys' tokens to what is not their own stream is passed on as in equation 11.

    Args:
        step: the `Step`.
        raising: [batch, queries, keys].
        before: dict of a stream to the relevance of the queries' tokens to it, before this attention.
        read: the same of the keys' tokens.

    Returns:
        dict of a stream to a tensor.
    """
    changes = {stream: raising @ matrix for stream, matrix in read.items()}
    if step.queries != step.keys:
        queries, keys = _normalized(before[step.queries]), _normalized(read[step.keys])
        changes[step.keys] = tf.matmul(queries, raising @ keys, transpose_a=True)
    return changes


def _normalized(relevance):
    """Relevance of a stream to itself, its rows divided by their sums without the identity (equations 8 and 9)."""
    identity = _identities(relevance, 1)
    beside = relevance - identity
    return tf.math.divide_no_nan(beside, tf.reduce_sum(beside, axis=-1, keepdims=True)) + identity


def _read_relevance(attended, relevance):
    """The rows of relevance that the score reads, summed over the streams that it reads: dict of a stream to [batch, tokens]."""
    read = {}
    for stream, row in attended.rows.items():
        for other, matrix in relevance[attended.streams.end(stream)].items():
            read[other] = read.get(other, 0) + tf.einsum("bq,bqk->bk", row, matrix)
    return read


def _heads_as_channels(attended, address, relu):
    step, weights = attended.streams.step(address), attended.weights[address]
    # A weight that a mask holds at zero cannot change, and its gradient says nothing.
    pairs = attended.present(step)[:, None] * tf.cast(weights > 0, tf.float32)
    total = tf.reduce_sum(attended.slopes[address] * pairs, axis=(2, 3), keepdims=True)
    by_head = tf.math.divide_no_nan(total, tf.reduce_sum(pairs, axis=(2, 3), keepdims=True))
    maps = tf.reduce_mean(by_head * weights, axis=1)
    return {step.keys: attended.read(step, tf.nn.relu(maps) if relu else maps)}


def _mean_positive_gradient(attended, last):
    layers = {}
    for step in attended.streams.steps[-last if last else 0 :]:
        pairs, weights = attended.present(step), attended.weights[step.address]
        positive = tf.where(weights > 0, tf.nn.relu(attended.slopes[step.address]), 0.0)
        raising = tf.reduce_mean(positive, axis=1) * pairs
        mean = tf.math.divide_no_nan(tf.reduce_sum(raising, axis=1), tf.reduce_sum(pairs, axis=1))
        layers.setdefault(step.keys, []).append(mean)
    return {stream: tf.add_n(means) / len(means) for stream, means in layers.items()}
