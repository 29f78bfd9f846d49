"""Measurements: every metric that the field reports, as numbers without a verdict."""

import numpy as np

from lab.refusal import Refused
from lab.registry import nearest
from sanity import gates
from sanity.bound_explainer import BoundExplainer, pooled_maps
from sanity.checks import checks
from sanity.metrics import metrics


@checks.register(judged=False)
def measurements(explainer, subject, /, *, seed, chosen=(), **options):
    """Metrics of localisation, complexity, robustness, perturbation and axioms, by sample. None of them is judged.

    Args:
        explainer: the method.
        subject: the `Subject`.
        seed: int.
        chosen: names of `sanity.metrics`; empty: all.
        options: options of the method.

    Returns:
        `Evidence` with samples METRIC [samples]; nan where the inputs or outputs do not allow the metric. The settings
            say why.

    Raises:
        Refused: for an unknown metric.
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
