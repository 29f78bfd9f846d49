"""Budget: how many samples of attention fit into a network's memory at once."""

import numpy as np

from lab.environment import tf

# Bytes of a float32.
FLOAT = 4


def weight_bytes(network, inputs, address):
    """Bytes that the weights of one attention take for one sample: int.

    Args:
        network: a `Network`.
        inputs: arrays that it takes; their length stands for one that the model leaves free.
        address: str, an address of `network.attentions`.

    Returns:
        int.
    """
    length = max((leaf.shape[1] for leaf in tf.nest.flatten(inputs) if leaf.ndim > 1), default=1)
    row = network.attentions[address]
    return FLOAT * int(np.prod([row.heads or 1, row.queries or length, row.keys or length]))


def chunk_size(network, inputs, passes=1):
    """Samples of a chunk that stay within the memory budget together with all attention of a pass.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        passes: int, how many times the memory of a gradient the pass takes.

    Returns:
        int of 1 or more.
    """
    attention = sum(weight_bytes(network, inputs, address) for address in network.attentions)
    row = passes * (network.sample_bytes() + 2 * attention)
    return int(np.clip(network.memory // row, 1, network.most_rows))
