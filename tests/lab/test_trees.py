"""Trees: SHAP's values are the lab's own exact ones on the same model, and both questions are kept apart."""

import functools

import numpy as np
import pandas
import pytest
from sklearn import ensemble

import lab

pytest.importorskip("shap", exc_type=ImportError)

RNG = np.random.default_rng(0)
ROWS = pandas.DataFrame(RNG.normal(size=(120, 5)).astype("float32"), columns=list("abcde"))
# The fourth column goes with the first, and decides nothing.
ROWS["d"] = ROWS["a"] + 0.1 * ROWS["d"]
CLASSES = (ROWS["a"] * ROWS["b"] > 0).astype(int).to_numpy() + (ROWS["c"] > 1).astype(int).to_numpy()
REFERENCES = ROWS.to_numpy()[:20]


def asked(model, name, target=1, **options):
    network = lab.function(getattr(model, name), ROWS)
    exact = lab.explain(network, ROWS.head(6), target, method="exact_shapley", baselines=REFERENCES).maps
    record = lab.explain(
        network, ROWS.head(6), target, method="shap.interventional_trees", references=REFERENCES, **options
    )
    return record, exact


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (ensemble.RandomForestClassifier(8, random_state=0), "predict_proba"),
        (ensemble.ExtraTreesClassifier(8, random_state=0), "predict_proba"),
    ],
)
@pytest.mark.parametrize("target", [0, 1, 2])
def test_interventional_values_are_exact_shapley_values(model, name, target):
    record, exact = asked(model.fit(ROWS, CLASSES), name, target)
    np.testing.assert_allclose(record.maps, exact, atol=1e-5)
    assert np.abs(record.gap).max() < 1e-5


def test_a_boosted_model_is_explained_by_what_its_trees_add_up_to():
    """Values that shap gives for its probabilities are the sum's, rescaled, and no Shapley values of the probability."""
    model = ensemble.GradientBoostingClassifier(n_estimators=8, random_state=0).fit(ROWS, CLASSES > 0)
    record, exact = asked(model, "decision_function", lab.logit(0))
    np.testing.assert_allclose(record.maps, exact, atol=1e-4)
    with pytest.raises(lab.Refused, match="no sums over trees.*decision_function"):
        asked(model, "predict_proba")


BOOSTED = {
    "xgboost": ("XGBClassifier", {"max_depth": 3}, {"output_margin": True}),
    "lightgbm": ("LGBMClassifier", {"verbose": -1}, {"raw_score": True}),
}


@pytest.mark.parametrize("library", list(BOOSTED))
@pytest.mark.parametrize("classes", [2, 3])
def test_the_margins_of_boosting_libraries_have_exact_values(library, classes):
    name, settings, margin = BOOSTED[library]
    model = getattr(pytest.importorskip(library), name)(n_estimators=8, random_state=0, **settings)
    model.fit(ROWS, np.minimum(CLASSES, classes - 1))
    network = lab.function(functools.partial(model.predict, **margin), ROWS)
    assert network.name == f"{name}.predict"
    goal, rows = lab.logit(classes - 2), ROWS.head(6)
    exact = lab.explain(network, rows, goal, method="exact_shapley", baselines=REFERENCES).maps
    record = lab.explain(network, rows, goal, method="shap.interventional_trees", references=REFERENCES)
    np.testing.assert_allclose(record.maps, exact, atol=1e-4)
    with pytest.raises(lab.Refused, match="functools.partial"):
        lab.explain(lab.function(model.predict_proba, ROWS), rows, 1, method="shap.interventional_trees")


def test_a_regression_and_a_difference_of_classes():
    model = ensemble.RandomForestRegressor(8, random_state=0).fit(ROWS, ROWS["a"])
    record, exact = asked(model, "predict", "top")
    np.testing.assert_allclose(record.maps, exact, atol=1e-5)
    model = ensemble.RandomForestClassifier(8, random_state=0).fit(ROWS, CLASSES)
    record, exact = asked(model, "predict_proba", lab.logit(0) - 2 * lab.logit(2))
    np.testing.assert_allclose(record.maps, exact, atol=1e-5)


def test_conditional_values_answer_another_question():
    """A tree that never uses a column gives it nothing by either; where the column is used, its companion shares by paths."""
    model = ensemble.RandomForestRegressor(8, random_state=0).fit(ROWS, ROWS["a"] ** 2)
    network = lab.function(model.predict, ROWS)
    by_paths = lab.explain(network, ROWS.head(6), method="shap.conditional_trees").maps
    by_intervention = lab.explain(network, ROWS.head(6), method="shap.interventional_trees", references=REFERENCES).maps
    scores = model.predict(ROWS.head(6))
    expected = np.mean([tree.tree_.value[0, 0, 0] for tree in model.estimators_])
    np.testing.assert_allclose(by_paths.sum(axis=1), scores - expected, atol=1e-4)
    assert np.abs(by_paths - by_intervention).max() > 0.05


def test_what_is_no_tree_is_refused_with_what_to_give(small):
    from tests import networks

    network = lab.function(lambda rows: rows["a"], ROWS)
    with pytest.raises(lab.Refused, match="an ensemble whose method is given to lab.function. Received: function"):
        lab.explain(network, ROWS, method="shap.interventional_trees")
    with pytest.raises(lab.Refused, match="a Keras model, which can be asked for"):
        lab.explain(small, networks.images(1), method="shap.interventional_trees")
    model = ensemble.HistGradientBoostingClassifier(max_iter=4).fit(ROWS, CLASSES > 0)
    with pytest.raises(lab.Refused, match="no sums over trees"):
        lab.explain(lab.function(model.predict, ROWS), ROWS, method="shap.conditional_trees")
