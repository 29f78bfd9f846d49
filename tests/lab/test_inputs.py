"""Inputs as people have them: states, ids as floats, pictures as bytes, and outputs of every structure."""

import keras
import numpy as np
import pytest

import lab
from lab import routines
from lab.environment import tf
from lab.inputs import _rows_without_numbers
from tests import networks
from tests.networks import distance, filled, network

rng = np.random.default_rng(3)
OTHER = {"steps": 4, "samples": 3}


# States ---------------------------------------------------------------------------------------------------------------------


def recurrent(stateful, kind="LSTM"):
    """A network of three steps: a loop that keeps its state, or the same steps written out."""
    inputs, options = keras.Input(batch_shape=(2, 3, 3)), {"stateful": stateful, "unroll": not stateful}
    if kind == "Bidirectional":
        layer = keras.layers.Bidirectional(keras.layers.GRU(4, **options), name="recurrent")
    else:
        layer = getattr(keras.layers, kind)(5, name="recurrent", **options)
    return filled(keras.Model(inputs, keras.layers.Dense(2)(layer(inputs))))


def states(layer):
    parts = [layer.forward_layer, layer.backward_layer] if hasattr(layer, "forward_layer") else [layer]
    return np.concatenate([np.ravel(state) for part in parts for state in part.states])


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "Bidirectional"])
def test_a_stateful_network_answers_from_reset_states_and_keeps_its_own(kind):
    stateful, fresh = network(recurrent(True, kind)), network(recurrent(False, kind))
    x, goal = rng.normal(size=(5, 3, 3)).astype("float32"), lab.logit(1)
    stateful.model(x[:2])
    before = states(stateful.tree["recurrent"])
    assert before.any()
    method_options = {"gradient": {}, "smoothgrad": {"samples": 3}}
    if kind == "LSTM":
        method_options |= {
            "integrated_gradients": {"steps": 4},
            "layer_conductance": {"steps": 4},
            "gradient_shap": {"samples": 3},
        }
    for method, options in method_options.items():
        one, two = (lab.explain(net, x, goal, method=method, **options) for net in (stateful, fresh))
        assert distance(one.maps, two.maps) < 1e-5 and distance(one.scores, two.scores) < 1e-5
    assert np.array_equal(states(stateful.tree["recurrent"]), before)
    assert stateful.tree["recurrent"].stateful and not stateful.restore(stateful.snapshot())


class Counting(keras.layers.Layer):
    """Adds how often it was called."""

    def build(self, shape):
        self.calls = self.add_weight(shape=(), trainable=False, initializer="zeros", name="calls")

    def call(self, x):
        self.calls.assign(self.calls + 1)
        return x * self.calls


class Writing(keras.layers.Layer):
    """As `Counting`, with a variable of TensorFlow's own."""

    def build(self, shape):
        self.calls = tf.Variable(0.0, trainable=False)

    def call(self, x):
        self.calls.assign_add(1.0)
        return x * self.calls


def test_what_a_custom_layer_assigns_is_dropped():
    inputs = keras.Input((4,))
    counting = Counting()
    x = rng.normal(size=(3, 4)).astype("float32")
    net = network(filled(keras.Model(inputs, keras.layers.Dense(2)(counting(inputs)))), background=x)
    counting.calls.assign(0.0)
    first = lab.gradient(net, x, lab.logit(0))
    lab.smoothgrad(net, x, lab.logit(0), samples=3, seed=0)
    np.testing.assert_allclose(first, np.broadcast_to(net.model.layers[-1].kernel[:, 0], (3, 4)), rtol=1e-5)
    assert np.array_equal(lab.gradient(net, x, lab.logit(0)), first) and float(counting.calls) == 0


def test_a_layer_that_writes_past_keras_is_refused():
    inputs = keras.Input((4,))
    with pytest.raises(lab.Refused, match="add_weight"):
        network(keras.Model(inputs, Writing()(inputs)))


