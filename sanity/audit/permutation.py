"""Permutation: how rows are exchanged under a null, with whole units at a time, and p values of a family that shares its draws.

Rows of one person, day or document are not independent. In 200 simulated audits of four rows a person, a group of rows that was
found on one half and tested on the other was "confirmed" in .78 of them where there was nothing (`sanity/CALIBRATION.md`).
"""

import numpy as np

# Units of nearly the same size that exchange their values.
NEIGHBOURS = 8
# How far sizes of the units of two sides may differ, as a ratio, and caps of a unit that are tried.
ALIKE, CAPS = 1.25, 200


def exchange_rows(units, draws, *, seed, strata=None):
    """Orders of rows in which whole units have exchanged their values.

    A unit receives the values of a unit of about its size; where that has another number of rows they are read at equal
    distances.

    Args:
        units: int [rows].
        draws: int.
        seed: int.
        strata: int [units], groups within which units are exchanged, by the number of the unit; None: all are one.

    Returns:
        iterator of int [rows], the row whose value each row receives.
    """
    layout = UnitOrder(units)
    return map(layout.rows, layout.exchanged(draws, seed=seed, strata=strata))


def rolled_rows(units, *, seed):
    """An order of rows in which every unit has the values of another one that lies equally far down the file.

    What links columns and values is lost, and what links neighbours is kept: rows that belong together though no unit says
    so, or days of a season. A question that takes units for independent alarms on such copies where they are not.

    Args:
        units: int [rows].
        seed: int.

    Returns:
        int [rows], the row whose value each row receives.
    """
    layout = UnitOrder(units)
    return layout.rows(layout.rolled(seed))


class UnitOrder:
    """Rows in the order of their units, and what they receive where whole units exchange their values.

    A place is that of a row in this order.

    Args:
        units: int [rows].
    """

    def __init__(self, units):
        self.sizes = np.unique(units, return_counts=True)[1]
        self.by_unit = np.argsort(units, kind="stable")
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(int)

    def exchanged(self, draws, *, seed, strata=None):
        """Exchanges of whole units, as of `exchange_rows`.

        Args:
            draws: int.
            seed: int.
            strata: int [units], or None.

        Returns:
            iterator of int [rows], the place whose value each place receives.
        """
        rng = np.random.default_rng(seed)
        strata = np.zeros(len(self.sizes), int) if strata is None else np.asarray(strata)
        blocks = _blocks(self.sizes, strata)
        for _ in range(draws):
            giver = np.arange(len(self.sizes))
            for block in blocks:
                giver[block] = rng.permutation(block)
            yield self.places(giver)

    def rolled(self, seed):
        """The place whose value each place receives, as of `rolled_rows`: int [rows]."""
        count = len(self.sizes)
        order = np.argsort(self.by_unit[self.starts], kind="stable")
        lowest = max(1, count // 10)
        offset = int(np.random.default_rng(seed).integers(lowest, max(count - lowest, lowest) + 1))
        giver = np.empty(count, int)
        giver[order] = np.roll(order, offset)
        return self.places(giver)

    def places(self, giver):
        """The place whose value each place receives, where each unit receives the values of another: int [rows].

        Args:
            giver: int [units].
        """
        places = np.arange(len(self.by_unit)) + np.repeat(self.starts[giver] - self.starts, self.sizes)
        resized = self.sizes[giver] != self.sizes
        if resized.any():
            rows = np.flatnonzero(np.repeat(resized, self.sizes))
            owner = np.repeat(np.arange(len(giver)), self.sizes * resized)
            share = (rows - self.starts[owner]) / self.sizes[owner]
            places[rows] = self.starts[giver[owner]] + (share * self.sizes[giver[owner]] + 1e-9).astype(int)
        return places

    def rows(self, places):
        """The row whose value each row receives: int [rows].

        Args:
            places: int [rows], the place whose value each place receives.
        """
        order = np.empty(len(self.by_unit), int)
        order[self.by_unit] = self.by_unit[places]
        return order


def _rows_of_units(units):
    """Rows of each unit, in their order: list of int arrays."""
    order = np.argsort(units, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(np.asarray(units)[order])) + 1)


def _blocks(sizes, strata):
    """Units that may exchange: of one stratum, and of one size or of neighbouring sizes: list of int arrays."""
    blocks = []
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        members = members[np.argsort(sizes[members], kind="stable")]
        if sizes[members[0]] == sizes[members[-1]]:
            blocks.append(members)
            continue
        start = 0
        while start < len(members):
            # All units of one size stay together; a last block that is too small joins the one before.
            stop = max(start + NEIGHBOURS, np.searchsorted(sizes[members], sizes[members[start]], side="right"))
            stop = len(members) if len(members) - stop < NEIGHBOURS else stop
            blocks.append(members[start:stop])
            start = stop
    return blocks


