"""Swarm, partners and importance: the numbers behind the plots of columns, against slow formulas and planted answers."""

import itertools
import time

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from lab.feature_means import feature_means
from lab.partners import FEWEST, partner
from lab.swarm import crowding, swarm
from sanity.statistics import bootstrap_interval

RNG = np.random.default_rng(0)
CLOUDS = {
    "spread": RNG.normal(size=200),
    "ties": np.repeat([0.0, 0.0, 1.0, 2.5], 20),
    "one": np.array([3.0]),
    "constant": np.zeros(500),
    "heavy tails": RNG.standard_cauchy(300),
}


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize("lanes", [5, 1000])
def test_dots_never_overlap_and_stand_for_all_samples(name, lanes):
    values, diameter = CLOUDS[name], 0.1
    places, rows, members, share = swarm(values, diameter, lanes)
    assert np.all(np.abs(rows) <= (lanes + 1) // 2) and np.bincount(members).max() <= share
    if len(places) > 1:
        assert pdist(np.stack([places, diameter * rows], axis=1)).min() >= diameter * (1 - 1e-9)
    # A dot lies at the mean of its samples, which all are within a diameter of it.
    np.testing.assert_allclose(np.bincount(members, values) / np.bincount(members), places)
    assert np.abs(values - places[members]).max() <= diameter
    assert share == 1 or lanes == 5
    if share == 1:
        assert np.array_equal(np.sort(values), places)


def test_dots_do_not_depend_on_the_order_of_samples_nor_on_chance():
    values = RNG.normal(size=300)
    order = RNG.permutation(300)
    first, second = swarm(values, 0.2, 7), swarm(values[order], 0.2, 7)
    for left, right in zip(first[:2], second[:2]):
        assert np.array_equal(left, right)
    assert np.array_equal(first[2][order], second[2])


def test_crowding_is_the_slow_count():
    values = np.sort(RNG.normal(size=120))
    slow = max(int(((values > value - 0.3) & (values <= value)).sum()) for value in values)
    assert crowding(values, 0.3) == slow


def test_a_swarm_of_many_samples_takes_no_quadratic_time():
    start = time.process_time()
    swarm(RNG.normal(size=200_000), 0.01, 20)
    assert time.process_time() - start < 5


# Partners -----------------------------------------------------------------------------------------------------------------


def slow_shares(values, attributions, column, groups):
    """The share of squares that each other column explains, by least squares in every group of like values."""
    order = np.argsort(values[:, column], kind="stable")
    explained, left = np.zeros(values.shape[1]), 0.0
    for rows in np.array_split(order, groups):
        line = np.stack([np.ones(len(rows)), values[rows, column]], axis=1)
        rest = attributions[rows] - line @ np.linalg.lstsq(line, attributions[rows], rcond=None)[0]
        left += rest @ rest
        for other in range(values.shape[1]):
            if other != column:
                design = np.column_stack([line, values[rows, other]])
                after = attributions[rows] - design @ np.linalg.lstsq(design, attributions[rows], rcond=None)[0]
                explained[other] += rest @ rest - after @ after
    return explained / left


def test_a_share_is_what_least_squares_explains():
    values = RNG.normal(size=(60, 4)) * [1, 10, 0.1, 1]
    attributions = values[:, 0] * values[:, 2] + 0.02 * RNG.normal(size=60)
    choice = partner(values, attributions, 0, seed=0)
    assert choice.column == 2
    assert choice.share == pytest.approx(slow_shares(values, attributions, 0, 5).max(), rel=1e-6)


@pytest.mark.parametrize("scale", [1, 1e4])
def test_the_planted_partner_is_found_among_many(scale):
    values = RNG.normal(size=(300, 40)) * np.geomspace(1, scale, 40)
    values[:, 5] = values[:, 3] + 0.3 * RNG.normal(size=300)
    attributions = values[:, 3] * np.sign(values[:, 17]) + np.sin(values[:, 3])
    choice = partner(values, attributions, 3, seed=0)
    assert choice.column == 17 and choice.share > 0.5 > choice.chance


def test_columns_that_do_not_interact_are_named_as_often_as_chance_says():
    """A curve of the column alone, columns that go with it, and noise: at 5%, at most 8 of 60 in 98 of 100 cases."""
    alarms = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=(120, 6))
        values[:, 1] = values[:, 0] + 0.2 * rng.normal(size=120)
        attributions = 2 * values[:, 0] + rng.normal(size=120)
        alarms += partner(values, attributions, 0, seed=seed).column is not None
    assert alarms <= 8


def test_where_nothing_is_left_or_known_there_is_no_partner():
    values = RNG.normal(size=(100, 3)).astype("float32")
    values[:, 2] = 1
    assert partner(values, 3 * values[:, 0], 0, seed=0).column is None
    assert partner(values, np.zeros(100), 0, seed=0).column is None
    assert partner(values, values[:, 0] * values[:, 1], 2, seed=0).column in (None, 0, 1)
    few = partner(values[: FEWEST - 1], values[: FEWEST - 1, 0], 0, seed=0)
    assert few.column is None and np.isnan(few.share)
    assert partner(values[:, :1], values[:, 0], 0, seed=0).column is None
    broken = np.where(np.arange(100) < 90, np.nan, values[:, 0])
    assert partner(values, broken, 0, seed=0).column is None


# Importance ---------------------------------------------------------------------------------------------------------------


def test_intervals_are_those_of_the_bootstrap_of_one_feature():
    sizes = np.abs(RNG.normal(size=(40, 3)))
    sizes[3, 1] = np.nan
    for feature, (mean, low, high) in enumerate(feature_means(sizes, seed=2, draws=500).T):
        span = bootstrap_interval(sizes[None, :, feature], seed=2, draws=500)
        assert (mean, low, high) == pytest.approx((span.mean, span.low, span.high))


def test_the_interval_of_a_mean_covers_it():
    covered = [
        low <= 1 <= high
        for _, low, high in itertools.chain.from_iterable(
            feature_means(RNG.exponential(size=(60, 20)), seed=draw, draws=400).T for draw in range(10)
        )
    ]
    assert 0.86 <= np.mean(covered) <= 0.98


def test_what_is_not_finite_is_left_out():
    sizes = np.array([[1.0, np.nan, np.inf], [3.0, np.nan, 2.0]])
    mean, low, high = feature_means(sizes, seed=0)
    assert mean[0] == 2 and np.isnan([mean[1], low[1], high[1]]).all() and (mean[2], low[2], high[2]) == (2, 2, 2)


def test_a_curve_of_the_value_is_no_partner():
    """What a column's square adds cannot be told from a curve of the column itself."""
    rng, named = np.random.default_rng(0), 0
    for seed in range(12):
        values = rng.normal(size=(200, 5))
        values[:, 1] = values[:, 0] ** 2
        values[:, 2] = values[:, 0] > 0.5
        attributions = np.sin(2 * values[:, 0]) + values[:, 1] + 0.1 * rng.normal(size=200)
        named += partner(values, attributions, 0, seed=seed).column in (1, 2)
    assert named == 0
