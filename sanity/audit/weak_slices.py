"""Weak slices: groups of rows in which a network errs more, with copies of the data that say what would have been found.

The same for groups by columns and for groups by activations: both are a matter of the inputs alone, and know nothing of errors.
"""

from dataclasses import dataclass, replace

import numpy as np

from sanity.audit.copies import TRIES, Tries, list_copies, read_copies, would_find
from sanity.audit.excess import error_interval, measured_excess
from sanity.audit.exchange import Exchange, centred_errors, group_codes, searched_errors, unit_strata
from sanity.audit.permutation import exchange_rows, rolled_rows
from sanity.audit.search import Search, distinct_slices, rows_needed, search_copies, search_slices, without_slices
from sanity.audit.slices import ROWS, UNITS, Slices, count_units, shares_of, shares_within
from sanity.audit.swaps import sample_units
from sanity.seeds import derive_seed
from sanity.statistics import Interval

# Excess error, and that of a regression in deviations of its error; share of rows of a planted slice.
DELTA, DELTA_OF_NUMBERS, PLANTED = 0.1, 0.3, 0.05
# Rows that are searched, drawn by unit: of half wrong answers, 14,000 rows find a slice of 5% with an excess of the margin.
SEARCHED = 20_000
# Slices that are listed, and those of about the planted share that one is drawn from.
LISTED, NEAREST = 10, 10
# The part of a slice that groups leave open, from which on an effect is planted in it.
MIXED = 0.5
# A label that the network gives less than this is doubted.
DOUBTED = 0.05


@dataclass(frozen=True)
class WeakSlices:
    """What a search for groups of rows with more errors gave.

    Args:
        slices: `Slices`, all that were searched.
        rows: `Rows`, all labelled.
        search: `Search`.
        weakest: list of int, slices that stand out, the furthest first.
        tries: `Tries`.
        effect: `Interval`, of the largest excess, of all rows.
        delta: float, the margin.
        share: float, the share of rows of a planted slice.
        needed: int, or None.
        searched: int, rows that were searched.
    """

    slices: Slices
    rows: object
    search: Search
    weakest: list
    tries: Tries
    effect: Interval
    delta: float
    share: float
    needed: int | None
    searched: int

    @property
    def p(self):
        """The smallest adjusted p: float."""
        return float(self.search.p.min())

    @property
    def masks(self):
        """Rows of the slices that stand out: bool [slices, rows]."""
        return self.slices.masks(np.array(self.weakest, int))

    @property
    def excess(self):
        """The margin in words: str."""
        return f"{self.delta:.2g}{' deviations' if self.rows.is_regression else ''}"

    @property
    def planted(self):
        """What would have been found, in words: str."""
        return self.tries.words(f"a group of {self.share:.0%} with +{self.excess}")

    def table(self):
        """The slices that stand out as they are listed: list of dict."""
        return [self._row(place, mask) for place, mask in zip(self.weakest, self.masks)]

    def _row(self, place, mask):
        inside, outside = (error_interval(self.rows.errors[rows], self.rows.units[rows]) for rows in (mask, ~mask))
        return {
            "name": self.slices.name(place),
            "rows": int(mask.sum()),
            "error": inside.mean,
            "error low": inside.low,
            "error high": inside.high,
            "elsewhere": outside.mean,
            "elsewhere low": outside.low,
            "elsewhere high": outside.high,
            "p": float(self.search.p[place]),
            **({} if self.rows.is_regression else {"doubted labels": int(doubted_labels(self.rows)[mask].sum())}),
        }


def doubted_labels(rows):
    """Errors whose label the network gives less than .05: they may be errors of the label, and a person decides.

    Args:
        rows: `Rows`, all labelled.

    Returns:
        bool [rows].
    """
    of_label = rows.probabilities[np.arange(len(rows)), np.minimum(rows.labels, rows.logits.shape[1] - 1)]
    return (rows.errors > 0) & (of_label < DOUBTED)


