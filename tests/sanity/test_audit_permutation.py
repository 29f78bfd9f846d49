"""Permutation with units of unequal sizes: a unit stays whole, every unit gives once, and counts are kept."""

import numpy as np
import pytest

from sanity.audit.permutation import (
    NEIGHBOURS,
    draw_sides,
    exchange_rows,
    halves,
    resample_units,
    rolled_rows,
    unit_folds,
)


def unequal(seed, units=40, most=9):
    """Units of one to nine rows, whose rows lie apart in the file: int [rows]."""
    rng = np.random.default_rng(seed)
    return rng.permutation(np.repeat(np.arange(units), rng.integers(1, most + 1, units)))


def givers(units, order):
    """The one unit whose values each unit receives: int [units]."""
    given = [np.unique(units[order[units == unit]]) for unit in np.unique(units)]
    assert all(len(unit) == 1 for unit in given), "the values of a unit come from one unit"
    return np.concatenate(given)


def places_read(units, order, unit):
    """The places, in the giver's rows, of what a unit receives; and how many rows the giver has."""
    received = order[units == unit]
    rows = np.flatnonzero(units == units[received[0]])
    return np.searchsorted(rows, received), len(rows)


@pytest.mark.parametrize("seed", range(5))
def test_units_exchange_whole_and_every_unit_gives_once(seed):
    units, moved = unequal(seed), 0
    sizes = np.bincount(units)
    for order in exchange_rows(units, 20, seed=seed):
        giver = givers(units, order)
        assert sorted(giver) == list(range(40))
        moved += (giver != np.arange(40)).sum()
        for unit in range(40):
            places, count = places_read(units, order, unit)
            assert places.tolist() == [place * count // sizes[unit] for place in range(sizes[unit])]
    assert moved > 0.7 * 20 * 40


def test_units_of_one_size_exchange_rows_without_loss():
    units = np.random.default_rng(0).permutation(np.repeat(np.arange(30), 4))
    for order in exchange_rows(units, 10, seed=0):
        assert sorted(order) == list(range(120))


def test_a_unit_receives_from_one_of_about_its_size():
    units = unequal(1, units=200, most=30)
    sizes = np.bincount(units)
    rank = np.argsort(np.argsort(sizes, kind="stable"))
    # All units of one size are in one block, which may so be larger than eight.
    largest = NEIGHBOURS + 2 * np.bincount(sizes).max()
    for order in exchange_rows(units, 20, seed=1):
        assert np.abs(rank[givers(units, order)] - rank).max() <= largest < 200 / 4


def test_units_of_other_strata_give_nothing():
    units = unequal(2)
    strata = np.arange(40) % 3
    for order in exchange_rows(units, 20, seed=2, strata=strata):
        assert (strata[givers(units, order)] == strata).all()


def test_every_order_of_three_units_is_as_frequent():
    units = np.repeat(np.arange(3), 2)
    drawn = [tuple(givers(units, order)) for order in exchange_rows(units, 3000, seed=0)]
    counts = [drawn.count(order) for order in set(drawn)]
    assert len(counts) == 6 and max(counts) < 600 > min(counts) > 400


@pytest.mark.parametrize("seed", range(10))
def test_rolled_units_come_from_equally_far_down_the_file(seed):
    units = unequal(seed)
    order = rolled_rows(units, seed=seed)
    giver = givers(units, order)
    assert sorted(giver) == list(range(40))
    first = np.array([np.flatnonzero(units == unit)[0] for unit in range(40)])
    place = np.argsort(np.argsort(first))
    (offset,) = set((place - place[giver]) % 40)
    assert 4 <= offset <= 36, "no unit keeps its values, nor receives those of a near neighbour"


@pytest.mark.parametrize("units", [2, 3, 40, 41])
def test_halves_hold_whole_units_and_half_of_them(units):
    rows = unequal(0, units)
    first = halves(rows, seed=0)
    sides = [set(first[rows == unit]) for unit in range(units)]
    assert all(len(side) == 1 for side in sides)
    assert sum(side == {True} for side in sides) == units // 2
    assert (halves(rows, seed=1) != first).any() or units < 4


def test_every_unit_is_as_often_in_the_first_half():
    units = unequal(3)
    shares = np.mean([np.bincount(units, halves(units, seed=seed)) / np.bincount(units) for seed in range(400)], axis=0)
    assert np.abs(shares - 0.5).max() < 0.1


@pytest.mark.parametrize("seed", range(5))
def test_a_bootstrap_sample_has_as_many_units_each_with_all_its_rows(seed):
    units = unequal(seed)
    sizes, counts = np.bincount(units), np.bincount(resample_units(units, seed=seed), minlength=len(units))
    times = np.array([np.unique(counts[units == unit]) for unit in range(40)])
    assert times.shape == (40, 1), "all rows of a unit are drawn as often"
    assert times.sum() == 40 and (times[:, 0] * sizes).sum() == counts.sum() and times.max() > 1


def test_folds_and_sides_keep_units_whole_and_their_number():
    units = unequal(4)
    folds = unit_folds(units, 5, seed=0)
    assert [len(np.unique(units[folds == fold])) for fold in range(5)] == [8] * 5
    assert sum(len(np.unique(folds[units == unit])) for unit in range(40)) == 40
    is_current = units >= 25
    for row in draw_sides(units, is_current, 10, seed=0):
        assert len(np.unique(units[row])) == 15 and not set(units[row]) & set(units[~row])
