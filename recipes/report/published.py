"""Published: the figures of papers beside what a run found, and whether they reproduce.

Source of the table: Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim 2018, https://arxiv.org/abs/1810.03292, the authors'
notebook of cascading randomization on MNIST: rank correlation of absolute maps with those of the trained network, ten images.
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
# A published mean of ten images and one network is itself no better known than this.
NEAR = 0.1


def comparison(recipe, evidence):
    """The published table beside a run of the recipe `published-mnist`: dict of plain values, or None for other recipes.

    evidence: list of `Evidence`.
    """
    if recipe.name != "published-mnist":
        return None
    found = {each.method: each for each in evidence if each.check == "parameters" and each.method in ADEBAYO}
    rows = [_row(name, each) for name, each in found.items()]
    return {
        "words": "Cascading randomization from the output down, |Spearman| of absolute maps. Here: mean and 95% interval over random networks and digits; published: ten digits, one network. The network here has a dense layer of 256 units instead of 1,024, and 2,500 digits to learn from.",
        "stages": [f"down to {name}" for name in STAGES],
        "rows": rows,
        "claims": list(_claims(found, evidence)),
    }


def _row(name, evidence):
    spans = _spans(evidence, MEASURE)
    there = ADEBAYO[name]
    near = [low - NEAR <= value <= high + NEAR for (_, low, high), value in zip(spans, there)]
    said = "in size" if all(near) else f"in size at {sum(near)} of {len(near)} stages"
    falls = (spans[0][0] > spans[-1][0]) == (there[0] > there[-1]) or abs(there[0] - there[-1]) < 0.02
    cells = [
        {"here": f"{mean:.2f} [{low:.2f}, {high:.2f}]", "there": f"{value:.2f}"}
        for (mean, low, high), value in zip(spans, there)
    ]
    return {"method": name, "cells": cells, "said": f"{said}; direction {'yes' if falls else 'no'}"}


def _spans(evidence, measure):
    """-> (mean, low, high) after each of STAGES."""
    names = [stage["stage"] for stage in evidence.stages]
    spans = [
        bootstrap_interval(evidence.samples[measure][:, names.index(stage)], seed=0, draws=500) for stage in STAGES
    ]
    return [(each.mean, each.low, each.high) for each in spans]


def _claims(found, evidence):
    """What the papers say in words, with the number that bears on it: str."""
    if "gradient_x_input" in found:
        each = found["gradient_x_input"]
        null, joint = float(np.nanmean(each.samples["tie_null"])), _spans(each, "cascade/joint_abs_spearman")[-1][0]
        seen = _spans(each, MEASURE)[-1][0]
        yield f"Gradient x input keeps {seen:.2f} when all is random. Ties alone would give {null:.2f} ({np.nanmean(each.samples['ties']):.0%} of the map is exactly zero): the figure reproduces and says nothing. Where both maps are non-zero it is {joint:.2f}."
    if "gradient" in found:
        each = found["gradient"]
        kept, joint = (_spans(each, measure)[-1][0] for measure in (MEASURE, "cascade/joint_abs_spearman"))
        empty = float(np.mean(each.maps["random"] == 0))
        yield f"The gradient ends at {kept:.2f} here and at {ADEBAYO['gradient'][-1]:.2f} there. With fresh biases of zero the random networks' maps are exactly zero on {empty:.0%} of the pixels, those far from the ink, where the trained map is small: they agree on where the ink is. Where both are non-zero it is {joint:.2f}."
    if {"guided_backprop", "gradient"} <= set(found):
        guided, plain = (_spans(found[name], MEASURE) for name in ("guided_backprop", "gradient"))
        holds = guided[0][1] > plain[0][2]
        yield f"Guided backprop is less sensitive to the top layers than the gradient ({guided[0][0]:.2f} against {plain[0][0]:.2f} after the logits): {'reproduces' if holds else 'does not reproduce'}; it is not wholly invariant ({guided[-1][0]:.2f} at the end), as the authors' erratum says."
    yield from _orderings(found, evidence)


def _orderings(found, evidence):
    """Hedstrom et al. 2024, https://arxiv.org/abs/2401.06465: where MPRT and eMPRT put methods."""
    rises = {
        each.method: float(np.mean(image_means(each.samples["rise"])))
        for each in evidence
        if each.check == "entropy" and np.isfinite(each.samples.get("rise", np.nan)).any()
    }
    kept = {name: _spans(each, MEASURE)[-1][0] for name, each in found.items()}
    if {"gradient", "integrated_gradients", "gradient_x_input"} <= set(kept):
        holds = kept["gradient"] < min(kept["integrated_gradients"], kept["gradient_x_input"])
        yield f"MPRT puts gradient before integrated gradients and gradient x input ({kept['gradient']:.2f}, {kept['integrated_gradients']:.2f}, {kept['gradient_x_input']:.2f}): {'reproduces' if holds else 'does not reproduce'}, for the reason above."
    if {"gradient", "integrated_gradients", "gradcam"} <= set(rises):
        holds = rises["gradient"] > max(rises["integrated_gradients"], rises["gradcam"])
        words = ", ".join(f"{name} {value:+.2f}" for name, value in rises.items() if name in found)
        yield f"eMPRT puts gradient before integrated gradients and Grad-CAM, which are near zero ({words}): {'reproduces' if holds else 'does not reproduce'}."
