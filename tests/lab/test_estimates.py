"""Standard errors: they cover exact values as often as they promise, and sampling stops where they are small."""

import functools
import math

import keras
import numpy as np
import pytest

import lab
from lab import shapley
from lab.attribution.calls import attribute
from lab.players import players_of
from tests import networks

GOAL = lab.logit([0, 3, 4, 1])


def neural_game(players, seed, rise=np.tanh):
    """A game that is worth what a random layer answers to its coalition."""
    rng = np.random.default_rng(seed)
    kernel, bias, last = rng.normal(size=(players, 16)), rng.normal(size=16), rng.normal(size=16)
    return lambda coalitions, rows=None: (rise(coalitions @ kernel * 2 / np.sqrt(players) + bias) @ last)[None]


def table_game(players, seed):
    table = np.random.default_rng(seed).normal(size=2**players)
    return lambda coalitions, rows=None: table[coalitions @ (1 << np.arange(players))][None]


GAMES = {
    "tanh": neural_game(8, 8),
    "relu": neural_game(12, 1, lambda values: np.maximum(values, 0)),
    "random": table_game(10, 2),
}
ESTIMATORS = {
    "kernel": lambda game, players, size, seed: shapley.kernel_values(
        game, players, 4 * players * size, np.random.default_rng(seed)
    ),
    "permutation": lambda game, players, size, seed: shapley.permutation_values(
        game, players, 5 * size, np.random.default_rng(seed)
    ),
    "unpaired": lambda game, players, size, seed: shapley.permutation_values(
        game, players, 10 * size, np.random.default_rng(seed), paired=False
    ),
}
PLAYERS = {"tanh": 8, "relu": 12, "random": 10}


def draws(estimator, game, size, seeds):
    """Deviations from the exact values, and stated errors: float64 [seeds, players] each."""
    players = PLAYERS[game]
    exact = shapley.exact_values(GAMES[game], players)[0]
    estimates = [ESTIMATORS[estimator](GAMES[game], players, size, seed) for seed in range(seeds)]
    return np.array([one.values[0] - exact for one in estimates]), np.array([one.errors[0] for one in estimates])


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_stated_errors_cover_the_exact_value(estimator, game):
    for size in (1, 2, 4):
        deviations, errors = draws(estimator, game, size, 200)
        covered = np.mean(np.abs(deviations) <= 1.96 * errors)
        assert 0.90 <= covered <= 0.98, (size, covered)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_stated_errors_fall_as_the_root_of_the_samples(estimator):
    # Of 24 players there are 16 million coalitions. That those of one player are all drawn makes it a little faster.
    game = neural_game(24, 5)
    few, many = (
        np.mean([ESTIMATORS[estimator](game, 24, size, seed).errors ** 2 for seed in range(20)]) for size in (4, 16)
    )
    assert math.sqrt(many / few) == pytest.approx(0.5, rel=0.15)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_stated_errors_are_those_of_many_draws(estimator):
    """Also where half of all coalitions are drawn, without repetition."""
    for size in (4, 12):
        deviations, errors = draws(estimator, "random", size, 60)
        assert np.sqrt(np.mean(deviations**2)) == pytest.approx(np.sqrt(np.mean(errors**2)), rel=0.15)


def test_what_is_exact_has_no_error():
    game = table_game(6, 0)
    assert shapley.kernel_values(game, 6, 62, np.random.default_rng(0)).errors.max() == 0
    assert shapley.kernel_values(game, 6, 60, np.random.default_rng(0)).errors.min() > 0
    assert shapley.permutation_values(table_game(2, 0), 2, 1, np.random.default_rng(0)).errors.max() == 0
    assert shapley.permutation_values(table_game(1, 0), 1, 1, np.random.default_rng(0), False).errors.max() == 0
    # The worth of a sum has no interaction, and what each player adds is always the same.
    additive = neural_game(9, 3, lambda values: values)
    assert shapley.permutation_values(additive, 9, 4, np.random.default_rng(0)).errors.max() < 1e-12


def test_what_is_not_known_is_said():
    game = table_game(9, 0)
    assert np.isnan(shapley.kernel_values(game, 9, 18, np.random.default_rng(0)).errors).all()
    assert np.isfinite(shapley.kernel_values(game, 9, 36, np.random.default_rng(0)).errors).all()
    assert np.isnan(shapley.permutation_values(game, 9, 2, np.random.default_rng(0)).errors).all()


