"""Permutation importance beside scikit-learn's, on a population whose importance is known, and with groups of rows."""

import keras
import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.inspection import permutation_importance as sklearn_importance

import lab
from lab.importance import METRICS, _fall, _givers

WEIGHTS = np.array([1.5, -0.5, 0.2, 0.0])


@pytest.fixture(scope="module")
def network():
    """A classifier whose logit is a sum of columns, of which it does not use the last."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, "sigmoid")])
    model.layers[0].set_weights([WEIGHTS[:, None].astype("float32"), np.zeros(1, "float32")])
    return lab.load(model)


def draw(count, rng):
    """Rows of the population, and their labels."""
    rows = rng.normal(size=(count, 4)).astype("float32")
    labels = (rows @ [1.5, -0.5, 0.0, 0.0] + rng.logistic(size=count) > 0).astype(int)
    return rows, labels


class Classifier(ClassifierMixin, BaseEstimator):
    """The Keras model as an estimator of scikit-learn."""

    def __init__(self, model=None):
        self.model = model

    def fit(self, rows, labels):
        """Nothing to fit."""
        self.classes_ = np.unique(labels)
        return self

    def predict(self, rows):
        return (np.asarray(self.model(rows))[:, 0] > 0.5).astype(int)


def test_values_are_those_of_scikit_learn(network):
    rows, labels = draw(300, np.random.default_rng(0))
    ours = lab.permutation_importance(network, rows, labels, repeats=60)
    estimator = Classifier(network.model).fit(rows, labels)
    theirs = sklearn_importance(estimator, rows, labels, scoring="accuracy", n_repeats=60, random_state=1)
    noise = 4 * np.sqrt((theirs.importances_std**2 + ours.falls.std(axis=1) ** 2) / 60) + 1e-9
    # Theirs may give a row its own value, one time in 300.
    assert (np.abs(ours.values - theirs.importances_mean * 300 / 299) <= noise).all()
    assert ours.score == pytest.approx(estimator.score(rows, labels)) and ours.falls.shape == (4, 60)
    assert ours.values[3] == 0 and ours.errors[3] == 0 and ours.values[0] > 0.15
    np.testing.assert_allclose(ours.intervals.mean(axis=1), ours.values)


def scores(rows):
    logit = rows @ WEIGHTS
    return np.stack([0 * logit, logit], axis=1)


def falls(rows, labels, sources, rng, measure):
    """Mean falls and errors of the first three columns: float64 [3, 2]."""
    correct = np.eye(2, dtype=bool)[labels]
    before, results = measure(correct, scores(rows)), []
    for column in range(3):
        givers, after = [_givers(sources, rng) for _ in range(5)], []
        for order in givers:
            mixed = rows.copy()
            mixed[:, column] = rows[order, column]
            after.append(measure(correct, scores(mixed)))
        results.append(_fall(before, np.stack(after), np.stack(givers), sources)[:2])
    return np.array(results)


@pytest.mark.parametrize("alike", [1, 4])
@pytest.mark.parametrize("metric", METRICS)
def test_errors_cover_what_holds_of_all_rows(metric, alike):
    """Of rows drawn anew; four rows of a group are nearly the same, and count as one."""
    rng, measure = np.random.default_rng(0), METRICS[metric]
    rows, labels = draw(100_000, rng)
    truth = falls(rows, labels, np.arange(len(rows)), rng, measure)[:, 0]
    covered = []
    for _ in range(150):
        rows, labels = (np.repeat(values, alike, axis=0) for values in draw(80, rng))
        rows = rows + np.float32(0.01) * rng.normal(size=rows.shape).astype("float32")
        values, errors = falls(rows, labels, np.repeat(np.arange(80), alike), rng, measure).T
        covered.append(np.abs(values - truth) <= 1.99 * errors)
    assert 0.90 <= np.mean(covered) <= 0.98


def test_no_row_gets_a_part_of_its_own_group():
    rng = np.random.default_rng(0)
    for sources in (np.arange(7), np.repeat(np.arange(4), [1, 5, 3, 2]), np.array([0, 1, 0, 1])):
        for _ in range(50):
            givers = _givers(sources, rng)
            assert sorted(givers) == list(range(len(sources))) and (sources[givers] != sources).all()
    # Every other row gives alike often.
    counts = sum((_givers(np.arange(5), rng)[:, None] == np.arange(5)).astype(int) for _ in range(4000))
    np.testing.assert_allclose(counts / 4000, (1 - np.eye(5)) / 4, atol=0.03)


def test_a_column_that_is_one_customers_is_found_across_customers(network):
    """The label is the customer's column, which never varies within him."""
    rng = np.random.default_rng(1)
    rows = np.repeat(rng.normal(size=(30, 4)), 5, axis=0).astype("float32")
    labels = (rows[:, 0] > 0).astype(int)
    across = lab.permutation_importance(network, rows, labels, groups=np.repeat(np.arange(30), 5), repeats=3)
    assert across.values[0] > 0.2 and across.intervals[0, 0] > 0
    single = lab.permutation_importance(network, rows, labels, repeats=3)
    assert across.errors[0] > 1.5 * single.errors[0]


