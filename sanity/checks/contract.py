"""Contract: does the explainer keep what any explainer owes, before its maps are worth a question?"""

import numpy as np

from lab.environment import tf
from sanity.bound_explainer import BoundExplainer
from sanity.checks import checks
from sanity.contract import violations
from sanity.ruling import About, Ruling, rules

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


@rules.register(
    name="contract",
    about=About(
        "Keeps the contract",
        "",
        {"KEPT": "every promise of an explainer was kept", "BROKEN": "{why}"},
        similarity="promises broken: shape, dtype, finite values, seeds, batches, weights, inputs",
        sampled=False,
        counted={"images": "images"},
    ),
)
def judge_contract(family, margins, seed):
    """A broken promise fails; there is nothing to estimate."""
    del margins, seed  # Nothing is estimated.
    broken = [evidence.settings["broken"] for evidence in family]
    return [
        Ruling("FAIL", "BROKEN", why="; ".join(each)) if each else Ruling("PASS", "KEPT", why="none broken")
        for each in broken
    ]
