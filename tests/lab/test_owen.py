"""Owen values against their definition, all orders in which groups stay together, and against shap's Partition explainer."""

import itertools

import keras
import numpy as np
import pytest

import lab
from lab import shapley
from lab.hierarchy import from_levels, halved, players_in
from lab.owen import owen_values
from tests import networks

GOAL = lab.logit([0, 3, 4, 1])


def orders_of(hierarchy):
    """Every order of the players in which those of a group stand together: iterator of tuples."""
    if not isinstance(hierarchy, tuple):
        yield (hierarchy,)
        return
    for parts in itertools.permutations(hierarchy):
        for joined in itertools.product(*(list(orders_of(part)) for part in parts)):
            yield sum(joined, ())


def by_definition(game, hierarchy):
    """The mean of what each player adds over all such orders, one by one: float64 [players]."""
    players = len(players_in(hierarchy))
    values, count = np.zeros(players), 0
    for order in orders_of(hierarchy):
        coalition, before = np.zeros(players, bool), game(np.zeros((1, players), bool))[0]
        for player in order:
            coalition[player] = True
            after = game(coalition[None])[0]
            values[player] += after - before
            before = after
        count += 1
    return values / count


def table_game(players, seed):
    table = np.random.default_rng(seed).normal(size=2**players)
    return lambda coalitions: table[coalitions @ (1 << np.arange(players))]


HIERARCHIES = [
    (0, 1),
    ((0, 1), (2, 3)),
    ((0, (3, 1)), 2, (4, 5)),
    ((0, 1, 2), (3, 4, 5)),
    (0, 1, 2, 3),
    (((0, 1), 2), 3),
]


@pytest.mark.parametrize("hierarchy", HIERARCHIES, ids=str)
def test_values_are_those_of_the_definition(hierarchy):
    game = table_game(len(players_in(hierarchy)), 3)
    values, exact, count = owen_values(game, hierarchy, 10_000)
    np.testing.assert_allclose(values, by_definition(game, hierarchy), atol=1e-12)
    assert exact.all() and count <= 2 ** len(values) - 2


def test_one_group_gives_shapley_values_and_a_group_may_give_others():
    game = table_game(5, 1)
    exact = shapley.exact_values(lambda coalitions: game(coalitions)[None], 5)[0]
    np.testing.assert_allclose(owen_values(game, (0, 1, 2, 3, 4), 100)[0], exact, atol=1e-12)
    assert np.abs(owen_values(game, ((0, 1), 2, 3, 4), 100)[0] - exact).max() > 0.05

    def twins(coalitions):
        return np.where(coalitions[:, :3].any(axis=1), 6.0, 0.0)

    # Three columns that say the same: Shapley gives a third to each, Owen a half to the two of one group.
    np.testing.assert_allclose(owen_values(twins, (0, 1, 2), 100)[0], [2, 2, 2])
    np.testing.assert_allclose(owen_values(twins, ((0, 1), 2), 100)[0], [1.5, 1.5, 3])


def test_scores_go_where_the_additions_are():
    """Of 64 players one pair matters: 300 scores find it, where all would take thousands."""
    asked = []

    def game(coalitions):
        asked.extend(row.tobytes() for row in coalitions)
        return 5.0 * coalitions[:, 9] * coalitions[:, 50] + 2.0 * coalitions[:, 50]

    grid = np.arange(64).reshape(8, 8)
    values, exact, count = owen_values(game, halved(grid), 300)
    expected = np.zeros(64)
    expected[[9, 50]] = 2.5, 4.5
    np.testing.assert_allclose(values, expected, atol=1e-12)
    assert not exact.all() and len(set(asked)) == len(asked) == count + 2 <= 302
    rough, known, few = owen_values(game, halved(grid), 20)
    assert few <= 20 and rough.sum() == pytest.approx(7) and not known.all()
    # Nothing was split: all share evenly.
    np.testing.assert_allclose(owen_values(game, halved(grid), 1)[0], 7 / 64)


def test_halves_are_rectangles_of_a_grid():
    grid = np.arange(12).reshape(3, 4)
    left, right = halved(grid)
    assert sorted(players_in(left)) == [0, 1, 4, 5, 8, 9] and sorted(players_in(right)) == [2, 3, 6, 7, 10, 11]
    assert halved(np.array([0, 0, -1, 1, 2])) == (0, (1, 2))
    rings = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]])
    assert halved(rings) == (0, 1) and halved(np.zeros((2, 2), int)) == 0
    assert from_levels([0, 1, 0], [0, 1, 2]) == ((0, 2), 1)
    assert from_levels([[0, 0, 0, 1], [0, 1, 1, 0]], [0, 1, 2, 3]) == ((0, (1, 2)), 3)


