"""Untrained: weights of networks that were drawn and never trained, with normalization that fits the inputs at hand."""

from lab.environment import tf
from sanity.randomization import STATISTICS_IMAGES, draw, layers_in_order, reestimate_batchnorm
from sanity.seeds import derive_seed


def untrained_weights(network, inputs, place, *, seed):
    """Weights of one untrained network.

    Args:
        network: a `Network`.
        inputs: arrays that it takes, of which the first are normalized with.
        place: int, which of several untrained networks; None: the network as it was trained, whose weights are left.
        seed: int, of all of them.

    Returns:
        dict of variable name to array, for `Network.weights`; empty for the trained one.
    """
    if place is None:
        return {}
    drawn = draw(network, layers_in_order(network), [derive_seed(seed, "untrained network", place)])[0]
    first = tf.nest.map_structure(lambda leaf: leaf[:STATISTICS_IMAGES], inputs)
    return reestimate_batchnorm(network, drawn, first, "estimate")[0]
