"""A second opinion: zennit's composites and captum's DeepLIFT on the same small network in torch.

It runs where there is a Python with torch, captum and zennit: this one (`pip install '.[opinions]'`), or the one that LAB_TORCH names.
"""

import importlib.util
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import lab
from lab.attribution import explainers
from lab.relevance import relevance

HERE = pathlib.Path(__file__).parent
COMPOSITES = (
    "epsilon_plus",
    "epsilon_plus_flat",
    "epsilon_alpha2_beta1",
    "epsilon_alpha2_beta1_flat",
    "epsilon_gamma_box",
)


def python():
    """A Python that has zennit, or None."""
    if os.environ.get("LAB_TORCH"):
        known = subprocess.run([os.environ["LAB_TORCH"], "-c", "import zennit, captum"], capture_output=True)
        return os.environ["LAB_TORCH"] if known.returncode == 0 else None
    return sys.executable if importlib.util.find_spec("zennit") and importlib.util.find_spec("captum") else None


pytestmark = pytest.mark.skipif(
    python() is None, reason="no Python with torch, captum and zennit: pip install '.[opinions]'"
)


def network(pooling):
    keras.utils.set_random_seed(5)
    options = {"activation": "relu", "bias_initializer": "random_normal"}
    pixels = keras.Input((16, 16, 3))
    values = keras.layers.Conv2D(6, 3, **options)(pixels)
    values = pooling(2)(keras.layers.Conv2D(8, 3, padding="same", **options)(values))
    values = keras.layers.Flatten()(keras.layers.Conv2D(8, 3, **options)(values))
    values = keras.layers.Dense(10, **options)(values)
    scores = keras.layers.Dense(4, bias_initializer="random_normal")(values)
    return lab.load(keras.Model(pixels, scores), input_range=(-1, 1))


@pytest.fixture(scope="module")
def inputs():
    return np.random.default_rng(0).uniform(-1, 1, (3, 16, 16, 3)).astype("float32")


@pytest.fixture(scope="module")
def theirs(inputs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("zennit")
    weights = network(keras.layers.MaxPooling2D).model.get_weights()
    arrays = {f"weights/{number}": values for number, values in enumerate(weights)}
    np.savez(folder / "weights.npz", inputs=inputs, **arrays)
    subprocess.run([python(), HERE / "zennit_maps.py", folder / "weights.npz", folder / "maps.npz"], check=True)
    return np.load(folder / "maps.npz")


def distance(maps, others):
    return np.linalg.norm(maps - others) / np.linalg.norm(others)


@pytest.mark.parametrize("name", COMPOSITES)
def test_composites_are_those_of_zennit(inputs, theirs, name):
    maps = relevance(network(keras.layers.MaxPooling2D), inputs, lab.logit(1), name, bounds=(-1.0, 1.0))
    assert distance(maps, theirs[name]) < 1e-4


def test_differences_are_those_of_captum(inputs, theirs):
    maps = explainers.get("deeplift")(network(keras.layers.AveragePooling2D), inputs, lab.logit(1))
    assert distance(maps, theirs["deeplift"]) < 1e-4
