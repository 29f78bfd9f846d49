"""Fills: what stands in the place of taken parts, against slow formulas, closed forms and other roads to the same number."""

import itertools

import keras
import numpy as np
import pytest

import lab
from lab import fills, routines
from lab.environment import tf
from tests import networks

GOAL = lab.logit([0, 3, 4, 1])


@pytest.mark.parametrize("name", ["mean", "blur"])
@pytest.mark.parametrize("method", ["exact_shapley", "occlusion", "integrated_gradients", "rise"])
def test_a_named_baseline_is_the_array_that_it_stands_for(small, name, method):
    inputs = networks.images()
    options = {"count": 4} if method == "exact_shapley" else {"samples": 8} if method == "rise" else {}
    array = np.broadcast_to(fills.STATIC[name](inputs), inputs.shape)
    named = lab.explain(small, inputs, GOAL, method=method, baseline=name, **options)
    np.testing.assert_allclose(
        named.maps, lab.explain(small, inputs, GOAL, method=method, baseline=array, **options).maps
    )
    alone = lab.explain(small, inputs[1:2], lab.logit(3), method=method, baseline=name, **options)
    np.testing.assert_allclose(named.maps[1:2], alone.maps, atol=1e-5)
    if named.gap is not None:
        assert np.abs(named.gap).max() < 1e-2


def test_a_hole_is_filled_from_around_it_and_what_is_left_stays():
    rng = np.random.default_rng(0)
    image = rng.random((2, 24, 18, 3)).astype("float32")
    mask = np.ones((2, 24, 18), bool)
    mask[:, 5:15, 4:12] = False
    filled = fills.inpainted(*map(tf.constant, (image, mask)), tf.zeros((1, 1, 1, 1))).numpy()
    np.testing.assert_array_equal(filled[mask], image[mask])
    assert filled[~mask].min() >= image.min() and filled[~mask].max() <= image.max()
    constant = np.full_like(image, 0.7)
    np.testing.assert_allclose(
        fills.inpainted(constant, tf.constant(mask), tf.zeros((1, 1, 1, 1))), constant, rtol=1e-6
    )
    ramp = np.broadcast_to(np.linspace(0, 1, 18, dtype="float32")[None, None, :, None], (2, 24, 18, 1))
    smooth = fills.inpainted(tf.constant(ramp), tf.constant(mask), tf.zeros((1, 1, 1, 1))).numpy()
    assert np.abs(smooth - ramp).max() < 0.18 < np.abs(ramp - ramp.mean())[~mask].max()


def test_of_nothing_that_is_left_the_other_value_is_what_fills():
    mask = np.zeros((1, 8, 8), bool)
    filled = fills.inpainted(tf.ones((1, 8, 8, 2)), tf.constant(mask), tf.fill((1, 1, 1, 2), 5.0))
    np.testing.assert_array_equal(filled, np.full((1, 8, 8, 2), 5.0))
    series = fills.inpainted(tf.ones((1, 9, 2)), tf.constant([[True] * 4 + [False] * 5]), tf.zeros((1, 1, 2)))
    np.testing.assert_allclose(series, np.ones((1, 9, 2)), rtol=1e-6)


def test_shapley_values_of_inpainted_images_are_those_of_scores_one_by_one(small):
    image = networks.images()[:1]
    parts = np.zeros((16, 16), int)
    parts[8:], parts[:8, 8:] = 1, 2
    record = lab.explain(small, image, lab.logit(2), method="exact_shapley", players=parts, baseline="inpaint")

    def score(coalition):
        mask = tf.constant(np.isin(parts, coalition)[None])
        filled = fills.inpainted(tf.constant(image), mask, tf.constant(fills.sample_mean(image))).numpy()
        return routines.scores(small, filled, lab.logit(2))[0]

    values = np.zeros(3)
    for order in itertools.permutations(range(3)):
        for place, player in enumerate(order):
            values[player] += (score(order[: place + 1]) - score(order[:place])) / 6
    sums = [record.maps[0][parts == player].sum() for player in range(3)]
    np.testing.assert_allclose(sums, values, atol=1e-5)
    assert np.abs(record.gap).max() < 1e-5


@pytest.fixture(scope="module")
def gaussian():
    """A function of the first of four columns, of which the first two go together, and rows to ask about."""
    rng, covariance = np.random.default_rng(0), np.eye(4)
    covariance[0, 1] = covariance[1, 0] = 0.9
    rows = rng.multivariate_normal(np.zeros(4), covariance, (256 + 20)).astype("float32")
    return lab.function(lambda table: table[:, 0], rows[:256]), rows[256:]