# Ids ------------------------------------------------------------------------------------------------------------------------


def reader(dtype):
    inputs = keras.Input((7,), dtype=dtype)
    vectors = keras.layers.Embedding(20, 4, name="words")(inputs)
    return network(filled(keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(vectors)))))


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64", "uint8"])
def test_ids_are_ids_however_they_are_declared_and_given(dtype):
    net, ids, goal = reader(dtype), rng.integers(0, 20, (3, 7)), lab.logit([0, 1, 2])
    words, kernel = (np.asarray(weights) for weights in (net.tree["words"].embeddings, net.model.layers[-1].kernel))
    slow = np.einsum("ntk,kn->nt", words[ids], kernel) / 7
    for array in (ids, ids.astype("float32"), ids.astype("uint8")):
        assert distance(lab.gradient_x_input(net, array, goal), slow) < 1e-5
        assert distance(lab.explain(net, array, goal, method="integrated_gradients").maps, slow) < 1e-5
    for bad in (ids + 0.5, ids - 20, ids + 20, np.full((3, 7), np.nan)):
        with pytest.raises(lab.Refused, match="Received"):
            lab.gradient(net, bad, goal)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_guided_paths_tell_nothing_of_ids_themselves(dtype):
    net, ids = reader(dtype), rng.integers(0, 20, (2, 7))
    record = lab.explain(net, ids, lab.logit(1), method="guided_integrated_gradients")
    plain = lab.explain(net, ids, lab.logit(1), method="integrated_gradients")
    assert distance(record.maps, plain.maps) < 1e-3 and np.abs(record.gap).max() < 1e-4


def test_floats_that_an_embedding_sees_a_column_of_stay_floats():
    inputs = keras.Input((3,))
    code = keras.layers.Flatten()(keras.layers.Embedding(9, 2)(inputs[:, :1]))
    net = network(filled(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Concatenate()([code, inputs[:, 1:]])))))
    maps = lab.gradient(net, np.array([[3, 0.25, -1.5]], "float32"), lab.logit(0))
    np.testing.assert_allclose(maps, [[0, *np.asarray(net.model.layers[-1].kernel)[2:, 0]]], rtol=1e-5)


# Pictures of whole numbers ----------------------------------------------------------------------------------------------------


def pictured(dtype, build="functional"):
    layers = [
        keras.layers.Rescaling(1 / 127.5, -1),
        keras.layers.Conv2D(6, 3, activation="relu", name="last"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3),
    ]
    inputs = keras.Input((12, 12, 3), dtype=dtype)
    bytes_as_they_are = {"preprocessing": lab.preprocessing.linear_preprocessing(0, 255)}
    if build == "sequential":
        return lab.Network(filled(keras.Sequential([inputs, *layers])), **bytes_as_they_are)
    if build == "nested":
        inside = keras.Input((12, 12, 3), dtype=dtype)
        layers = [keras.Model(inside, networks.through(layers[:2], inside), name="backbone"), *layers[2:]]
    return lab.Network(filled(keras.Model(inputs, networks.through(layers, inputs))), **bytes_as_they_are)


@pytest.mark.parametrize("build", ["functional", "sequential", "nested"])
def test_pictures_of_bytes_are_explained_as_those_of_floats(build):
    x = rng.integers(0, 256, (3, 12, 12, 3))
    integer, floating = pictured("uint8", build), pictured("float32", build)
    np.testing.assert_allclose(routines.logits(integer, x), integer.model(x.astype("uint8")), rtol=1e-4, atol=1e-4)
    assert integer.last_spatial().endswith("last")
    for method in (
        "gradient",
        "gradcam",
        "integrated_gradients",
        "guided_integrated_gradients",
        "smoothgrad",
        "layer_integrated_gradients",
        "scorecam",
        "fullgrad",
    ):
        options = {key: OTHER[key] for key in lab.registry.options(lab.explainers.get(method)) if key in OTHER}
        one = lab.explain(integer, x.astype("uint8"), lab.logit([0, 1, 2]), method=method, **options)
        two = lab.explain(floating, x.astype("float32"), lab.logit([0, 1, 2]), method=method, **options)
        assert distance(one.maps, two.maps) < 1e-4, method
        assert one.maps.any()
    with pytest.raises(lab.Refused, match="0 to 255"):
        lab.gradient(integer, x - 300, lab.logit(0))