def find_weak_slices(slices, rows, *, alpha, seed, draws, tries=TRIES, beyond="label"):
    """Search groups of rows for more errors than elsewhere, and ask the same of copies.

    Of very many rows some are searched, drawn by unit, and all tell how large an excess is. All are searched where those would miss
    one of the margin, or hold too little of a slice.

    Args:
        slices: `Slices` of the rows, one at least.
        rows: `Rows`, all labelled.
        alpha: float.
        seed: int.
        draws: int, exchanges of errors between units.
        tries: int, null copies, and planted ones of each size.
        beyond: str, as of `sanity.audit.exchange.group_codes`.

    Returns:
        `WeakSlices`.
    """
    options = {"alpha": alpha, "seed": seed, "draws": draws, "tries": tries, "beyond": beyond}
    kept = sample_units(rows.units, seed=derive_seed(seed, "searched"), rows=SEARCHED)
    is_part = len(kept) < len(rows) and _stay_large(slices.take(kept), rows.units[kept])
    weak = _search_rows(slices.take(kept), rows.take(kept), **options) if is_part else None
    if weak is None or weak.needed or not would_find(weak.tries.planted):
        weak = _search_rows(slices, rows, **options)
    return replace(weak, slices=slices, rows=rows, effect=_measured(slices, rows, seed, beyond))


def _stay_large(slices, units):
    """Whether each slice of some rows has so many on both sides, and of so many units, that it can be searched there."""
    inside = slices.sums()
    if np.minimum(inside, len(units) - inside).min() < ROWS / 2:
        return False
    return len(np.unique(units)) == len(units) or count_units(slices, units).min() >= UNITS


def _measured(slices, rows, seed, beyond):
    """The excess of the slice that stands out most, on rows that did not choose it: `Interval`."""
    groups = group_codes(rows, beyond)
    errors = searched_errors(rows, groups)
    return measured_excess(slices, errors, rows.units, groups, seed=derive_seed(seed, "measured"))


def _search_rows(slices, rows, *, alpha, seed, draws, tries, beyond):
    """As of `find_weak_slices`, with all rows, and without the effect."""
    groups = group_codes(rows, beyond)
    errors = searched_errors(rows, groups)
    delta = DELTA_OF_NUMBERS if rows.is_regression else DELTA
    search = search_slices(slices, errors, rows.units, groups, draws=draws, seed=derive_seed(seed, "exchanged"))
    weakest = distinct_slices(slices, search, errors, alpha, LISTED)
    nearest = slices_of_share(slices, PLANTED, groups)
    share = float(np.median(shares_of(slices)[nearest]))
    copies = _Copies(rows, groups, errors, slices.masks(np.array(weakest, int)), slices.masks(nearest), delta)
    listed = list_copies(copies.rolled, copies.plant, seed=derive_seed(seed, "copies"), tries=tries)
    return WeakSlices(
        slices,
        rows,
        search,
        weakest,
        read_copies(search_copies(slices, search, errors, listed) <= alpha, tries),
        None,
        delta,
        share,
        rows_needed(slices, search, errors, delta, share),
        len(rows),
    )


def slices_of_share(slices, share, groups):
    """The slices of about a share of rows, without those that are little else than groups.

    A slice that is a class has no error beyond its class, whatever is planted.

    Args:
        slices: `Slices`.
        share: float.
        groups: int [rows], that errors are compared within.

    Returns:
        int array, the nearest first.
    """
    shares, within = shares_of(slices), shares_within(slices, groups)
    distance = np.abs(np.log(shares / share))
    mixed = within > MIXED
    return np.argsort(np.where(mixed | ~mixed.any(), distance, np.inf), kind="stable")[
        : min(NEAREST, mixed.sum() or NEAREST)
    ]


class _Copies:
    """Copies of the errors: rolled down the file with nothing in them, or exchanged with some more errors in one slice.

    What slices that stand out have more is taken off before errors are rolled. In a file that is sorted by a column they would
    be moved onto another slice as a whole, though rows are independent.
    """

    def __init__(self, rows, groups, errors, present, nearest, delta):
        self.rows, self.groups, self.nearest, self.delta = rows, groups, nearest, delta
        self.exchange = Exchange(errors, groups)
        self.flat = Exchange(centred_errors(without_slices(present, errors), groups), groups)

    def rolled(self, seed):
        """Errors of units that lie equally far down the file: float64 [rows]."""
        return self.flat.moved(rolled_rows(self.rows.units, seed=seed))

    def plant(self, size, seed):
        """Exchanged errors, more frequent by so many margins in one slice: float64 [rows]."""
        rng = np.random.default_rng(derive_seed(seed, "slice"))
        mask, added = self.nearest[rng.integers(len(self.nearest))], size * self.delta
        if self.rows.is_regression:
            return next(self.exchange.draws(self.rows.units, 1, seed=seed)) + added * mask
        strata = unit_strata(self.rows.units, self.groups)
        errors = self.rows.errors[next(exchange_rows(self.rows.units, 1, seed=seed, strata=strata))]
        right = mask & (errors == 0)
        turned = right & (rng.random(len(mask)) < added * mask.sum() / max(right.sum(), 1))
        return centred_errors(errors + turned, self.groups)