def test_conditional_values_are_those_of_the_normal_distribution(gaussian):
    network, rows = gaussian
    record = lab.explain(network, rows, lab.logit(0), method="exact_shapley", baseline="conditional")
    exact = np.zeros_like(rows)
    exact[:, 0], exact[:, 1] = rows[:, 0] - 0.45 * rows[:, 1], 0.45 * rows[:, 1]
    assert np.sqrt(np.mean((record.maps - exact) ** 2)) < 0.15
    marginal = lab.explain(network, rows, lab.logit(0), method="exact_shapley", baselines=network.background[:64]).maps
    assert np.abs(marginal[:, 1:]).max() < 1e-5, "a column that is not used has nothing where columns are set alone"
    assert np.sqrt(np.mean((marginal - exact) ** 2)) > 0.2
    assert np.abs(record.gap).max() < 1e-5


@pytest.mark.parametrize("method", ["kernel_shap", "permutation_shap", "owen_values"])
def test_estimators_agree_with_exact_conditional_values(gaussian, method):
    network, rows = gaussian
    options = {
        "method": method,
        "baseline": "conditional",
        **({"permutations": 12} if method == "permutation_shap" else {}),
    }
    exact = lab.explain(network, rows[:4], lab.logit(0), method="exact_shapley", baseline="conditional").maps
    np.testing.assert_allclose(lab.explain(network, rows[:4], lab.logit(0), **options).maps, exact, atol=0.25)
    alone = lab.explain(network, rows[2:3], lab.logit(0), **options).maps
    np.testing.assert_allclose(lab.explain(network, rows[:4], lab.logit(0), **options).maps[2:3], alone, atol=1e-5)


def test_nearness_counts_what_is_near_alone_and_never_the_row_itself():
    rng = np.random.default_rng(0)
    references = rng.normal(size=(100, 3))
    rows = references[:5].astype("float64")
    for there in itertools.product([False, True], repeat=3):
        weights = fills.nearness(rows, references, np.array(there))
        np.testing.assert_allclose(weights.sum(axis=1), 1)
        assert any(there) != weights[np.arange(5), np.arange(5)].any()
        if not any(there):
            np.testing.assert_allclose(weights, 1 / 100)
    first = fills.nearness(rows, references, np.array([True, False, False]))
    distances = np.abs(references[:, 0] - rows[:, :1])
    for row in range(5):
        order = np.argsort(distances[row])[1:]
        assert (np.diff(first[row][order]) <= 1e-12).all() and 8 <= 1 / (first[row] ** 2).sum() < 40


def test_rows_of_the_background_and_their_twins_add_up():
    """Of independent flags nothing is to be learned from another one, and a row like the explained one is a row like any."""
    flags = np.random.default_rng(0).integers(0, 2, (200, 2)).astype("float32")
    network = lab.function(lambda table: table[:, 1] * 1.0, flags)
    rows = np.array([[0, 0], [1, 1]], "float32")
    record = lab.explain(network, rows, lab.logit(0), method="exact_shapley", baseline="conditional")
    mean = flags[:, 1].mean()
    np.testing.assert_allclose(record.maps, [[0, -mean], [0, 1 - mean]], atol=0.06)
    few = lab.function(lambda table: table.sum(axis=1), APART[:20])
    gaps = lab.explain(few, APART[:20], lab.logit(0), method="exact_shapley", baseline="conditional").gap
    assert np.abs(gaps).max() < 1e-5


APART = np.random.default_rng(1).normal(size=(200, 4)).astype("float32")


def test_every_row_has_its_parts_and_dicts_of_one_input_are_tables():
    network = lab.function(lambda table: table[:, 0] * table[:, 2] + np.abs(table[:, 1]), APART[:150])
    players = np.array([[0, 0, 1, 1], [0, 1, 0, 1]])

    def ask(rows, which):
        options = {"method": "exact_shapley", "baseline": "conditional", "players": which}
        return lab.explain(network, rows, lab.logit(0), **options).maps

    np.testing.assert_allclose(ask(APART[150:152], players)[1:], ask(APART[151:152], players[1:]), atol=1e-6)
    with pytest.raises(lab.Refused, match="positions of no part, -1"):
        ask(APART[150:152], np.array([-1, 0, 1, 1]))
    inputs = keras.Input((4,), name="table")
    model = keras.Model({"table": inputs}, keras.layers.Dense(2)(inputs))
    loaded = lab.load(model, background=APART[:150])
    record = lab.explain(
        loaded, {"table": APART[150:152]}, lab.logit(0), method="exact_shapley", baseline="conditional"
    )
    assert np.abs(record.gap).max() < 1e-5


def test_nearness_knows_no_units_and_counts_a_column_and_its_copy_once():
    rng = np.random.default_rng(0)
    references = rng.normal(size=(200, 3))
    references[:, 2] = 1.8 * references[:, 0] + 32
    rows, there = references[:4] + 0.01, np.ones(3, bool)
    alone = fills.nearness(rows[:, :2], references[:, :2], there[:2])
    rows[:, 2] = 1.8 * rows[:, 0] + 32
    np.testing.assert_allclose(fills.nearness(rows, references, there), alone, atol=1e-6)
    scales = np.array([1e6, 1e-3, 1.0])
    np.testing.assert_allclose(fills.nearness(rows * scales, references * scales, there), alone, atol=1e-6)


