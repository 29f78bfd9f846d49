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

    chosen: names of `sanity.metrics`; none for all. options: the explainer's own. A metric that these inputs or outputs do not
    allow is nan for every sample, and the settings say why.
    """
    for name in chosen:
        if name not in metrics:
            raise Refused(f"Unknown metric. Received: {name!r}. {nearest(name, metrics)}")
    viewer = Viewer(explainer, subject, seed, options)
    maps = viewer.maps()
    samples, refused = {}, {}
    for name in chosen or metrics:
        try:
            samples[name] = np.asarray(metrics.get(name)(viewer, maps, seed), "float64")
        except Refused as error:
            # One metric without an answer for these inputs or outputs costs the others nothing.
            samples[name], refused[name] = np.full(len(subject.names), np.nan), str(error)
    settings = {"chosen": list(chosen), "refused": refused}
    return viewer.evidence("measurements", samples, [gates.usable(planes(maps))], settings=settings)
