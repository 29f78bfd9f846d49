"""References: what stands in the place of the parts of an input that are taken away."""

import numpy as np

from lab.attribution.paths import broadcast_baseline, stack_baselines
from lab.environment import tf


def as_references(network, arrays, baseline=0.0, baselines=None):
    """One baseline or several, beside every sample.

    Args:
        network: a `Network`, whose masked steps keep their values.
        arrays: inputs that it takes.
        baseline: a number, or an array (structure) that broadcasts against the inputs.
        baselines: several in its place, a list of numbers or arrays [baselines, ...]; None: the one.

    Returns:
        arrays [batch, references, ...] in the structure of the inputs.

    Raises:
        Refused: for what does not broadcast.
    """
    if baselines is None:
        one = network.keep(arrays, broadcast_baseline(arrays, baseline))
        return tf.nest.map_structure(lambda leaf: np.asarray(leaf)[:, None], one)
    bases = stack_baselines(arrays, baselines)
    return tf.nest.map_structure(lambda leaf, base: np.broadcast_to(base, (len(leaf), *base.shape)), arrays, bases)
