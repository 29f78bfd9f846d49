"""Adapters: other libraries' explainers made into ours, by their raw arrays and never by their pictures."""

import contextlib
import importlib
import warnings

import numpy as np

from lab.attribution import explainers
from lab.environment import keras


@explainers.register(library="tf_explain", same_as="gradient")
def vanilla_gradients(network, inputs, objective):
    """tf-explain's VanillaGradients by its own static method: signed gradient of the score, shaped like the inputs, float32.

    Simonyan, Vedaldi, Zisserman 2013, https://arxiv.org/abs/1312.6034. Raises ValueError where tf-explain would explain something else.
    """
    method = _tf_explain("vanilla_gradients", "VanillaGradients")()
    with _silent():
        model = method.get_score_model(network.model)
    _refuse_hidden_head(network, model)
    return _by_class(
        network, inputs, objective, lambda part, index: method.compute_gradients(part, model, index).numpy()
    )


@explainers.register(
    library="tf_explain", resolution="layer", same_as="gradcam", alike={"use_guided_grads": False}, ours={"relu": False}
)
def gradcam(network, inputs, objective, *, layer=None, use_guided_grads=True):
    """tf-explain's GradCAM by its own static methods: float32 [batch, rows, columns] at the layer's resolution.

    Selvaraju et al. 2016, https://arxiv.org/abs/1610.02391; but as tf-explain has it: guided gradients unless
    use_guided_grads=False, and no ReLU. layer: name of a top-level layer; None: the last with rows and columns.
    """
    method = _tf_explain("grad_cam", "GradCAM")
    address = network.last_spatial() if layer is None else network.spatial(layer)
    _refuse_hidden_head(network, network.model)
    if "/" in address or "@" in address:
        raise ValueError(f"tf-explain reads top-level layers only. Received: {address!r}.")

    def maps(part, index):
        outputs, slopes = method.get_gradients_and_filters(network.model, part, address, index, use_guided_grads)
        return np.stack([each.numpy() for each in method.generate_ponderated_output(outputs, slopes)])

    return _by_class(network, inputs, objective, maps)


def _tf_explain(module, name):
    try:
        with _silent():
            return getattr(importlib.import_module(f"tf_explain.core.{module}"), name)
    except ImportError as error:
        raise ValueError(
            f"tf-explain's methods need tf-explain and OpenCV. Received: {error}; pip install tf-explain opencv-python-headless."
        ) from error


@contextlib.contextmanager
def _silent():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _refuse_hidden_head(network, model):
    """tf-explain removes a softmax only where it is a layer of its own; elsewhere it would explain probabilities."""
    if not isinstance(network.model, keras.src.models.Functional) and not isinstance(network.model, keras.Sequential):
        raise ValueError(
            f"tf-explain cuts Functional and Sequential models only. Received: {type(network.model).__name__}."
        )
    if any(network.heads.values()) and model is network.model:
        raise ValueError(
            f"tf-explain explains what the model gives out, and the lab explains logits. Received: {network.name}, which ends in {list(network.heads.values())[0]}."
        )


def _by_class(network, inputs, objective, explain):
    """tf-explain takes one class for all images: explain each class's images together, and put the maps back in order."""
    if objective.structure != (("logit", None, False, None),) or objective.weights[0] != 1:
        raise ValueError(f"tf-explain explains one logit. Received: {objective}.")
    arrays = network.inputs(inputs)
    if not isinstance(arrays, np.ndarray):
        raise ValueError("tf-explain explains models of one input. Received: several.")
    classes = objective.numbers(len(arrays))[0][0]
    maps = {}
    for index in np.unique(classes):
        rows = np.flatnonzero(classes == index)
        with _silent():
            maps.update(zip(rows, explain(arrays[rows], int(index))))
    return np.stack([maps[row] for row in range(len(arrays))]).astype("float32")
