"""Data of every kind: what a position is, how it is taken away and moved, and where data come from."""

import keras
import numpy as np
import pytest

import lab
from lab import kinds
from lab.attribution.noise import draw_noisy
from lab.environment import tf
from sanity import effects
from sanity.bound_explainer import add_noise
from sanity.removal import fills
from sanity.subject import Subject
from tests.networks import network

# Three columns of very different size, the last of which never varies.
ROWS = np.stack([np.linspace(0, 1, 12), np.linspace(1000, 9000, 12)[::-1], np.full(12, 7.0)], axis=1).astype("float32")


def linear(columns=3, **options):
    model = keras.Sequential([keras.Input((columns,)), keras.layers.Dense(2)])
    model.layers[-1].set_weights([np.arange(2.0 * columns).reshape(columns, 2), np.zeros(2)])
    return network(model, **options)


# Kinds --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape, dtype, name",
    [
        ((2, 8, 9, 3), "float32", "image"),
        ((2, 8, 9, 4, 3), "float32", "volume"),
        ((2, 8, 3), "float32", "series"),
        ((2, 8), "float32", "table"),
        ((2, 8), "int32", "tokens"),
    ],
)
def test_axes_and_dtype_say_the_kind(shape, dtype, name):
    inputs = np.zeros(shape, dtype)
    kind = kinds.kind_of(inputs)
    assert kind.name == name and kinds.KINDS[name] is kind
    assert kind.positions(inputs) == (shape[1:] if len(shape) == 2 else shape[1:-1])
    mask = np.zeros(kind.positions(inputs), bool)
    assert np.where(kind.over_features(mask), 1, inputs).shape == shape


# Removal and noise --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fill", ["mean", "typical", "donor", "flip", "uniform"])
def test_a_filled_column_takes_values_of_its_own(fill):
    """A row of 0.5, 5000 and 7 has a mean of 1669, which no column knows."""
    removed = np.ones(ROWS.shape, bool)
    filled = fills.get(fill)(ROWS, removed, np.random.default_rng(0))
    assert (filled >= ROWS.min(axis=0) - 1e-3).all() and (filled <= ROWS.max(axis=0) + 1e-3).all()


def test_ids_are_filled_with_ids_and_refused_a_mean():
    ids = np.array([[3, 9, 4, 0], [3, 8, 4, 0], [5, 9, 7, 2]], "int32")
    everywhere, rng = np.ones(ids.shape, bool), np.random.default_rng(0)
    assert not fills.get("pad")(ids, everywhere, rng).any()
    assert fills.get("typical")(ids, everywhere, rng)[0].tolist() == [3, 9, 4, 0]
    assert all(
        set(column) <= set(ids[:, place]) for place, column in enumerate(fills.get("donor")(ids, everywhere, rng).T)
    )
    for fill in ("mean", "blur", "flip", "uniform", "linear"):
        with pytest.raises(lab.Refused, match="'pad' or 'donor'"):
            fills.get(fill)(ids, everywhere, rng)


def test_columns_have_no_neighbours_to_blend():
    with pytest.raises(lab.Refused, match="neighbours"):
        fills.get("blur")(ROWS, np.ones(ROWS.shape, bool), None)


def test_noise_of_a_check_has_the_deviation_of_each_column():
    noisy = np.concatenate([add_noise(ROWS, seed, 0.1) for seed in range(400)])
    moved = (noisy - np.tile(ROWS, (400, 1))).std(axis=0)
    np.testing.assert_allclose(moved[:2], 0.1 * ROWS.std(axis=0)[:2], rtol=0.1)
    assert moved[2] == 0


def test_noise_of_a_method_has_the_deviation_of_each_column_and_none_without_variation():
    options = {
        "seed": np.array([0, 1], "int32"),
        "noise": np.float32(0.1),
        "share": np.float32(1),
        "column scales 0": ROWS.std(axis=0),
    }
    copies = draw_noisy(tf.constant(ROWS[:1]), None, options, tf.range(400), 0)[0].numpy()[0]
    np.testing.assert_allclose(copies.std(axis=0)[:2], 0.1 * ROWS.std(axis=0)[:2], rtol=0.15)
    assert (copies[:, 2] == 7).all()


def test_smoothgrad_of_a_table_needs_its_background():
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Lambda(lambda x: x**2), keras.layers.Dense(1, use_bias=False)]
    )
    model.layers[-1].set_weights([np.ones((3, 1))])
    with pytest.raises(lab.Refused, match="background=rows"):
        lab.smoothgrad(network(model), ROWS, lab.logit(0), seed=0)
    known = network(model, background=ROWS)
    maps = lab.smoothgrad(known, ROWS, lab.logit(0), samples=400, noise=0.5, seed=0, variant="variance")
    # The gradient 2x has the variance 4 (noise * deviation)^2, in every row alike.
    np.testing.assert_allclose(maps[:, :2], np.tile((ROWS.std(axis=0) ** 2)[:2], (12, 1)), rtol=0.25)
    assert not maps[:, 2].any()
    assert np.array_equal(lab.smoothgrad(network(model), ROWS, lab.logit(0), samples=1, noise=0.0, seed=0), 2 * ROWS)


def test_small_changes_are_a_share_of_the_column():
    """Weights of 1: the response to noise in a column is that column's deviation, and 0 where it never varies."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, use_bias=False)])
    model.layers[-1].set_weights([np.ones((3, 1))])
    subject = Subject(network(model, background=ROWS), ROWS, lab.logit(0), tuple(map(str, range(12))), classes=1)
    responses = effects.effects(subject, [subject.objective], seed=0).combine("small change")[0]
    assert (responses[:, 2] == 0).all() and (responses[:, 1] > 1000 * responses[:, 0]).all()


def test_integrated_gradients_of_a_table_start_at_its_mean_row():
    known = linear(background=ROWS)
    record = lab.explain(known, ROWS, lab.logit(1), method="integrated_gradients")
    np.testing.assert_allclose(record.maps, (ROWS - ROWS.mean(axis=0)) * [1, 3, 5], rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(record.gap, 0, atol=0.1)
    zero = lab.explain(known, ROWS, lab.logit(1), method="integrated_gradients", baseline=0.0)
    np.testing.assert_allclose(zero.maps, ROWS * [1, 3, 5], rtol=1e-4)


@pytest.mark.parametrize("rows", [np.zeros((1, 3)), np.zeros((4, 2)), np.full((4, 3), np.nan)])
def test_a_background_has_rows_of_the_table(rows):
    with pytest.raises(lab.Refused, match="Received"):
        linear(background=rows)
