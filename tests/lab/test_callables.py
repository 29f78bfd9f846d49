"""Functions in the place of a network: the same maps as the network that they compute, and one clear line for what they do wrong."""

import threading
import time

import numpy as np
import pandas
import pytest

import lab
from lab.attribution import explainers
from lab.attribution.calls import needed_capability
from lab.environment import keras, tf
from tests import networks

ROWS = np.random.default_rng(0).normal(size=(12, 5)).astype("float32")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    layers = [keras.Input((5,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(3)]
    return keras.Sequential(layers)


@pytest.fixture(scope="module")
def network(model):
    return lab.load(model, background=ROWS)


@pytest.fixture(scope="module")
def computed(model):
    """The same model as a function of arrays."""
    return lab.function(lambda rows: model(rows).numpy(), ROWS, name="computed")


FEWER = {"kernel_shap": {"samples": 40}, "lime": {"samples": 60}, "permutation_shap": {"permutations": 3}}
SCORES_ALONE = [
    name
    for name in explainers
    if needed_capability(explainers.get(name)) == "scores" and name not in explainers.names(wrapper=True)
]


@pytest.mark.parametrize("method", SCORES_ALONE)
def test_a_function_has_the_maps_of_the_network_that_it_computes(network, computed, method):
    if method in ("rise", "sobol", "hsic"):
        pytest.skip("a method for images")
    options = FEWER.get(method, {})
    expected = lab.explain(network, ROWS, method=method, **options)
    record = lab.explain(computed, ROWS, method=method, **options)
    assert np.allclose(record.maps, expected.maps, atol=1e-5)
    assert record.captions == expected.captions


@pytest.mark.parametrize("method", [name for name in explainers if name not in SCORES_ALONE])
def test_what_needs_more_than_scores_is_refused_by_what_it_needs(computed, method):
    explainer = explainers.get(method)
    if explainers.tag(explainer, "wrapper"):
        pytest.skip("needs what it wraps")
    with pytest.raises(
        lab.Refused, match="needs the (gradients|layers|weights|attention|trees) of a(n ensemble| Keras network)"
    ):
        lab.explain(computed, ROWS, method=method)


def test_a_gradient_that_is_asked_for_directly_is_refused_with_what_to_use(computed):
    with pytest.raises(lab.Refused, match="a Python function, which can be asked for scores alone. Use a method"):
        lab.gradient(computed, ROWS, lab.logit(0))
    with pytest.raises(lab.Refused, match="gradient needs the gradients of a Keras network"):
        lab.explain(computed, ROWS, method="noise_tunnel", explainer="gradient")
    tunnel = {"explainer": "feature_ablation", "samples": 2}
    assert np.isfinite(lab.explain(computed, ROWS, method="noise_tunnel", **tunnel).maps).all()


def test_a_layer_is_refused(computed):
    with pytest.raises(lab.Refused):
        lab.explain(computed, ROWS, lab.channel("dense", 0), method="kernel_shap")


def test_pictures_are_explained_as_those_of_the_network():
    model = networks.flat()
    network = lab.load(model)
    size = network.size
    images = np.random.default_rng(1).random((2, *size, model.input_shape[-1])).astype("float32")
    computed = lab.function(lambda inputs: model(inputs).numpy(), images, input_range=(0, 1))
    for method, options in (("rise", {"samples": 40}), ("sobol", {"designs": 4}), ("hsic", {"samples": 40})):
        expected = lab.explain(network, images, method=method, **options).maps
        assert np.allclose(lab.explain(computed, images, method=method, **options).maps, expected, atol=1e-4), method
    assert computed.preprocess(np.full((4, 4, 3), 255, "uint8")).max() == 1


def test_a_frame_is_asked_with_frames_and_names_its_columns():
    frame = pandas.DataFrame(ROWS, columns=list("abcde"), index=[f"customer {row}" for row in range(12)])
    kinds = []

    def predict(rows):
        kinds.append((type(rows), list(rows.columns)))
        return rows["a"] + 2 * rows["c"]

    computed = lab.function(predict, frame)
    maps = lab.explain(computed, ROWS, method="exact_shapley", baseline=0.0).maps
    assert set(map(str, kinds)) == {str((pandas.DataFrame, list("abcde")))}
    assert computed.columns == list("abcde")
    assert np.allclose(maps, ROWS * [1, 0, 2, 0, 0], atol=1e-5)


def test_the_mean_of_the_data_is_the_baseline_of_a_table():
    computed = lab.function(lambda rows: rows @ np.arange(5.0), ROWS)
    maps = lab.explain(computed, ROWS, method="exact_shapley").maps
    assert np.allclose(maps, (ROWS - ROWS.mean(axis=0)) * np.arange(5), atol=1e-5)


def test_texts_are_explained_by_their_words_and_asked_as_texts():
    texts = ["A good film, really good", "bad end"]
    seen = []

    def score(lines):
        seen.extend(lines)
        return [line.split().count("good") - line.split().count("bad") for line in lines]

    computed = lab.function(score, texts)
    record = lab.explain(computed, computed.tokenize(texts), method="exact_shapley")
    assert computed.words(record.inputs)[0] == ["A", "good", "film,", "really", "good"]
    assert np.allclose(record.maps, [[0, 1, 0, 0, 1], [-1, 0, 0, 0, 0]])
    assert {"A good film, really good", "bad end", "A film,", ""} <= set(seen)


def test_several_inputs_keep_their_structure():
    inputs = {"left": ROWS[:, :2], "right": ROWS[:, 2:4]}
    computed = lab.function(lambda rows: rows["left"][:, 0] * 3 + rows["right"][:, 1], inputs)
    maps = lab.explain(computed, inputs, method="exact_shapley").maps
    assert np.allclose(maps["left"], inputs["left"] * [3, 0], atol=1e-5)
    assert np.allclose(maps["right"], inputs["right"] * [0, 1], atol=1e-5)


def test_calls_have_at_most_a_batch_of_rows():
    calls = []

    def predict(rows):
        calls.append(len(rows))
        return rows.sum(axis=1)

    computed = lab.function(predict, ROWS, batch=7)
    calls.clear()
    lab.explain(computed, ROWS, method="exact_shapley")
    assert max(calls) <= 7
    wide = lab.function(predict, ROWS, batch=5000)
    calls.clear()
    lab.explain(wide, ROWS, method="exact_shapley")
    # The scores of all coalitions, of the inputs, of the baseline, and of the classes.
    assert len(calls) <= 6 and sum(calls) <= 12 * (2**5 + 6)


def test_classes_have_names_and_probabilities_are_not_flagged():
    def predict(rows):
        return np.stack([1 / (1 + np.exp(-rows[:, 0])), 1 / (1 + np.exp(rows[:, 0]))], axis=1)

    computed = lab.function(predict, ROWS, classes=["yes", "no"])
    record = lab.explain(computed, ROWS, "yes", method="feature_ablation")
    assert record.captions[0].startswith("yes (") and not any(record.flags)
    assert "2 classes (yes, no)" in repr(computed)


def _raise(rows):
    raise KeyError("no such model")


class Forest:
    def predict_proba(self, rows):
        return rows


@pytest.mark.parametrize(
    ("predict", "options", "words"),
    [
        (_raise, {}, "Received: KeyError: 'no such model' from _raise"),
        (lambda rows: rows[:3, 0], {}, r"for every row, \(12, units\). Received: an array \(3,\)"),
        (lambda rows: rows[:, :, None], {}, r"Received: an array \(12, 5, 1\)"),
        (lambda rows: [["a"]] * len(rows), {}, "Received: list"),
        (
            lambda rows: np.where(np.arange(len(rows)) == 3, np.nan, 1.0),
            {},
            "for 1 of the 12 rows of a call, the first at 3",
        ),
        (
            lambda rows: np.random.default_rng().random(len(rows)),
            {},
            "whose scores of the same rows in another order differ by",
        ),
        (lambda rows: time.sleep(30), {"timeout": 0.05}, "Received: no answer of function for 12 rows"),
        (Forest(), {}, "Forest; give its method predict_proba"),
        (Forest, {}, "the class Forest; give the method of a fitted one"),
        (lambda rows: rows[:, 0], {"batch": 0}, "batch= is a whole number"),
        (lambda rows: rows[:, 0], {"input_range": (0, 1)}, "input_range= is for functions of images"),
        (lambda rows: rows[:, 0], {"classes": ["a", "b", "c"]}, "classes"),
    ],
)
def test_a_function_that_misbehaves_has_one_clear_line(predict, options, words):
    with pytest.raises(lab.Refused, match=words) as caught:
        lab.function(predict, ROWS, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.array([["a", "b"]]), "Write categories as numbers"),
        (pandas.DataFrame({"age": [1, 2], "city": ["Rome", "Oslo"]}), "Rome"),
        (np.zeros((0, 3)), "at least one row"),
        (np.zeros(3), "at least one row"),
        ({"a": np.zeros((2, 3)), "b": np.zeros((4, 3))}, "All inputs have as many rows"),
    ],
)
def test_data_that_a_function_cannot_be_given_are_refused(data, words):
    with pytest.raises(lab.Refused, match=words):
        lab.function(lambda rows: np.zeros(len(rows)), data)


