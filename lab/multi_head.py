"""Multi head: weights of attention as files hold them, one matrix for all heads, as Keras's layer takes them."""


def by_head(query, key, value, output, heads):
    """The weights of a `keras.layers.MultiHeadAttention`, with an axis for the heads.

    Args:
        query: kernel [units, units] and bias [units].
        key: as `query`.
        value: as `query`.
        output: as `query`, of the projection behind the heads.
        heads: int.

    Returns:
        list of arrays, in the order of the layer's own weights.
    """
    arrays = []
    for kernel, bias in (query, key, value):
        arrays += [kernel.reshape(len(kernel), heads, -1), bias.reshape(heads, -1)]
    kernel, bias = output
    return [*arrays, kernel.reshape(heads, -1, kernel.shape[1]), bias]
