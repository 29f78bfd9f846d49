"""tf-explain's seven explainers, by their own static methods: their raw arrays, and not their pictures.

Where tf-explain would explain something else, such as a probability in place of a logit, the call is refused.
"""

import contextlib
import importlib

import numpy as np

from lab.adapters.limits import one_logit, refuse_head, refuse_uncuttable, top_level
from lab.adapters.silence import silence
from lab.attribution import explainers
from lab.attribution.options import check_at_least, positive_integer
from lab.attribution.paths import baselines
from lab.environment import keras, tf
from lab.refusal import Refused

NAME = "tf-explain"


@explainers.register(library="tf_explain", same_as="gradient", derivative="slope")
def vanilla_gradients(network, inputs, objective):
    """tf-explain's VanillaGradients, the gradient of the score (Simonyan, Vedaldi, Zisserman 2013, https://arxiv.org/abs/1312.6034).

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`, one logit of a class for each sample.

    Returns:
        signed float32 in the shape of the inputs.

    Raises:
        Refused: where tf-explain would explain something else.
    """
    method, model = _import_method("vanilla_gradients", "VanillaGradients"), _score_model(network)
    return _by_class(
        network, inputs, objective, lambda part, index: method.compute_gradients(part, model, index).numpy()
    )


@explainers.register(library="tf_explain", same_as="gradient_x_input", derivative="slope times input")
def gradients_inputs(network, inputs, objective):
    """tf-explain's GradientsInputs, gradient times input (Shrikumar, Greenside, Shcherbina, Kundaje 2016, https://arxiv.org/abs/1605.01713).

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`, one logit of a class for each sample.

    Returns:
        signed float32 in the shape of the inputs.

    Raises:
        Refused: where tf-explain would explain something else.
    """
    method, model = _import_method("gradients_inputs", "GradientsInputs"), _score_model(network)
    return _by_class(
        network, inputs, objective, lambda part, index: method.compute_gradients(part, model, index).numpy()
    )


@explainers.register(library="tf_explain", complete=baselines, slope=True)
def integrated_gradients(network, inputs, objective, *, n_steps=10):
    """tf-explain's IntegratedGradients, the mean gradient on the path from zero, *not* multiplied by the input (Sundararajan, Taly, Yan 2017, https://arxiv.org/abs/1703.01365).

    tf-explain leaves out the paper's last factor, so that the maps do not add up to the score. It gets the model without
    its softmax.

    Args:
        n_steps: points of the path, with both ends.

    Returns:
        signed float32 in the shape of the inputs.

    Raises:
        Refused: for fewer than 2 steps, or where tf-explain would explain something else.
    """
    method, model = _import_method("integrated_gradients", "IntegratedGradients"), _score_model(network)
    if positive_integer("n_steps", n_steps) < 2:
        raise Refused(f"n_steps counts both ends of the path: 2 or more. Received: {n_steps}.")

    def maps(part, index):
        points = method.generate_interpolations(part, n_steps)
        return method.get_integrated_gradients(points, model, index, n_steps).numpy()

    return _by_class(network, inputs, objective, maps, at_once=1)


@explainers.register(library="tf_explain", slope=True)
def smoothgrad(network, inputs, objective, *, num_samples=5, noise=1.0, seed):
    """tf-explain's SmoothGrad, the mean gradient of the *cross-entropy* over noisy copies (Smilkov et al. 2017, https://arxiv.org/abs/1706.03825).

    It is the gradient of a loss, so that what speaks for the class is negative. A model that ends in logits gets a softmax,
    which the cross-entropy needs.

    Args:
        num_samples: how many noisy copies.
        noise: standard deviation in units of the input.
        seed: a whole number.

    Returns:
        signed float32 in the shape of the inputs.
    """
    method, model = _import_method("smoothgrad", "SmoothGrad"), _probability_model(network)
    check_at_least("noise", noise, 0)
    positive_integer("num_samples", num_samples)

    def maps(part, index):
        with _seeded(seed):
            noisy = method.generate_noisy_images(part, num_samples, noise)
        return method.get_averaged_gradients(noisy, model, index, num_samples).numpy()

    return _by_class(network, inputs, objective, maps, at_once=1)


@explainers.register(
    library="tf_explain", resolution="layer", same_as="gradcam", alike={"use_guided_grads": False}, ours={"relu": False}
)
def gradcam(network, inputs, objective, *, layer=None, use_guided_grads=True):
    """tf-explain's GradCAM, with guided gradients and without a ReLU (Selvaraju et al. 2016, https://arxiv.org/abs/1610.02391).

    Args:
        layer: the name of a top-level layer; None: the last with rows and columns.
        use_guided_grads: whether the gradients are guided.

    Returns:
        float32 [batch, rows, columns] at the layer's resolution.
    """
    refuse_uncuttable(network, NAME)
    refuse_head(network, NAME)
    method, address, model = (
        _import_method("grad_cam", "GradCAM"),
        top_level(network, layer, NAME),
        _functional_model(network),
    )

    def maps(part, index):
        outputs, slopes = method.get_gradients_and_filters(model, part, address, index, use_guided_grads)
        return np.stack([heatmap.numpy() for heatmap in method.generate_ponderated_output(outputs, slopes)])

    return _by_class(network, inputs, objective, maps)