def test_a_keras_model_is_sent_to_load(model):
    with pytest.raises(lab.Refused, match=r"use lab.load\(model\)"):
        lab.function(model, ROWS)


def test_noise_within_the_tolerance_is_allowed():
    noise = np.random.default_rng(0)
    computed = lab.function(lambda rows: rows[:, 0] + noise.normal(size=len(rows)) * 0.01, ROWS, tolerance=0.1)
    assert computed.capabilities == ("scores",)


def test_what_a_function_raises_later_is_said_and_the_network_goes_on():
    state = {"broken": False}

    def predict(rows):
        if state["broken"]:
            raise ConnectionError("the server is gone")
        return rows[:, 0]

    computed = lab.function(predict, ROWS)
    state["broken"] = True
    with pytest.raises(lab.Refused, match="Received: ConnectionError: the server is gone from predict") as caught:
        lab.explain(computed, ROWS, method="feature_ablation")
    assert isinstance(caught.value.__cause__, ConnectionError)
    state["broken"] = False
    assert np.isfinite(lab.explain(computed, ROWS, method="feature_ablation").maps).all()


def test_a_late_answer_keeps_no_thread_of_the_process_alive():
    before = set(threading.enumerate())
    with pytest.raises(lab.Refused, match="timeout"):
        lab.function(lambda rows: time.sleep(20), ROWS, timeout=0.05)
    waiting = set(threading.enumerate()) - before
    assert waiting and all(thread.daemon for thread in waiting)


