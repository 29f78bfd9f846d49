"""What the test suites of shap and lime hold their methods to, asked of ours: the same questions, with answers in closed form."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

import lab

ROWS = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
SHAPLEY = {
    "exact_shapley": {},
    "kernel_shap": {"samples": 300},
    "permutation_shap": {"permutations": 20},
}


def maps_of(predict, rows, method, target=0, data=None, **options):
    computed = lab.function(predict, rows if data is None else data)
    return lab.explain(computed, rows, target, method=method, **{**SHAPLEY.get(method, {}), **options})


@pytest.mark.parametrize("method", SHAPLEY)
def test_a_model_that_says_zero_has_values_of_zero(method):
    record = maps_of(lambda rows: np.zeros(len(rows)), ROWS[:3], method, data=ROWS)
    assert not np.any(record.maps) and not np.any(record.scores)


@pytest.mark.parametrize("method", SHAPLEY)
def test_a_linear_regression_is_coefficient_times_difference_from_the_mean(method):
    inputs, targets = load_diabetes(return_X_y=True)
    # Six columns, of which all coalitions can be drawn.
    inputs = inputs[:, :6].astype("float32")
    fitted = LinearRegression().fit(inputs, targets)
    record = maps_of(fitted.predict, inputs[:5], method, data=inputs)
    expected = (inputs[:5] - inputs.mean(axis=0)) * fitted.coef_
    assert np.allclose(record.maps, expected, atol=2e-2)
    assert np.allclose(record.maps.sum(axis=1), record.scores - fitted.predict(inputs).mean(), atol=2e-2)


@pytest.mark.parametrize("method", SHAPLEY)
def test_what_equals_the_reference_and_what_never_changes_has_no_value(method):
    rows = ROWS.copy()
    rows[:, 4] = 3
    record = maps_of(
        lambda x: x[:, 0] * x[:, 1] + x[:, 4] ** 2 + x[:, 5], rows[:4], method, data=rows, baseline=rows[0]
    )
    assert np.abs(record.maps[0]).max() < 1e-5
    assert np.abs(record.maps[:, [2, 3, 4]]).max() < 1e-5
    assert np.abs(record.maps[1:, [0, 1, 5]]).min() > 1e-4


@pytest.mark.parametrize("method", SHAPLEY)
def test_every_class_of_a_classifier_adds_up_and_probabilities_add_to_nothing(method):
    inputs, targets = load_iris(return_X_y=True)
    inputs = inputs.astype("float32")
    fitted = LogisticRegression(max_iter=1000).fit(inputs, targets)
    records = [maps_of(fitted.predict_proba, inputs[::30], method, target, data=inputs) for target in range(3)]
    for record in records:
        assert np.allclose(record.maps.sum(axis=1), record.scores - record.baseline_scores, atol=1e-4)
    assert np.abs(sum(record.maps for record in records)).max() < 1e-4


@pytest.mark.parametrize("method", SHAPLEY)
def test_one_column_gets_the_whole_difference(method):
    rows = ROWS[:, :1]
    record = maps_of(lambda x: np.exp(x[:, 0]), rows[:3], method, data=rows)
    assert np.allclose(record.maps[:, 0], np.exp(rows[:3, 0]) - np.exp(rows.mean()), rtol=1e-4)


@pytest.mark.parametrize("method", SHAPLEY)
def test_a_column_that_is_there_twice_shares_with_its_copy(method):
    rows = np.c_[ROWS[:, :2], ROWS[:, 1]]
    record = maps_of(lambda x: x[:, 0] + np.maximum(x[:, 1], x[:, 2]), rows[:4], method, data=rows, baseline=0.0)
    assert np.allclose(record.maps[:, 1], record.maps[:, 2], atol=1e-4)


def test_several_references_are_the_mean_over_each():
    def predict(rows):
        return rows[:, 0] * rows[:, 1]

    both = maps_of(predict, ROWS[:3], "exact_shapley", data=ROWS, baselines=ROWS[10:14])
    parts = [maps_of(predict, ROWS[:3], "exact_shapley", data=ROWS, baseline=row) for row in ROWS[10:14]]
    assert np.allclose(both.maps, np.mean([part.maps for part in parts], axis=0), atol=1e-5)


def test_interactions_add_up_to_the_values_and_are_symmetric():
    def predict(rows):
        return rows[:, 0] * rows[:, 1] + 2 * rows[:, 2]

    computed = lab.function(predict, ROWS)
    pairs = lab.shapley_interactions(computed, ROWS[:3], baseline=0.0)
    assert np.allclose(pairs, np.swapaxes(pairs, 1, 2), atol=1e-6, equal_nan=True)
    assert np.allclose(pairs[:, 0, 1], ROWS[:3, 0] * ROWS[:3, 1], atol=1e-5)
    others = [pairs[:, first, second] for first in range(6) for second in range(first) if (first, second) != (1, 0)]
    assert np.abs(others).max() < 1e-5


def test_lime_puts_the_columns_of_a_linear_model_in_their_order():
    coefficients = np.float32([5, -3, 2, 1, 0, 0])
    record = maps_of(lambda x: x @ coefficients, ROWS[:3] + 2, "lime", data=ROWS + 2, samples=400)
    slopes = record.maps / (ROWS[:3] - ROWS.mean(axis=0))
    assert (np.abs(np.median(slopes, axis=0)[:4]).argsort()[::-1] == np.arange(4)).all()
    assert np.abs(record.maps[:, 4:]).max() < 0.05 * np.abs(record.maps).max()
    assert (record.fits > 0.95).all()


def test_lime_names_the_petals_of_iris():
    inputs, targets = load_iris(return_X_y=True)
    inputs = inputs.astype("float32")
    fitted = RandomForestClassifier(100, random_state=0).fit(inputs, targets)
    record = maps_of(fitted.predict_proba, inputs[[10, 20, 30]], "lime", data=inputs, samples=500)
    assert {int(place) for place in np.abs(record.maps).argmax(axis=1)} <= {2, 3}


def test_lime_is_the_same_with_its_seed_and_another_with_another():
    def predict(rows):
        return np.sin(3 * rows).sum(axis=1)

    one, again, other = (
        maps_of(predict, ROWS[:2], "lime", data=ROWS, samples=60, seed=seed).maps for seed in (0, 0, 1)
    )
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_a_word_that_decides_a_text_is_named_by_both():
    texts = ["this is a good movie", "the plot was bad and long"]

    def score(lines):
        return [2.0 * ("good" in line.split()) - 1.0 * ("bad" in line.split()) for line in lines]

    computed = lab.function(score, texts)
    for method, options in (("lime", {"samples": 200}), ("kernel_shap", {"samples": 200})):
        record = lab.explain(computed, computed.tokenize(texts), method=method, **options)
        places = np.abs(record.maps).argmax(axis=1)
        words = [computed.words(record.inputs)[row][place] for row, place in enumerate(places)]
        assert words == ["good", "bad"] and record.maps[0, places[0]] > 0 > record.maps[1, places[1]], method
