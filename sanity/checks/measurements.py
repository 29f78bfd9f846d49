"""Measurements: every metric that the field reports, as numbers without a verdict."""

import numpy as np

from lab.refusal import Refused
from lab.registry import nearest
from sanity import gates
from sanity.checks import checks
from sanity.metrics import metrics
from sanity.viewer import Viewer, planes


@checks.register(judged=False)
def measurements(explainer, subject, *, seed, chosen=(), **options):
    """Metrics of localisation, complexity, robustness, perturbation and axioms, by sample -> `Evidence`. None of them is judged.

    chosen: names of `sanity.metrics`; none for all. options: the explainer's own.
    """
    for name in chosen:
        if name not in metrics:
            raise Refused(f"Unknown metric. Received: {name!r}. {nearest(name, metrics)}")
    viewer = Viewer(explainer, subject, seed, options)
    maps = viewer.maps()
    samples = {name: np.asarray(metrics.get(name)(viewer, maps, seed), "float64") for name in chosen or metrics}
    return viewer.evidence("measurements", samples, [gates.usable(planes(maps))], settings={"chosen": list(chosen)})
