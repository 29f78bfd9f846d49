"""Search: the slices in which a network errs more than elsewhere, by the largest excess under errors that units exchanged.

All slices share the same exchanges, so that the largest of a thousand is compared with the largest of a thousand.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from sanity.audit.excess import differences, excess_blocks, excess_errors, excess_of_sums
from sanity.audit.exchange import Exchange
from sanity.audit.permutation import p_among
from sanity.audit.slices import shares_of
from sanity.seeds import derive_seed

# Exchanges that the scale of each slice is taken from, and what two equal distances may differ by in float32.
SCALING, ROUNDING = 200, 1e-4
# The deviation of a slice, in deviations of the errors, below which it is float32 that varies. Of a million rows it is .002.
FLAT = 1e-6
# Overlap from which on two slices are one, and slices that may be listed.
SAME, CANDIDATES = 0.5, 500


@dataclass(frozen=True)
class Search:
    """What a search over slices gave.

    Args:
        distance: float64 [slices], the excess error in deviations of its null.
        p: float64 [slices], adjusted by the largest over all slices.
        centre: float64 [slices], the mean excess of exchanged errors.
        deviation: float64 [slices], its deviation, 0 for a slice that is the same in every exchange.
        exchanged: float64 [draws], the largest distance of each exchange, in order.
    """

    distance: np.ndarray
    p: np.ndarray
    centre: np.ndarray
    deviation: np.ndarray
    exchanged: np.ndarray

    def p_of(self, distance):
        """p of distances, as of the largest of all: float64."""
        return p_among(self.exchanged, distance, rounding=ROUNDING)

    def scaled(self, excess, places=slice(None)):
        """Distances of the excess of each slice, or of those at some places.

        Args:
            excess: float64 [draws, slices].
            places: int [slices].

        Returns:
            float64 [draws, slices], -inf for a slice that is the same in every exchange.
        """
        centre, deviation = self.centre[places], self.deviation[places]
        varies = deviation > 1e-12
        return np.where(varies, (excess - centre) / np.where(varies, deviation, 1), -np.inf)

    def largest(self, slices, drawn):
        """The largest distance of each of many draws.

        Args:
            slices: `Slices`.
            drawn: iterable of float64 [rows].

        Returns:
            float64 [draws].
        """
        largest = []
        for block in excess_blocks(slices, drawn):
            parts = [self.scaled(excess, places).max(axis=1) for places, excess in block]
            largest.append(np.max(parts, axis=0))
        return np.concatenate(largest)


def search_slices(slices, errors, units, groups, *, draws, seed):
    """Compare the excess error of every slice with that under errors exchanged between units.

    The scale of a slice comes from exchanges of their own, so that no draw that is ranked has set it.

    Args:
        slices: `Slices`.
        errors: float64 [rows], less the mean of their group.
        units: int [rows].
        groups: int [rows], from 0 on, that errors are compared within.
        draws: int.
        seed: int.

    Returns:
        `Search`.
    """
    exchange = Exchange(errors, groups)
    scaling = excess_errors(slices, exchange.draws(units, SCALING, seed=derive_seed(seed, "scaling")))
    deviation = scaling.std(axis=0)
    deviation[deviation < FLAT * errors.std()] = 0.0
    scale = Search(None, None, scaling.mean(axis=0), deviation, np.empty(0))
    largest = scale.largest(slices, exchange.draws(units, draws, seed=derive_seed(seed, "ranked")))
    observed = excess_of_sums(slices.sums(errors), slices.sums(), errors.sum(), len(errors))
    distance = scale.scaled(observed)
    search = replace(scale, distance=distance, exchanged=np.sort(largest))
    return replace(search, p=np.where(np.isfinite(distance), search.p_of(distance), 1.0))


def search_copies(slices, search, errors, copies):
    """The smallest p that each copy of errors would have had.

    Copies share the exchanges: those of errors that were exchanged are the same, and a planted effect adds little to their
    deviation, by which its own numbers are divided.

    Args:
        slices: `Slices`.
        search: `Search` of the errors.
        errors: float64 [rows].
        copies: list of float64 [rows].

    Returns:
        float64 [copies].
    """
    copies = (copy * (errors.std() / max(copy.std(), 1e-300)) for copy in copies)
    return search.p_of(search.largest(slices, copies))


def distinct_slices(slices, search, errors, alpha, most):
    """Slices whose p is at most alpha, the furthest first, without those that overlap one of them or owe their errors to one.

    Args:
        slices: `Slices`.
        search: `Search`.
        errors: float64 [rows], less the mean of their group.
        alpha: float.
        most: int, slices.

    Returns:
        list of int.
    """
    order = np.argsort(-search.distance, kind="stable")
    order = order[search.p[order] <= alpha][:CANDIDATES]
    masks, kept, usable = slices.masks(order), [], np.ones(len(order), bool)
    residual, counts = errors, masks.sum(axis=1)
    while usable.any() and len(kept) < most:
        excess = np.full(len(search.distance), np.nan)
        excess[order] = differences(residual[None].astype("float32"), residual.sum(keepdims=True), masks, counts)[0]
        distance = np.where(usable, search.scaled(excess)[order], -np.inf)
        best = int(distance.argmax())
        if search.p_of(distance[best]) > alpha:
            break
        kept.append(best)
        overlap = (masks & masks[best]).sum(axis=1) / (masks | masks[best]).sum(axis=1)
        usable &= overlap <= SAME
        residual = without_slices(masks[kept], errors)
    return [int(order[place]) for place in kept]


def without_slices(masks, errors):
    """Errors less what slices have more than elsewhere.

    Args:
        masks: bool [slices, rows].
        errors: float64 [rows].

    Returns:
        float64 [rows].
    """
    table = np.vstack([np.ones(len(errors)), masks]).T
    return errors - table @ np.linalg.lstsq(table, errors, rcond=None)[0]


def rows_needed(slices, search, errors, delta, share):
    """About how many rows find a slice of a share with an excess of delta in four of five audits.

    Args:
        slices: `Slices`.
        search: `Search`, whose deviations say how much the rows of a unit are alike.
        errors: float64 [rows], such as of variance e (1 - e).
        delta: float.
        share: float.

    Returns:
        int, or None where there are as many.
    """
    distance = stats.norm.isf(0.05 / max(len(slices), 1)) + stats.norm.isf(0.2)
    rows = slices.conditions.holds.shape[1]
    shares = shares_of(slices)
    alike = max(1.0, float(np.median(search.deviation**2 * shares * (1 - shares) * rows / max(errors.var(), 1e-300))))
    count = int(np.ceil(distance**2 * errors.var() * alike / (share * delta**2)))
    return count if count > rows else None
