"""Similarities and intervals against their definitions, nulls and degenerate cases."""

import numpy as np
import pytest
from scipy import stats
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity

from sanity import statistics, threads
from sanity.comparison import similarities, similarities_between
from sanity.similarity import PooledMap, measures, mid_ranks, tie_fraction, tie_null
from sanity.statistics import (
    bootstrap_interval,
    group_difference_interval,
    holm,
    krippendorff_alpha,
    max_t,
    pair_interval,
    separations,
    sign_test,
    wilson_interval,
    within_across_interval,
)


def pooled_map(values):
    return PooledMap(values, np.abs(values))


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    return pooled_map(rng.normal(size=(20, 20))), pooled_map(rng.normal(size=(20, 20)))


def test_rank_correlations_are_scipys(maps):
    a, b = maps
    assert abs(measures.get("signed_spearman")(a, b) - spearmanr(a.signed.ravel(), b.signed.ravel()).statistic) < 1e-12
    assert abs(measures.get("abs_spearman")(a, b) - spearmanr(a.unsigned.ravel(), b.unsigned.ravel()).statistic) < 1e-12


@pytest.mark.parametrize("name", [name for name in measures if name != "partial_abs_spearman"])
def test_a_map_equals_itself(maps, name):
    assert abs(measures.get(name)(maps[0], maps[0]) - 1) < 1e-9


@pytest.mark.parametrize("name", list(measures))
def test_a_constant_map_is_undefined_and_not_one(maps, name):
    for flat in (pooled_map(np.zeros((20, 20))), pooled_map(np.ones((20, 20)))):
        assert np.isnan(measures.get(name)(flat, flat)) and np.isnan(measures.get(name)(maps[0], flat))


def test_independent_maps_that_share_zeros_reach_the_tie_null():
    """The 0.99 of the literature: same empty pixels, independent values elsewhere."""
    rng = np.random.default_rng(1)
    ink = rng.uniform(size=(60, 60)) < 0.17
    a, b = (pooled_map(rng.normal(size=(60, 60)) * ink) for _ in range(2))
    assert measures.get("abs_spearman")(a, b) > 0.98
    assert abs(measures.get("abs_spearman")(a, b) - tie_null(a.unsigned, b.unsigned)) < 0.01
    assert abs(measures.get("joint_abs_spearman")(a, b)) < 0.12
    assert abs(tie_fraction(a.unsigned) - (1 - ink.mean())) < 1e-12


def test_a_flipped_sign_is_seen_by_the_signed_measure_only(maps):
    a = maps[0]
    flipped = pooled_map(-a.signed)
    assert measures.get("signed_spearman")(a, flipped) < -0.99 and measures.get("joint_abs_spearman")(a, flipped) > 0.99


def test_small_maps_have_no_ssim_and_few_pixels_no_ranks():
    a = pooled_map(np.random.default_rng(0).normal(size=(7, 7)))
    assert np.isnan(measures.get("ssim")(a, a))
    lonely = np.zeros((7, 7))
    lonely[0, :5] = 1.0
    assert np.isnan(measures.get("joint_abs_spearman")(a, pooled_map(lonely)))


def test_intervals_hold_the_mean_and_widen_with_spread():
    rng = np.random.default_rng(0)
    narrow, wide = (
        bootstrap_interval(rng.normal(0.5, 0.01, (5, 20)), seed=0),
        bootstrap_interval(rng.normal(0.5, 0.3, (5, 20)), seed=0),
    )
    assert narrow.low <= narrow.mean <= narrow.high and wide.high - wide.low > 5 * (narrow.high - narrow.low)


def test_intervals_know_that_images_and_networks_were_sampled():
    """All the variation is between networks: many images must not make the interval narrow."""
    effect = np.random.default_rng(0).normal(0, 0.2, (4, 1))
    interval = bootstrap_interval(np.tile(effect, (1, 500)), seed=0)
    assert interval.high - interval.low > 0.1


def test_the_interval_covers(seeds=120):
    """Over simulated data the 95% interval of a mean holds it about as often as it says; percentile intervals of 8 x 8 fall a little short."""
    held = 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=(8, 1)) + rng.normal(size=(1, 8)) + rng.normal(size=(8, 8))
        interval = bootstrap_interval(values, seed=seed, draws=300)
        held += interval.low <= 0 <= interval.high
    assert held / seeds > 0.82


def test_undefined_values_are_left_out_and_said():
    values = np.full((3, 4), np.nan)
    assert np.isnan(bootstrap_interval(values, seed=0).mean) and str(bootstrap_interval(values, seed=0)) == "undefined"
    values[0] = 1.0
    assert bootstrap_interval(values, seed=0).mean == 1.0


def test_pairs_leave_out_the_diagonal():
    values = np.zeros((3, 3, 5))
    values[range(3), range(3)] = 1.0
    assert pair_interval(values, seed=0).mean == 0.0 and pair_interval(values, seed=0).high == 0.0


def blocks_of(within, second, across, size=4, noise=0.02, seed=0):
    """A similarity matrix of two groups of networks."""
    rng = np.random.default_rng(seed)
    matrix = np.full((2 * size, 2 * size), across)
    matrix[:size, :size], matrix[size:, size:] = within, second
    matrix += noise * rng.standard_normal(matrix.shape)
    return (matrix + matrix.T) / 2