def test_whole_numbers_that_are_no_quantity_stay_what_they_are():
    inputs = keras.Input((5,), dtype="int32")
    codes = keras.ops.one_hot(inputs, 4)
    net = network(filled(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(codes)))))
    assert net.spec.dtype == tf.int32
    for method in ("gradient", "guided_integrated_gradients"):
        with pytest.raises(lab.Refused, match="floating numbers"):
            lab.explain(net, np.ones((2, 5), "int32"), lab.logit(0), method=method)


def test_whole_numbers_that_wrap_are_not_taken_for_floats():
    inputs = keras.Input((5,), dtype="uint8")
    doubled = keras.ops.cast(inputs + inputs, "float32")
    assert network(filled(keras.Model(inputs, keras.layers.Dense(2)(doubled)))).spec.dtype == tf.uint8


def test_a_channels_first_network_says_how_to_give_it_its_picture():
    networks.needs_channels_first()
    inputs = keras.Input((3, 12, 10))
    x = keras.layers.Conv2D(4, 3, data_format="channels_first")(inputs)
    x = keras.layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    net = network(filled(keras.Model(inputs, keras.layers.Dense(2)(x))))
    picture = rng.normal(size=(2, 3, 12, 10)).astype("float32")
    with pytest.raises(lab.Refused, match=r"channels last: np.transpose\(inputs, \(0, 2, 3, 1\)\)"):
        lab.gradient(net, picture, lab.logit(0))
    assert lab.gradient(net, np.transpose(picture, (0, 2, 3, 1)), lab.logit(0)).any()


# Outputs ----------------------------------------------------------------------------------------------------------------------


def test_parts_of_outputs_are_named_by_their_paths():
    inputs = keras.Input((4,))
    dense = {name: keras.layers.Dense(2, name=name) for name in ("cls", "xy", "wh")}
    outputs = {"cls": dense["cls"](inputs), "box": {"xy": dense["xy"](inputs), "wh": dense["wh"](inputs)}}
    net = network(filled(keras.Model(inputs, outputs)))
    assert list(net.outputs) == ["cls", "box/xy", "box/wh"]
    x = rng.normal(size=(3, 4)).astype("float32")
    for name, part in (("cls", "cls"), ("box/xy", "xy")):
        kernel = np.asarray(dense[part].kernel)[:, 1]
        assert distance(lab.gradient(net, x, lab.logit(1, output=name)), np.broadcast_to(kernel, x.shape)) < 1e-5


class Attending(keras.Model):
    """Scores, and beside them a list of what it looked at, and nothing."""

    def __init__(self):
        super().__init__()
        self.wide, self.scores = keras.layers.Dense(4, name="wide"), keras.layers.Dense(2, name="scores")

    def call(self, x):
        hidden = self.wide(x)
        return self.scores(hidden), [hidden, 2 * hidden], None


def test_scores_with_lists_beside_them_are_explained():
    model = Attending()
    model(np.zeros((1, 3), "float32"))
    net = network(filled(model))
    assert list(net.outputs) == ["0", "1/0", "1/1"]
    kernel = np.asarray(model.wide.kernel) @ np.asarray(model.scores.kernel)[:, 1]
    maps = lab.gradient(net, np.ones((2, 3), "float32"), lab.logit(1, output="0"))
    assert distance(maps, np.broadcast_to(kernel, (2, 3))) < 1e-5
    with pytest.raises(lab.Refused, match="1/0"):
        lab.gradient(net, np.ones((2, 3), "float32"), lab.logit(1))