def test_the_baseline_of_texts_is_the_text_without_words():
    texts = ["a good good film", "bad film"]
    computed = lab.function(
        lambda lines: [10 + line.count("good") - line.count("bad") for line in lines], texts, name="mood"
    )
    for method in ("exact_shapley", "kernel_shap", "permutation_shap"):
        record = lab.explain(computed, computed.tokenize(texts), method=method)
        assert np.allclose(record.baseline_scores, 10) and np.abs(record.gap).max() < 1e-6


@pytest.mark.parametrize("text", ["a terrible film", "good good good good film a", " "])
def test_texts_that_the_data_do_not_know_are_refused(text):
    computed = lab.function(lambda lines: [line.count("good") for line in lines], ["a good film", "good film"])
    with pytest.raises(lab.Refused, match="asked about words of its data"):
        computed.tokenize([text])
    with pytest.raises(lab.Refused, match="Texts come in a list"):
        computed.tokenize("a good film")


def test_columns_are_taken_by_name():
    frame = pandas.DataFrame(ROWS, columns=list("abcde"))
    computed = lab.function(lambda rows: rows["a"] - rows["b"], frame)
    turned = lab.explain(computed, frame[list("edcba")], method="exact_shapley")
    straight = lab.explain(computed, frame, method="exact_shapley")
    assert np.array_equal(turned.maps, straight.maps) and np.array_equal(turned.scores, straight.scores)
    with pytest.raises(lab.Refused, match="none called 'a'"):
        lab.explain(computed, frame.rename(columns={"a": "other"}), method="exact_shapley")
    frame["b"] = frame["b"] > 0
    assert lab.explain(
        lab.function(lambda rows: rows["a"] * rows["b"], frame), frame, method="exact_shapley"
    ).maps.any()