def two_games(coalitions, rows=None):
    """An easy sample beside a hard one, which notes who was asked for what."""
    easy, hard = coalitions @ np.arange(10.0), 5 * table_game(10, 4)(coalitions)[0]
    two_games.calls.append((len(coalitions), (0, 1) if rows is None else tuple(rows)))
    two_games.coalitions += [row.tobytes() for row in coalitions]
    return np.stack([easy, hard])[slice(None) if rows is None else rows]


@pytest.mark.parametrize("estimator", ["kernel", "permutation"])
def test_sampling_stops_at_the_error_and_keeps_what_it_has(estimator):
    def estimate(game, error, most=None):
        two_games.calls, two_games.coalitions = [], []
        rng = np.random.default_rng(0)
        if estimator == "kernel":
            return shapley.kernel_values(game, 10, 40, rng, error, most)
        return shapley.permutation_values(game, 10, 5, rng, error=error, most=most)

    drawn = estimate(two_games, 0.5)
    first, last = drawn.samples
    assert drawn.largest.max() <= 0.5 and first == (40 if estimator == "kernel" else 90) < last
    # The whole and nothing, then a round for both, then rounds for the hard one alone, each as large as all before.
    sizes = [size for size, _ in two_games.calls]
    assert sizes[:3] == [2, first, first] and sum(sizes[1:]) == last
    assert [rows for _, rows in two_games.calls] == [(0, 1), (0, 1), *[(1,)] * (len(sizes) - 2)]
    if estimator == "kernel":
        assert len(set(two_games.coalitions)) == len(two_games.coalitions) == last + 2
    alone = estimate(lambda coalitions, rows=None: two_games(coalitions)[1:], 0.5)
    np.testing.assert_allclose(alone.values[0], drawn.values[1], atol=1e-12)
    finer = estimate(two_games, 0.25, most=4000)
    assert finer.samples[1] > last and finer.largest.max() <= 0.25
    stopped = estimate(two_games, 1e-9, most=60)
    assert stopped.largest[1] > 1e-9 and stopped.samples[1] == (60 if estimator == "kernel" else 60 * 18)


def test_sampling_ends_where_all_coalitions_are_drawn():
    drawn = shapley.kernel_values(table_game(8, 0), 8, 32, np.random.default_rng(0), 1e-12)
    assert drawn.samples.tolist() == [254] and drawn.largest.max() == 0
    exact = shapley.exact_values(table_game(8, 0), 8)
    np.testing.assert_allclose(drawn.values, exact, atol=1e-12)


# On networks ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["kernel_shap", "permutation_shap"])
def test_a_record_states_the_errors_of_its_maps(small, method):
    inputs, number = (
        networks.images(),
        {"kernel_shap": {"samples": 60}, "permutation_shap": {"permutations": 4}}[method],
    )
    options = {"players": "patches", "count": 9, **number}
    record = lab.explain(small, inputs, GOAL, method=method, seed=0, **options)
    assert record.errors.shape == record.maps.shape and record.errors.dtype == np.float32
    maps = getattr(lab, method)(small, inputs, GOAL, seed=0, **options)
    assert np.array_equal(maps, record.maps) and isinstance(maps, np.ndarray)
    # The numbers of a part add up to its value, and their errors to its error.
    exact = lab.explain(small, inputs, GOAL, method="exact_shapley", players="patches", count=9)
    parts = players_of(inputs, "patches", 9)
    values, errors, truth = (
        np.stack([np.bincount(where.ravel(), one.sum(-1).ravel()) for where, one in zip(parts, each)])
        for each in (record.maps, record.errors, exact.maps)
    )
    assert np.mean(np.abs(values - truth) <= 2.8 * errors) >= 0.8 and errors.min() > 0
    largest = [float(caption.split("at most ")[1].split()[0]) for caption in record.captions]
    np.testing.assert_allclose(largest, errors.max(axis=1), rtol=0.06)
    assert record.samples.tolist() == [60 if method == "kernel_shap" else 64] * 4
    assert exact.errors.max() == 0 and exact.samples.tolist() == [510] * 4
    assert lab.explain(small, inputs, GOAL, method="gradient").errors is None