def test_separation_is_its_definition_for_every_split():
    matrix = blocks_of(0.6, 0.2, 0.1)
    splits = separations(matrix, 4)
    assert len(splits) == 70
    within = np.mean([matrix[a, b] for a in range(4) for b in range(4) if a != b])
    second = np.mean([matrix[a, b] for a in range(4, 8) for b in range(4, 8) if a != b])
    assert splits[0] == pytest.approx((within + second) / 2 - matrix[:4, 4:].mean())


@pytest.mark.parametrize("size, least", [(3, 0.1), (4, 2 / 70), (5, 2 / 252), (6, 2 / 924)])
def test_the_smallest_p_is_that_of_the_exact_permutation_however_many_methods(size, least):
    family = [blocks_of(0.6, 0.1, 0.05, size, seed=seed) for seed in range(7)]
    assert max_t(family, size) == pytest.approx(np.full(7, least))


def test_of_many_networks_some_splits_are_drawn():
    """Twenty against twenty networks, as an open verdict may ask for, have 1.4e11 splits."""
    assert max_t([blocks_of(0.6, 0.1, 0.05, 20)], 20)[0] == pytest.approx(1e-4)
    assert len(separations(blocks_of(0.3, 0.3, 0.3, 20), 20)) == 10_000
    assert max_t([blocks_of(0.3, 0.3, 0.3, 20)], 20)[0] > 0.05


def test_groups_that_do_not_differ_get_no_small_p_and_equal_maps_get_one():
    values = [max_t([blocks_of(0.3, 0.3, 0.3, seed=seed)], 4)[0] for seed in range(200)]
    assert np.mean(np.array(values) < 0.05) <= 0.1 and min(values) >= 2 / 70
    assert max_t([np.ones((8, 8))], 4)[0] == 1


def test_the_family_shares_one_null():
    """Among methods that show nothing, one is bound to look best: adjusted p of the family's least stays at its level."""
    low = 0
    for seed in range(200):
        family = [blocks_of(0.3, 0.3, 0.3, seed=1000 * seed + turn) for turn in range(6)]
        low += max_t(family, 4).min() < 0.05
    assert wilson_interval(low, 200).low < 0.05


def test_intervals_of_differences_share_networks_and_images():
    rng = np.random.default_rng(0)
    image = rng.normal(size=20)
    first, second = 0.5 + image + np.zeros((4, 4, 20)), 0.3 + image + np.zeros((4, 4, 20))
    for interval in (group_difference_interval(first, second, seed=0), within_across_interval(first, second, seed=0)):
        assert (
            interval.mean == pytest.approx(0.2)
            and interval.low == pytest.approx(0.2)
            and interval.high == pytest.approx(0.2)
        )
    assert pair_interval(first, seed=0).high - pair_interval(first, seed=0).low > 0.5


def test_an_interval_covers_the_mean_it_estimates():
    hits = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=(12, 1)) + rng.normal(size=(1, 40)) + rng.normal(size=(12, 40))
        interval = bootstrap_interval(values, seed=seed, draws=300)
        hits += interval.low <= 0 <= interval.high
    assert hits / 200 > 0.87


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])


def test_sign_test_and_wilson_by_hand():
    assert sign_test([1, 1, 1, 1, 1, 0]) == pytest.approx(2 / 32) and sign_test([0, 0]) == 1
    interval = wilson_interval(9, 10)
    assert (
        interval.mean == 0.9
        and interval.low == pytest.approx(0.5958, abs=1e-3)
        and interval.high == pytest.approx(0.9821, abs=1e-3)
    )


