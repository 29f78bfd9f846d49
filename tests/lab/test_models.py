"""Models: the default network against published figures, names, files, and what must be refused."""

import hashlib
import os
import pickle
import sys

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

import lab
from lab import checkpoint, efficientnet, model_names, models, packages, routines
from lab.preprocessing import Preprocessing, linear_preprocessing, probe_preprocessing
from lab.thumbnails import uri
from tests import networks
from tests.shared_networks import SharedNetworks, shared_networks


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
        for value in (0x1950A86A20F9469CFC6C, 1001, {}, Evil()):
            pickle.dump(value, file, 2)
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
    assert "trained for saliency, no classes" in model_names.summary_of("dinov2-small-saliency")


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
    with pytest.raises(ValueError, match="Python code. --allow-code") as refusal:
        lab.load(path)
    assert "safe_mode" not in str(refusal.value)
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

    preprocessing = probe_preprocessing(caffe)
    images = np.random.default_rng(0).uniform(0, 255, (2, 5, 5, 3)).astype("float32")
    np.testing.assert_allclose(preprocessing.apply(images), caffe(images), atol=1e-3)
    np.testing.assert_allclose(preprocessing.deprocess(caffe(images)), images, atol=1e-3)
    with pytest.raises(ValueError, match="input_range"):
        probe_preprocessing(lambda images: images**2)
    with pytest.raises(ValueError, match="keeps the shape"):
        probe_preprocessing(lambda images: images[:, ::2])
    with pytest.raises(ValueError, match="low < high"):
        linear_preprocessing(1, 0)


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
    cats = {network.class_index(name) for name in ("Egyptian cat", "tiger cat", "tabby")}
    assert logits[0].argmax() in cats and logits[1].argmax() == network.class_index("espresso")


def test_a_network_whose_package_is_missing_names_the_extra(monkeypatch):
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'interpretability-lab\[transfer\]'"):
        lab.load("efficientnet-lite1")


