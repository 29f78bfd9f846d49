"""A second opinion: captum on the torch original of EfficientNet-Lite0, and on a small ReLU network, with the same weights.

It runs where there is a Python with torch, captum and efficientnet_lite_pytorch: this one (`pip install '.[opinions]'`), or the
one that LAB_TORCH names. captum overrides ReLU and not ReLU6, so guided methods are compared on the small network.
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
from tests import networks
from tests.networks import distance

STEPS, SAMPLES = 12, 5
HERE = pathlib.Path(__file__).parent


def python():
    if os.environ.get("LAB_TORCH"):
        return os.environ["LAB_TORCH"]
    return sys.executable if importlib.util.find_spec("captum") and importlib.util.find_spec("torch") else None


pytestmark = pytest.mark.skipif(python() is None, reason="no Python with torch and captum: pip install '.[opinions]'")


@pytest.fixture(scope="module")
def small_relu():
    inputs = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", name="first")(inputs)
    x = keras.layers.ReLU(name="one")(x)
    x = keras.layers.Conv2D(8, 3, padding="same", name="second")(x)
    x = keras.layers.ReLU(name="two")(x)
    outputs = keras.layers.Dense(4, name="last")(keras.layers.GlobalAveragePooling2D()(x))
    return networks.network(networks.filled(keras.Model(inputs, outputs)))


@pytest.fixture(scope="module")
def theirs(lite0, photos, small_relu, tmp_path_factory):
    from lab.efficientnet import weights_file

    inputs, classes = photos
    spread = 0.15 * (inputs.max((1, 2, 3), keepdims=True) - inputs.min((1, 2, 3), keepdims=True))
    given = {
        "inputs": inputs,
        "classes": np.array(classes),
        "steps": STEPS,
        "weights_path": str(weights_file("efficientnet-lite0")),
    }
    given["noisy"] = np.stack([inputs + spread * each for each in drawn(inputs.shape[1:])])
    given |= {"small_inputs": networks.images(3, side=12), "small_classes": np.array([0, 1, 2])}
    for name in ("first", "second", "last"):
        kernel, bias = small_relu.model.get_layer(name).get_weights()
        given |= {name: kernel, f"{name}_bias": bias}
    folder = tmp_path_factory.mktemp("captum")
    np.savez(folder / "in.npz", **given)
    subprocess.run([python(), HERE / "captum_maps.py", folder / "in.npz", folder / "out.npz"], check=True)
    return dict(np.load(folder / "out.npz"))


def drawn(shape, seed=7):
    """The noise that the lab draws from a seed."""
    from lab.environment import tf

    fold = tf.random.experimental.stateless_fold_in
    for index in range(SAMPLES):
        yield tf.random.stateless_normal(shape, fold(fold(tf.constant([seed, 0]), index), 0)).numpy()


@pytest.mark.parametrize(
    "method, options",
    [
        ("gradient", {}),
        ("gradient_x_input", {}),
        ("integrated_gradients", {"steps": STEPS}),
        ("smoothgrad", {"samples": SAMPLES, "noise": 0.15, "seed": 7}),
    ],
)
def test_the_real_network(lite0, photos, theirs, method, options):
    """Unfolded, as torch computes it: folding alone moves this network's gradients by some 3e-3.

    1e-3, or the most that four moves of the inputs by their own rounding move our map, where ReLU6 kinks make that more: one
    such move alone says too little, they differ threefold.
    """
    from lab.network import Network

    plain = Network(lite0.model, preprocessing=lite0.preprocessing, fold=False)
    maps = lab.explain(plain, photos[0], lab.logit(photos[1]), method=method, **options).maps
    nudged = [(photos[0] * (1 + move)).astype("float32") for move in (1e-7, -1e-7, 2e-7, -2e-7)]
    moved = [lab.explain(plain, inputs, lab.logit(photos[1]), method=method, **options).maps for inputs in nudged]
    rounding = max(distance(maps, other) for other in moved)
    apart = distance(maps, theirs[method])
    print(f"{method}: relative L2 to captum {apart:.1e}, of rounding {rounding:.1e}")
    assert apart < max(1e-3, rounding)


def test_gradcam_of_the_real_network(lite0, photos, theirs):
    from lab.network import Network

    plain = Network(lite0.model, preprocessing=lite0.preprocessing, fold=False)
    maps = lab.gradcam(plain, photos[0], lab.logit(photos[1]), layer="head_conv", relu=False)
    print(f"gradcam: relative L2 to captum {distance(maps, theirs['gradcam_before_norm']):.1e}")
    assert distance(maps, theirs["gradcam_before_norm"]) < 1e-3


@pytest.mark.parametrize(
    "method, options",
    [
        ("guided_backprop", {}),
        ("deconvnet", {}),
        ("guided_gradcam", {"layer": "two"}),
        ("layer_gradient_x_activation", {"layer": "one"}),
        ("layer_integrated_gradients", {"layer": "one", "steps": STEPS}),
        ("internal_influence", {"layer": "one", "steps": STEPS}),
        ("layer_conductance", {"layer": "one", "steps": 400}),
    ],
)
def test_the_small_network(small_relu, theirs, method, options):
    inputs = networks.images(3, side=12)
    maps = lab.explain(small_relu, inputs, lab.logit([0, 1, 2]), method=method, **options).maps
    apart = distance(maps, theirs[method])
    print(f"{method}: relative L2 to captum {apart:.1e}")
    # captum takes conductance from differences of its own.
    assert apart < (1e-2 if method == "layer_conductance" else 1e-3)


def test_gradcam_of_the_small_network(small_relu, theirs):
    inputs = networks.images(3, side=12)
    maps = lab.gradcam(small_relu, inputs, lab.logit([0, 1, 2]), layer="one", relu=False)
    assert distance(maps, theirs["small_gradcam"]) < 1e-3
