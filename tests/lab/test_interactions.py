"""Shapley interactions against their definition, a known polynomial, and laws."""

import itertools
import math

import keras
import numpy as np
import pytest

import lab
from lab import shapley
from lab.interactions import _paths, drawn_interactions, exact_interactions
from tests import networks


def by_definition(game, players):
    """Grabisch, Roubens 1999: the weighted sum over coalitions of the others, one by one."""

    def worth(members):
        return game(np.isin(np.arange(players), members)[None])[0, 0]

    values = np.full((players, players), np.nan)
    for i, j in itertools.permutations(range(players), 2):
        values[i, j] = 0
        others = [player for player in range(players) if player not in (i, j)]
        for size in range(players - 1):
            weight = math.factorial(size) * math.factorial(players - size - 2) / math.factorial(players - 1)
            for before in map(list, itertools.combinations(others, size)):
                more = worth([*before, i, j]) - worth([*before, i]) - worth([*before, j]) + worth(before)
                values[i, j] += weight * more
    return values


def table_game(players, seed):
    table = np.random.default_rng(seed).normal(size=2**players)
    return lambda coalitions, rows=None: table[coalitions @ (1 << np.arange(players))][None]


def polynomial(coalitions, rows=None):
    """2 a + 3 a b - 4 b c d, whose interactions are 3 of a and b, and -4 / 2 of every two of b, c and d."""
    a, b, c, d, _ = coalitions.T.astype("float64")
    return np.stack([2 * a + 3 * a * b - 4 * b * c * d, a + b + c - d])


EXPECTED = np.array([[0, 3, 0, 0, 0], [3, 0, -2, -2, 0], [0, -2, 0, -2, 0], [0, -2, -2, 0, 0], [0] * 5], "float64")
np.fill_diagonal(EXPECTED, np.nan)


@pytest.mark.parametrize("players", [2, 3, 5])
def test_values_are_those_of_the_definition(players):
    game = table_game(players, players)
    np.testing.assert_allclose(exact_interactions(game, players)[0], by_definition(game, players), atol=1e-12)


def test_interactions_of_a_polynomial():
    values = exact_interactions(polynomial, 5)
    np.testing.assert_allclose(values[0], EXPECTED, atol=1e-12)
    # A sum has none.
    assert np.nanmax(np.abs(values[1])) < 1e-12
    drawn, errors = drawn_interactions(polynomial, 5, 400, np.random.default_rng(0))
    assert (np.abs(drawn[0] - EXPECTED) <= 4 * errors[0])[~np.isnan(EXPECTED)].all()
    assert drawn[0, 0, 1] == 3 and errors[0, 0, 1] == 0 < errors[0, 1, 2]


@pytest.mark.parametrize("size", [2, 4, 6, 10, 48])
def test_each_two_players_stand_together_once(size):
    paths = _paths(size)
    assert all(sorted(path) == list(range(size)) for path in paths.tolist())
    pairs = [frozenset(pair) for path in paths.tolist() for pair in itertools.pairwise(path)]
    assert len(pairs) == len(set(pairs)) == size * (size - 1) // 2


@pytest.mark.parametrize("players", [6, 7])
def test_draws_are_unbiased_and_their_errors_cover(players):
    game = table_game(players, 1)
    exact = exact_interactions(game, players)[0]
    upper = np.triu_indices(players, 1)
    rows = [drawn_interactions(game, players, 12, np.random.default_rng(seed)) for seed in range(150)]
    deviations = np.stack([values[0][upper] for values, _ in rows]) - exact[upper]
    errors = np.stack([error[0][upper] for _, error in rows])
    assert (np.abs(deviations.mean(axis=0)) < 4.5 * deviations.std(axis=0) / math.sqrt(150)).all()
    assert 0.90 <= np.mean(np.abs(deviations) <= 1.96 * errors) <= 0.98


def test_interactions_of_a_network():
    """Of a ReLU network, beside the definition on its outputs."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, "relu"), keras.layers.Dense(2)])
    network = lab.load(networks.filled(model))
    rows = np.random.default_rng(0).normal(size=(3, 3)).astype("float32")
    matrix = lab.shapley_interactions(network, rows, lab.logit(1), baseline=0.1)
    assert matrix.shape == (3, 3, 3) and matrix.dtype == np.float32
    for row, values in zip(rows, matrix):
        filled = np.where(shapley.all_coalitions(3), row, np.float32(0.1)).astype("float32")
        table = model(filled).numpy()[:, 1].astype("float64")
        expected = by_definition(lambda one, table=table: table[one @ (1 << np.arange(3))][None], 3)
        np.testing.assert_allclose(values, expected, atol=1e-5)
    drawn, errors = lab.shapley_interactions(network, rows, lab.logit(1), baseline=0.1, draws=40, seed=1, errors=True)
    off = ~np.eye(3, dtype=bool)
    assert (np.abs(drawn - matrix)[:, off] <= 4 * errors[:, off] + 1e-6).all() and errors[:, off].max() > 0
    assert lab.shapley_interactions(network, rows, lab.logit(1), errors=True)[1][:, off].max() == 0


def test_tokens_of_several_lengths():
    model = keras.Sequential(
        [
            keras.Input((4,), dtype="int32"),
            keras.layers.Embedding(
                9, 3, mask_zero=True, embeddings_initializer=keras.initializers.RandomNormal(seed=0)
            ),
            keras.layers.LSTM(3, kernel_initializer=keras.initializers.RandomNormal(0, 2, seed=1)),
            keras.layers.Dense(2, kernel_initializer=keras.initializers.RandomNormal(0, 2, seed=2)),
        ]
    )
    matrix = lab.shapley_interactions(lab.load(model), np.array([[1, 2, 3, 4], [5, 6, 0, 0]], "int32"), lab.logit(0))
    assert matrix.shape == (2, 4, 4) and np.isfinite(matrix[0][~np.eye(4, dtype=bool)]).all()
    assert np.isfinite(matrix[1, 0, 1]) and np.isnan(matrix[1, 2:]).all()


def test_too_many_and_too_few_are_refused(small):
    inputs = networks.images()
    for options, words in (
        ({"count": 25}, "at most 16 players. Received: 25.*draws=10"),
        ({"count": 1}, "two parts or more. Received: 1"),
        ({"draws": 0}, "draws is a whole number"),
        ({"seed": -1}, "seed is a whole number"),
    ):
        with pytest.raises(lab.Refused, match=words):
            lab.shapley_interactions(small, inputs, lab.logit(0), **options)
    assert lab.shapley_interactions(small, inputs, lab.logit(0), count=25, draws=1).shape == (4, 25, 25)
