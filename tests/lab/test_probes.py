"""Probes on arrays and small networks: cross-validation, online code, calibration, positions and units, against slow formulas."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score
from sklearn.svm import LinearSVC

import lab
from lab.concepts import (
    calibration,
    cross_validate,
    draw_positions,
    linear_probe,
    online_code,
    pooled,
    predict,
    unit_auc,
    unit_iou,
)
from lab.data import Data
from lab.refusal import Refused


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(3)
    entry = keras.Input([12, 12, 3])
    features = keras.layers.Conv2D(6, 3, activation="relu", name="first")(entry)
    features = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="second")(features)
    means = keras.layers.GlobalAveragePooling2D(name="means")(features)
    return lab.load(keras.Model(entry, keras.layers.Dense(4, name="logits")(means)), input_range=(0, 1))


@pytest.fixture(scope="module")
def data():
    images = np.random.default_rng(0).integers(0, 256, (10, 12, 12, 3), dtype=np.uint8)
    masks = np.zeros((10, 12, 12), bool)
    masks[:, :6] = True
    return Data(tuple(map(str, range(10))), list(images), masks=masks)


def test_a_probe_is_asked_about_folds_that_it_was_not_fitted_to():
    rng = np.random.default_rng(0)
    labels, folds = rng.integers(0, 3, 90), rng.integers(0, 5, 90)
    rows = rng.normal(size=(90, 6)) + 2 * np.eye(6)[labels]
    probabilities = cross_validate(rows, labels, folds)
    fitted = linear_probe().fit(rows[folds != 2], labels[folds != 2])
    np.testing.assert_allclose(probabilities[folds == 2], fitted.predict_proba(rows[folds == 2]), atol=1e-6)
    assert (predict(probabilities, labels) == labels).mean() > 0.8


def test_rows_of_one_source_do_not_answer_for_each_other():
    """Noise that is the same for all rows of a source is learned by heart where a source is on both sides."""
    rng = np.random.default_rng(0)
    sources = np.repeat(np.arange(20), 8)
    rows, labels = (
        rng.normal(size=(20, 40))[sources] + 0.01 * rng.normal(size=(160, 40)),
        rng.integers(0, 2, 20)[sources],
    )
    by_row = predict(cross_validate(rows, labels, np.arange(160) % 5), labels)
    by_source = predict(cross_validate(rows, labels, sources % 5), labels)
    assert (by_row == labels).mean() == 1 and (by_source == labels).mean() < 0.7


def test_rare_classes_weigh_as_much_as_others():
    labels = np.array([0] * 9 + [1])
    np.testing.assert_array_equal(predict(np.array([[0.8, 0.2], [0.95, 0.05]]), labels), [1, 0])


def test_the_code_of_labels_is_that_of_the_formula():
    rng = np.random.default_rng(1)
    labels, groups = rng.integers(0, 2, 200), np.arange(200)
    rows = rng.normal(size=(200, 4)) + 3 * labels[:, None]
    code = online_code(rows, labels, groups, seed=0)
    rank, bits = np.argsort(np.random.default_rng(0).permutation(200))[groups], 0.0
    for start, end in zip(code.fitted, code.fitted + code.rows):
        inside, before = (rank >= start) & (rank < end), rank < start
        if not start:
            bits += inside.sum()
            continue
        fitted = linear_probe().fit(rows[before], labels[before])
        probabilities = (start * fitted.predict_proba(rows[inside]) + 0.5) / (start + 1)
        bits -= np.log2(probabilities[np.arange(inside.sum()), labels[inside]]).sum()
    assert code.length == pytest.approx(bits, rel=1e-3) and code.rows.sum() == 200
    assert code.compression == pytest.approx(200 / bits, rel=1e-3) and code.compression > 2
    assert online_code(rng.normal(size=(200, 4)), labels, groups, seed=0).compression < 1.1


def test_small_portions_of_a_code_are_one_with_the_next():
    rng = np.random.default_rng(0)
    code = online_code(rng.normal(size=(40, 3)), np.arange(40) % 4, np.arange(40), seed=0)
    assert code.fitted[1] >= 16 and code.rows.sum() == 40 and np.isfinite(code.length)


def test_probabilities_that_are_right_lie_inside_their_band():
    rng = np.random.default_rng(0)
    share = rng.uniform(0.5, 1, 2000)
    labels = (rng.random(2000) > share).astype(int)
    honest = calibration(np.stack([share, 1 - share], axis=1), labels, seed=0)
    bold = calibration(np.stack([0 * share + 0.99, 0 * share + 0.01], axis=1), labels, seed=0)
    assert honest["error"] <= honest["expected"][1] and bold["error"] > bold["expected"][1]
    inside = (honest["bins"][:, 1] >= honest["bins"][:, 3]) & (honest["bins"][:, 1] <= honest["bins"][:, 4])
    assert honest["bins"].shape == (10, 5) and inside.sum() >= 8


def test_positions_are_those_of_the_layer(network, data):
    rows, inputs, positions = draw_positions(network, data, ["first"], seed=0, most=5)["first"]
    values = lab.routines.activations(network, data.inputs_of(network), "first").reshape(10, -1, 6)
    np.testing.assert_allclose(rows, values[inputs, positions], atol=1e-6)
    assert np.bincount(inputs).tolist() == [5] * 10 and len(set(zip(inputs, positions))) == 50
    every, owners, _ = draw_positions(network, data, ["first"], seed=0, most=10**6, batch=3)["first"]
    means = np.stack([every[owners == place].mean(axis=0) for place in range(10)])
    np.testing.assert_allclose(means, pooled(network, data.inputs_of(network), ["first"])["first"], atol=1e-5)


def test_masked_tokens_are_no_positions():
    keras.utils.set_random_seed(1)
    entry = keras.Input([6], dtype="int32")
    states = keras.layers.Embedding(9, 5, mask_zero=True, name="embed")(entry)
    network = lab.load(keras.Model(entry, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(states))))
    data = Data(("a", "b"), np.array([[3, 4, 5, 0, 0, 0], [1, 2, 3, 4, 5, 6]]), kind="tokens")
    _, inputs, positions = draw_positions(network, data, ["embed"], seed=0, most=6)["embed"]
    assert sorted(positions[inputs == 0]) == [0, 1, 2] and (inputs == 1).sum() == 6


def test_areas_of_units_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    rows, labels = np.round(rng.normal(size=(50, 4)), 1), rng.integers(0, 3, 50)
    areas = unit_auc(rows, labels == np.arange(3)[:, None])
    expected = [[roc_auc_score(labels == label, rows[:, unit]) for unit in range(4)] for label in range(3)]
    np.testing.assert_allclose(areas, expected)
    assert np.isnan(unit_auc(rows, np.ones(50, bool))).all()


def test_overlap_with_masks_is_that_of_sets(network, data):
    overlaps = unit_iou(network, data, "second", seed=0, strong=0.1)
    assert overlaps.shape == (1, 8)
    values = lab.routines.activations(network, data.inputs_of(network), "second")
    enlarged = tf.image.resize(values, (12, 12)).numpy()
    sample = values.reshape(10, 16, 8)[:, np.random.default_rng(0).integers(0, 16, 200)]
    strong = enlarged > np.quantile(sample, 0.9, axis=(0, 1))
    masks = data.masks[..., None]
    expected = (strong & masks).sum(axis=(0, 1, 2)) / (strong | masks).sum(axis=(0, 1, 2))
    np.testing.assert_allclose(overlaps[0], expected)


@pytest.mark.parametrize(
    "rows, labels, estimator, message",
    [
        (np.zeros((4, 2)), np.zeros(4, int), None, "two classes or more apart. Received: labels of 1"),
        (np.full((4, 2), np.nan), np.arange(4) % 2, None, "finite numbers. Received: NaN or infinity"),
        (np.zeros((4, 2)), np.arange(4) % 2, LinearSVC(), "with predict_proba. Received: LinearSVC"),
    ],
)
def test_what_cannot_be_probed_is_refused(rows, labels, estimator, message):
    with pytest.raises(Refused, match=message):
        cross_validate(rows, labels, np.arange(4) % 2, estimator=estimator)


def test_an_unknown_layer_and_missing_masks_are_refused(network, data):
    with pytest.raises(Refused, match="Nearest: first"):
        draw_positions(network, data, ["frist"], seed=0)
    with pytest.raises(Refused, match="needs masks"):
        unit_iou(network, Data(data.names, data.inputs), "second", seed=0)
