"""Figures of `simpler`: how far the network is ahead of each simple model, with simultaneous intervals and the margin."""

import numpy as np

from recipes.report.figures import draw_intervals


def figures(evidence):
    """Pictures of the comparison of a network with all simple models.

    Args:
        evidence: `sanity.evidence.Evidence` of the check `simpler`.

    Returns:
        list of (title, str of SVG), one for each loss; empty for evidence about one model.
    """
    ladder = evidence.samples.get("ladder")
    if ladder is None or not np.isfinite(ladder).all():
        return []
    return [_figure(evidence, place, name) for place, name in enumerate(evidence.settings["losses"])]


def _figure(evidence, place, name):
    # Log losses are in nats, and the others in percent.
    factor, unit = (1, "nats") if name == "log loss" else (100, "percent")
    models = evidence.settings["ladder"]
    rows = [(model, *(factor * effects[place])) for model, effects in zip(models, evidence.samples["ladder"])]
    margin = float(factor * evidence.samples["margins"][place])
    axis = f"network ahead in {name}, {unit}; intervals hold together"
    return f"How far the network is ahead in {name}", draw_intervals(rows, axis, marks=[("margin", margin)])
