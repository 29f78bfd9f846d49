"""Agreement of methods, its null, and global views, against what is known beforehand."""

import numpy as np
import pytest
from scipy import ndimage, stats

from sanity.agreement import agreement, between_seeds
from sanity.overview import overview

rng = np.random.default_rng(2)


def smooth(count=6, side=28):
    return ndimage.gaussian_filter(rng.normal(size=(count, side, side)), (0, 3, 3))


def test_maps_agree_with_themselves_and_not_with_others():
    first, second = smooth(), smooth()
    result = agreement({"a": first, "again": -2 * first, "b": second}, seed=0)
    assert result.methods == ["a", "again", "b"] and result.side == 14
    np.testing.assert_allclose(np.diag(result.rank), 1, atol=1e-9)
    assert abs(result.rank[0, 1] - 1) < 1e-9 and result.rank[0, 1] > result.null[0, 1]
    assert abs(result.rank[0, 2]) < 0.35 and np.allclose(result.rank, result.rank.T)


def test_the_number_is_the_rank_correlation_of_cells():
    first, second = np.abs(smooth()), np.abs(smooth())
    cells = [maps.reshape(6, 14, 2, 14, 2).mean((2, 4)).reshape(6, -1) for maps in (first, second)]
    slow = np.mean([stats.spearmanr(a, b)[0] for a, b in zip(*cells)])
    assert abs(agreement({"a": first, "b": second}, seed=0).rank[0, 1] - slow) < 1e-9


def test_the_null_is_what_turned_maps_reach():
    """Independent smooth maps exceed it about as often as its percentile says."""
    exceeded = 0
    for _ in range(100):
        result = agreement({"a": smooth(4, 14), "b": smooth(4, 14)}, seed=0, draws=200)
        exceeded += result.rank[0, 1] > result.null[0, 1]
    assert 0 < exceeded <= 11  # 5 expected; above 11 once in two hundred such tests.


def test_the_null_knows_that_both_love_the_middle():
    rows = np.linspace(-1, 1, 14)
    bump = np.exp(-2 * (rows[:, None] ** 2 + rows[None] ** 2))
    result = agreement({"a": bump + 0.1 * smooth(4, 14), "b": bump + 0.1 * smooth(4, 14)}, seed=0)
    assert result.rank[0, 1] > 0.8 and result.null[0, 1] > 0.8
    alone = agreement({"a": smooth(1), "b": smooth(1)}, seed=0)
    assert not alone.rank[0, 1] > alone.null[0, 1]


def test_channels_coarse_maps_and_holes():
    fine, coarse = smooth(3, 28)[..., None] * np.ones(3), smooth(3, 7)
    broken = fine.copy()
    broken[0, 2, 2] = np.nan
    result = agreement({"fine": fine, "coarse": coarse, "broken": broken, "flat": np.ones((3, 28, 28))}, seed=0)
    assert result.side == 7 and np.isfinite(result.rank[0, 1])
    assert abs(result.rank[0, 2] - 1) < 1e-9 and np.isnan(result.rank[0, 3])


def test_seeds_agree_where_the_noise_is_small():
    maps = smooth()
    near, far = maps + 0.01 * smooth(), maps + 10 * smooth()
    assert between_seeds(maps, maps) == pytest.approx(1)
    assert between_seeds(maps, near) > 0.9 > 0.5 > between_seeds(maps, far)
    assert np.isnan(between_seeds(maps, np.zeros_like(maps)))


def test_a_global_view_is_the_mean_with_its_interval():
    maps = rng.normal(size=(40, 5, 5, 3)) * [1, 2, 0]
    labels = ["cat"] * 30 + ["dog"] * 10
    intervals = overview(maps, labels, seed=0)
    sizes = np.abs(maps).mean((1, 2))
    assert list(intervals) == [None, "cat", "dog"]
    for label, rows in ((None, slice(None)), ("cat", slice(0, 30)), ("dog", slice(30, 40))):
        for span, values in zip(intervals[label], sizes[rows].T):
            assert span.mean == pytest.approx(values.mean()) and span.low <= span.mean <= span.high
    assert intervals[None][1].high - intervals[None][1].low < intervals["dog"][1].high - intervals["dog"][1].low
    assert intervals[None][2].high == 0
    table = overview(rng.normal(size=(20, 4)), seed=0)
    assert list(table) == [None] and len(table[None]) == 4
