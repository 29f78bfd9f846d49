"""tf-keras-vis (`pip install tf-keras-vis`): raw maps, unscaled and signed, of the model without its softmax."""

import importlib

import numpy as np

from lab.adapters.limits import one_logit, top_level
from lab.adapters.silence import silence
from lab.attribution import explainers
from lab.environment import keras, tf
from lab.refusal import Refused

NAME = "tf-keras-vis"


@explainers.register(library="tf_keras_vis", same_as="gradient", derivative="slope")
def saliency(network, inputs, objective):
    """tf-keras-vis's Saliency, the signed gradient without its absolute value (Simonyan, Vedaldi, Zisserman 2013, https://arxiv.org/abs/1312.6034).

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.

    Returns:
        signed float32 in the shape of the inputs.

    Raises:
        Refused: for a model that tf-keras-vis cannot explain.
    """
    arrays, score, model = _prepare(network, inputs, objective)
    with silence():
        from tf_keras_vis.saliency import Saliency

        method = Saliency(model, clone=False)
        return np.asarray(method(score, arrays, keepdims=True, gradient_modifier=None, normalize_map=False), "float32")


@explainers.register(library="tf_keras_vis", resolution="layer", same_as="gradcam")
def gradcam(network, inputs, objective, *, layer=None):
    """tf-keras-vis's Gradcam at the layer's own resolution (Selvaraju et al. 2016, https://arxiv.org/abs/1610.02391).

    Args:
        layer: the name of a top-level layer; None: the last with rows and columns.

    Returns:
        float32 [batch, rows, columns].
    """
    return _cam("gradcam", "Gradcam", network, inputs, objective, layer)


@explainers.register(library="tf_keras_vis", resolution="layer")
def gradcam_plus_plus(network, inputs, objective, *, layer=None):
    """tf-keras-vis's GradcamPlusPlus (Chattopadhyay et al. 2018, https://arxiv.org/abs/1710.11063).

    Args:
        layer: as of `gradcam`.

    Returns:
        float32 [batch, rows, columns].
    """
    return _cam("gradcam_plus_plus", "GradcamPlusPlus", network, inputs, objective, layer)


@explainers.register(library="tf_keras_vis", resolution="layer", same_as="layercam")
def layercam(network, inputs, objective, *, layer=None):
    """tf-keras-vis's Layercam (Jiang et al. 2021, https://doi.org/10.1109/TIP.2021.3089943).

    Args:
        layer: as of `gradcam`.

    Returns:
        float32 [batch, rows, columns].
    """
    return _cam("layercam", "Layercam", network, inputs, objective, layer)


def _cam(module, kind, network, inputs, objective, layer):
    arrays, score, model = _prepare(network, inputs, objective)
    address = top_level(network, layer, NAME)
    options = {
        "penultimate_layer": address,
        "seek_penultimate_conv_layer": False,
        "expand_cam": False,
        "normalize_cam": False,
    }
    with silence():
        method = getattr(importlib.import_module(f"tf_keras_vis.{module}"), kind)
        return np.asarray(method(model, clone=False)(score, arrays, **options), "float32")


def _prepare(network, inputs, objective):
    """-> the one input, the score of each sample's class, and the model without its softmax."""
    with silence():
        from tf_keras_vis.utils.scores import CategoricalScore

    arrays, classes = one_logit(network, inputs, objective, NAME)
    return arrays, CategoricalScore([int(index) for index in classes]), _linear_model(network)


def _linear_model(network):
    """The model without its softmax: a clone with a linear last activation and the current weights."""
    if not any(network.heads.values()):
        return network.model
    last = network.model.layers[-1]
    if not hasattr(last, "activation"):
        raise Refused(
            f"tf-keras-vis makes the last layer linear. Received: {type(last).__name__}, which has no activation."
        )
    if "tf_keras_vis/linear" not in network.compiled:
        clone = _clone(network)
        clone.layers[-1].activation = tf.identity
        network.compiled["tf_keras_vis/linear"] = clone
    network.compiled["tf_keras_vis/linear"].set_weights(network.model.get_weights())
    return network.compiled["tf_keras_vis/linear"]


def _clone(network):
    try:
        return keras.models.clone_model(network.model)
    except Exception as error:
        raise Refused(
            f"tf-keras-vis needs a copy of the model, and Keras copies no layer without its configuration. Received: {network.name}: {str(error).splitlines()[0]} A model that ends in logits needs no copy."
        ) from error
