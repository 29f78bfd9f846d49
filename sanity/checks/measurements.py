"""Measurements: every metric that the field reports, as numbers without a verdict."""

import numpy as np

from lab.refusal import Refused
from lab.registry import nearest
from sanity import gates
from sanity.bound_explainer import BoundExplainer, pooled_maps
from sanity.checks import checks
from sanity.metrics import metrics


@checks.register(judged=False)
def measurements(explainer, subject, *, seed, chosen=(), **options):
    """Metrics of localisation, complexity, robustness, perturbation and axioms, by sample -> `Evidence`. None of them is judged.

    chosen: names of `sanity.metrics`; none for all. options: the explainer's own. A metric that these inputs or outputs do not
    allow is nan for every sample, and the settings say why.
    """
    for name in chosen:
        if name not in metrics:
            raise Refused(f"Unknown metric. Received: {name!r}. {nearest(name, metrics)}")
    bound = BoundExplainer(explainer, subject, seed, options)
    maps = bound.maps()
    samples, refused = {}, {}
    for name in chosen or metrics:
        try:
            samples[name] = np.asarray(metrics.get(name)(bound, maps, seed), "float64")
        except Refused as error:
            # One metric without an answer for these inputs or outputs costs the others nothing.
            samples[name], refused[name] = np.full(len(subject.names), np.nan), str(error)
    settings = {"chosen": list(chosen), "refused": refused}
    return bound.evidence("measurements", samples, [gates.usable_maps(pooled_maps(maps))], settings=settings)