@pytest.mark.parametrize("method", ["kernel_shap", "permutation_shap"])
def test_a_user_names_a_precision(small, method):
    inputs, options = networks.images(), {"players": "patches", "count": 9}
    first = {"kernel_shap": {"samples": 36}, "permutation_shap": {"permutations": 3}}[method]
    rough = lab.explain(small, inputs, GOAL, method=method, **options, **first)
    error = float(rough.errors.sum(axis=(1, 2, 3)).max() / 9 / 4)
    record = lab.explain(small, inputs, GOAL, method=method, error=error, most=2000, **options, **first)
    assert record.samples.max() > rough.samples.max() and record.options["error"] == error
    for caption in record.captions:
        assert float(caption.split("at most ")[1].split()[0]) <= 1.01 * error
    alone = lab.explain(small, inputs[2:3], lab.logit(4), method=method, error=error, most=2000, **options, **first)
    np.testing.assert_allclose(alone.maps[0], record.maps[2], atol=1e-6)
    with pytest.warns(UserWarning, match=r"stopped after .* for 4 of 4 samples.*give a larger most="):
        lab.explain(small, inputs, GOAL, method=method, error=1e-9, most=40, **options, **first)


def test_errors_of_rise_are_those_of_many_draws(small):
    inputs = networks.images()
    for centre in (True, False):
        options = {"samples": 60, "cells": 4, "centre": centre}
        records = [lab.explain(small, inputs, GOAL, method="rise", seed=seed, **options) for seed in range(20)]
        spread = np.std([record.maps for record in records], axis=0, ddof=1)
        stated = np.mean([record.errors for record in records], axis=0)
        assert np.median(stated / spread) == pytest.approx(1, abs=0.2)
        assert records[0].samples.tolist() == [60] * 4


def test_tokens_have_errors():
    model = keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            keras.layers.Embedding(20, 4, embeddings_initializer=keras.initializers.RandomNormal(0, 1, seed=0)),
            keras.layers.Flatten(),
            keras.layers.Dense(8, "tanh", kernel_initializer=keras.initializers.RandomNormal(0, 1, seed=1)),
            keras.layers.Dense(2, kernel_initializer=keras.initializers.RandomNormal(0, 1, seed=2)),
        ]
    )
    ids = np.random.default_rng(0).integers(1, 20, (3, 6)).astype("int32")
    options = {"method": "kernel_shap", "samples": 30}
    record = lab.explain(lab.load(model), ids, lab.logit(1), **options)
    exact = lab.explain(lab.load(model), ids, lab.logit(1), method="exact_shapley")
    assert record.errors.shape == ids.shape and record.errors.min() > 0 and exact.errors.max() == 0
    caption = float(record.captions[0].split("at most ")[1].split()[0])
    assert caption == pytest.approx(record.errors[0].max(), rel=0.06)
    assert np.mean(np.abs(record.maps - exact.maps) <= 3 * record.errors) > 0.8


def test_a_wrapper_of_an_estimator_is_called_itself(small):
    """`functools.wraps` copies attributes, and what is wrapped must not answer in its wrapper's place."""

    @functools.wraps(lab.permutation_shap)
    def halved(network, inputs, objective, **options):
        return lab.permutation_shap(network, inputs, objective, **options) / 2

    inputs, options = networks.images(), {"permutations": 1, "count": 4, "seed": 0}
    maps = attribute(halved, small, inputs, GOAL, **options)
    np.testing.assert_allclose(maps, lab.permutation_shap(small, inputs, GOAL, **options) / 2, atol=1e-7)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"error": 0}, "error is a number above 0. Received: 0"),
        ({"error": "small"}, "error is a number above 0. Received: 'small'"),
        ({"most": 600}, "most goes with error"),
        ({"error": 0.1, "most": 100}, "most is at least samples.*most=100 and samples=512"),
        ({"error": 0.1, "most": 1.5}, "most is a whole number"),
    ],
)
def test_bad_precisions_are_refused(small, options, words):
    with pytest.raises(lab.Refused, match=words):
        lab.explain(small, networks.images(), GOAL, method="kernel_shap", **options)
