"""Completeness: does a map add up to what it explains? (Sundararajan, Taly, Yan 2017, https://arxiv.org/abs/1703.01365, axiom of completeness.)"""

import numpy as np

from lab.attribution import explainers
from lab.explanation import risen, total
from sanity import gates
from sanity.checks import checks
from sanity.viewer import Viewer, planes


@checks.register
def completeness(explainer, subject, *, seed, **options):
    """How far is the sum of the map from score(input) - score(baseline), in units of the mean difference? -> `Evidence`.

    The baseline is the explainer's own option of that name, zero where it has none. options: the explainer's own.
    """
    viewer = Viewer(explainer, subject, seed, options)
    maps, network, goal = viewer.maps(), subject.network, subject.objective
    rise = risen(explainer, network, network.inputs(subject.inputs), goal, viewer.chosen)
    added = total(maps)
    samples = {"gap": np.abs(added - rise) / np.abs(rise).mean(), "total": added, "risen": rise}
    promised = bool(explainers.tag(explainer, "complete", False))
    passed = [gates.competent(subject), gates.usable(planes(maps))]
    return viewer.evidence("completeness", samples, passed, settings={"promised": promised})