# Forty-nine patches, forward only.
@explainers.register(library="tf_explain", cost=lambda network, options: 20)
def occlusion_sensitivity(network, inputs, objective, *, patch_size=None):
    """tf-explain's OcclusionSensitivity, one minus the class's probability behind a grey patch (Zeiler, Fergus 2013, https://arxiv.org/abs/1311.2901).

    Its grey is 127.5. So it gets images in 0..255, and the model with the network's preprocessing in front.

    Args:
        patch_size: in pixels; None: a seventh of the side.

    Returns:
        float32 [batch, rows, columns].

    Raises:
        Refused: for images that are not square, which tf-explain would transpose.
    """
    refuse_uncuttable(network, NAME)
    arrays = network.inputs(inputs)
    if not isinstance(arrays, np.ndarray) or arrays.ndim != 4 or arrays.shape[1] != arrays.shape[2]:
        raise Refused(
            f"tf-explain's occlusion takes square images. Received: {tf.nest.map_structure(np.shape, arrays)}."
        )
    if network.preprocessing is None:
        raise Refused(
            f"tf-explain's grey patch is 127.5 of 0..255. Received: {network.name}, whose input range the lab does not know: give input_range= or preprocess=."
        )
    method, model = _import_method("occlusion_sensitivity", "OcclusionSensitivity")(), _picture_model(network)
    size = max(1, arrays.shape[1] // 7) if patch_size is None else positive_integer("patch_size", patch_size)

    def maps(part, index):
        return np.stack([method.get_sensitivity_map(model, image, index, size) for image in network.deprocess(part)])

    return _by_class(network, arrays, objective, maps)


@explainers.register(library="tf_explain", resolution="activation")
def extract_activations(network, inputs, objective, *, layer=None):
    """tf-explain's ExtractActivations, a layer's output whatever the objective (as in Yosinski et al. 2015, https://arxiv.org/abs/1506.06579).

    Args:
        layer: the name of a top-level layer; None: the last with rows and columns.

    Returns:
        float32 in the shape of the layer's output.
    """
    del objective  # It depends on no class.
    refuse_uncuttable(network, NAME)
    address = top_level(network, layer, NAME)
    arrays = network.inputs(inputs)
    with silence():
        model = _import_method("activations", "ExtractActivations").generate_activations_graph(
            _functional_model(network), [address]
        )
        return np.concatenate(
            [np.asarray(model(arrays[row : row + 16], training=False)) for row in range(0, len(arrays), 16)]
        ).astype("float32")


def _import_method(module, name):
    try:
        with silence():
            return getattr(importlib.import_module(f"tf_explain.core.{module}"), name)
    except ImportError as error:
        raise Refused(
            f"tf-explain's methods need tf-explain and OpenCV. Received: {error}; pip install tf-explain opencv-python-headless."
        ) from error


@contextlib.contextmanager
def _seeded(seed):
    """While open, numpy's global state, from which tf-explain draws, is seeded; it is put back on leaving."""
    before = np.random.get_state()
    np.random.seed(seed % (1 << 32))
    try:
        yield
    finally:
        np.random.set_state(before)


# The models for tf-explain -------------------------------------------------------------------------------------------------


def _functional_model(network):
    """The model, or a Functional one of a Sequential's layers, built once, because a Sequential has no `output`."""
    if not isinstance(network.model, keras.Sequential):
        return network.model
    if "tf_explain/functional" not in network.compiled:
        network.compiled["tf_explain/functional"] = keras.Model(network.model.inputs[0], network.model.outputs[0])
    return network.compiled["tf_explain/functional"]


def _score_model(network):
    """The model without its softmax, as tf-explain's own VanillaGradients cuts it."""
    method = _import_method("vanilla_gradients", "VanillaGradients")()
    refuse_uncuttable(network, NAME)
    functional = _functional_model(network)
    with silence():
        model = method.get_score_model(functional)
    # It removes a softmax only where that is a layer of its own.
    refuse_head(network, NAME, taken_off=model is not functional)
    return model


def _probability_model(network):
    """The model with a softmax at its end, made once."""
    refuse_uncuttable(network, NAME)
    if any(head == "Softmax" for head in network.heads.values()):
        return _functional_model(network)
    if any(network.heads.values()):
        raise Refused(
            f"tf-explain's loss needs a softmax or logits. Received: {network.name}, which ends in {list(network.heads.values())[0]}."
        )
    if "tf_explain/probabilities" not in network.compiled:
        outputs = keras.layers.Softmax(dtype="float32")(network.model.outputs[0])
        network.compiled["tf_explain/probabilities"] = keras.Model(network.model.inputs, outputs)
    return network.compiled["tf_explain/probabilities"]


def _picture_model(network):
    """The model of probabilities that takes images in 0..255, made once."""
    model = _probability_model(network)
    if "tf_explain/pictures" not in network.compiled:
        images = keras.Input(model.inputs[0].shape[1:])
        network.compiled["tf_explain/pictures"] = keras.Model(
            images, model(_preprocess_in_graph(network.preprocessing, images))
        )
    return network.compiled["tf_explain/pictures"]


def _preprocess_in_graph(preprocessing, images):
    mixing = keras.layers.Dense(preprocessing.channels, name="lab_preprocessing", dtype="float32")
    mixed = mixing(images)
    mixing.set_weights([np.array(preprocessing.matrix), np.array(preprocessing.offset)])
    return mixed


def _by_class(network, inputs, objective, explain, at_once=16):
    """Explain each class's images together and put the maps back in order, because tf-explain takes one class for all images.

    at_once: images in one batch; one where tf-explain would hold or draw the samples of all of them together.
    """
    arrays, classes = one_logit(network, inputs, objective, NAME)
    maps = {}
    for index in np.unique(classes):
        rows = np.flatnonzero(classes == index)
        for block in np.array_split(rows, -(-len(rows) // at_once)):
            with silence():
                maps.update(zip(block, explain(arrays[block], int(index))))
    return np.stack([maps[row] for row in range(len(arrays))]).astype("float32")
