"""Shapley values against their definition, closed forms and laws, on games that are no networks."""

import itertools
import math

import numpy as np
import pytest

from lab import shapley
from lab.attribution.grids import dependence, jansen_design, jansen_indices
from lab.attribution.lime import local_weights


def by_definition(game, players):
    """The mean marginal contribution over all orders, one by one: float64 [players]."""
    values = np.zeros(players)
    for order in itertools.permutations(range(players)):
        coalition, before = np.zeros(players, bool), game(np.zeros((1, players), bool))[0, 0]
        for player in order:
            coalition[player] = True
            after = game(coalition[None])[0, 0]
            values[player] += after - before
            before = after
    return values / math.factorial(players)


def additive(weights):
    return lambda coalitions: np.atleast_2d(coalitions @ weights + 3.0)


def product(weights):
    """A game that is worth the product of weights when all of them are there."""
    return lambda coalitions: np.atleast_2d(np.where(coalitions.all(axis=1), np.prod(weights), 0.0))


def voting(weights, quota):
    return lambda coalitions: np.atleast_2d((coalitions @ weights >= quota).astype("float64"))


def random_game(players, seed):
    table = np.random.default_rng(seed).normal(size=2**players)
    return lambda coalitions: table[coalitions @ (1 << np.arange(players))][None]


ESTIMATORS = {
    "exact": lambda game, players: shapley.exact_values(game, players),
    "kernel, all": lambda game, players: (
        shapley.kernel_values(game, players, 2**players, np.random.default_rng(0)).values
    ),
    "kernel": lambda game, players: shapley.kernel_values(game, players, 4 * players, np.random.default_rng(0)).values,
    "permutation": lambda game, players: shapley.permutation_values(game, players, 3, np.random.default_rng(0)).values,
    "unpaired": lambda game, players: (
        shapley.permutation_values(game, players, 3, np.random.default_rng(0), False).values
    ),
}


