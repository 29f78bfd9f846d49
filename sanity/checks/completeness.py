"""Completeness: does a map add up to what it explains? (Sundararajan, Taly, Yan 2017, https://arxiv.org/abs/1703.01365, axiom of completeness.)"""

import numpy as np

from lab import routines
from lab.attribution import explainers
from lab.attribution.gradients import baselines
from lab.environment import tf
from sanity import gates
from sanity.checks import checks
from sanity.viewer import Viewer, planes


@checks.register
def completeness(explainer, subject, *, seed, **options):
    """How far is the sum of the map from score(input) - score(baseline), in units of the mean difference? -> `Evidence`.

    The baseline is the explainer's own option of that name, zero where it has none. options: the explainer's own.
    """
    viewer = Viewer(explainer, subject, seed, options)
    maps, network = viewer.maps(), subject.network
    start = baselines(network.inputs(subject.inputs), viewer.chosen.get("baseline", 0.0))
    start = tf.nest.map_structure(np.ascontiguousarray, start)
    goal = subject.objective
    risen = routines.scores(network, subject.inputs, goal).astype("float64") - routines.scores(network, start, goal)
    total = sum(leaf.reshape(len(leaf), -1).sum(axis=1, dtype="float64") for leaf in tf.nest.flatten(maps))
    samples = {"gap": np.abs(total - risen) / np.abs(risen).mean(), "total": total, "risen": risen}
    promised = bool(explainers.tag(explainer, "complete", False))
    passed = [gates.competent(subject), gates.usable(planes(maps))]
    return viewer.evidence("completeness", samples, passed, settings={"promised": promised})
