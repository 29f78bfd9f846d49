"""A second opinion: attention methods on transformers written in torch from the papers' equations, with the same weights.

It runs where there is a Python with torch: this one (`pip install '.[opinions]'`), or the one that LAB_TORCH names.
"""

import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import lab
from lab import attention
from tests import attention_networks as nets
from tests.networks import distance

HERE = pathlib.Path(__file__).parent
CLASSES = np.array([0, 1, 2])
GOAL = lab.logit(CLASSES.tolist())
IDS = np.array([[3, 4, 5, 6, 0, 0], [7, 8, 9, 1, 2, 3], [2, 2, 5, 0, 0, 0]], "int32")


def python():
    if os.environ.get("LAB_TORCH"):
        return os.environ["LAB_TORCH"]
    return sys.executable if importlib.util.find_spec("torch") else None


pytestmark = pytest.mark.skipif(python() is None, reason="no Python with torch: pip install '.[opinions]'")


@pytest.fixture(scope="module")
def cases():
    """Networks by name, with their inputs."""
    rng = np.random.default_rng(1)
    images = rng.uniform(-1, 1, (3, nets.SIDE * nets.ROWS, nets.SIDE * nets.COLUMNS, 3)).astype("float32")
    pairs = {"source": nets.series(3, 6), "target": rng.integers(0, 20, (3, 4)).astype("int32")}
    return {"vit": (nets.vit(), images), "text": (nets.text(), IDS), "translator": (nets.translator(), pairs)}


@pytest.fixture(scope="module")
def theirs(cases, tmp_path_factory):
    arrays = {"classes": CLASSES}
    for name, (net, inputs) in cases.items():
        arrays |= {f"{name}:{variable.path}": np.asarray(variable) for variable in net.model.weights}
        named = inputs if isinstance(inputs, dict) else {"inputs": inputs}
        arrays |= {f"{name}:{key}": values for key, values in named.items()}
    folder = tmp_path_factory.mktemp("transformers")
    np.savez(folder / "in.npz", **arrays)
    subprocess.run([python(), HERE / "transformer_maps.py", folder / "in.npz", folder / "out.npz"], check=True)
    return dict(np.load(folder / "out.npz"))


def read_of(name, relevance):
    """The rows that a score reads, of relevance [samples, read tokens, tokens]: the first, or the mean of all but padding."""
    if name != "text":
        return relevance[:, 0]
    kept = (IDS != 0) / (IDS != 0).sum(axis=1, keepdims=True)
    return np.einsum("bq,bqk->bk", kept, relevance)


def identity_of(name, count):
    return read_of(name, np.repeat(np.eye(count)[None], len(CLASSES), axis=0))


@pytest.mark.parametrize("name", ["vit", "text", "translator"])
def test_logits_weights_and_the_importance_of_heads(cases, theirs, name):
    net, inputs = cases[name]
    computed = {"logits": net.model(inputs).numpy()}
    computed |= {f"weights/{_layer(address)}": weights for address, weights in attention.read(net, inputs)}
    importance = attention.head_importance(net, inputs, GOAL)
    computed |= {f"importance/{_layer(address)}": values for address, values in importance.items()}
    for key, values in computed.items():
        other = theirs[f"{name}:{key}"]
        if name == "text" and key.startswith("weights"):
            # What padding reads is read by nothing.
            values, other = (np.where((IDS != 0)[:, None, :, None], part, 0) for part in (values, other))
        print(f"{name} {key}: relative L2 to torch {distance(values, other):.1e}")
        assert distance(values, other) < 1e-5


def _layer(address):
    return address.partition(":")[0]


@pytest.mark.parametrize("name", ["vit", "text"])
@pytest.mark.parametrize("method", ["attention_rollout", "chefer", "transformer_attribution"])
def test_maps_of_encoders(cases, theirs, name, method):
    net, inputs = cases[name]
    maps = lab.explain(net, inputs, GOAL, method=method).maps
    relevance = read_of(name, theirs[f"{name}:{method.removeprefix('attention_')}"])
    if name == "vit":
        # The class token comes before the patches.
        relevance = relevance[:, 1:].reshape(-1, nets.ROWS, nets.COLUMNS)
    elif method != "attention_rollout":
        # The identity is most of the map, and the same in both.
        identity = identity_of(name, relevance.shape[1])
        maps, relevance = maps - identity, relevance - identity
    print(f"{name} {method}: relative L2 to torch {distance(maps, relevance):.1e}")
    # Relevance is divided by sums near zero: torch in float32 is as far from torch in float64.
    assert distance(maps, relevance) < (1e-4 if method == "transformer_attribution" else 1e-5)


@pytest.mark.parametrize("method", ["attention_rollout", "chefer"])
def test_maps_of_an_encoder_with_a_decoder(cases, theirs, method):
    net, inputs = cases["translator"]
    maps = lab.explain(net, inputs, GOAL, method=method).maps
    for key, values in maps.items():
        row = theirs[f"translator:{method.removeprefix('attention_')}/{key}"][:, 0]
        # A map of a series is in equal parts over its channels.
        tokens = values.sum(axis=-1) if values.ndim == 3 else values
        identity = identity_of("translator", 4) if key == "target" and method == "chefer" else 0
        print(f"translator {method} {key}: relative L2 to torch {distance(tokens - identity, row - identity):.1e}")
        assert distance(tokens - identity, row - identity) < 1e-5