def test_a_row_does_not_depend_on_those_beside_it():
    centred = pandas.DataFrame(ROWS, columns=list("abcde"))
    with pytest.raises(lab.Refused, match="a row alone"):
        lab.function(lambda rows: rows["a"] - rows["a"].mean(), centred)
    # A margin of .2 alone reads as a probability, and among others as a logit.
    margin = lab.function(lambda rows: rows[:, 0] * 3, ROWS, classes=["no", "yes"])
    small = np.where(np.arange(5) == 0, 0.05, ROWS[:1]).astype("float32")
    alone = lab.explain(margin, small, method="exact_shapley")
    among = lab.explain(margin, np.concatenate([small, ROWS]), method="exact_shapley")
    assert alone.captions[0] == among.captions[0] and np.allclose(alone.maps[0], among.maps[0])


def test_numbers_that_float32_does_not_hold_are_refused():
    seconds = pandas.DataFrame({"t": 1.7e9 + np.arange(20.0), "x": np.arange(20.0)})
    with pytest.raises(lab.Refused, match="the column 't' of the data frame, which varies by"):
        lab.function(lambda rows: rows["x"], seconds)
    with pytest.raises(lab.Refused, match="Subtract a constant from them"):
        lab.function(lambda rows: 1.7e9 + rows[:, 0].astype("float64"), ROWS)
    with pytest.raises(lab.Refused, match="up to 3e38"):
        lab.function(lambda rows: 1e300 * rows[:, 0].astype("float64"), ROWS)


def test_the_mean_of_many_large_numbers_is_their_mean():
    rows = np.random.default_rng(0).normal(50000, 10, (200_000, 2)).astype("float32")
    computed = lab.function(lambda rows: rows[:, 0] - 50000.0, rows)
    maps = lab.explain(computed, rows[:1], method="exact_shapley").maps
    assert abs(maps[0, 0] - (rows[0, 0] - rows[:, 0].mean(dtype="float64"))) < 0.05


def test_the_number_of_a_regression_is_asked_by_its_index_too():
    computed = lab.function(lambda rows: rows[:, 0], ROWS)
    top, first = (lab.explain(computed, ROWS, target, method="exact_shapley") for target in ("top", 0))
    assert np.array_equal(top.maps, first.maps) and top.captions == first.captions


def test_interactions_of_a_table_are_around_its_mean():
    rows = ROWS + 10
    computed = lab.function(lambda rows: (rows[:, 0] - 10) * (rows[:, 1] - 10), rows)
    mean = rows.mean(axis=0)
    by_name = lab.shapley_interactions(computed, rows[:2])
    assert np.allclose(by_name, lab.shapley_interactions(computed, rows[:2], baseline=mean), atol=1e-4, equal_nan=True)


@pytest.mark.parametrize("options", [{"timeout": -1}, {"timeout": "a"}, {"tolerance": None}, {"batch": True}])
def test_options_that_are_no_numbers_are_refused(options):
    with pytest.raises(lab.Refused, match=f"{next(iter(options))}="):
        lab.function(lambda rows: rows[:, 0], ROWS, **options)


def test_a_keras_model_that_ends_in_a_gradient_of_its_own_is_no_function():
    """A custom gradient ends in the same operation as a function of Python."""

    @tf.custom_gradient
    def doubled(values):
        return 2 * values, lambda slope: 2 * slope

    class Doubled(keras.layers.Layer):
        def call(self, values):
            return doubled(values)

    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, "softmax"), Doubled()])
    network = lab.load(model)
    assert not any(network.closed.values()) and network.capabilities[-1] == "weights"
