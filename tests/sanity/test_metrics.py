"""Metrics, removals and localisations against definitions and closed forms."""

import dataclasses

import keras
import numpy as np
import pytest
from scipy.stats import spearmanr

import lab
from lab import routines
from lab.attribution import explainers
from sanity.bound_explainer import BoundExplainer, add_noise
from sanity.checks import checks
from sanity.localisation import localisations, relevances, signed_relevances
from sanity.metrics import metrics
from sanity.removal import cell_masks, extent, fills, grid, orders, original_scores, scores, top_mask
from sanity.seeds import derive_seed
from sanity.subject import Subject, world_subject
from sanity.worlds import worlds
from tests import networks


@pytest.fixture(scope="module")
def linear():
    return world_subject(worlds.get("linear")(), seed=0, images=16)


def measure(subject, explainer, name, seed=0):
    bound = BoundExplainer(explainer, subject, seed, {})
    return metrics.get(name)(bound, bound.maps(), seed)


def exact_falls(network, inputs, objective):
    """What filling with the mean takes from a linear network, position by position."""
    mean = inputs.mean(axis=(1, 2, 3), keepdims=True)
    return lab.gradient(network, inputs, objective) * (inputs - mean)


def wrong(network, inputs, objective):
    return -exact_falls(network, inputs, objective)


@pytest.mark.parametrize("name", ["sensitivity_n", "faithfulness_correlation", "faithfulness_estimate"])
def test_foretelling_is_perfect_where_the_map_is_the_answer(linear, name):
    np.testing.assert_allclose(measure(linear, exact_falls, name), 1, atol=1e-4)
    np.testing.assert_allclose(measure(linear, wrong, name), -1, atol=1e-4)


def test_infidelity_is_zero_for_a_linear_gradient_and_one_for_nothing(linear):
    np.testing.assert_allclose(measure(linear, lab.gradient, "infidelity"), 0, atol=1e-8)
    assert measure(linear, lambda n, x, o: np.zeros_like(x), "infidelity") == pytest.approx(np.ones(16))


def test_monotone_and_selective_where_the_order_is_right(linear):
    def positive_falls(network, inputs, objective):
        return np.maximum(exact_falls(network, inputs, objective), 0)

    right, backward = (
        measure(linear, positive_falls, "selectivity"),
        measure(linear, lambda *a: 1 / (positive_falls(*a) + 1e-3), "selectivity"),
    )
    assert right.mean() < backward.mean()
    assert measure(linear, lab.gradient, "relative_output_stability").max() == 0
    assert measure(linear, lab.gradient, "max_sensitivity").max() < 1e-6


def test_sensitivities_are_those_of_their_definition(linear):
    """A map that is the input moves as the input does: Lipschitz constant one, relative input stability one."""

    def input_itself(network, inputs, objective):
        return inputs.copy()

    np.testing.assert_allclose(measure(linear, input_itself, "local_lipschitz"), 1, rtol=1e-5)
    np.testing.assert_allclose(measure(linear, input_itself, "relative_input_stability"), 1, rtol=1e-5)
    assert np.all(
        measure(linear, input_itself, "average_sensitivity") <= measure(linear, input_itself, "max_sensitivity")
    )


def test_monotonicity_correlation_is_spearmans_of_the_squared_change_from_the_score_itself(linear):
    """The slow definition, on a map with ties: noise in place of a cell changes the mean score too, not its scatter alone."""

    def coarse(network, inputs, objective):
        return np.round(np.abs(exact_falls(network, inputs, objective)), 1)

    correlations, maps = (
        measure(linear, coarse, "monotonicity_correlation"),
        coarse(linear.network, linear.inputs, linear.objective),
    )
    rng, before = np.random.default_rng(derive_seed(0, "monotonicity correlation")), original_scores(linear)
    values, squares, scatter = [], [], []
    for mask in cell_masks(grid(maps.shape[1:-1])):
        drawn = np.array([scores(linear, np.broadcast_to(mask, maps.shape[:-1]), "uniform", rng) for _ in range(4)])
        values.append(maps[:, mask].sum(axis=(1, 2)))
        squares.append(((drawn - before) ** 2).mean(axis=0))
        scatter.append(drawn.var(axis=0))
    values, squares, scatter = np.array(values), np.array(squares), np.array(scatter)
    assert len(np.unique(values[:, 0])) < len(values)
    np.testing.assert_allclose(
        correlations, [spearmanr(a, b).statistic for a, b in zip(values.T, squares.T)], atol=1e-6
    )
    assert not np.allclose(correlations, [spearmanr(a, b).statistic for a, b in zip(values.T, scatter.T)], atol=0.01)


