"""Guided Grad-CAM: guided backpropagation times Grad-CAM."""

import numpy as np

from lab.attribution import explainers
from lab.attribution.cam import gradcam
from lab.attribution.gradients import guided_backprop
from lab.environment import tf
from lab.maps import resized
from lab.refusal import Refused


@explainers.register(rule="guided")
def guided_gradcam(network, inputs, objective, *, layer=None):
    """Guided Grad-CAM, guided backpropagation times Grad-CAM resized to the input (Selvaraju et al. 2016, https://arxiv.org/abs/1610.02391).

    Args:
        layer: as of `gradcam`.

    Returns:
        signed float32 in the shape of the one input.

    Raises:
        Refused: for several inputs, for ids, and where either method is refused.
    """
    arrays = network.inputs(inputs)
    if not isinstance(arrays, np.ndarray) or arrays.ndim < 3:
        raise Refused(
            f"Guided Grad-CAM explains one input with positions. Received: {tf.nest.map_structure(np.shape, arrays)}."
        )
    fine = guided_backprop(network, arrays, objective)
    coarse = gradcam(network, arrays, objective, layer=layer)
    return fine * resized(coarse, *arrays.shape[1:-1])[..., None]
