"""PAIR's saliency library (`pip install saliency`), which calls a model by a callback, one image at a time.

Its occlusion is left out: it moves the patch by one pixel, some forty thousand passes for an image of 224 pixels.
"""

import numpy as np

from lab.adapters.external import per_sample
from lab.attribution import explainers
from lab.attribution.paths import baselines
from lab.refusal import Refused


def model_callback(score_function, layer=None):
    """The callback that the library calls.

    Args:
        score_function: a `ScoreFunction`.
        layer: the address of a layer that is asked for, or None.

    Returns:
        function `(points, arguments, keys) -> dict`.
    """
    from saliency.core import base

    def call(points, call_model_args=None, expected_keys=None):
        del call_model_args  # The score function knows its own objective.
        points = np.asarray(points, "float32")
        if base.INPUT_OUTPUT_GRADIENTS in expected_keys:
            return {base.INPUT_OUTPUT_GRADIENTS: score_function.gradients(points)}
        if base.OUTPUT_LAYER_VALUES in expected_keys:
            return {base.OUTPUT_LAYER_VALUES: score_function.scores(points)}
        values, slopes = score_function.at(layer, points)
        return {base.CONVOLUTION_LAYER_VALUES: values, base.CONVOLUTION_OUTPUT_GRADIENTS: slopes}

    return call


@explainers.register(library="saliency", same_as="gradient", derivative="slope")
@per_sample
def gradient(score_function, sample):
    """PAIR saliency's GradientSaliency (Simonyan, Vedaldi, Zisserman 2013, https://arxiv.org/abs/1312.6034).

    Args:
        score_function: a `ScoreFunction`.
        sample: float [...], one input without its batch axis.

    Returns:
        signed float [...], in the shape of the sample.
    """
    from saliency.core import GradientSaliency

    return GradientSaliency().GetMask(sample, model_callback(score_function))


@explainers.register(library="saliency", complete=baselines)
@per_sample
def integrated_gradients(score_function, sample, *, x_steps=25):
    """PAIR saliency's IntegratedGradients, from zero (Sundararajan, Taly, Yan 2017, https://arxiv.org/abs/1703.01365).

    Args:
        score_function: a `ScoreFunction`.
        sample: float [...], one input without its batch axis.
        x_steps: int, points of the path.

    Returns:
        signed float [...], in the shape of the sample.
    """
    from saliency.core import IntegratedGradients

    return IntegratedGradients().GetMask(sample, model_callback(score_function), x_steps=x_steps, batch_size=x_steps)


# Its blurs cost more than its gradients.
@explainers.register(library="saliency", cost=lambda network, options: 3 * options["steps"])
@per_sample
def blur_ig(score_function, sample, *, steps=100, max_sigma=50):
    """PAIR saliency's BlurIG (Xu, Venugopalan, Sundararajan 2020, https://arxiv.org/abs/2004.03383).

    Args:
        score_function: a `ScoreFunction`.
        sample: float [...], one input without its batch axis.
        steps: int, blurs along the path.
        max_sigma: float, deviation of the strongest blur, in pixels.

    Returns:
        signed float [...], in the shape of the sample.

    Raises:
        Refused: for inputs that are not images.
    """
    from saliency.core import BlurIG

    _refuse_non_images(sample)
    return BlurIG().GetMask(
        sample, model_callback(score_function), steps=steps, max_sigma=max_sigma, batch_size=min(steps, 32)
    )


@explainers.register(library="saliency", cost=lambda network, options: 300)
@per_sample
def xrai(score_function, sample):
    """PAIR saliency's XRAI (Kapishnikov et al. 2019, https://arxiv.org/abs/1906.02825).

    Args:
        score_function: a `ScoreFunction`.
        sample: float [...], one input without its batch axis.

    Returns:
        float [rows, columns].

    Raises:
        Refused: for inputs that are not images.
    """
    from saliency.core import XRAI

    _refuse_non_images(sample)
    return XRAI().GetMask(sample, model_callback(score_function), batch_size=25)


def _refuse_non_images(sample):
    if sample.ndim != 3:
        raise Refused(f"This method of PAIR's saliency takes images. Received: inputs of shape {sample.shape}.")
