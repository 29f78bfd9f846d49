"""Models: the default network against published figures, names, files, and what must be refused."""

import hashlib
import pickle

import keras
import numpy as np
import pytest

import lab
from lab import checkpoint, efficientnet, models, routines
from lab.preprocessing import Preprocessing, probed, ranged
from tests import networks


def test_the_default_network_sees_what_it_should(lite0, photos):
    inputs, classes = photos
    scores = routines.outputs(lite0, inputs)["logits"]
    odds = np.exp(scores - scores.max(1, keepdims=True))
    odds /= odds.sum(1, keepdims=True)
    assert list(scores.argmax(1)) == classes
    np.testing.assert_allclose(odds[range(3), classes], [0.77, 0.90, 0.46], atol=0.05)
    assert lite0.size == (224, 224) and lite0.class_name(285) == "Egyptian cat" and lite0.class_index("tabby") == 281


def test_class_names_are_all_different(lite0):
    assert len(set(lite0.classes)) == 1000


def test_a_wrong_checksum_is_refused_before_reading(tmp_path):
    changed = tmp_path / "weights.pth"
    content = bytearray(efficientnet.weights_file("efficientnet-lite0").read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    with pytest.raises(ValueError, match="SHA-256"):
        checkpoint.read(changed, efficientnet.VARIANTS["efficientnet-lite0"].sha256)


def test_a_pickle_that_asks_for_anything_else_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("owned",))

    path = tmp_path / "evil.pth"
    with path.open("wb") as file:
        for each in (0x1950A86A20F9469CFC6C, 1001, {}, Evil()):
            pickle.dump(each, file, 2)
    with pytest.raises(ValueError, match="request for .*print"):
        checkpoint.read(path, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    "name, words",
    [
        ("efficientnet-lite9", "efficientnet-lite0"),
        ("MobilNetV2", "MobileNetV2"),
        ("nowhere.keras", "no such file"),
        ("README.md", "keras or .h5"),
    ],
)
def test_unknown_models(name, words):
    with pytest.raises(ValueError, match=words):
        lab.load(name)


def test_applications_by_name_with_random_weights_and_their_own_preprocessing():
    network = lab.load("mobilenetv2", weights=None)
    images = [np.full((30, 40, 3), 255, np.uint8)]
    assert network.name == "MobileNetV2" and network.heads == {"predictions": "Softmax"}
    np.testing.assert_allclose(network.preprocess(images), 1.0, atol=1e-5)
    assert {"MobileNetV2", "ResNet50", models.DEFAULT} <= set(models.names())


def test_a_saved_model_comes_back_with_what_the_user_says(small_file):
    network = lab.load(small_file, input_range=(0, 1), classes=list("abcde"))
    assert network.class_index("c") == 2 and network.heads == {"head": "Softmax"}
    white = network.preprocess(np.full((8, 8, 3), 255.0))
    np.testing.assert_allclose(white, 1, atol=1e-5)
    np.testing.assert_allclose(network.deprocess(white), 255, atol=1e-3)
    with pytest.raises(ValueError, match="Unknown class.*'f'"):
        network.class_index("f")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore")
def test_files_with_code_are_refused_unless_allowed(tmp_path, suffix):
    inputs = keras.Input((4,))
    path = tmp_path / f"lambda{suffix}"
    keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs)).save(path)
    with pytest.raises(ValueError, match="--allow-code"):
        lab.load(path)
    assert lab.load(path, allow_code=True).outputs


def test_broken_and_foreign_files(tmp_path):
    bad = tmp_path / "bad.keras"
    bad.write_bytes(b"not a model")
    with pytest.raises(ValueError, match="bad.keras could not be read"):
        lab.load(bad)
    with pytest.raises(ValueError, match="SavedModel"):
        lab.load(tmp_path)
    with pytest.raises(ValueError, match="int"):
        lab.load(3)


def test_preprocessing_is_found_by_probing():
    def caffe(images):
        return images[..., ::-1] - np.array([103.9, 116.8, 123.7], "float32")

    found = probed(caffe)
    images = np.random.default_rng(0).uniform(0, 255, (2, 5, 5, 3)).astype("float32")
    np.testing.assert_allclose(found.apply(images), caffe(images), atol=1e-3)
    np.testing.assert_allclose(found.deprocess(caffe(images)), images, atol=1e-3)
    with pytest.raises(ValueError, match="input_range"):
        probed(lambda images: images**2)
    with pytest.raises(ValueError, match="keeps the shape"):
        probed(lambda images: images[:, ::2])
    with pytest.raises(ValueError, match="low < high"):
        ranged(1, 0)


def test_images_of_any_size_and_kind_are_preprocessed():
    network = networks.network(networks.flat())
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, shape).astype(dtype)
        for shape, dtype in (((20, 31, 3), "uint8"), ((9, 9), "uint8"), ((40, 16, 1), "float64"))
    ]
    inputs = network.preprocess(images)
    assert inputs.shape == (3, 16, 16, 3) and inputs.dtype == np.float32 and np.abs(inputs).max() <= 1
    wide = np.zeros((16, 48, 3), np.uint8)
    wide[:, 16:32] = 255
    assert np.allclose(network.preprocess(wide, fit="crop"), 1) and network.preprocess(wide).mean() < 0
    grey = Preprocessing(((1 / 255,),), (0.0,))
    with pytest.warns(UserWarning, match="only their brightness"):
        assert grey.preprocess(images, (8, 8)).shape == (3, 8, 8, 1)
    for bad in (np.zeros((4, 4, 4)), np.full((4, 4, 3), 300.0), np.full((4, 4, 3), np.nan)):
        with pytest.raises(ValueError, match="Received"):
            network.preprocess([bad])
    with pytest.raises(ValueError, match="squash, crop"):
        network.preprocess(images, fit="stretch")
    with pytest.raises(ValueError, match="preprocess= and no input_range="):
        lab.load(networks.flat()).preprocess(images)


def test_the_backend_must_be_tensorflow():
    import os
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-c", "import lab; lab.load"],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert done.returncode and "KERAS_BACKEND=jax" in done.stderr


@pytest.mark.parametrize("name, side", [("efficientnet-lite1", 240), ("efficientnet-lite2", 260)])
def test_the_larger_networks_of_the_family_know_a_cat_and_a_cup(name, side):
    network = lab.load(name)
    assert network.size == (side, side)
    logits = routines.outputs(network, network.preprocess(lab.photographs(["chelsea", "coffee"]).images))["logits"]
    cats = {network.class_index(each) for each in ("Egyptian cat", "tiger cat", "tabby")}
    assert logits[0].argmax() in cats and logits[1].argmax() == network.class_index("espresso")


def test_a_network_whose_package_is_missing_names_the_extra(monkeypatch):
    monkeypatch.setattr(efficientnet.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install '\.\[transfer\]'"):
        lab.load("efficientnet-lite1")
