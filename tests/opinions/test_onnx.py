"""A second opinion: onnxruntime on the original file of dinov2-small-saliency.

It runs where the weights are installed and there is a Python with onnx and onnxruntime: this one, or the one that LAB_ONNX names.
"""

import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import lab
from lab import dinov2, packages, routines
from tests.networks import distance

HERE = pathlib.Path(__file__).parent


def python():
    if os.environ.get("LAB_ONNX"):
        return os.environ["LAB_ONNX"]
    return sys.executable if all(map(importlib.util.find_spec, ("onnx", "onnxruntime"))) else None


pytestmark = [
    pytest.mark.skipif(python() is None, reason="no Python with onnx and onnxruntime: pip install onnx onnxruntime"),
    pytest.mark.skipif(importlib.util.find_spec(dinov2.PACKAGE) is None, reason=f"not installed: {dinov2.INSTALL}"),
]


def test_tokens_weights_and_saliency_are_those_of_onnxruntime(tmp_path):
    network = lab.load("dinov2-small-saliency")
    inputs = network.preprocess(lab.photographs(["chelsea", "coffee"]).images)
    np.save(tmp_path / "inputs.npy", inputs)
    original = packages.folder_of(dinov2.PACKAGE, dinov2.NAME, dinov2.INSTALL) / "models" / "vit_s_focus.onnx"
    paths = [original, tmp_path / "inputs.npy", tmp_path / "outputs.npz"]
    subprocess.run([python(), HERE / "onnx_tokens.py", *paths], check=True)
    theirs = np.load(tmp_path / "outputs.npz")
    assert distance(routines.activations(network, inputs, "norm"), theirs["tokens"]) < 1e-4
    assert distance(routines.activations(network, inputs, "block_11_attention:weights"), theirs["weights"]) < 1e-4
    assert distance(network.model(inputs).numpy()[..., 0], theirs["saliency"][:, 0]) < 1e-4
