"""Methods that ask a network about inputs of which parts are replaced: against slow formulas, closed forms and laws."""

import keras
import numpy as np
import pytest
from sklearn.linear_model import Ridge

import lab
from lab import players, routines
from lab.attribution import explainers
from lab.attribution import grids as attribution_grids
from lab.attribution.lime import local_weights
from lab.environment import tf
from lab.estimates import errors_of_means
from lab.masking import enlarged_grids
from tests import networks
from tests.networks import distance

GOAL = lab.logit([0, 3, 4, 1])
METHODS = ["exact_shapley", "kernel_shap", "permutation_shap", "feature_ablation", "occlusion", "lime"]


@pytest.fixture(scope="module")
def linear():
    """A table of five columns, whose score is a weighted sum."""
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, name="logits")])
    return lab.load(model)


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).normal(size=(4, 5)).astype("float32")


def ask(method, network, inputs, goal=GOAL, **options):
    return lab.explain(network, inputs, goal, method=method, **options).maps


@pytest.mark.parametrize(
    "method", ["exact_shapley", "kernel_shap", "permutation_shap", "feature_ablation", "occlusion"]
)
def test_a_linear_network_gives_weight_times_difference(linear, rows, method):
    weights = linear.model.layers[-1].kernel.numpy()
    maps = ask(method, linear, rows, lab.logit(2), baseline=0.5)
    np.testing.assert_allclose(maps, weights[:, 2] * (rows - 0.5), atol=1e-5)


def test_lime_finds_the_weights_of_a_linear_network(linear, rows):
    weights = linear.model.layers[-1].kernel.numpy()
    maps = ask("lime", linear, rows, lab.logit(2), baseline=0.5, ridge=0.0)
    np.testing.assert_allclose(maps, weights[:, 2] * (rows - 0.5), atol=1e-4)


def test_several_baselines_are_averaged(linear, rows):
    several = ask("exact_shapley", linear, rows, lab.logit(0), baselines=[0.0, 1.0])
    alone = [ask("exact_shapley", linear, rows, lab.logit(0), baseline=number) for number in (0.0, 1.0)]
    np.testing.assert_allclose(several, np.mean(alone, axis=0), atol=1e-6)
    record = lab.explain(linear, rows, lab.logit(0), method="kernel_shap", baselines=rows[:2])
    assert np.abs(record.gap).max() < 1e-5


def test_values_are_those_of_shap_on_the_same_network(small):
    """Of a nonlinear table network, with a background of several rows."""
    shap = pytest.importorskip("shap")
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(16, "tanh"), keras.layers.Dense(2)]
    )
    network, rng = lab.load(model), np.random.default_rng(1)
    inputs, background = (rng.normal(size=(count, 6)).astype("float32") for count in (3, 4))
    theirs = shap.ExactExplainer(
        lambda points: model(points.astype("float32")).numpy()[:, 1], shap.maskers.Independent(background)
    )(inputs).values
    for method in ("exact_shapley", "kernel_shap"):
        ours = ask(method, network, inputs, lab.logit(1), baselines=background)
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_images_are_explained_by_patches(small, method):
    inputs = networks.images()
    options = {} if method == "occlusion" else {"count": 9, "players": "patches"}
    record = lab.explain(small, inputs, GOAL, method=method, baseline=0.1, **options)
    assert record.maps.shape == inputs.shape and np.ptp(record.maps, axis=-1).max() < 1e-6
    if explainers.tag(explainers.get(method), "complete"):
        assert np.abs(record.gap).max() < 1e-4


def slow_ablation(network, image, goal, numbers, fill):
    whole = routines.scores(network, image[None], goal)[0]
    values = np.zeros(numbers.shape)
    for player in np.unique(numbers):
        without = np.where((numbers == player)[..., None], fill, image)
        values[numbers == player] = whole - routines.scores(network, without[None].astype("float32"), goal)[0]
    return values


def test_ablation_by_a_map_of_ones_own(small):
    inputs = networks.images()
    numbers = np.zeros((16, 16), int)
    numbers[:4], numbers[4:9, 3:] = 7, 2
    maps = ask("feature_ablation", small, inputs, players=numbers, baseline=0.2)
    for row in range(4):
        expected = slow_ablation(small, inputs[row], GOAL.rows([row]), numbers, 0.2)
        np.testing.assert_allclose(maps[row].sum(axis=-1), expected, atol=1e-4)
    numbers[:4] = -1
    assert not ask("feature_ablation", small, inputs, players=numbers)[:, :4].any()


