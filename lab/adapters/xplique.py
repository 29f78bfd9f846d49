"""Xplique 2 (`pip install xplique`, which needs TensorFlow 2.20 or older): its gradient and CAM explainers."""

import importlib

import numpy as np

from lab.adapters.limits import one_logit, refuse_head
from lab.adapters.silence import silence
from lab.attribution import explainers
from lab.attribution.paths import baselines
from lab.environment import keras
from lab.refusal import Refused

NAME = "Xplique"


def _xplique(name, network, inputs, objective, **options):
    """An explainer of Xplique's on each sample's class. A softmax is refused, because Xplique ignores `output_layer=`."""
    arrays, classes = one_logit(network, inputs, objective, NAME)
    refuse_head(network, NAME)
    if name in ("GuidedBackprop", "DeconvNet") and any(
        isinstance(layer, keras.Model) for layer in network.model.layers
    ):
        raise Refused(f"Xplique does not reach activations of a nested model. Received: {network.name}.")
    targets = np.eye(next(iter(network.outputs.values()))[-1], dtype="float32")[classes]
    # A new object for every call: a kept one would explain the weights that it was traced with.
    with silence():
        method = getattr(importlib.import_module("xplique.attributions"), name)
        maps = method(network.model, batch_size=16, **options)(arrays, targets)
    return np.asarray(maps, "float32")


@explainers.register(library="xplique")
def saliency(network, inputs, objective):
    """Xplique's Saliency, the *absolute* gradient, its channels not reduced (Simonyan, Vedaldi, Zisserman 2013, https://arxiv.org/abs/1312.6034).

    Args:
        network: a `Network`.
        inputs: array that it takes.
        objective: an `Objective` of one logit.

    Returns:
        float32 in the shape of the inputs.

    Raises:
        Refused: for an objective or a model that Xplique cannot explain.
    """
    return _xplique("Saliency", network, inputs, objective, reducer=None)


@explainers.register(library="xplique", same_as="gradient_x_input", derivative="slope times input")
def gradient_input(network, inputs, objective):
    """Xplique's GradientInput (Shrikumar et al. 2016, https://arxiv.org/abs/1605.01713).

    Args:
        network: a `Network`.
        inputs: array that it takes.
        objective: an `Objective` of one logit.

    Returns:
        float32 in the shape of the inputs.

    Raises:
        Refused: for an objective or a model that Xplique cannot explain.
    """
    return _xplique("GradientInput", network, inputs, objective, reducer=None)


@explainers.register(library="xplique", complete=baselines)
def integrated_gradients(network, inputs, objective, *, steps=50):
    """Xplique's IntegratedGradients, from zero, by the trapezoidal rule (Sundararajan, Taly, Yan 2017, https://arxiv.org/abs/1703.01365).

    Args:
        network: a `Network`.
        inputs: array that it takes.
        objective: an `Objective` of one logit.
        steps: int, points of the path.

    Returns:
        float32 in the shape of the inputs.

    Raises:
        Refused: for an objective or a model that Xplique cannot explain.
    """
    return _xplique("IntegratedGradients", network, inputs, objective, steps=steps, reducer=None)


@explainers.register(library="xplique")
def guided_backprop(network, inputs, objective):
    """Xplique's GuidedBackprop (Springenberg et al. 2014, https://arxiv.org/abs/1412.6806).

    Args:
        network: a `Network`.
        inputs: array that it takes.
        objective: an `Objective` of one logit.

    Returns:
        float32 in the shape of the inputs.

    Raises:
        Refused: for an objective or a model that Xplique cannot explain.
    """
    return _xplique("GuidedBackprop", network, inputs, objective, reducer=None)


@explainers.register(library="xplique")
def deconvnet(network, inputs, objective):
    """Xplique's DeconvNet (Zeiler, Fergus 2013, https://arxiv.org/abs/1311.2901).

    Args:
        network: a `Network`.
        inputs: array that it takes.
        objective: an `Objective` of one logit.

    Returns:
        float32 in the shape of the inputs.

    Raises:
        Refused: for an objective or a model that Xplique cannot explain.
    """
    return _xplique("DeconvNet", network, inputs, objective, reducer=None)