@pytest.mark.parametrize("players", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("name", ["exact", "kernel, all"])
def test_values_are_those_of_the_definition(name, players):
    game = random_game(players, players)
    np.testing.assert_allclose(ESTIMATORS[name](game, players)[0], by_definition(game, players), atol=1e-12)


def test_closed_forms():
    weights = np.array([2.0, -1.0, 0.5, 3.0, 0.0])
    for name, estimate in ESTIMATORS.items():
        np.testing.assert_allclose(estimate(additive(weights), 5)[0], weights, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(shapley.exact_values(product(weights[:4]), 4)[0], np.full(4, -3.0 / 4))
    # The council of 1958: three large states of 4, two of 2, one of 1, and a quota of 12.
    values = shapley.exact_values(voting(np.array([4, 4, 4, 2, 2, 1]), 12), 6)[0]
    np.testing.assert_allclose(values, np.array([14, 14, 14, 9, 9, 0]) / 60, atol=1e-12)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimate_adds_up(name):
    game = random_game(8, 1)
    ends = game(np.array([[False] * 8, [True] * 8]))[0]
    assert ESTIMATORS[name](game, 8).sum() == pytest.approx(ends[1] - ends[0])


@pytest.mark.parametrize("name", ["exact", "kernel, all"])
def test_symmetry_dummy_and_linearity(name):
    estimate = ESTIMATORS[name]

    def game(coalitions):
        # Players 0 and 1 do the same, and player 4 does nothing.
        return np.atleast_2d((coalitions[:, 0] | coalitions[:, 1]) * (1.0 + coalitions[:, 2]) + 2.0 * coalitions[:, 3])

    values = estimate(game, 5)[0]
    assert values[0] == pytest.approx(values[1]) and values[4] == pytest.approx(0, abs=1e-12)
    other = random_game(5, 7)
    both = estimate(lambda coalitions: game(coalitions) + 2 * other(coalitions), 5)
    np.testing.assert_allclose(both, estimate(game, 5) + 2 * estimate(other, 5), atol=1e-12)


def test_interactions_of_a_polynomial_are_split_evenly():
    def game(coalitions):
        return np.atleast_2d(3.0 * coalitions[:, 0] * coalitions[:, 1] - 2.0 * coalitions[:, 1:4].all(axis=1))

    expected = [1.5, 1.5 - 2 / 3, -2 / 3, -2 / 3]
    np.testing.assert_allclose(shapley.exact_values(game, 4)[0], expected)


@pytest.mark.parametrize("name", ["kernel", "permutation"])
def test_the_error_falls_with_the_root_of_the_samples(name):
    game = random_game(12, 3)
    exact = shapley.exact_values(game, 12)

    def error(share):
        errors = []
        for seed in range(20):
            rng = np.random.default_rng(seed)
            if name == "kernel":
                values = shapley.kernel_values(game, 12, 48 * share, rng).values
            else:
                values = shapley.permutation_values(game, 12, 2 * share, rng).values
            errors.append(((values - exact) ** 2).mean())
        return math.sqrt(np.mean(errors))

    # Sixteen times the samples: a quarter of the error, or less where coalitions are not repeated.
    assert error(16) < 0.33 * error(1)


def test_the_mean_of_many_estimates_is_exact():
    game = random_game(7, 2)
    exact = shapley.exact_values(game, 7)[0]
    drawn = np.stack(
        [shapley.permutation_values(game, 7, 1, np.random.default_rng(seed)).values[0] for seed in range(3000)]
    )
    error = drawn.std(axis=0) / math.sqrt(len(drawn))
    assert (np.abs(drawn.mean(axis=0) - exact) < 4 * error).all()


def test_pairs_halve_the_error_of_a_game_of_interactions():
    def game(coalitions):
        return np.atleast_2d(coalitions[:, :-1].astype(float) * coalitions[:, 1:]).sum(axis=-1)[None]

    exact = shapley.exact_values(game, 8)

    def error(permutations, paired):
        values = [
            shapley.permutation_values(game, 8, permutations, np.random.default_rng(seed), paired).values
            for seed in range(40)
        ]
        return np.mean((np.stack(values) - exact) ** 2)

    assert error(4, True) < 0.25 * error(8, False)


@pytest.mark.parametrize("players, samples", [(4, 100), (6, 30), (7, 60), (13, 200), (40, 300), (9, 18), (98, 220)])
def test_coalitions_are_paired_and_not_repeated(players, samples):
    coalitions, weights = shapley.paired_coalitions(players, samples, np.random.default_rng(0))
    rows = {row.tobytes() for row in coalitions}
    assert len(rows) == len(coalitions) <= samples and (weights > 0).all()
    assert all((~row).tobytes() in rows for row in coalitions)
    assert not coalitions.all(axis=1).any() and coalitions.any(axis=1).all()
    if 2**players - 2 <= samples:
        assert len(coalitions) == 2**players - 2
        sizes = coalitions.sum(axis=1)
        kernel = [1 / (math.comb(players, size) * size * (players - size)) for size in sizes.tolist()]
        assert np.ptp(weights / kernel) < 1e-12
    else:
        assert len(coalitions) >= samples - 2


def test_too_much_is_refused():
    with pytest.raises(ValueError, match="at most 16 players. Received: 17"):
        shapley.exact_values(random_game(3, 0), 17)
    with pytest.raises(ValueError, match="samples=40 or more"):
        shapley.kernel_values(random_game(3, 0), 20, 39, np.random.default_rng(0))


def test_a_local_linear_model_is_found_again():
    weights = np.array([[1.0, -2.0, 0.0, 0.5], [0.0, 0.0, 3.0, 0.0]])
    coalitions = np.random.default_rng(0).random((200, 4)) < 0.5
    values, fit = local_weights(coalitions, weights @ coalitions.T + 7.0, 0.25, 0.0)
    np.testing.assert_allclose(values, weights, atol=1e-9)
    np.testing.assert_allclose(fit, 1.0)
    parity = np.where(coalitions.sum(axis=1) % 2, 1.0, -1.0)[None]
    assert local_weights(coalitions, parity, 10.0, 0.0)[1] < 0.1
    shrunk, _ = local_weights(coalitions, weights @ coalitions.T, 0.25, 50.0)
    assert (np.linalg.norm(shrunk, axis=1) < np.linalg.norm(values, axis=1)).all()


def test_total_indices_of_a_polynomial():
    """f = x0 + 2 x1 + 4 x0 x2 on uniform numbers: closed form."""
    masks = jansen_design(4096, 3, 0)
    scores = (masks[:, 0] + 2 * masks[:, 1] + 4 * masks[:, 0] * masks[:, 2])[None].astype("float64")
    # f - E f over centred u = x - 1/2: 3 u0 + 2 u1 + 2 u2 + 4 u0 u2.
    parts = {"0": 9 / 12, "1": 4 / 12, "2": 4 / 12, "02": 16 / 144}
    total = sum(parts.values())
    expected = [(parts["0"] + parts["02"]) / total, parts["1"] / total, (parts["2"] + parts["02"]) / total]
    np.testing.assert_allclose(jansen_indices(scores, 4096, 3)[0], expected, atol=0.02)
    assert jansen_indices(np.ones_like(scores), 4096, 3).max() == 0


def test_dependence_is_the_trace_of_two_centred_kernels():
    rng = np.random.default_rng(0)
    masks = rng.random((60, 3)) < 0.5
    scores = 2.0 * masks[:, 0] + 0.1 * rng.normal(size=60)
    values = dependence(masks, scores)
    centre = np.eye(60) - 1 / 60
    distances = np.abs(scores[:, None] - scores[None])
    kernel = np.exp(-(distances**2) / (2 * np.median(distances[distances > 0]) ** 2))
    for cell in range(3):
        equal = (masks[:, cell, None] == masks[None, :, cell]).astype("float64")
        assert values[cell] == pytest.approx(np.trace(kernel @ centre @ equal @ centre) / 59**2)
    assert values[0] > 5 * values[1:].max()