@pytest.mark.parametrize("patch, stride", [(4, 2), ((5, 3), (2, 3)), (16, 16), (3, 5)])
def test_occlusion_is_the_mean_over_windows(small, patch, stride):
    inputs, fill = networks.images(2), -0.3
    maps = ask("occlusion", small, inputs, lab.logit(1), patch=patch, stride=stride, baseline=fill).sum(axis=-1)
    sides, steps = np.broadcast_to(patch, 2), np.broadcast_to(stride, 2)
    starts = [sorted({*range(0, 16 - side + 1, step), 16 - side}) for side, step in zip(sides.tolist(), steps.tolist())]
    total, count = np.zeros((2, 16, 16)), np.zeros((16, 16))
    for top in starts[0]:
        for left in starts[1]:
            window = np.s_[top : top + sides[0], left : left + sides[1]]
            without = inputs.copy()
            without[(slice(None), *window)] = fill
            fall = routines.scores(small, inputs, lab.logit(1)) - routines.scores(small, without, lab.logit(1))
            total[(slice(None), *window)] += fall[:, None, None]
            count[window] += 1
    expected = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    np.testing.assert_allclose(maps, expected, atol=2e-4)


def test_rise_is_the_mean_of_masks_weighted_by_their_scores(small):
    inputs, samples, cells = networks.images(2), 40, 4
    maps = ask("rise", small, inputs, lab.logit(1), samples=samples, cells=cells, centre=False, seed=3)
    rng = np.random.default_rng(3)
    grids = (rng.random((samples, cells + 1, cells + 1)) < 0.5).astype("float32")
    shifts = rng.integers(0, 4, (samples, 2))
    expected = np.zeros((2, 16, 16))
    for grid, (down, right) in zip(grids, shifts):
        large = tf.image.resize(grid[..., None], [20, 20], "bilinear").numpy()[..., 0]
        mask = large[down : down + 16, right : right + 16]
        scores = routines.scores(small, (mask[..., None] * inputs).astype("float32"), lab.logit(1))
        expected += scores[:, None, None] * mask
    np.testing.assert_allclose(maps, expected / samples / 0.5, atol=1e-4)


