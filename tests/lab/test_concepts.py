"""Concept directions, derivatives along them, and erasure, against slow formulas in Keras and NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import LogisticRegression

import lab
from lab.concepts import (
    cav,
    default_layers,
    directional_derivatives,
    held_out_accuracy,
    held_out_scores,
    leace,
    pooled,
    random_erasures,
    read_activations,
    scores_after,
)
from lab.data import Data
from lab.textures import draw, textures


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    entry = keras.Input([12, 12, 3])
    features = keras.layers.Conv2D(6, 3, activation="tanh", name="first")(entry)
    features = keras.layers.Conv2D(8, 3, activation="tanh", name="second")(features)
    means = keras.layers.GlobalAveragePooling2D(name="means")(features)
    return keras.Model(entry, keras.layers.Dense(4, name="logits")(means))


@pytest.fixture(scope="module")
def network(model):
    return lab.load(model, input_range=(0, 1))


@pytest.fixture(scope="module")
def inputs():
    return np.random.default_rng(0).random([10, 12, 12, 3]).astype("float32")


def test_pooled_activations_are_the_means_that_keras_gives(model, network, inputs):
    outputs = [model.get_layer(name).output for name in ("first", "second")]
    first, second = keras.Model(model.inputs, outputs).predict(inputs, verbose=0)
    means = pooled(network, inputs, ["first", "second"])
    np.testing.assert_allclose(means["first"], first.mean(axis=(1, 2)), atol=1e-6)
    np.testing.assert_allclose(means["second"], second.mean(axis=(1, 2)), atol=1e-6)


def test_activations_of_data_are_those_of_their_inputs_whatever_the_batch(network, inputs):
    images = [np.round(255 * image).astype("uint8") for image in inputs]
    data = Data(tuple(map(str, range(10))), images)
    whole = read_activations(network, data, ["first"])["first"]
    np.testing.assert_array_equal(whole, pooled(network, data.inputs_of(network), ["first"])["first"])
    np.testing.assert_allclose(read_activations(network, data, ["first"], batch=3)["first"], whole, atol=1e-7)


def test_a_mask_says_which_positions_count(model, network, inputs):
    images = [np.round(255 * image).astype("uint8") for image in inputs]
    data, masks = Data(tuple(map(str, range(10))), images), np.zeros([10, 12, 12], bool)
    masks[:, :6] = True
    maps = keras.Model(model.inputs, model.get_layer("first").output).predict(data.inputs_of(network), verbose=0)
    # The first layer has 10 rows, of which an area of 12 gives the upper half to the first five.
    expected = maps[:, :5].mean(axis=(1, 2))
    np.testing.assert_allclose(read_activations(network, data, ["first"], masks=masks)["first"], expected, atol=1e-6)
    with pytest.raises(lab.Refused, match="marks some of them"):
        read_activations(network, data, ["first"], masks=np.zeros([10, 12, 12], bool))


def test_masked_tokens_do_not_count():
    keras.utils.set_random_seed(1)
    entry = keras.Input([6], dtype="int32")
    embedded = keras.layers.Embedding(9, 5, mask_zero=True, name="embed")(entry)
    states = keras.layers.Dense(5, activation="tanh", name="states")(embedded)
    pooled_states = keras.layers.GlobalAveragePooling1D()(states)
    network = lab.load(keras.Model(entry, keras.layers.Dense(2)(pooled_states)))
    short, padded = np.array([[3, 4, 5, 6, 7, 8]]), np.array([[3, 4, 5, 0, 0, 0]])
    rows = keras.Model(entry, states).predict(padded, verbose=0)[0, :3]
    np.testing.assert_allclose(pooled(network, padded, ["states"])["states"][0], rows.mean(axis=0), atol=1e-6)
    derivative = directional_derivatives(network, padded, lab.logit(0), ["states"])["states"][0]
    np.testing.assert_allclose(derivative, network.model.layers[-1].kernel.numpy()[:, 0], atol=1e-6)
    assert not np.allclose(*(pooled(network, ids, ["states"])["states"] for ids in (short, padded)))


def test_a_derivative_along_a_vector_is_the_difference_when_it_is_added(model, network, inputs):
    vector = np.random.default_rng(1).normal(size=6)
    slopes = directional_derivatives(network, inputs, lab.logit(2), ["first", "second"])
    tail = keras.Model(model.get_layer("second").input, model.output)
    first = keras.Model(model.inputs, model.get_layer("first").output).predict(inputs, verbose=0)
    moved = [tail(tf.constant(first + sign * 1e-2 * vector, tf.float32)).numpy()[:, 2] for sign in (1, -1)]
    np.testing.assert_allclose(slopes["first"] @ vector, (moved[0] - moved[1]) / 2e-2, rtol=2e-2, atol=1e-4)


def test_a_vector_points_from_the_others_to_the_concept_at_any_scale():
    generator = np.random.default_rng(0)
    direction = np.array([3.0, -4.0, 0, 0]) / 5
    positive, negative = generator.normal(size=(2, 200, 4))
    positive += 2 * direction
    for fit in ("ridge", "logistic", "mean_difference"):
        vector = cav(positive, negative, fit=fit)
        assert vector @ direction > 0.95 and np.isclose(np.linalg.norm(vector), 1)
        np.testing.assert_allclose(cav(1e-8 * positive, 1e-8 * negative, fit=fit), vector, atol=1e-4)
        np.testing.assert_allclose(cav(positive + 100, negative + 100, fit=fit), vector, atol=1e-4)


def test_noise_is_not_learnable_when_sources_stay_together():
    generator = np.random.default_rng(0)
    apart = []
    for _ in range(20):
        rows = np.repeat(generator.normal(size=(20, 30)), 4, axis=0) + 1e-3 * generator.normal(size=(80, 30))
        assert held_out_accuracy(rows[:40], rows[40:]) > 0.9
        apart.append(held_out_accuracy(rows[:40], rows[40:], groups=np.repeat(np.arange(20), 4)))
    assert np.mean(apart) < 0.6


@pytest.mark.parametrize(("channels", "count"), [(24, 20), (1280, 10), (1280, 40)])
def test_noise_is_told_at_chance_whatever_the_number_of_channels(channels, count):
    generator = np.random.default_rng(2)
    sets = generator.normal(size=(40, 2, count, channels)) + 5
    assert abs(np.mean([held_out_accuracy(*pair) for pair in sets]) - 0.5) < 0.05


def test_a_clear_concept_is_told_from_a_far_larger_pool():
    generator = np.random.default_rng(2)
    concept, pool = generator.normal(size=(40, 60)), generator.normal(size=(1400, 60))
    concept[:, 0] += 4
    assert held_out_accuracy(concept, pool) > 0.9
    assert held_out_accuracy(concept[:12], pool) > 0.85


def test_no_source_is_on_both_sides_of_a_fold():
    rows, groups = np.random.default_rng(1).normal(size=(24, 9)), np.arange(24) // 3
    scores = held_out_scores(rows[:12], rows[12:], groups=groups, folds=4)
    # The first fold holds the first source of either side.
    kept = ~np.isin(groups, [0, 4])
    labels = np.repeat([1, 0], 12)
    centre = (rows[kept & (labels == 1)].mean(axis=0) + rows[kept & (labels == 0)].mean(axis=0)) / 2
    centred = rows[kept] - centre
    penalty = np.mean(np.sum(centred**2, axis=1))
    gram = centred.T @ centred + penalty * np.eye(9)
    vector = np.linalg.solve(gram, centred.T @ np.where(labels[kept] == 1, 1 / 9, -1 / 9))
    np.testing.assert_allclose(scores[~kept], (rows[~kept] - centre) @ vector, atol=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_nothing_linear_is_left_after_erasure_and_the_change_is_the_least(classes):
    generator = np.random.default_rng(0)
    labels = np.arange(300) % classes
    centres = generator.normal(size=(classes, 7))
    mixing = generator.normal(size=(7, 7))
    rows = generator.normal(size=(300, 7)) @ mixing + 3 * centres[labels]
    erasure = leace(rows, labels)
    erased = erasure(rows)
    means = np.stack([erased[labels == label].mean(axis=0) for label in range(classes)])
    np.testing.assert_allclose(means, means[:1].repeat(classes, axis=0), atol=1e-9)
    assert LogisticRegression().fit(erased, labels).score(erased, labels) < 1 / classes + 0.02
    # The projection along differences of means also removes them, and moves the rows further.
    spans = np.linalg.qr((_means(rows, labels)[1:] - _means(rows, labels)[:1]).T)[0]
    projected = rows - (rows - rows.mean(axis=0)) @ spans @ spans.T
    sizes = [_mahalanobis(changed - rows, rows) for changed in (erased, projected)]
    assert sizes[0] < sizes[1]
    np.testing.assert_allclose(erasure(erased), erased, atol=1e-9)


def test_erasure_of_a_binary_label_is_the_papers_formula():
    generator = np.random.default_rng(4)
    rows = generator.normal(size=(5000, 4)) @ generator.normal(size=(4, 4))
    labels = (rows[:, 0] + generator.normal(size=5000) > 0).astype(int)
    covariance = np.cov(rows.T)
    values, vectors = np.linalg.eigh(covariance)
    whiten = vectors / np.sqrt(values) @ vectors.T
    cross = whiten @ ((rows - rows.mean(axis=0)).T @ (labels - labels.mean()))
    projector = np.linalg.inv(whiten) @ np.outer(cross, cross) @ whiten / (cross @ cross)
    expected = rows - (rows - rows.mean(axis=0)) @ projector.T
    # The shrunk covariance of 5,000 rows is nearly the covariance.
    np.testing.assert_allclose(leace(rows, labels)(rows), expected, atol=5e-2)


def test_random_erasures_move_as_far_as_the_one_that_they_stand_beside():
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(200, 9)) * np.arange(1, 10)
    erasure = leace(rows, rows[:, 3] > 0)
    others = generator.normal(size=(50, 9))
    sizes = np.linalg.norm(erasure(others) - others, axis=1)
    drawn = random_erasures(erasure, rows, 5, seed=0)
    for random in drawn:
        np.testing.assert_allclose(np.linalg.norm(random(others) - others, axis=1), sizes)
    assert len({random.write.tobytes() for random in drawn}) == 5


def test_the_score_after_an_erasure_is_that_of_the_changed_activations(model, network, inputs):
    first = keras.Model(model.inputs, model.get_layer("first").output).predict(inputs, verbose=0)
    erasure = leace(first.mean(axis=(1, 2)), np.arange(10) % 2)
    swapped = erasure.to(first[::2].mean(axis=(1, 2)))
    tail = keras.Model(model.get_layer("second").input, model.output)
    scores = scores_after(network, inputs, lab.logit(1), "first", [erasure, swapped])
    expected = [tail(tf.constant(change(first), tf.float32)).numpy()[:, 1] for change in (erasure, swapped)]
    np.testing.assert_allclose(scores, np.stack(expected, axis=1), atol=1e-5)


def test_default_layers_end_with_the_last_hidden_one(network):
    layers = default_layers(network, 2)
    assert layers[-1] == network.last_hidden() and len(set(layers)) == 2


def test_refusals_name_the_rule(network, inputs):
    with pytest.raises(lab.Refused, match="Nearest: first"):
        read_activations(network, Data(("a",), [np.zeros([12, 12, 3], "uint8")]), ["frist"])
    with pytest.raises(lab.Refused, match="of two classes or more"):
        leace(np.zeros([4, 2]), [1, 1, 1, 1])
    with pytest.raises(lab.Refused, match="which has 8"):
        scores_after(network, inputs, lab.logit(0), "second", [leace(np.eye(6), np.arange(6) % 2)])
    with pytest.raises(lab.Refused, match="'mean_difference'"):
        cav(np.eye(3), np.eye(3), fit="svm")


def _means(rows, labels):
    return np.stack([rows[labels == label].mean(axis=0) for label in np.unique(labels)])


def _mahalanobis(moved, rows):
    return np.mean(np.einsum("nc,cd,nd->n", moved, np.linalg.inv(np.cov(rows.T)), moved))


@pytest.mark.parametrize("name", [*textures, "mixed"])
def test_a_texture_is_drawn_by_its_seed(name):
    data = draw(name, 4, seed=1, side=48)
    assert len(data) == 4 and all(image.shape == (48, 48, 3) and image.dtype == np.uint8 for image in data.inputs)
    assert all(image.std() > 5 for image in data.inputs)
    for image, again, other in zip(
        data.inputs, draw(name, 4, seed=1, side=48).inputs, draw(name, 4, seed=2, side=48).inputs
    ):
        np.testing.assert_array_equal(image, again)
        assert (image != other).any()


def test_the_pool_of_textures_holds_no_concept():
    kinds = {name.partition("-")[0] for name in draw("mixed", 40, seed=0, side=16).names}
    assert kinds == set(textures.names(concept=False)) and "stripes" not in kinds
    with pytest.raises(lab.Refused, match="Nearest: stripes"):
        draw("strips", 3, seed=0)