def branched_network(head=None):
    """Two hidden layers of unlike size before the logits, a branch beside them, and at will a softmax as a layer of its own."""
    inputs = keras.Input((6,))
    x = keras.layers.Dense(9, activation="relu", name="first")(inputs)
    x = keras.layers.Dense(5, activation="tanh", name="second")(x)
    x = keras.layers.Dense(3, name="logits")(keras.layers.Dropout(0.5, name="dropout")(x))
    return keras.Model(inputs, keras.layers.Softmax(name="probabilities")(x) if head else x, name="branched")


@pytest.mark.parametrize("head", [None, "softmax"])
def test_representations_are_those_that_feed_the_logits_whatever_comes_after(head):
    network = networks.network(networks.filled(branched_network(head)))
    inputs = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    feeding = routines.activations(network, inputs, network.last_hidden())
    kernel, bias = network.model.get_layer("logits").get_weights()
    np.testing.assert_allclose(feeding @ kernel + bias, routines.logits(network, inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name, represented, absolute",
    [
        ("relative_input_stability", lambda network, x: x, False),
        ("relative_output_stability", routines.logits, True),
        ("relative_representation_stability", lambda network, x: routines.activations(network, x, "second"), False),
    ],
)
def test_relative_stabilities_by_their_slow_definition_where_the_prediction_stays(name, represented, absolute):
    network = networks.network(networks.filled(branched_network()))
    rng = np.random.default_rng(1)
    # From samples well inside a class to samples on the border of two.
    inputs = rng.normal(size=(40, 6)).astype("float32")
    logits = np.sort(routines.logits(network, inputs), axis=1)
    order = np.argsort(logits[:, -1] - logits[:, -2])
    inputs = inputs[[*order[:6], *order[-6:]]]
    top = routines.logits(network, inputs).argmax(axis=1)
    subject = Subject(network, inputs, lab.logit(top.tolist()), tuple("abcdefghijkl"), classes=3)
    stability, maps = measure(subject, lab.gradient, name), lab.gradient(network, inputs, subject.objective)
    expected, left = np.full(12, -np.inf), 0
    for turn in range(8):
        noisy = add_noise(inputs, derive_seed(0, "robustness noise", turn), 0.02)
        stays = routines.logits(network, noisy).argmax(axis=1) == top
        left += (~stays).sum()
        moved = np.linalg.norm(lab.gradient(network, noisy, subject.objective) - maps, axis=1) / np.linalg.norm(
            maps, axis=1
        )
        before = represented(network, inputs)
        change = np.linalg.norm(represented(network, noisy) - before, axis=1)
        change = change if absolute else change / np.linalg.norm(before, axis=1)
        expected = np.where(stays, np.maximum(expected, moved / change), expected)
    assert left > 0, "a test in which every prediction stays could not fail"
    np.testing.assert_allclose(stability, np.where(np.isfinite(expected), expected, np.nan), rtol=1e-3)


def test_focus_needs_another_class_beside_the_sample(linear):
    focus = measure(linear, explainers.get("input_magnitude"), "focus")
    assert np.isfinite(focus).all()
    alone = dataclasses.replace(linear, objective=lab.logit([0] * 16))
    assert np.isnan(measure(alone, lab.gradient_x_input, "focus")).all()
    single_pixel = dataclasses.replace(linear, inputs=linear.inputs[:1], names=("a",), objective=lab.logit([0]))
    assert np.isnan(measure(single_pixel, lab.gradient_x_input, "focus")).all()


def test_complexity_of_one_and_of_all(linear):
    def single_pixel(network, inputs, objective):
        maps = np.zeros_like(inputs)
        maps[:, 2, 3] = 5
        return maps

    def even_map(network, inputs, objective):
        return np.ones_like(inputs)

    assert measure(linear, single_pixel, "complexity") == pytest.approx(np.zeros(16))
    assert measure(linear, even_map, "complexity") == pytest.approx(np.full(16, np.log(36)))
    assert measure(linear, single_pixel, "sparseness") == pytest.approx(np.full(16, 35 / 36))
    assert measure(linear, even_map, "sparseness") == pytest.approx(np.zeros(16), abs=1e-9)
    assert (
        measure(linear, single_pixel, "effective_complexity")[0] == 1
        and measure(linear, even_map, "effective_complexity")[0] == 36
    )


def test_non_sensitivity_counts_cells_that_do_not_match(linear):
    """The exact map of a linear network: relevance where there is an effect, and nowhere else, but for cells below a hundredth."""
    assert measure(linear, exact_falls, "non_sensitivity").mean() < 0.02
    assert measure(linear, explainers.get("constant"), "non_sensitivity").mean() == pytest.approx(32 / 36, abs=0.05)


def test_average_drop_increase_and_gain_of_showing_everything_and_nothing(linear):
    def even_map(network, inputs, objective):
        maps = np.ones_like(inputs)
        maps[:, 0, 0] = 0
        return maps

    assert measure(linear, even_map, "average_drop").max() < 0.2
    assert set(np.unique(measure(linear, even_map, "average_increase"))) <= {0.0, 1.0}
    assert (measure(linear, exact_falls, "average_gain") >= 0).all()


def test_every_metric_is_listed_documented_and_runs():
    subject = world_subject(worlds.get("template")(), seed=0, images=8)
    evidence = checks.get("measurements")(explainers.get("gradient"), subject, seed=0)
    assert set(evidence.samples) == set(metrics) and len(metrics.names()) >= 28
    for name, values in evidence.samples.items():
        assert values.shape == (8,) and np.isfinite(values).any(), name
        assert "http" in metrics.get(name).__doc__, name
    with pytest.raises(ValueError, match="Unknown metric.*sparseness"):
        checks.get("measurements")(explainers.get("gradient"), subject, seed=0, chosen=("sparsenes",))


# Localisation -------------------------------------------------------------------------------------------------------------

MASK = np.zeros((6, 6), bool)
MASK[1:3, 2:5] = True


@pytest.mark.parametrize("name", list(localisations))
def test_the_mask_itself_scores_one_and_its_opposite_none(name):
    score = localisations.get(name)
    if name != "top_k":
        assert score(MASK * 1.0, MASK) == 1 and score(~MASK * 1.0, MASK) == 0
    else:
        assert score(MASK * 1.0, MASK, k=6) == 1


@pytest.mark.parametrize(
    "name, expected", [("mass", 6 / 36), ("rank", 6 / 36), ("pointing", 6 / 36), ("auc", 0.5), ("top_k", 6 / 36)]
)
def test_a_constant_map_gets_the_share_of_the_area_and_never_a_hit(name, expected):
    moved = np.roll(MASK, 2, axis=0)
    for mask in (MASK, moved):
        assert localisations.get(name)(np.ones((6, 6)), mask) == pytest.approx(expected)


def test_an_empty_mask_and_an_empty_map_have_no_answer():
    empty = np.zeros((6, 6), bool)
    for name in localisations:
        assert np.isnan(localisations.get(name)(np.random.default_rng(0).random((6, 6)), empty)), name
    assert np.isnan(localisations.get("mass")(np.zeros((6, 6)), MASK))


def test_maps_come_to_the_shape_of_masks():
    maps = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype("float32")
    np.testing.assert_allclose(relevances(maps, (2, 6, 6)), np.linalg.norm(maps, axis=-1), rtol=1e-6)
    np.testing.assert_allclose(signed_relevances(maps, (2, 6, 6)), maps.sum(-1), rtol=1e-5, atol=1e-6)
    rows = np.random.default_rng(0).normal(size=(2, 9, 3)).astype("float32")
    np.testing.assert_allclose(signed_relevances(rows, (2, 9)), rows.sum(-1), rtol=1e-5, atol=1e-6)
    assert relevances(maps[..., 0][:, ::2, ::2], (2, 6, 6)).shape == (2, 6, 6)


# Removal ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(fills))
def test_fills_change_holes_and_nothing_else(name):
    rng = np.random.default_rng(0)
    inputs = rng.uniform(-1, 1, (3, 12, 12, 2)).astype("float32")
    removed = rng.random((3, 12, 12)) < 0.3
    filled = fills.get(name)(inputs, removed, np.random.default_rng(1))
    assert np.array_equal(filled[~removed], inputs[~removed]) and np.isfinite(filled).all()
    assert np.mean(filled[removed] != inputs[removed]) > 0.95
    assert np.array_equal(fills.get(name)(inputs, np.zeros_like(removed), np.random.default_rng(1)), inputs)


def test_linear_imputation_solves_its_system():
    """Each hole is the weighted mean of its neighbours (but for the noise): a plane comes back as it was."""
    row, column = np.mgrid[:9, :9]
    image = (0.5 * row - 0.2 * column)[None, ..., None].astype("float64")
    removed = np.zeros((1, 9, 9), bool)
    removed[0, 3:6, 3:7] = True
    filled = fills.get("linear")(np.where(removed[..., None], 99.0, image), removed, np.random.default_rng(0), noise=0)
    np.testing.assert_allclose(filled, image, atol=1e-3)
    with pytest.raises(ValueError, match="for images"):
        fills.get("linear")(np.zeros((2, 9, 1)), np.zeros((2, 9), bool), np.random.default_rng(0))


def test_orders_run_from_most_to_least_and_ties_fall_anywhere():
    relevance = np.array([[3.0, 1.0, 2.0, 2.0]])
    order = orders(relevance, np.random.default_rng(0))
    assert order[0, 0] == 0 and order[0, -1] == 1
    drawn = {tuple(orders(relevance, np.random.default_rng(seed))[0]) for seed in range(20)}
    assert drawn == {(0, 2, 3, 1), (0, 3, 2, 1)}
    assert top_mask(order, 0.5, (1, 4)).sum() == 2 and top_mask(order, 0.25, (1, 4)).tolist() == [
        [True, False, False, False]
    ]


def test_scores_after_removal_are_those_of_the_filled_inputs(linear):
    removed = np.zeros((16, *extent(linear.inputs)), bool)
    rng = np.random.default_rng(0)
    before = scores(linear, removed, "mean", rng)
    removed[:, 0, 1] = True
    fall = before - scores(linear, removed, "mean", rng)
    expected = exact_falls(linear.network, linear.inputs, linear.objective)[:, 0, 1, 0]
    np.testing.assert_allclose(fall, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["average_drop", "average_gain"])
def test_a_sigmoid_for_each_class_has_probabilities_of_its_own(name):
    inputs = keras.Input((6,))
    network = networks.network(networks.filled(keras.Model(inputs, keras.layers.Dense(4, "sigmoid")(inputs))))
    x = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
    target = [0, 1, 2, 3, 1]
    subject = Subject(network, x, lab.class_score(target), tuple("abcde"), classes=4)
    shown = np.abs(lab.gradient(network, x, subject.objective))
    weight = (shown - shown.min(1, keepdims=True)) / np.ptp(shown, axis=1, keepdims=True)
    mixed = weight * x + (1 - weight) * x.mean(axis=0, keepdims=True)
    before, after = (np.asarray(network.model(inputs))[np.arange(5), target] for inputs in (x, mixed))
    expected = {"average_drop": (before - after) / before, "average_gain": (after - before) / (1 - before)}[name]
    np.testing.assert_allclose(measure(subject, lab.gradient, name), np.maximum(expected, 0), rtol=1e-3, atol=1e-5)


def test_metrics_ask_the_output_that_is_explained():
    """Of two outputs, the first of which never changes: what another predicts is not what decides."""
    inputs = keras.Input((6,))
    still = keras.layers.Dense(3, kernel_initializer="zeros", name="still")(inputs)
    model = keras.Model(inputs, {"still": still, "asked": keras.layers.Dense(3, name="asked")(inputs)})
    network = networks.network(model)
    model.get_layer("asked").set_weights([10 * np.random.default_rng(0).normal(size=(6, 3)), np.zeros(3)])
    model.get_layer("still").set_weights([np.zeros((6, 3)), np.arange(3.0)])
    assert next(iter(network.outputs)) != "asked"
    x = np.random.default_rng(1).normal(size=(8, 6)).astype("float32")
    top = routines.outputs(network, x)["asked"].argmax(axis=1).tolist()
    subject = Subject(network, x, lab.logit(top, output="asked"), tuple("abcdefgh"), classes=3, output="asked")
    alone = networks.network(keras.Model(inputs, model.get_layer("asked").output))
    single = Subject(alone, x, lab.logit(top), tuple("abcdefgh"), classes=3)
    for name in ("relative_output_stability", "relative_input_stability", "sufficiency", "average_drop"):
        expected = measure(single, lab.gradient_x_input, name)
        np.testing.assert_allclose(measure(subject, lab.gradient_x_input, name), expected, rtol=1e-3, err_msg=name)
        assert np.ptp(expected) > 0