def draw_sides(units, is_current, draws, *, seed, strata=None):
    """Sides of all rows when units are dealt anew to two sides, as many units to each as there are, the observed sides first.

    Args:
        units: int [rows].
        is_current: bool [rows], the observed side of each row; all rows of a unit are on one side.
        draws: int.
        seed: int.
        strata: int [units], groups within which sides are dealt, by the number of the unit; None: all are one.

    Returns:
        bool [1 + draws, rows].
    """
    names, first, inverse = np.unique(units, return_index=True, return_inverse=True)
    sides, rng = np.asarray(is_current)[first], np.random.default_rng(seed)
    strata = np.zeros(len(names), int) if strata is None else np.asarray(strata)
    drawn = np.repeat(sides[None], 1 + draws, axis=0)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        for row in drawn[1:]:
            row[members] = rng.permutation(sides[members])
    return drawn[:, inverse]


def capped_rows(units, most, *, seed):
    """Rows of which no unit has more than so many, drawn at random within each unit.

    Args:
        units: int [rows].
        most: int, rows of a unit.
        seed: int.

    Returns:
        bool [rows].
    """
    numbers, counts = np.unique(units, return_inverse=True, return_counts=True)[1:]
    order = np.lexsort((np.random.default_rng(seed).random(len(numbers)), numbers))
    kept = np.empty(len(numbers), bool)
    kept[order] = np.arange(len(numbers)) - (np.cumsum(counts) - counts)[numbers[order]] < most
    return kept


def level_rows(units, is_current, *, seed):
    """Rows of which the units of both sides have about as many: all, or no more of each unit than leaves sides alike.

    Where units of one side are larger, dealing units anew changes how many rows a side has. With it changes how far chance
    moves its means. Days of 100 and of 20 rows alarmed in 22 of 40 audits where nothing was.

    Args:
        units: int [rows]; no unit is on both sides.
        is_current: bool [rows].
        seed: int.

    Returns:
        bool [rows].
    """
    _, first, sizes = np.unique(units, return_index=True, return_counts=True)
    sides = np.asarray(is_current)[first]
    caps = np.unique(np.geomspace(1, sizes.max(), CAPS).round().astype(int))[::-1]
    most = next(cap for cap in caps if _are_alike(np.minimum(sizes, cap), sides))
    return capped_rows(units, most, seed=seed) if most < sizes.max() else np.ones(len(units), bool)


def _are_alike(sizes, sides):
    """Whether units of two sides have about as many rows, in the mean and in the mean of squares, which variances go by."""
    means = [[(sizes[part] ** power).mean() for part in (sides, ~sides)] for power in (1, 2)]
    return all(max(pair) <= ALIKE**power * min(pair) for power, pair in zip((1, 2), means))


def resample_units(units, *, seed):
    """Rows of a bootstrap sample of units, drawn with replacement.

    Args:
        units: int [rows].
        seed: int.

    Returns:
        int [rows of the sample].
    """
    rows_of = _rows_of_units(units)
    drawn = np.random.default_rng(seed).integers(len(rows_of), size=len(rows_of))
    return np.concatenate([rows_of[unit] for unit in drawn])


def unit_folds(units, folds, *, seed):
    """The fold of each row, whole units to one fold.

    Args:
        units: int [rows].
        folds: int; fewer where there are fewer units.
        seed: int.

    Returns:
        int [rows].
    """
    names, inverse = np.unique(units, return_inverse=True)
    return (np.random.default_rng(seed).permutation(len(names)) % min(folds, max(len(names), 1)))[inverse]


def halves(units, *, seed):
    """Which rows are in the first of two halves of all units.

    Args:
        units: int [rows].
        seed: int.

    Returns:
        bool [rows].
    """
    names, inverse = np.unique(units, return_inverse=True)
    first = np.zeros(len(names), bool)
    first[np.random.default_rng(seed).permutation(len(names))[: len(names) // 2]] = True
    return first[inverse]


def p_among(drawn, values, *, rounding=1e-9):
    """p of values among draws of a null: (1 + draws that reach it) / (1 + draws), never 0.

    Args:
        drawn: float [draws], in order.
        values: float, or float array.
        rounding: float, what two equal values may differ by.

    Returns:
        float64 of the shape of the values.
    """
    return (1 + len(drawn) - np.searchsorted(drawn, np.asarray(values) - rounding)) / (1 + len(drawn))


def min_p(statistics):
    """p of each test of a family by the smallest p among the tests, for statistics without a common scale.

    Args:
        statistics: float [1 + draws, tests], larger is more extreme, the observed ones first.

    Returns:
        float64 [tests], adjusted; 1 for a test that is the same in every draw.
    """
    values = np.asarray(statistics, "float64")
    values = np.where(np.isfinite(values), values, -np.inf)
    ranks = np.stack([_upper_ranks(column) for column in values.T], axis=1)
    smallest = ranks.min(axis=1)
    return (smallest[None] <= ranks[0][:, None] + 1e-12).mean(axis=1)


def _upper_ranks(values):
    """The share of all values that are as large as each one: float64, ties counted."""
    ordered = np.sort(values)
    return (len(values) - np.searchsorted(ordered, values, side="left")) / len(values)
