"""External: explainers that ask a model for scores, one sample at a time, as methods of the lab.

def shapley(score_function, sample):                 # sample: one input without its batch axis
    explainer = shap.KernelExplainer(score_function.scores, background)
    return explainer.shap_values(sample[None])[0]

lab.explain(network, inputs, objective, method=per_sample(shapley))
"""

import functools
import inspect

import numpy as np

from lab import routines
from lab.attribution import rules
from lab.environment import tf
from lab.refusal import Refused


class ScoreFunction:
    """What a network computes for points near one sample.

    Args:
        network: a `Network` of one input.
        objective: an `Objective`.
        row: int, the sample, whose numbers of the objective are used for every point.
    """

    def __init__(self, network, objective, row):
        self.network, self.objective, self.row = network, objective, row

    def scores(self, points):
        """The objective's score of each of n points, arrays [n, ...]: float32 [n]."""
        return routines.scores(self.network, points, self._goal(points))

    def gradients(self, points):
        """The score's gradient at each point: float32, like the points."""
        return routines.gradient(self.network, points, self._goal(points))[1]

    def at(self, layer, points):
        """A layer's activation at each point, and the score's gradient there.

        Args:
            layer: the address of a layer.
            points: float [n, ...], inputs of the network.

        Returns:
            float32 [n, ...] twice.
        """
        both = routines.layer_gradient(self.network, points, self._goal(points), layer, rules.both)
        return both[:, 0], both[:, 1]

    def logits(self, points):
        """All logits of each point, for libraries that choose the class themselves: float32 [n, classes]."""
        return routines.logits(self.network, points)

    def _goal(self, points):
        return self.objective.rows([self.row] * len(tf.nest.flatten(points)[0]))


def per_sample(explain):
    """Make an explainer of a function that explains one sample at a time.

    The map has the sample's own shape, or lies over its positions. A function with an option `seed` counts as one that draws.
    Each sample gets the same seed, so that its map does not depend on the others in its batch.

    Args:
        explain: `(score_function, sample, **options) -> map of the sample`.

    Returns:
        an explainer, which raises Refused for several inputs.
    """
    known = [
        parameter
        for parameter in inspect.signature(explain).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]

    @functools.wraps(explain)
    def explainer(network, inputs, objective, **options):
        arrays = network.inputs(inputs)
        if not isinstance(arrays, np.ndarray):
            raise Refused(f"{explain.__name__} explains models of one input. Received: several.")
        maps = [
            explain(ScoreFunction(network, objective, row), arrays[row].copy(), **options) for row in range(len(arrays))
        ]
        return np.stack([np.asarray(map_) for map_ in maps]).astype("float32")

    first = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("network", "inputs", "objective")
    ]
    explainer.__signature__ = inspect.Signature([*first, *known])
    explainer.looped = True
    return explainer