MINE = """
import h5py
import keras

class Scale(keras.layers.Layer):
    def build(self, shape):
        self.s = self.add_weight(shape=(shape[-1],), name="s")

    def call(self, x):
        return x * self.s
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A module with a layer of the user's, in the current folder."""
    (tmp_path / "my_layers_for_tests.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    import my_layers_for_tests

    yield my_layers_for_tests
    sys.modules.pop("my_layers_for_tests", None)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_custom_layer_is_named_with_its_ways_out(tmp_path, mine, suffix):
    inputs = keras.Input((8,))
    layer = type("Scale", (mine.Scale,), {"__module__": "__main__"})
    keras.Model(inputs, keras.layers.Dense(2)(layer()(inputs))).save(tmp_path / f"m{suffix}")
    with pytest.raises(lab.Refused, match=r"'Scale'.*--import my_layers --allow-code.*custom_objects"):
        lab.load(tmp_path / f"m{suffix}")
    assert lab.load(tmp_path / f"m{suffix}", custom_objects={"Scale": layer}).outputs
    assert lab.load(tmp_path / f"m{suffix}", modules="my_layers_for_tests", allow_code=True).outputs


def test_modules_are_code(mine):
    with pytest.raises(lab.Refused, match="--allow-code.*my_layers_for_tests"):
        lab.load(networks.flat(), modules=["my_layers_for_tests"])
    with pytest.raises(lab.Refused, match="'my_layerz'.*ModuleNotFoundError"):
        lab.load(networks.flat(), modules=["my_layerz"], allow_code=True)


@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore")
def test_files_that_hold_no_model_say_what_they_hold(tmp_path, small_file):
    model = networks.flat()
    model.save(tmp_path / "good.h5")
    model.save_weights(tmp_path / "w.weights.h5")
    content, tree = small_file.read_bytes(), (tmp_path / "good.h5").read_bytes()
    (tmp_path / "half.keras").write_bytes(content[: len(content) // 2])
    (tmp_path / "half.h5").write_bytes(tree[: len(tree) // 2])
    (tmp_path / "archive.h5").write_bytes(content)
    (tmp_path / "tree.keras").write_bytes(tree)
    (tmp_path / "empty.keras").touch()
    (tmp_path / "net.onnx").touch()
    os.mkfifo(tmp_path / "pipe.keras")
    for name, words in (
        ("w.weights.h5", "holds weights alone.*load_weights"),
        ("half.keras", "no .keras archive, or not whole"),
        ("half.h5", "not whole"),
        ("archive.h5", "rename it to end in .keras"),
        ("tree.keras", "rename it to end in .h5"),
        ("empty.keras", "not whole"),
        ("net.onnx", "keras or .h5"),
        ("pipe.keras", "which is neither"),
    ):
        with pytest.raises(lab.Refused, match=words) as refused:
            lab.load(tmp_path / name)
        assert "\n" not in str(refused.value)
    assert lab.load(tmp_path / "good.h5").outputs


class Kind:
    pass


def of(module):
    return type("Net", (), {"__module__": module})()


@pytest.mark.parametrize(
    "source, words",
    [
        (of("tf_keras.src.engine.sequential"), "tf_keras.*Keras 2.*model.h5"),
        (of("torch.nn.modules.module"), "of torch"),
        (of("sklearn.linear_model"), "of sklearn"),
        (keras.Sequential, "the class Sequential"),
        (lambda x: x, "builtins.function"),
        (Kind(), "Kind"),
    ],
)
def test_objects_of_others_are_refused_by_what_they_are(source, words):
    with pytest.raises(lab.Refused, match=words):
        lab.load(source)


def test_a_layer_and_a_network_are_no_models(small):
    with pytest.raises(lab.Refused, match="a layer, Dense"):
        lab.load(keras.layers.Dense(2))
    with pytest.raises(lab.Refused, match="loaded already"):
        lab.load(small)


def test_models_that_were_never_called():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, inputs):
            return self.dense(inputs)

    for make in (Own, lambda: keras.Sequential([keras.layers.Dense(2)])):
        with pytest.raises(lab.Refused, match="never called.*spec="):
            lab.load(make())
        assert lab.load(make(), spec=tf.TensorSpec([None, 3])).outputs["output"] == (None, 2)
        called = make()
        called(np.zeros((1, 3), "float32"))
        assert lab.load(called).spec.shape[1:] == (3,)


def test_text_is_explained_behind_its_lookup_and_strings_are_refused():
    words = keras.layers.TextVectorization(vocabulary=["cat", "dog"], output_sequence_length=4, name="words")
    inputs = keras.Input((1,), dtype="string")
    ids = words(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(keras.layers.Embedding(4, 3)(ids))))
    network = lab.load(model)
    texts = ["the cat", "dog dog cat"]
    expected = model(tf.constant(texts)[:, None]).numpy()
    np.testing.assert_allclose(routines.logits(network, network.tokenize(texts)), expected, atol=1e-6)
    for ask in (
        lambda x: lab.explain(network, x, lab.logit(0), method="integrated_gradients"),
        lambda x: routines.logits(network, x),
    ):
        with pytest.raises(lab.Refused, match="Text is explained behind its lookup"):
            ask(np.array([["the cat"]], dtype=object))


@pytest.mark.timeout(120)
def test_weights_of_a_file_are_those_of_the_file(tmp_path, small_file):
    random = efficientnet.efficientnet_lite("efficientnet-lite0", None)
    random.save_weights(tmp_path / "own.weights.h5")
    network = lab.load("efficientnet-lite0", weights=str(tmp_path / "own.weights.h5"))
    assert np.array_equal(network.model.get_weights()[0], random.get_weights()[0])
    networks.flat().save_weights(tmp_path / "other.weights.h5")
    for path in (tmp_path / "other.weights.h5", tmp_path / "none.weights.h5"):
        with pytest.raises(lab.Refused, match="save_weights"):
            lab.load("efficientnet-lite0", weights=str(path))
    for source in (small_file, networks.flat()):
        with pytest.raises(lab.Refused, match="models by name"):
            lab.load(source, weights=str(tmp_path / "own.weights.h5"))


def test_thumbnails_of_any_channels():
    for channels in (1, 2, 3, 4, 5):
        assert uri(np.full((4, 4, channels), 0.5)).startswith("data:image/png")


def test_options_that_layers_no_longer_have_are_left_out_as_it_is_said(tmp_path):
    path = tmp_path / "old.h5"
    keras.Sequential([keras.Input((5, 2)), keras.layers.LSTM(3), keras.layers.Dense(2)]).save(path)
    with h5py.File(path, "r+") as file:
        text = file.attrs["model_config"]
        text = text if isinstance(text, str) else text.decode()
        # As Keras 2 wrote it.
        file.attrs["model_config"] = text.replace('"units": 3,', '"units": 3, "time_major": false,')
    with pytest.raises(lab.Refused, match=r"class LSTM\(keras.layers.LSTM\).*time_major=None.*--import") as caught:
        lab.load(path)
    said = str(caught.value).partition("my_layers.py: ")[2].partition(" Then")[0]
    head, method, call = said.removesuffix(".").split(": ")
    source = f"import keras\n{head}:\n    {method}:\n        {call}"
    namespace = {}
    exec(source, namespace)
    assert lab.load(path, custom_objects={"LSTM": namespace["LSTM"]}).outputs


def test_weights_of_the_package_are_first_values_and_no_initializer_runs(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("an initializer ran")

    for name in ("VarianceScaling", "Zeros", "Ones"):
        monkeypatch.setattr(getattr(keras.initializers, name), "__call__", refuse)
    model = efficientnet.efficientnet_lite()
    variant = efficientnet.VARIANTS["efficientnet-lite0"]
    tensors = checkpoint.read(efficientnet.weights_file(), variant.sha256)
    by_norm = {norm: name for name, _, norm in efficientnet._names(variant)}
    for name, kernel, norm in efficientnet._names(variant):
        # Torch has channels out, channels in, rows, columns; Keras rows, columns, channels in, channels out.
        axes = (2, 3, 0, 1) if "depthwise" in name else (2, 3, 1, 0)
        assert np.array_equal(model.get_layer(f"{name}_conv").kernel, tensors[f"{kernel}.weight"].transpose(axes))
        parts = [tensors[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
        assert all(map(np.array_equal, model.get_layer(f"{by_norm[norm]}_bn").get_weights(), parts))
    assert np.array_equal(model.get_layer("logits").bias, tensors["_fc.bias"])
    assert isinstance(model.get_layer("stem_conv").kernel_initializer, keras.initializers.VarianceScaling)


def test_tests_that_share_networks_give_load_back(monkeypatch):
    monkeypatch.delitem(vars(lab), "load", raising=False)
    with shared_networks():
        assert lab.load is models.load
    assert lab.load is models.load and not isinstance(lab.load, SharedNetworks)
