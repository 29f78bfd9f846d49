"""Published: figures of papers beside those of a run, and whether they reproduce.

Source of the table: Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim 2018, https://arxiv.org/abs/1810.03292, the
authors' notebook of cascading randomization on MNIST. It has the rank correlation of absolute maps with those of the
trained network, for ten images.
"""

import numpy as np

from sanity.checks.entropy import image_means
from sanity.statistics import bootstrap_interval

STAGES = {"logits": "logits", "fc1": "fc1", "hidden2": "hidden2", "hidden1": "hidden1"}
ADEBAYO = {
    "gradient": (0.601, 0.396, 0.106, 0.082),
    "smoothgrad": (0.536, 0.330, 0.180, 0.213),
    "gradcam": (0.556, 0.344, 0.290, 0.299),
    "guided_backprop": (0.888, 0.773, 0.628, 0.444),
    "integrated_gradients": (0.994, 0.993, 0.993, 0.992),
    "gradient_x_input": (0.993, 0.993, 0.993, 0.992),
}
MEASURE = "cascade/abs_spearman"
# Tolerance: a published mean of ten images and one network is not known better than this.
NEAR = 0.1


def compare_to_published(recipe, evidence):
    """The published table beside a run of the recipe `published-mnist`.

    Args:
        recipe: `Recipe`.
        evidence: list of `Evidence`.

    Returns:
        dict of plain values, or None for other recipes.
    """
    if recipe.name != "published-mnist":
        return None
    cascades = {
        record.method: record for record in evidence if record.check == "parameters" and record.method in ADEBAYO
    }
    return {
        "words": "Cascading randomization from the output down, |Spearman| of absolute maps. Here: mean and 95% interval over random networks and digits; published: ten digits, one network. The network here has a dense layer of 256 units instead of 1,024, and 2,500 digits to learn from.",
        "stages": [f"down to {name}" for name in STAGES],
        "rows": [_row(method, record) for method, record in cascades.items()],
        "claims": list(_claims(cascades, evidence)),
    }


def _row(method, record):
    spans = _spans(record, MEASURE)
    published = ADEBAYO[method]
    near = [low - NEAR <= value <= high + NEAR for (_, low, high), value in zip(spans, published)]
    size = "in size" if all(near) else f"in size at {sum(near)} of {len(near)} stages"
    flat = abs(published[0] - published[-1]) < 0.02
    same_direction = (spans[0][0] > spans[-1][0]) == (published[0] > published[-1]) or flat
    cells = [
        {"here": f"{mean:.2f} [{low:.2f}, {high:.2f}]", "published": f"{value:.2f}"}
        for (mean, low, high), value in zip(spans, published)
    ]
    return {"method": method, "cells": cells, "reproduces": f"{size}; direction {'yes' if same_direction else 'no'}"}


def _spans(record, measure):
    """Mean and 95% interval of a measure after each of STAGES: list of (mean, low, high)."""
    names = [stage["stage"] for stage in record.stages]
    spans = [bootstrap_interval(record.samples[measure][:, names.index(stage)], seed=0, draws=500) for stage in STAGES]
    return [(span.mean, span.low, span.high) for span in spans]


def _claims(cascades, evidence):
    """What the papers say in words, with the numbers of this run: iterator of str."""
    if "gradient_x_input" in cascades:
        record = cascades["gradient_x_input"]
        null, joint = float(np.nanmean(record.samples["tie_null"])), _spans(record, "cascade/joint_abs_spearman")[-1][0]
        last = _spans(record, MEASURE)[-1][0]
        yield f"Gradient x input keeps {last:.2f} when all is random. Ties alone would give {null:.2f} ({np.nanmean(record.samples['ties']):.0%} of the map is exactly zero): the figure reproduces and says nothing. Where both maps are non-zero it is {joint:.2f}."
    if "gradient" in cascades:
        record = cascades["gradient"]
        last, joint = (_spans(record, measure)[-1][0] for measure in (MEASURE, "cascade/joint_abs_spearman"))
        empty = float(np.mean(record.maps["random"] == 0))
        yield f"The gradient ends at {last:.2f} here and at {ADEBAYO['gradient'][-1]:.2f} there. With fresh biases of zero the random networks' maps are exactly zero on {empty:.0%} of the pixels, those far from the ink, where the trained map is small: they agree on where the ink is. Where both are non-zero it is {joint:.2f}."
    if {"guided_backprop", "gradient"} <= set(cascades):
        guided, plain = (_spans(cascades[name], MEASURE) for name in ("guided_backprop", "gradient"))
        holds = guided[0][1] > plain[0][2]
        yield f"Guided backprop is less sensitive to the top layers than the gradient ({guided[0][0]:.2f} against {plain[0][0]:.2f} after the logits): {'reproduces' if holds else 'does not reproduce'}; it is not wholly invariant ({guided[-1][0]:.2f} at the end), as the authors' erratum says."
    yield from _orderings(cascades, evidence)


def _orderings(cascades, evidence):
    """Hedstrom et al. 2024, https://arxiv.org/abs/2401.06465: where MPRT and eMPRT put methods."""
    rises = {
        record.method: float(np.mean(image_means(record.samples["increase"])))
        for record in evidence
        if record.check == "entropy" and np.isfinite(record.samples.get("rise", np.nan)).any()
    }
    ends = {method: _spans(record, MEASURE)[-1][0] for method, record in cascades.items()}
    if {"gradient", "integrated_gradients", "gradient_x_input"} <= set(ends):
        holds = ends["gradient"] < min(ends["integrated_gradients"], ends["gradient_x_input"])
        yield f"MPRT puts gradient before integrated gradients and gradient x input ({ends['gradient']:.2f}, {ends['integrated_gradients']:.2f}, {ends['gradient_x_input']:.2f}): {'reproduces' if holds else 'does not reproduce'}, for the reason above."
    if {"gradient", "integrated_gradients", "gradcam"} <= set(rises):
        holds = rises["gradient"] > max(rises["integrated_gradients"], rises["gradcam"])
        words = ", ".join(f"{name} {value:+.2f}" for name, value in rises.items() if name in cascades)
        yield f"eMPRT puts gradient before integrated gradients and Grad-CAM, which are near zero ({words}): {'reproduces' if holds else 'does not reproduce'}."
