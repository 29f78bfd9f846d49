"""Relevance of networks of the blocks as they are published, with random weights: nothing is refused, and contributions add up."""

import keras
import keras_hub
import numpy as np
import pytest
from keras import layers
from keras.src.applications.convnext import ConvNeXt
from keras.src.applications.efficientnet_v2 import EfficientNetV2

import lab
from lab.environment import tf

SIDE = 32


PUBLISHED = {"weights": None, "input_shape": (SIDE, SIDE, 3), "classes": 4}


def efficientnet():
    """EfficientNetV2-B0 with one or two blocks a stage, where the published one has up to eight."""
    return EfficientNetV2(1.0, 0.25, SIDE, name="efficientnetv2-b0", **PUBLISHED)


def convnext():
    """ConvNeXt-Tiny with one or two blocks a stage, where the published one has up to nine."""
    return ConvNeXt([2, 1, 1, 1], [96, 192, 384, 768], default_size=SIDE, **PUBLISHED)


def vit():
    pixels = keras.Input((SIDE, SIDE, 3))
    backbone = keras_hub.models.ViTBackbone((SIDE, SIDE, 3), 8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32)
    return keras.Model(pixels, layers.Dense(4)(backbone(pixels)[:, 0]))


def bert():
    backbone = keras_hub.models.BertBackbone(50, 2, 2, 16, 32, max_sequence_length=12)
    return keras.Model(backbone.inputs, layers.Dense(4)(backbone.output["pooled_output"]))


NETWORKS = {
    "EfficientNetV2": efficientnet,
    "ConvNeXt": convnext,
    "ViT": vit,
    "BERT": bert,
}


def inputs_of(name):
    rng = np.random.default_rng(0)
    if name == "BERT":
        ids = rng.integers(1, 50, (1, 12)).astype("int32")
        return [np.ones_like(ids), np.zeros_like(ids), ids]
    return rng.uniform(0, 255, (1, SIDE, SIDE, 3)).astype("float32")


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_differences_add_up_and_relevance_reaches_the_inputs(name):
    keras.utils.set_random_seed(0)
    network = lab.load(NETWORKS[name](), **({} if name == "BERT" else {"input_range": (0, 255)}))
    inputs = inputs_of(name)
    # A reference of zeros is constant along the tokens of a ViT, where the slope of a norm is that of 1 / sqrt(epsilon).
    record = lab.explain(network, inputs, 0, method="deeplift", baseline=0.0 if name == "BERT" else 100.0)
    difference = record.scores - record.baseline_scores
    assert np.abs(record.gap).max() < 1e-4 * np.abs(difference).max()
    maps = np.concatenate(
        [leaf.ravel() for leaf in tf.nest.flatten(lab.explain(network, inputs, 0, method="lrp").maps)]
    )
    assert np.isfinite(maps).all() and np.abs(maps).sum() > 0


GROUPS = {
    "grouped": (
        layers.Conv2D(12, 3, groups=3, padding="same", activation="relu", bias_initializer="normal"),
        (8, 7, 6),
    ),
    "depthwise": (layers.Conv2D(12, 3, groups=6, strides=2, bias_initializer="normal"), (8, 7, 6)),
    "strides": (layers.Conv2D(12, 3, groups=6, strides=(2, 1), use_bias=False), (8, 7, 6)),
    "causal": (layers.Conv1D(8, 3, groups=4, padding="causal", dilation_rate=2, bias_initializer="normal"), (9, 8)),
    "volume": (layers.Conv3D(4, 2, groups=2, bias_initializer="normal"), (4, 4, 4, 6)),
}


@pytest.mark.parametrize("name", GROUPS)
def test_grouped_convolutions_are_looked_through(name):
    """Keras compiles them as a graph of its own on a CPU. Written out, the gradient through them is that of the layer."""
    layer, shape = GROUPS[name]
    keras.utils.set_random_seed(0)
    tensor = keras.Input(shape)
    model = keras.Model(tensor, layers.Dense(2)(layers.Flatten()(layer(tensor))))
    network = lab.load(model, input_range=(-1, 1)) if len(shape) == 3 else lab.load(model)
    inputs = np.random.default_rng(0).uniform(-1, 1, (2, *shape)).astype("float32")
    record = lab.explain(network, inputs, 0, method="deeplift")
    assert np.abs(record.gap).max() < 1e-6
    if layer.activation is keras.activations.linear:
        expected = lab.explain(network, inputs, 0, method="gradient_x_input").maps
        assert np.allclose(record.maps, expected, atol=1e-6)
