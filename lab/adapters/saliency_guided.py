"""GuidedIG of PAIR's saliency library, for versions of numpy that still have what it calls."""

import numpy as np

from lab.adapters.external import per_sample
from lab.adapters.saliency import model_callback
from lab.attribution import explainers


@explainers.register(library="saliency")
@per_sample
def guided_ig(score_function, sample, *, x_steps=200, fraction=0.25, max_dist=0.02):
    """PAIR saliency's GuidedIG, from zero (Kapishnikov et al. 2021, https://arxiv.org/abs/2106.09788).

    Args:
        score_function: a `ScoreFunction`.
        sample: float [...], one input without its batch axis.
        x_steps: int, points of the path.
        fraction: float in 0..1, the share of values that move in a step.
        max_dist: float, the largest distance from the straight path, as a share of its length.

    Returns:
        signed float [...], in the shape of the sample.
    """
    from saliency.core import GuidedIG

    start = np.zeros_like(sample)
    options = {"x_steps": x_steps, "fraction": fraction, "max_dist": max_dist}
    return GuidedIG().GetMask(sample, model_callback(score_function), x_baseline=start, **options)