def test_krippendorff_of_agreement_of_chance_and_of_opposition():
    rng = np.random.default_rng(0)
    assert krippendorff_alpha(np.tile(np.arange(6), (8, 1))) == pytest.approx(1)
    assert abs(krippendorff_alpha(rng.normal(size=(400, 6)))) < 0.02
    assert krippendorff_alpha(np.array([[0, 1, 2, 3], [3, 2, 1, 0]])) < -0.3
    assert np.isnan(krippendorff_alpha(np.ones((3, 4)))) and np.isnan(krippendorff_alpha([[1, 2]]))
    scaled = np.tile(np.arange(6.0), (8, 1)) * rng.uniform(1, 9, (8, 1))
    assert krippendorff_alpha(scaled) == pytest.approx(1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mid_ranks_are_scipys(dtype):
    """Bit by bit, for values without ties, with many, with zeros of both signs, and all alike."""
    rng = np.random.default_rng(0)
    for values in (
        rng.normal(size=999),
        rng.normal(size=999).round(1),
        np.maximum(rng.normal(size=999), 0),
        np.where(rng.random(999) < 0.5, -0.0, 0.0),
        np.ones(9),
        np.array([2.0, 1.0]),
    ):
        values = values.astype(dtype)
        np.testing.assert_array_equal(mid_ranks(values), stats.rankdata(values))


def test_maps_of_one_input_share_its_ranks():
    rng = np.random.default_rng(0)
    x, other = rng.random((9, 9)).astype("float32"), rng.random((9, 9)).astype("float32")
    first, second, third = (
        PooledMap(rng.normal(size=(9, 9)), rng.random((9, 9)), part) for part in (x, x.copy(), other)
    )
    assert first.input_ranks is second.input_ranks and third.input_ranks is not first.input_ranks
    for pooled, part in ((second, x), (third, other)):
        ranks = stats.rankdata(part) - 41
        np.testing.assert_allclose(pooled.input_ranks, ranks / np.linalg.norm(ranks), rtol=1e-12)
    with pytest.raises(ValueError, match="read-only"):
        first.input_ranks[0] = 0
    assert PooledMap(x, x, np.ones((9, 9))).input_ranks is None


def test_agreement_that_is_only_the_inputs_is_taken_out():
    """Two maps that have nothing in common but a factor |x|."""
    rng = np.random.default_rng(0)
    x = np.exp(rng.normal(size=(30, 30)))
    a, b = (
        PooledMap(x * np.exp(0.5 * rng.normal(size=x.shape)), x * np.exp(0.5 * rng.normal(size=x.shape)), x)
        for _ in range(2)
    )
    assert measures.get("abs_spearman")(a, b) > 0.7 and abs(measures.get("partial_abs_spearman")(a, b)) < 0.08
    assert np.isnan(measures.get("partial_abs_spearman")(pooled_map(x), pooled_map(x)))


def test_a_network_with_itself_is_in_no_mean():
    """The fault of a tool whose self-similarity of one entered the average."""
    values = np.zeros((3, 3, 5))
    values[np.eye(3, dtype=bool)] = 1
    assert pair_interval(values, seed=0).mean == 0 and pair_interval(values, seed=0).high == 0


def test_ssim_is_two_dimensional_with_a_declared_range(maps):
    """The same values in other places are other pictures; the same picture at another scale is the same."""
    a = maps[0]
    shuffled = pooled_map(np.random.default_rng(0).permutation(a.signed.ravel()).reshape(20, 20))
    scaled = pooled_map(1000 * a.signed)
    assert measures.get("ssim")(a, shuffled) < 0.2 and measures.get("ssim")(a, scaled) == pytest.approx(1)


@pytest.mark.parametrize("shape", [(224, 224), (11, 30), (40,), (12, 13, 14)])
def test_ssim_is_that_of_skimage_to_the_bit(shape):
    rng = np.random.default_rng(1)
    a, b = (pooled_map(rng.normal(size=shape).astype("float32")) for _ in range(2))
    options = {"data_range": 1.0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    assert measures.get("ssim")(a, b) == float(structural_similarity(a.scaled, b.scaled, **options))


def test_similarities_that_are_known_are_not_computed_again(maps):
    groups = [[maps[0]], [maps[1]]], [[maps[1]], [maps[0]]]
    slow = similarities_between(*groups)
    fast = similarities_between(*groups, [[similarities(groups[0][0], other) for other in groups[1]]])
    assert all(np.array_equal(slow[name], fast[name], equal_nan=True) for name in measures)
    marked = similarities_between(*groups, [[dict.fromkeys(measures, np.array([7.0]))] * 2])
    assert marked["ssim"][0].tolist() == [[7.0], [7.0]] and np.array_equal(marked["ssim"][1], slow["ssim"][1])


def test_resamples_of_many_groups_are_those_of_all_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    values, groups = rng.normal(size=900), rng.integers(500, size=900)
    whole = statistics.group_interval(values, groups, seed=3, draws=99)
    monkeypatch.setattr(statistics, "MOST_KEPT", 4000)
    parts = statistics.group_interval(values, groups, seed=3, draws=99)
    assert np.allclose([parts.low, parts.mean, parts.high], [whole.low, whole.mean, whole.high], rtol=1e-12, atol=0)


def test_maps_are_compared_alike_in_any_number_of_threads(monkeypatch):
    rng = np.random.default_rng(0)
    first, second = ([pooled_map(field) for field in rng.normal(size=(5, 12, 12))] for _ in range(2))
    first[3] = None
    expected = similarities(first, second)
    monkeypatch.setattr(threads.tf.config.threading, "get_intra_op_parallelism_threads", lambda: 1)
    alone = similarities(first, second)
    assert all((np.isnan(row) == [False, False, False, True, False]).all() for row in list(expected.values())[:3])
    assert list(alone) == list(expected)
    assert all(np.array_equal(alone[name], expected[name], equal_nan=True) for name in expected)
    assert all(row.shape == (0,) for row in similarities([], []).values())


def test_a_map_that_is_kept_alone_holds_no_batch_and_no_ranks():
    batch = np.random.default_rng(0).normal(size=(3, 12, 12))
    kept = PooledMap(batch[1], np.abs(batch)[1])
    assert kept.unsigned_ranks is not None
    alone = kept.alone()
    assert np.array_equal(alone.signed, batch[1]) and np.array_equal(alone.unsigned, np.abs(batch[1]))
    assert alone.input is None and alone.signed.base is None and set(vars(alone)) == {"signed", "unsigned", "input"}
