"""Contract: does the explainer keep what any explainer must, before its maps are judged?"""

import numpy as np

from lab.environment import tf
from sanity.bound_explainer import BoundExplainer
from sanity.checks import checks
from sanity.contract import violations
from sanity.ruling import About, Ruling, rules

IMAGES = 4


@checks.register
def contract(explainer, subject, /, *, seed, **options):
    """Shape and dtype, finite maps, same seed same bytes, an image alone as in a batch, weights and inputs untouched.

    The first four samples are explained.

    Args:
        explainer: the method.
        subject: the `Subject`.
        seed: int.
        options: options of the method.

    Returns:
        `Evidence`; the settings list the broken promises.
    """
    bound = BoundExplainer(explainer, subject, seed, options)
    count = min(IMAGES, len(subject.names))
    inputs = tf.nest.map_structure(lambda leaf: leaf[:count], subject.inputs)
    objective = subject.objective.rows(list(range(count)))
    broken = violations(explainer, subject.network, inputs, objective, seed=seed, **options)
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
    """A broken promise fails; nothing is estimated.

    Args:
        family: list of `Evidence` of this check.
        margins: not used.
        seed: not used.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    del margins, seed  # Nothing is estimated.
    broken = [evidence.settings["broken"] for evidence in family]
    return [
        Ruling("FAIL", "BROKEN", why="; ".join(promises)) if promises else Ruling("PASS", "KEPT", why="none broken")
        for promises in broken
    ]