@pytest.mark.parametrize("choice", [keras.ops.argmax, lambda scores: scores[:, 0] > 0])
def test_a_number_of_a_class_is_refused_and_the_layer_before_it_explained(choice):
    inputs = keras.Input((4,))
    scores = keras.layers.Dense(3, name="scores")(inputs)
    outputs = choice(scores, axis=-1) if choice is keras.ops.argmax else choice(scores)
    net, x = network(filled(keras.Model(inputs, outputs))), np.ones((2, 4), "float32")
    for method in ("gradient", "integrated_gradients", "layer_conductance"):
        with pytest.raises(lab.Refused, match=r"lab.neuron\('scores', index\)"):
            lab.explain(net, x, lab.logit(0), method=method)
    maps = lab.gradient(net, x, lab.neuron("scores", 2))
    assert distance(maps, np.broadcast_to(np.asarray(net.tree["scores"].kernel)[:, 2], (2, 4))) < 1e-5


@pytest.mark.parametrize(
    "value, way",
    [
        (1, r"class_score\(1\)"),
        ([0, 2], r"class_score\(\[0, 2\]\)"),
        ("cat", "class_index"),
        (np.sum, "custom"),
        (None, "class_score"),
    ],
)
def test_what_people_pass_first_is_answered_with_what_to_type(small, value, way):
    with pytest.raises(lab.Refused, match=way):
        lab.maximize(small, value, seed=0)
    if callable(value) or value is None:
        with pytest.raises(lab.Refused, match=way):
            lab.explain(small, networks.images(2), value, method="gradient")
    with pytest.raises(lab.Refused, match="lab.load"):
        lab.explain(small.model, networks.images(2), lab.logit(0), method="gradcam")
    with pytest.raises(lab.Refused, match="lab.load"):
        lab.maximize(small.model, lab.logit(0), seed=0)


@pytest.mark.parametrize("method", ["gradient", "fullgrad", "scorecam", "guided_gradcam", "xrai"])
def test_a_model_of_a_list_of_one_input_is_a_model_of_that_input(small, method):
    listed = network(keras.Model(small.model.inputs, small.model.outputs))
    inputs, goal = networks.images(2), lab.logit([0, 1])
    if method == "guided_gradcam" or method == "gradient":
        assert np.array_equal(*(lab.explain(listed, x, goal, method=method).maps for x in (inputs, [inputs])))
    one, two = (lab.explain(net, inputs, goal, method=method).maps for net in (small, listed))
    assert distance(one, two) < 1e-5


# Padding and masks ----------------------------------------------------------------------------------------------------------

PAD = -50.0


def padded(count=3):
    """Series of eight steps of which the last three are padding."""
    x = rng.normal(size=(count, 8, 2)).astype("float32")
    x[:, 5:] = PAD
    return x


def masking(length=8, pad=PAD):
    inputs = keras.Input((length, 2))
    steps = keras.layers.Masking(pad)(inputs)
    hidden = keras.layers.GRU(4, return_sequences=True, name="hidden")(steps)
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.LSTM(5)(hidden)))


@pytest.fixture(scope="module")
def masked_and_short():
    """One network on series with padding, and on what they hold without it."""
    padded_net = network(filled(masking()))
    short = network(masking(5))
    short.model.set_weights(padded_net.model.get_weights())
    return padded_net, short


def test_what_is_kept_is_padding(masked_and_short):
    kept = masked_and_short[0].kept_mask(padded())
    assert kept.shape == (3, 8, 2) and kept[:, 5:].all() and not kept[:, :5].any()
    assert network(networks.flat()).kept_mask(networks.images(1)) is None