@pytest.mark.parametrize("side", [16, 33, 100, 224])
def test_a_hole_favours_no_side(side):
    ramp = np.tile(np.linspace(0, 1, side, dtype="float32"), (side, 1))[None, ..., None]
    mask = np.ones((1, side, side), bool)
    mask[:, side // 4 : side - side // 4, side // 4 : side - side // 4] = False
    filled = fills.inpainted(tf.constant(ramp), tf.constant(mask), tf.zeros((1, 1, 1, 1))).numpy()
    mirrored = fills.inpainted(tf.constant(ramp[:, :, ::-1]), tf.constant(mask), tf.zeros((1, 1, 1, 1))).numpy()[
        :, :, ::-1
    ]
    assert abs((filled - ramp)[~mask].mean()) < 0.02 and np.abs(filled - ramp).max() < 0.06
    assert np.abs(filled - mirrored).max() < 0.08


def test_long_series_and_other_precisions_are_inpainted():
    inputs = keras.Input((5000, 1))
    network = lab.load(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(inputs))))
    series = np.random.default_rng(0).normal(size=(1, 5000, 1)).astype("float32")
    record = lab.explain(network, series, lab.logit(0), method="feature_ablation", count=4, baseline="inpaint")
    assert np.isfinite(record.maps).all() and record.maps.any()
    image = tf.constant(np.random.default_rng(0).random((1, 9, 7, 2)))
    mask = tf.constant(np.arange(63).reshape(1, 9, 7) % 3 > 0)
    assert fills.inpainted(image, mask, tf.zeros((1, 1, 1, 1))).dtype == tf.float64


@pytest.mark.parametrize("name", ["mean", "blur", "inpaint"])
@pytest.mark.parametrize("method", ["exact_shapley", "integrated_gradients"])
def test_inputs_of_which_a_part_is_masked_have_no_baseline_by_name(name, method):
    inputs = keras.Input((None, 2))
    layers = keras.layers.Dense(2)(keras.layers.LSTM(4)(keras.layers.Masking(0.0)(inputs)))
    series = 3 + np.random.default_rng(0).normal(size=(2, 12, 2)).astype("float32")
    series[:, 8:] = 0
    options = {"count": 4} if method == "exact_shapley" else {}
    with pytest.raises(lab.Refused, match="made of whole inputs|Methods that take parts away"):
        lab.explain(
            lab.load(keras.Model(inputs, layers)), series, lab.logit(0), method=method, baseline=name, **options
        )


def test_a_name_stands_alone_and_is_no_list(small):
    with pytest.raises(lab.Refused, match="baselines= are numbers or arrays. Received: 'mean'"):
        lab.explain(small, networks.images(), GOAL, method="exact_shapley", baselines="mean")
    with pytest.raises(lab.Refused, match="baselines= are numbers or arrays"):
        lab.explain(small, networks.images(), GOAL, method="exact_shapley", baselines=["mean", "blur"])
    with pytest.raises(lab.Refused, match="stands alone"):
        lab.explain(small, networks.images(), GOAL, method="exact_shapley", baseline="blur", baselines=[0.0])


def test_a_list_is_an_array_as_a_command_line_gives_it(gaussian):
    network, rows = gaussian
    listed = lab.explain(network, rows, lab.logit(0), method="exact_shapley", baseline=[1, 0, 0, 0]).maps
    array = lab.explain(network, rows, lab.logit(0), method="exact_shapley", baseline=np.array([1.0, 0, 0, 0])).maps
    np.testing.assert_array_equal(listed, array)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "integrated_gradients", "baseline": "inpaint"}, "Methods that take parts away also know 'inpaint'"),
        ({"method": "occlusion", "baseline": "grey"}, "one of the names 'mean', 'blur'.*Received: 'grey'"),
        ({"method": "rise", "baseline": "inpaint"}, "A grid mixes images with a baseline"),
        ({"method": "kernel_shap", "baseline": "conditional"}, "rows of a table's background"),
    ],
)
def test_names_that_do_not_fit_are_refused_on_images(small, options, words):
    with pytest.raises(lab.Refused, match=words):
        lab.explain(small, networks.images(), GOAL, **options)


def test_names_that_do_not_fit_are_refused_on_tables_and_ids(gaussian):
    network, rows = gaussian
    for name in ("mean", "blur", "inpaint"):
        with pytest.raises(lab.Refused, match="is for images.* and series. Received: table"):
            lab.explain(network, rows, lab.logit(0), method="exact_shapley", baseline=name)
    inputs = keras.Input((6,), dtype="int32")
    pooled = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(9, 4)(inputs))
    words = lab.load(keras.Model(inputs, keras.layers.Dense(2)(pooled)))
    for name in ("mean", "blur", "inpaint", "conditional"):
        with pytest.raises(lab.Refused):
            lab.explain(words, np.ones((2, 6), "int32"), lab.logit(0), method="kernel_shap", baseline=name)
