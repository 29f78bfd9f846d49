"""Contract: does the explainer keep what any explainer owes, before its maps are worth a question?"""

import numpy as np

from lab.environment import tf
from sanity.bound_explainer import BoundExplainer
from sanity.checks import checks
from sanity.contract import violations

IMAGES = 4


@checks.register
def contract(explainer, subject, *, seed, **options):
    """Shape and dtype, finite maps, the same seed the same bytes, an image alone as in a batch, weights and inputs untouched -> `Evidence`.

    Asked of the first four samples. options: the explainer's own.
    """
    bound = BoundExplainer(explainer, subject, seed, options)
    count = min(IMAGES, len(subject.names))
    inputs = tf.nest.map_structure(lambda leaf: leaf[:count], subject.inputs)
    goal = subject.objective.rows(list(range(count)))
    broken = violations(explainer, subject.network, inputs, goal, seed=seed, **options)
    return bound.evidence(
        "contract", {"broken": np.array([float(len(broken))])}, [], sizes={"images": count}, settings={"broken": broken}
    )