@pytest.mark.parametrize(
    "method, options",
    [
        ("gradient", {}),
        ("integrated_gradients", {"baseline": 0.5}),
        ("integrated_gradients", {"baselines": [0.5, 1.0]}),
        ("gradient_shap", {"references": [0.5, 1.0], "samples": 5}),
        ("guided_integrated_gradients", {"baseline": 0.5, "steps": 20}),
    ],
)
def test_a_padded_series_has_the_map_of_the_series(masked_and_short, method, options):
    padded_net, short = masked_and_short
    x, goal = padded(), lab.logit([0, 1, 1])
    one = lab.explain(padded_net, x, goal, method=method, **options)
    two = lab.explain(short, x[:, :5], goal, method=method, **options)
    # A guided step takes a share of all features, padding included.
    assert distance(one.maps[:, :5], two.maps) < (0.05 if "guided" in method else 1e-4) and not one.maps[:, 5:].any()
    assert one.gap is None or np.allclose(one.gap, two.gap, atol=1e-2 if "guided" in method else 1e-4)


@pytest.mark.parametrize("method", ["smoothgrad", "noise_tunnel"])
def test_noise_leaves_padding_alone_and_is_as_wide_as_what_is_seen(masked_and_short, method):
    padded_net, x, goal = masked_and_short[0], padded(), lab.logit(1)
    other = np.where(x == PAD, 3 * PAD, x)
    changed = network(masking(pad=3 * PAD))
    changed.model.set_weights(padded_net.model.get_weights())
    options = {"samples": 6, "noise": 0.3, "seed": 1}
    one, two = (
        lab.explain(net, y, goal, method=method, **options).maps for net, y in ((padded_net, x), (changed, other))
    )
    assert one[:, :5].any() and not one[:, 5:].any() and distance(one, two) < 1e-5
    clean = lab.gradient(padded_net, x, goal)
    assert 1e-3 < distance(one, clean) < 1


@pytest.mark.parametrize(
    "method",
    ["blur_integrated_gradients", "layer_conductance", "layer_integrated_gradients", "internal_influence", "scorecam"],
)
def test_padding_stays_padding_on_every_way(masked_and_short, monkeypatch, method):
    padded_net, x = masked_and_short[0], padded()
    points, inputs_of = [], padded_net.inputs
    monkeypatch.setattr(padded_net, "inputs", lambda arrays: points.append(inputs_of(arrays)) or points[-1])
    lab.explain(padded_net, x, lab.logit(1), method=method)
    assert len(points) > 1 and all((batch[:, 5:] == PAD).all() and (batch[:, :5] != PAD).all() for batch in points)


def test_padding_ids_keep_their_vectors():
    inputs = keras.Input((7,), dtype="int32")
    vectors = keras.layers.Embedding(20, 4, mask_zero=True, name="words")(inputs)
    net = network(filled(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.LSTM(5)(vectors)))))
    ids = rng.integers(1, 20, (2, 7))
    ids[:, 4:] = 0
    assert np.array_equal(net.kept_mask(ids), ids == 0)
    embedded, arrays = lab.embeddings.to_embeddings(net, ids)
    kept = embedded.kept_mask(arrays)["vectors"]["words"]
    assert kept.shape == (2, 7, 4) and kept[:, 4:].all() and not kept[:, :4].any()
    spread = lab.explain(net, ids, lab.logit(1), method="smoothgrad", samples=4, seed=0).maps
    net.tree["words"].embeddings.assign(
        np.concatenate([np.full((1, 4), 90.0), np.asarray(net.tree["words"].embeddings)[1:]])
    )
    assert np.array_equal(lab.explain(net, ids, lab.logit(1), method="smoothgrad", samples=4, seed=0).maps, spread)


def test_strings_are_refused_with_what_to_give_instead():
    words = keras.layers.TextVectorization(max_tokens=9, output_sequence_length=4)
    words.adapt(["the cat sat"])
    inputs = keras.Input((1,), dtype="string")
    pooled = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(9, 2)(words(inputs)))
    net = network(keras.Model(inputs, keras.layers.Dense(2)(pooled)))
    for strings in (np.array([["the cat"]], dtype=object), np.array([["the cat"]])):
        with pytest.raises(lab.Refused, match="give it the ids"):
            lab.gradient(net, strings, lab.logit(0))


