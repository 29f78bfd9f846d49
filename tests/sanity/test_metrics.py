"""Metrics, removals and localisations against definitions and closed forms."""

import numpy as np
import pytest

import lab
from lab.attribution import explainers
from sanity.checks import checks
from sanity.localisation import lift, localisations, relevances, signed
from sanity.metrics import metrics
from sanity.removal import extent, fills, first, orders, scores
from sanity.subject import planted
from sanity.viewer import Viewer
from sanity.worlds import worlds


@pytest.fixture(scope="module")
def linear():
    return planted(worlds.get("linear")(), seed=0, images=16)


def measured(subject, explainer, name, seed=0):
    viewer = Viewer(explainer, subject, seed, {})
    return metrics.get(name)(viewer, viewer.maps(), seed)


def exact(network, inputs, objective):
    """What filling with the mean takes from a linear network, position by position."""
    mean = inputs.mean(axis=(1, 2, 3), keepdims=True)
    return lab.gradient(network, inputs, objective) * (inputs - mean)


def wrong(network, inputs, objective):
    return -exact(network, inputs, objective)


@pytest.mark.parametrize("name", ["sensitivity_n", "faithfulness_correlation", "faithfulness_estimate"])
def test_foretelling_is_perfect_where_the_map_is_the_answer(linear, name):
    np.testing.assert_allclose(measured(linear, exact, name), 1, atol=1e-4)
    np.testing.assert_allclose(measured(linear, wrong, name), -1, atol=1e-4)


def test_infidelity_is_zero_for_a_linear_gradient_and_one_for_nothing(linear):
    np.testing.assert_allclose(measured(linear, lab.gradient, "infidelity"), 0, atol=1e-8)
    assert measured(linear, lambda n, x, o: np.zeros_like(x), "infidelity") == pytest.approx(np.ones(16))


def test_monotone_and_selective_where_the_order_is_right(linear):
    def clipped(network, inputs, objective):
        return np.maximum(exact(network, inputs, objective), 0)

    right, backward = (
        measured(linear, clipped, "selectivity"),
        measured(linear, lambda *a: 1 / (clipped(*a) + 1e-3), "selectivity"),
    )
    assert right.mean() < backward.mean()
    assert measured(linear, lab.gradient, "relative_output_stability").max() == 0
    assert measured(linear, lab.gradient, "max_sensitivity").max() < 1e-6


def test_sensitivities_are_those_of_their_definition(linear):
    """A map that is the input moves as the input does: Lipschitz constant one, relative input stability one."""

    def itself(network, inputs, objective):
        return inputs.copy()

    np.testing.assert_allclose(measured(linear, itself, "local_lipschitz"), 1, rtol=1e-5)
    np.testing.assert_allclose(measured(linear, itself, "relative_input_stability"), 1, rtol=1e-5)
    assert np.all(measured(linear, itself, "average_sensitivity") <= measured(linear, itself, "max_sensitivity"))


def test_complexity_of_one_and_of_all(linear):
    def one(network, inputs, objective):
        maps = np.zeros_like(inputs)
        maps[:, 2, 3] = 5
        return maps

    def even(network, inputs, objective):
        return np.ones_like(inputs)

    assert measured(linear, one, "complexity") == pytest.approx(np.zeros(16))
    assert measured(linear, even, "complexity") == pytest.approx(np.full(16, np.log(36)))
    assert measured(linear, one, "sparseness") == pytest.approx(np.full(16, 35 / 36))
    assert measured(linear, even, "sparseness") == pytest.approx(np.zeros(16), abs=1e-9)
    assert (
        measured(linear, one, "effective_complexity")[0] == 1
        and measured(linear, even, "effective_complexity")[0] == 36
    )


def test_non_sensitivity_counts_cells_that_do_not_match(linear):
    """The exact map of a linear network: relevance where there is an effect, and nowhere else, but for cells below a hundredth."""
    assert measured(linear, exact, "non_sensitivity").mean() < 0.02
    assert measured(linear, explainers.get("constant"), "non_sensitivity").mean() == pytest.approx(32 / 36, abs=0.05)


def test_average_drop_increase_and_gain_of_showing_everything_and_nothing(linear):
    def even(network, inputs, objective):
        maps = np.ones_like(inputs)
        maps[:, 0, 0] = 0
        return maps

    assert measured(linear, even, "average_drop").max() < 0.2
    assert set(np.unique(measured(linear, even, "average_increase"))) <= {0.0, 1.0}
    assert (measured(linear, exact, "average_gain") >= 0).all()


def test_every_metric_is_listed_documented_and_runs():
    found = planted(worlds.get("template")(), seed=0, images=8)
    evidence = checks.get("measurements")(explainers.get("gradient"), found, seed=0)
    assert set(evidence.samples) == set(metrics) and len(metrics.names()) >= 28
    for name, values in evidence.samples.items():
        assert values.shape == (8,) and np.isfinite(values).any(), name
        assert "http" in metrics.get(name).__doc__, name
    with pytest.raises(ValueError, match="Unknown metric.*sparseness"):
        checks.get("measurements")(explainers.get("gradient"), found, seed=0, chosen=("sparsenes",))


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
    assert lift(np.ones((6, 6)), MASK) == pytest.approx(1)


def test_an_empty_mask_and_an_empty_map_have_no_answer():
    empty = np.zeros((6, 6), bool)
    assert np.isnan(localisations.get("auc")(np.ones((6, 6)), empty))
    assert np.isnan(localisations.get("mass")(np.zeros((6, 6)), MASK))


def test_maps_come_to_the_shape_of_masks():
    maps = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype("float32")
    np.testing.assert_allclose(relevances(maps, (2, 6, 6)), np.linalg.norm(maps, axis=-1), rtol=1e-6)
    np.testing.assert_allclose(signed(maps, (2, 6, 6)), maps.sum(-1), rtol=1e-5, atol=1e-6)
    rows = np.random.default_rng(0).normal(size=(2, 9, 3)).astype("float32")
    np.testing.assert_allclose(signed(rows, (2, 9)), rows.sum(-1), rtol=1e-5, atol=1e-6)
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
    assert first(order, 0.5, (1, 4)).sum() == 2 and first(order, 0.25, (1, 4)).tolist() == [[True, False, False, False]]


def test_scores_after_removal_are_those_of_the_filled_inputs(linear):
    removed = np.zeros((16, *extent(linear.inputs)), bool)
    rng = np.random.default_rng(0)
    before = scores(linear, removed, "mean", rng)
    removed[:, 0, 1] = True
    fall = before - scores(linear, removed, "mean", rng)
    expected = exact(linear.network, linear.inputs, linear.objective)[:, 0, 1, 0]
    np.testing.assert_allclose(fall, expected, atol=1e-5)