@pytest.mark.parametrize("extent", [(37, 50), (5, 3), (16, 16)])
@pytest.mark.parametrize("cells", [2, 3])
def test_masks_are_those_of_resize_where_cells_do_not_divide_an_oblong_image(extent, cells):
    cell = [-(-side // cells) for side in extent]
    shifts = np.array([(0, 0), (cell[0] - 1, cell[1] - 1), (0, cell[1] - 1), (cell[0] - 1, 0)], "int32")
    grids = np.random.default_rng(0).random((4, cells + 1, cells + 1)).astype("float32")
    masks = enlarged_grids(tf.constant(grids), tf.constant(shifts), tf.constant(extent)).numpy()
    large = tf.image.resize(grids[..., None], [(cells + 1) * side for side in cell]).numpy()[..., 0]
    for mask, whole, (down, right) in zip(masks, large, shifts):
        np.testing.assert_allclose(mask, whole[down : down + extent[0], right : right + extent[1]], atol=5e-6)


@pytest.fixture
def rise_of_scores(small, monkeypatch):
    """(scores, options) -> the estimate of RISE where they are what a network answers, with its values and errors in float64."""

    def ask(scores, *, centre):
        drawn = {}

        def answer(network, arrays, objective, grids, shifts, references):
            drawn.update(grids=tf.constant(grids), shifts=tf.constant(shifts.astype("int32")))
            return scores.astype("float32")

        monkeypatch.setattr(attribution_grids, "grid_scores", answer)
        _, estimate = attribution_grids.rise.estimate
        options = {"samples": scores.shape[1], "cells": 3, "share": 0.5, "centre": centre, "seed": 0}
        answered = estimate(small, networks.images(len(scores)), lab.logit(1), **options)
        masks = enlarged_grids(drawn["grids"], drawn["shifts"], tf.constant([16, 16])).numpy().astype("float64")
        exact = scores.astype("float32").astype("float64")
        exact = (exact - centre * exact.mean(axis=1, keepdims=True))[:, :, None, None] / 0.5
        means = (exact * masks).mean(axis=1)
        variances = np.maximum(((exact * (masks - centre * 0.5)) ** 2).mean(axis=1) - means**2, 0)
        return answered, means, errors_of_means(variances, len(masks))

    return ask


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("scale", [1.0, 1e-24, 1e20])
def test_rise_sums_all_masks_at_any_scale(rise_of_scores, centre, scale):
    scores = scale * (3 + np.random.default_rng(1).normal(size=(2, 600)))
    estimate, means, errors = rise_of_scores(scores, centre=centre)
    np.testing.assert_allclose(estimate.values, means, atol=1e-6 * np.abs(means).max(), rtol=0)
    np.testing.assert_allclose(estimate.errors, errors, rtol=1e-5)


def test_rise_of_one_image_has_the_bytes_of_the_same_among_others(rise_of_scores):
    scores = np.random.default_rng(1).normal(size=(3, 600))
    among, alone = (rise_of_scores(part, centre=True)[0] for part in (scores, scores[:1]))
    assert np.array_equal(among.values[:1], alone.values) and np.array_equal(among.errors[:1], alone.errors)


def test_a_centred_rise_differs_by_the_mean_mask_alone(small):
    inputs = networks.images(2)
    plain, centred = (
        ask("rise", small, inputs, lab.logit(1), samples=200, cells=4, centre=centre, seed=0)
        for centre in (False, True)
    )
    offset = plain - centred
    # The mean mask times each sample's mean score.
    assert np.ptp(offset[0] / offset[1]) < 1e-3 and np.ptp(offset[0]) > 1e-3
    assert np.abs(offset[0] / np.median(offset[0]) - 1).max() < 0.5


def test_blocks_cover_an_image_evenly():
    grids = np.arange(9, dtype="float32").reshape(1, 3, 3)
    mask = enlarged_grids(tf.constant(grids), None, tf.constant([16, 7])).numpy()[0]
    assert mask.shape == (16, 7) and set(np.unique(mask)) == set(range(9))
    assert set(np.bincount(mask.astype(int).ravel())) <= {10, 15, 12, 18}


@pytest.fixture(scope="module")
def corner():
    """A network that looks at the upper left quarter of an image alone."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            keras.layers.Cropping2D(((0, 8), (0, 8))),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, name="logits"),
        ]
    )
    return lab.load(model, input_range=(0, 1))


@pytest.mark.parametrize("method", [*METHODS, "sobol", "hsic", "rise"])
def test_what_the_network_does_not_see_has_no_value(corner, method):
    inputs = np.random.default_rng(0).random((2, 16, 16, 1)).astype("float32")
    options = {"hsic": {"samples": 400, "cells": 4}, "sobol": {"cells": 4}, "rise": {"cells": 4}}.get(method, {})
    if method in METHODS and method != "occlusion":
        options = {"players": "patches", "count": 16}
    if method == "occlusion":
        options = {"patch": 4, "stride": 4}
    maps = np.abs(ask(method, corner, inputs, lab.logit(1), **options)).reshape(2, 16, 16)
    unseen = np.ones((16, 16), bool)
    unseen[:8, :8] = False
    if method in ("lime", "hsic", "rise"):
        # Chance relates what is not seen with what is.
        assert maps[:, unseen].mean() < 0.6 * maps[:, ~unseen].mean()
    else:
        # A regression on some coalitions leaves a little of the others' interactions to each player.
        assert maps[:, unseen].max() < (1e-2 if method == "kernel_shap" else 1e-3) * maps[:, ~unseen].max()


def test_a_column_of_a_table_is_taken_away_alone_since_it_has_no_neighbours():
    """Two columns side by side, of which one alone counts: windows over both could not tell them apart."""
    inputs = keras.Input((30,))
    outputs = keras.layers.Dense(2, use_bias=False, name="logits")(inputs)
    model = keras.Model(inputs, outputs)
    kernel = np.zeros((30, 2), "float32")
    kernel[4, 1] = 2.0
    model.layers[-1].set_weights([kernel])
    rows = np.random.default_rng(0).normal(size=(5, 30)).astype("float32")
    maps = ask("occlusion", lab.Network(model), rows, lab.logit(1))
    expected = np.zeros_like(rows)
    expected[:, 4] = 2 * rows[:, 4]
    np.testing.assert_allclose(maps, expected, atol=1e-6)


@pytest.mark.parametrize("method", ["kernel_shap", "permutation_shap", "feature_ablation", "occlusion", "lime"])
def test_tokens_are_replaced_by_other_ids(method):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            keras.layers.Embedding(20, 4),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(2, name="logits"),
        ]
    )
    network = lab.load(model)
    ids = np.array([[1, 2, 3, 4, 5, 6], [7, 7, 8, 9, 0, 0]], "int32")
    options = {"patch": 1} if method == "occlusion" else {"ridge": 0.0} if method == "lime" else {}
    maps = ask(method, network, ids, lab.logit(1), baseline=np.zeros(6, "int32"), **options)
    vectors = model.layers[0].embeddings.numpy()
    expected = (vectors[ids] - vectors[0]) @ model.layers[-1].kernel.numpy()[:, 1] / 6
    np.testing.assert_allclose(maps, expected, atol=1e-4)


def test_several_inputs_are_players_together():
    first, second = keras.Input((3,), name="first"), keras.Input((2,), name="second")
    joined = keras.layers.Concatenate()([first, second])
    network = lab.load(keras.Model([first, second], keras.layers.Dense(2, name="logits")(joined)))
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(3, 3)).astype("float32"), rng.normal(size=(3, 2)).astype("float32")]
    maps = ask("exact_shapley", network, network.inputs(inputs), lab.logit(0))
    weights = network.model.layers[-1].kernel.numpy()[:, 0]
    leaves = tf.nest.flatten(maps)
    np.testing.assert_allclose(np.concatenate(leaves, axis=1), np.concatenate(inputs, axis=1) * weights, atol=1e-5)


def test_a_sample_has_the_same_map_in_any_company(small):
    """Also where another sample has another number of superpixels."""
    inputs = networks.images()
    inputs[1] = 0.0
    counts = [len(np.unique(image)) for image in players.superpixels(inputs, 20)]
    assert len(set(counts)) > 1
    together = ask("kernel_shap", small, inputs, players="superpixels", count=20, samples=60, seed=1)
    for row in range(4):
        alone = ask(
            "kernel_shap", small, inputs[[row]], GOAL.rows([row]), players="superpixels", count=20, samples=60, seed=1
        )
        assert distance(together[row], alone[0]) < 1e-5


def test_nothing_is_traced_again_for_other_samples_or_players(small):
    inputs = networks.images()
    ask("kernel_shap", small, inputs, count=9, samples=40, seed=0)
    before = small.traces
    ask("kernel_shap", small, inputs[:2], lab.logit(1), count=16, samples=60, seed=1)
    ask("permutation_shap", small, inputs, count=25, permutations=1, seed=0)
    ask("feature_ablation", small, inputs, players="positions")
    assert small.traces == before


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        ("exact_shapley", {"count": 25}, "at most 16 players. Received: 25"),
        ("kernel_shap", {"samples": 20}, "samples=98 or more"),
        ("kernel_shap", {"players": "pathces"}, "Nearest: patches"),
        ("feature_ablation", {"players": np.zeros((3, 3), int)}, r"every position, \(16, 16\)"),
        ("feature_ablation", {"players": np.full((16, 16), -1)}, "at least one"),
        ("occlusion", {"patch": 17}, "at most the input's side"),
        ("occlusion", {"stride": 0}, "whole number of 1 or more"),
        ("rise", {"share": 0.0}, "a fraction"),
        ("rise", {"cells": 1}, "2 or more"),
        ("lime", {"samples": 0}, "whole number of 1 or more"),
        ("sobol", {"designs": 0}, "whole number of 1 or more"),
        ("sobol", {"designs": 12}, "power of two"),
    ],
)
def test_bad_options_are_refused(small, method, options, words):
    with pytest.raises(ValueError, match=words):
        ask(method, small, networks.images(), **options)


@pytest.mark.parametrize("method", ["rise", "sobol", "hsic"])
def test_grids_are_for_images(linear, rows, method):
    with pytest.raises(ValueError, match="Grids lie over one input of images"):
        ask(method, linear, rows, lab.logit(0))


def test_a_poor_fit_is_said(small):
    options = {"players": "positions", "samples": 1500, "kernel_width": 50.0, "ridge": 1e6}
    record = lab.explain(small, networks.images(), method="lime", **options)
    assert (record.fits < 0.5).all()
    assert all("the fit explains less than 50% of the score nearby" in flags for flags in record.flags)
    assert all("of the score nearby" in caption for caption in record.captions)


def test_the_fit_is_of_scores_that_were_not_learned():
    """R2 by leave-one-out, against a regression for every coalition without it; and a score of noise is fitted by nothing."""
    rng = np.random.default_rng(0)
    coalitions = rng.random((60, 8)) < 0.5
    coalitions[0] = True
    scores = (coalitions @ rng.normal(size=8) + 0.5 * rng.normal(size=60))[None]
    _, fits = local_weights(coalitions, scores, 0.4, 1.0)
    weights = np.exp(-((1 - np.sqrt(coalitions.mean(axis=1))) ** 2) / 0.4**2)
    rest, variance = 0.0, 0.0
    for place in range(60):
        others = np.arange(60) != place
        model = Ridge(alpha=1.0).fit(coalitions[others].astype(float), scores[0, others], sample_weight=weights[others])
        rest += weights[place] * (scores[0, place] - model.predict(coalitions[place : place + 1].astype(float))[0]) ** 2
        variance += weights[place] * (scores[0, place] - np.average(scores[0, others], weights=weights[others])) ** 2
    np.testing.assert_allclose(fits, 1 - rest / variance, rtol=1e-6)
    assert local_weights(rng.random((400, 300)) < 0.5, rng.normal(size=(1, 400)), 0.25, 1.0)[1] < 0.2
    assert local_weights(rng.random((20, 30)) < 0.5, rng.normal(size=(1, 20)), 0.25, 1e-3)[1] < 0.2