def test_images_that_were_not_preprocessed_are_found():
    network = lab.Network(networks.flat(), preprocessing=networks.GREY)
    images = np.random.default_rng(0).integers(0, 256, [2, 16, 16, 3])
    with pytest.raises(lab.Refused, match=r"takes images in -1..1. Received: uint8 in .* net.preprocess"):
        lab.explain(network, images.astype("uint8"), method="gradient")
    with pytest.warns(UserWarning, match=r"Received: float32 in .* net.preprocess") as told:
        lab.explain(network, images.astype("float32"), method="gradient")
    assert len(told) == 1


def test_a_network_of_0_to_255_takes_whole_numbers():
    preprocessing = lab.preprocessing.linear_preprocessing(0, 255)
    network = lab.Network(networks.flat(), preprocessing=preprocessing)
    images = np.random.default_rng(0).integers(0, 256, [2, 16, 16, 3])
    numbers = lab.explain(network, images.astype("uint8"), method="gradient").maps
    np.testing.assert_array_equal(numbers, lab.explain(network, images.astype("float32"), method="gradient").maps)


def test_whole_numbers_are_told_what_they_are(recwarn):
    images = np.random.default_rng(0).integers(0, 256, [2, 16, 16, 3])
    # Colours in another order, with their mean taken off: as wide as 0..255, and not the same.
    caffe = lab.preprocessing.Preprocessing(
        ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)), (-104.0, -117.0, -124.0)
    )
    for preprocessing, numbers, words in (
        (caffe, images.astype("uint8"), "net.preprocess"),
        (lab.preprocessing.linear_preprocessing(0, 1), images % 2, "give them as float32"),
    ):
        with pytest.raises(lab.Refused, match=words):
            lab.explain(lab.Network(networks.flat(), preprocessing=preprocessing), numbers, method="gradient")
    network = lab.Network(networks.flat(), preprocessing=lab.preprocessing.linear_preprocessing(0, 255))
    lab.explain(network, images.astype("float32"), method="gradient")
    assert not recwarn.list
    with pytest.warns(UserWarning, match="takes images in 0..255. Received: float32 in"):
        lab.explain(network, (images / 255).astype("float32"), method="gradient")


def test_inputs_of_a_list_have_the_names_that_the_model_gives_them():
    age, job = keras.Input((4,), name="age"), keras.Input((3,), name="job")
    network = lab.Network(keras.Model([age, job], keras.layers.Dense(2)(keras.layers.Concatenate()([age, job]))))
    assert [name for name, _ in network.places()] == ["age", "job"] and "age (any, 4)" in repr(network)
    unnamed = [keras.Input((4,)), keras.Input((3,))]
    model = keras.Model(unnamed, keras.layers.Dense(2)(keras.layers.Concatenate()(unnamed)))
    assert not any("keras_tensor" in name for name, _ in lab.Network(model).places())
    with pytest.raises(lab.Refused, match=r"a list of 2, \[age, job\]. Received: a dict of age, job"):
        lab.explain(network, {"age": np.ones((2, 4)), "job": np.ones((2, 3))}, method="gradient")


@pytest.mark.parametrize("most", [1, 7, 1 << 20])
def test_samples_without_numbers_are_named_wherever_they_lie(most):
    array = np.zeros((50, 3, 2), "float32")
    array[[0, 13, 49], [0, 2, 1], [1, 0, 1]] = np.nan, np.inf, -np.inf
    assert _rows_without_numbers(array, most) == [0, 13, 49]
    assert _rows_without_numbers(array[:, 0, 0][1:], most) == [] == _rows_without_numbers(np.zeros((4, 0)), most)