def test_columns_of_a_table_join_by_group():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(16, "tanh"), keras.layers.Dense(2)])
    network, rows = lab.load(networks.filled(model)), np.random.default_rng(0).normal(size=(3, 6)).astype("float32")
    groups = [0, 0, 1, 1, 1, 2]
    record = lab.explain(network, rows, lab.logit(1), method="owen_values", groups=groups, baseline=0.2)

    for row, values in zip(rows, record.maps):
        filled = np.where(shapley.all_coalitions(6), row, np.float32(0.2)).astype("float32")
        table = model(filled).numpy()[:, 1].astype("float64")
        expected = by_definition(lambda one, table=table: table[one @ (1 << np.arange(6))], ((0, 1), (2, 3, 4), 5))
        np.testing.assert_allclose(values, expected, atol=1e-5)
    assert record.errors.max() == 0 and np.abs(record.gap).max() < 1e-5
    alone = lab.explain(network, rows, lab.logit(1), method="owen_values", baseline=0.2)
    exact = lab.explain(network, rows, lab.logit(1), method="exact_shapley", baseline=0.2)
    np.testing.assert_allclose(alone.maps, exact.maps, atol=1e-5)
    assert np.abs(record.maps - exact.maps).max() > 1e-3


# Sixteen cells, of which the last one is always there.
CELLS = np.repeat(np.repeat(np.arange(16).reshape(4, 4), 4, axis=0), 4, axis=1)
CELLS[CELLS == 15] = -1


@pytest.mark.parametrize("options", [{"count": 16}, {"players": CELLS}], ids=["patches", "map"])
def test_pictures_are_halved(small, options):
    inputs = networks.images()
    record = lab.explain(small, inputs, GOAL, method="owen_values", samples=2000, **options)
    assert record.errors.max() == 0 and np.abs(record.gap).max() < 1e-4 * np.abs(record.scores).max()
    rough = lab.explain(small, inputs, GOAL, method="owen_values", samples=5, **options)
    assert rough.samples.max() <= 5 < record.samples.min() and np.isnan(rough.errors).any()
    assert np.abs(rough.gap).max() < 1e-4 * np.abs(record.scores).max()
    assert "standard error not known (4 scores)" in rough.captions[0]
    alone = lab.explain(small, inputs[1:2], lab.logit(3), method="owen_values", samples=5, **options)
    np.testing.assert_allclose(alone.maps[0], rough.maps[1], atol=1e-6)


def test_bad_groups_are_refused(small):
    network = lab.load(keras.Sequential([keras.Input((20,)), keras.layers.Dense(2)]))
    rows = np.ones((2, 20), "float32")
    for options, words in (
        ({}, "Parts of a group are at most 16. Received: 20. Give groups="),
        ({"groups": [0, 1]}, "for each of 20 players. Received: int64 \\(2,\\)"),
        ({"groups": ["a"] * 20}, "whole number of a group"),
        ({"samples": 0}, "samples is a whole number"),
    ):
        with pytest.raises(lab.Refused, match=words):
            lab.explain(network, rows, lab.logit(1), method="owen_values", **options)


def test_values_are_those_of_shaps_partition_explainer():
    shap = pytest.importorskip("shap")
    rng = np.random.default_rng(0)
    kernel, last = rng.normal(size=(6, 8)), rng.normal(size=8)
    point, background = rng.normal(size=(1, 6)), np.zeros((1, 6))

    def model(rows):
        return np.tanh(rows @ kernel) @ last

    # scipy's linkage: 0 with 1, 2 with 3, 4 with 5, then the first two pairs, then all.
    clustering = np.array([[0, 1, 1, 2], [2, 3, 1, 2], [4, 5, 1, 2], [6, 7, 2, 4], [9, 8, 3, 6]], "float64")
    masker = shap.maskers.Partition(background, clustering=clustering)
    theirs = shap.PartitionExplainer(model, masker)(point, max_evals=1000).values[0]
    hierarchy = (((0, 1), (2, 3)), (4, 5))
    ours = owen_values(lambda coalitions: model(np.where(coalitions, point, background)), hierarchy, 1000)[0]
    np.testing.assert_allclose(ours, theirs, atol=1e-9)
