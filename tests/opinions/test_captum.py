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
from lab.network import Network
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
def unfolded(lite0):
    """EfficientNet-Lite0 as torch computes it, in float64: in float32 rounding at the kinks of ReLU6, and folding, move gradients by 3e-3."""
    model = keras.models.clone_model(lite0.model, clone_function=_in_float64)
    model.set_weights(lite0.model.get_weights())
    return Network(model, preprocessing=lite0.preprocessing, fold=False)


def _in_float64(layer):
    return type(layer).from_config({**layer.get_config(), "dtype": "float64"})


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
        "inputs": inputs.astype("float64"),
        "classes": np.array(classes),
        "steps": STEPS,
        "weights_path": str(weights_file("efficientnet-lite0")),
    }
    given["noisy"] = np.stack([inputs + spread * each for each in drawn(inputs.shape[1:])]).astype("float64")
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
def test_the_real_network(unfolded, photos, theirs, method, options):
    maps = lab.explain(unfolded, photos[0], lab.logit(photos[1]), method=method, **options).maps
    print(f"{method}: relative L2 to captum {distance(maps, theirs[method]):.1e}")
    # Our places on the path are float32, captum's float64, and ReLU6 has kinks between them.
    assert distance(maps, theirs[method]) < (1e-3 if method == "integrated_gradients" else 1e-5)


def test_gradcam_of_the_real_network(unfolded, photos, theirs):
    maps = lab.gradcam(unfolded, photos[0], lab.logit(photos[1]), layer="head_conv", relu=False)
    print(f"gradcam: relative L2 to captum {distance(maps, theirs['gradcam_before_norm']):.1e}")
    assert distance(maps, theirs["gradcam_before_norm"]) < 1e-5


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