def test_parts_names_and_metrics(network):
    rows, labels = draw(60, np.random.default_rng(0))
    record = lab.permutation_importance(network, rows, labels, names=["age", "income", "rent", "rest"])
    lines = repr(record).splitlines()
    assert lines[0].startswith("Fall of accuracy from 0.") and lines[1].split()[0] == "age" and len(lines) == 5
    together = lab.permutation_importance(network, rows, labels, players=np.array([0, 0, 1, -1]), repeats=2)
    assert together.values.shape == (2,) and together.values[0] >= record.values[1]

    def certainty(correct, logits):
        return np.where(correct, logits, 0).sum(axis=1)

    by_hand = lab.permutation_importance(network, rows, labels, metric=certainty, repeats=2)
    assert by_hand.metric == "certainty" and by_hand.values[0] > 0
    likely = lab.permutation_importance(network, rows, labels, metric="log_likelihood", repeats=2)
    logits = rows @ WEIGHTS
    assert likely.score == pytest.approx(np.mean(-np.log1p(np.exp(np.where(labels, -logits, logits)))), abs=1e-5)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"labels": [0, 1]}, "2 labels for 6 samples"),
        ({"labels": ["spam"] * 6}, "spam"),
        ({"groups": [0, 1]}, "2 groups for 6 samples"),
        ({"groups": [0, 0, 0, 0, 1, 2]}, "4 of 6 samples in one group"),
        ({"players": "superpixels"}, "Use players='patches'"),
        ({"players": np.zeros(3, int)}, "map of players"),
        ({"names": ["a"]}, "1 names for 4 parts"),
        ({"metric": "auc"}, "metric is one of accuracy, log_likelihood"),
        ({"metric": lambda correct, logits: 0.5}, "one finite number a sample"),
        ({"repeats": 0}, "repeats is a whole number"),
    ],
)
def test_bad_input_is_refused(network, options, words):
    rows = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    with pytest.raises(lab.Refused, match=words):
        lab.permutation_importance(network, rows, options.pop("labels", [0, 1, 0, 1, 1, 0]), **options)


def test_few_groups_allow_no_interval(network):
    """Two groups give to each other alone, and had an interval of no width."""
    rows, labels = draw(120, np.random.default_rng(2))
    few = lab.permutation_importance(network, rows, labels, groups=np.repeat([0, 1], 60), repeats=3)
    assert np.isnan(few.errors).all() and np.isnan(few.intervals).all() and few.values[0] > 0
    assert "too few samples or groups for an interval" in repr(few) and "nan" not in repr(few)
    several = lab.permutation_importance(network, rows, labels, groups=np.repeat(np.arange(6), 20), repeats=3)
    assert np.isfinite(several.intervals).all()
