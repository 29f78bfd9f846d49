"""Attention with the values that it weighs: a token that is attended to adds nothing where its value is zero."""

import numpy as np

from lab import routines
from lab.address import layer_path
from lab.attention.budget import chunk_size
from lab.attribution import explainers
from lab.attribution.attention_maps import attention_maps, lay_over_inputs, read_rows, token_relevance
from lab.attribution.token_streams import attention_address, token_blocks, token_streams, values_address
from lab.environment import keras, tf
from lab.refusal import Refused

# Attention whose layer multiplies the weighed values of each head with a matrix, and adds them up.
_PROJECTING = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)
# Attention whose layer returns the weighed values as they are.
_PLAIN = (keras.layers.Attention, keras.layers.AdditiveAttention)


@explainers.register(resolution="attention", needs="attention")
def value_norm_attention(network, inputs, objective, *, layer=None, query=None):
    """Norm-based attention, the norm of what a token adds to another one: weight times value, projected (Kobayashi, Kuribayashi, Yokoi, Inui 2020, https://arxiv.org/abs/2004.10102).

    Vectors of all heads are added up before the norm. The same for every class.

    Args:
        layer: as of `raw_attention`, a layer of Keras or one derived of it.
        query: as of `raw_attention`.

    Returns:
        unsigned float32, as of `raw_attention`, in units of the layer's output.

    Raises:
        Refused: as `raw_attention`, and for a layer whose projection of values is not known.
    """
    address = token_streams(network, objective).step(attention_address(network, layer)).address
    _refuse_unknown_projection(network, address)
    return attention_maps(network, inputs, objective, _norms, query=query, address=address)


def _zeroing_cost(network, options):
    """Two forward passes a token and attention."""
    if network is None:
        return 1
    return sum(row.keys or 1 for row in network.attentions.values()) * 2 / 3


@explainers.register(needs="attention", cost=_zeroing_cost)
def value_zeroing(network, inputs, objective, *, query=None):
    """Value zeroing, how far a layer's tokens turn without the value of one token, rolled out over all layers (Mohebbi, Zuidema, Chrupala, Alishahi 2023, https://arxiv.org/abs/2301.12971).

    The distance of a token behind a layer is 1 - cosine. Each token's distances are divided by their sum. The same for every class.
    It takes a forward pass for each token and layer.

    Args:
        query: as of `raw_attention`.

    Returns:
        unsigned float32, as of `raw_attention`. The values of all tokens add up to 1.

    Raises:
        Refused: as `attention_rollout`, for cross-attention, and where no layer has the tokens behind an attention.
    """
    streams, blocks = token_streams(network, objective), token_blocks(network, objective)
    for step in streams.steps:
        _refuse_unzeroed(step, blocks)
    relevance = token_relevance(network, inputs, objective, read_rows, query=query)
    for step in reversed(streams.steps):
        matrix = _turns(network, inputs, step.address, blocks[step.address])
        relevance[step.queries] = np.einsum("bq,bqk->bk", relevance[step.queries], matrix)
    return lay_over_inputs(network, network.inputs(inputs), streams, relevance)


def _refuse_unknown_projection(network, address):
    layer = network.tree[layer_path(address)]
    if not isinstance(layer, (*_PROJECTING, *_PLAIN)):
        names = ", ".join(kind.__name__ for kind in (*_PROJECTING, *_PLAIN))
        raise Refused(
            f"The norm of a weighed value needs a layer whose projection is known: {names}. Received: {address!r}, {type(layer).__name__}. Use value_zeroing."
        )


def _refuse_unzeroed(step, blocks):
    if step.queries != step.keys:
        raise Refused(
            f"Value zeroing follows self-attention. Received: {step.address!r}, which reads other tokens than it adds to. Use chefer or attention_rollout."
        )
    if step.address not in blocks:
        raise Refused(
            f"Value zeroing compares tokens behind each attention. Received: {step.address!r}, behind which no layer returns all of them."
        )


def _norms(attended, address):
    """The norm of what each key's token adds to each query's, without a vector for each pair."""
    weights, values = attended.weights[address], _projected(attended.network, address, attended.values[address])
    products = tf.einsum("bhkc,bgkc->bkhg", values, values)
    squares = tf.reduce_sum(weights * tf.einsum("bgqk,bkhg->bhqk", weights, products), axis=1)
    step = attended.streams.step(address)
    return {step.keys: attended.read(step, tf.sqrt(tf.nn.relu(squares)))}


def _projected(network, address, values):
    """Values [batch, heads, keys, channels] as vectors of the layer's output."""
    layer = network.tree[layer_path(address)]
    if isinstance(layer, _PLAIN):
        return values
    kernel = tf.cast(tf.convert_to_tensor(layer.output_dense.kernel), tf.float32)
    return tf.einsum("bhkd,hdc->bhkc", values, tf.reshape(kernel, [*kernel.shape[:2], -1]))


def _turns(network, inputs, address, block):
    """How far each token behind an attention turns without the value of each token, as shares: float32 [batch, queries, keys]."""

    def body(batched, width):
        (inputs,) = batched
        plain = network.trace(inputs, [address, block]).activations
        shape, tokens = tf.shape(plain[address]), _directions(plain[block])

        def step(indices, distances):
            hidden = tf.one_hot(indices, shape[3])
            zeroed = _without_values(network, inputs, address, block, hidden)
            zeroed = tf.reshape(zeroed, tf.concat([[shape[0], width], tf.shape(tokens)[1:]], 0))
            # Half of the squared distance of directions is 1 - cosine, without a difference of numbers near 1.
            turned = tf.reduce_sum((zeroed - tokens[:, None]) ** 2, axis=-1) / 2
            return distances + tf.einsum("bwq,wk->bqk", turned, hidden)

        distances = routines.over_samples(network, shape[3], width, step, tf.zeros([shape[0], shape[2], shape[3]]))
        return tf.math.divide_no_nan(distances, tf.reduce_sum(distances, axis=-1, keepdims=True))

    arrays = network.inputs(inputs)
    most, rows = max(1, chunk_size(network, arrays) // network.turns_at_once), len(tf.nest.flatten(arrays)[0])
    width = np.int32(max(1, most // rows))
    return routines.run(network, ("turns", address, block), body, (arrays,), width, most=most)


def _without_values(network, inputs, address, block, hidden):
    """Directions of the tokens behind an attention, each sample once without each of some values: [batch * width, tokens, channels]."""
    width = tf.shape(hidden)[0]

    def zero(values):
        kept = tf.tile(1 - hidden, [tf.shape(values)[0] // width, 1])[:, None, :, None]
        return values * tf.cast(kept, values.dtype)

    repeated = tf.nest.map_structure(lambda leaf: tf.repeat(leaf, width, axis=0), inputs)
    return _directions(network.trace(repeated, [block], replaced={values_address(address): zero}).activations[block])


def _directions(tokens):
    return tf.math.l2_normalize(tf.cast(tokens, tf.float32), axis=-1)
