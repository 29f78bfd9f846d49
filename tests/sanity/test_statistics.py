"""Similarities and intervals against their definitions, nulls and degenerate cases."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from sanity.similarity import Plane, measures, tie_fraction, tie_null
from sanity.statistics import pairs, two_way


def plane(values):
    return Plane(values, np.abs(values))


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    return plane(rng.normal(size=(20, 20))), plane(rng.normal(size=(20, 20)))


def test_rank_correlations_are_scipys(maps):
    a, b = maps
    assert abs(measures.get("signed_spearman")(a, b) - spearmanr(a.signed.ravel(), b.signed.ravel()).statistic) < 1e-12
    assert abs(measures.get("abs_spearman")(a, b) - spearmanr(a.unsigned.ravel(), b.unsigned.ravel()).statistic) < 1e-12


@pytest.mark.parametrize("name", list(measures))
def test_a_map_equals_itself(maps, name):
    assert abs(measures.get(name)(maps[0], maps[0]) - 1) < 1e-9


@pytest.mark.parametrize("name", list(measures))
def test_a_constant_map_is_undefined_and_not_one(maps, name):
    flat = plane(np.zeros((20, 20)))
    assert np.isnan(measures.get(name)(flat, flat)) and np.isnan(measures.get(name)(maps[0], flat))


def test_independent_maps_that_share_zeros_reach_the_tie_null():
    """The 0.99 of the literature: same empty pixels, independent values elsewhere."""
    rng = np.random.default_rng(1)
    ink = rng.uniform(size=(60, 60)) < 0.17
    a, b = (plane(rng.normal(size=(60, 60)) * ink) for _ in range(2))
    assert measures.get("abs_spearman")(a, b) > 0.98
    assert abs(measures.get("abs_spearman")(a, b) - tie_null(a.unsigned, b.unsigned)) < 0.01
    assert abs(measures.get("joint_abs_spearman")(a, b)) < 0.12
    assert abs(tie_fraction(a.unsigned) - (1 - ink.mean())) < 1e-12


def test_a_flipped_sign_is_seen_by_the_signed_measure_only(maps):
    a = maps[0]
    flipped = plane(-a.signed)
    assert measures.get("signed_spearman")(a, flipped) < -0.99 and measures.get("joint_abs_spearman")(a, flipped) > 0.99


def test_small_maps_have_no_ssim_and_few_pixels_no_ranks():
    a = plane(np.random.default_rng(0).normal(size=(7, 7)))
    assert np.isnan(measures.get("ssim")(a, a))
    lonely = np.zeros((7, 7))
    lonely[0, :5] = 1.0
    assert np.isnan(measures.get("joint_abs_spearman")(a, plane(lonely)))


def test_intervals_hold_the_mean_and_widen_with_spread():
    rng = np.random.default_rng(0)
    narrow, wide = two_way(rng.normal(0.5, 0.01, (5, 20)), seed=0), two_way(rng.normal(0.5, 0.3, (5, 20)), seed=0)
    assert narrow.low <= narrow.mean <= narrow.high and wide.high - wide.low > 5 * (narrow.high - narrow.low)


def test_intervals_know_that_images_and_networks_were_sampled():
    """All the variation is between networks: many images must not make the interval narrow."""
    effect = np.random.default_rng(0).normal(0, 0.2, (4, 1))
    found = two_way(np.tile(effect, (1, 500)), seed=0)
    assert found.high - found.low > 0.1


def test_the_interval_covers(seeds=120):
    """Over simulated data the 95% interval of a mean holds it about as often as it says; percentile intervals of 8 x 8 fall a little short."""
    held = 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=(8, 1)) + rng.normal(size=(1, 8)) + rng.normal(size=(8, 8))
        found = two_way(values, seed=seed, draws=300)
        held += found.low <= 0 <= found.high
    assert held / seeds > 0.82


def test_undefined_values_are_left_out_and_said():
    values = np.full((3, 4), np.nan)
    assert np.isnan(two_way(values, seed=0).mean) and str(two_way(values, seed=0)) == "undefined"
    values[0] = 1.0
    assert two_way(values, seed=0).mean == 1.0


def test_pairs_leave_out_the_diagonal():
    values = np.zeros((3, 3, 5))
    values[range(3), range(3)] = 1.0
    assert pairs(values, seed=0).mean == 0.0 and pairs(values, seed=0).high == 0.0
