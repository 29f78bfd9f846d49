"""Importance: what a factor does to scores, to losses and to decisions, over all rows and for few of them.

The mean size of contributions says that a factor moves scores, also where it is of no use. What is of use shows in the loss when the
factor is exchanged between units (Fisher, Rudin, Dominici 2019, https://arxiv.org/abs/1801.01489). A factor that is rare and
decides is small in both.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from sanity.audit.factors import spearman
from sanity.audit.permutation import exchange_rows
from sanity.seeds import derive_seed
from sanity.statistics import wilson_interval

# Exchanges of a factor, rows that give their values to others, and rank correlation from which on a column is a partner.
REPEATS, DONORS, PARTNER, STRATA = 10, 20, 0.3, 5
# A factor affects rows where its contribution is at least half of its tenth largest one.
TENTH, HALF = 10, 0.5
# Rare: less than this share of rows, and so many at least. Decisive: the lower bound of the share of them whose decision turns.
RARE, FEWEST, DECISIVE = 0.05, 20, 0.3


@dataclass(frozen=True)
class Losses:
    """How much the loss rises when a factor is exchanged between units.

    Args:
        rise: float64 [factors].
        low: float64 [factors], bounds that hold for all factors together.
        high: float64 [factors].
        p: float64 [factors], that it does not rise, adjusted by the largest over all factors.
    """

    rise: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


def log_losses(logits, labels):
    """The log loss of each row.

    Args:
        logits: float64 [rows, classes].
        labels: int [rows].

    Returns:
        float64 [rows].
    """
    logits = np.asarray(logits, "float64")
    # Few classes are many times as fast to go through as rows of their own. Beside an infinite logit others have no loss.
    with np.errstate(invalid="ignore"):
        return -log_softmax(np.ascontiguousarray(logits.T), axis=0)[labels, np.arange(len(logits))]


def loss_importance(predict, rows, factors, *, seed, draws=999, strata=None, alpha=0.05):
    """How much the log loss rises when a factor is exchanged between units, with bounds by unit.

    A unit counts by the rise of its own rows and by that of the rows that it gave to (Hoeffding 1948). Signs of units are drawn
    at random for the largest over all factors.

    Args:
        predict: float32 [rows, inputs] -> float64 [rows, classes].
        rows: `sanity.audit.rows.Rows`, labelled.
        factors: list of `Factor`.
        seed: int.
        draws: int, of signs.
        strata: list over factors of int [units], units within which each is exchanged; None: all are one.
        alpha: float, the level.

    Returns:
        `Losses`.
    """
    before = log_losses(rows.logits, rows.labels)
    unit = np.unique(rows.units, return_inverse=True)[1]
    rises, influences = [], []
    for place, factor in enumerate(factors):
        rise, passed_on, values = np.zeros(len(rows)), np.zeros(len(rows)), rows.inputs[:, factor.places]
        within = None if strata is None else strata[place]
        for order in exchange_rows(unit, REPEATS, seed=derive_seed(seed, "factor", place), strata=within):
            mixed = np.array(rows.inputs)
            mixed[:, factor.places] = values[order]
            change = log_losses(predict(mixed), rows.labels) - before
            rise += change / REPEATS
            passed_on += np.bincount(order, change, minlength=len(rows)) / REPEATS
        rises.append(rise.mean())
        influences.append(np.bincount(unit, rise + passed_on - 2 * rise.mean()) / len(rows))
    return _bounds(np.array(rises), np.array(influences), draws, derive_seed(seed, "signs"), alpha)


def _bounds(rises, influences, draws, seed, alpha):
    """Bounds and p of all factors together, by signs of units."""
    units = influences.shape[1]
    errors = np.sqrt((influences**2).sum(axis=1) * units / max(units - 1, 1))
    varies = errors > 1e-12
    scale = np.where(varies, errors, 1.0)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (draws, units))
    drawn = np.where(varies, signs @ influences.T / scale, 0.0)
    largest = np.sort(drawn.max(axis=1))
    reached = draws - np.searchsorted(largest, np.where(varies, rises / scale, -np.inf) - 1e-9)
    sizes = np.sort(np.abs(drawn).max(axis=1))
    reach = sizes[min(draws - 1, int(np.ceil((1 - alpha) * (draws + 1))) - 1)] * errors
    return Losses(rises, rises - reach, rises + reach, (1 + reached) / (1 + draws))


def partner_strata(rows, factors):
    """Strata of units that are alike in the columns that go with each factor.

    Args:
        rows: `Rows`.
        factors: list of `Factor`.

    Returns:
        list over factors of int [units], all 0 for a factor without partners; bool [factors], which have partners.
    """
    names = [name for factor in factors for name in factor.columns]
    correlations, owner = spearman(rows, names), {name: f.name for f in factors for name in f.columns}
    unit = np.unique(rows.units, return_inverse=True)[1]
    strata, has_partners = [], []
    for factor in factors:
        places = [names.index(name) for name in factor.columns]
        partners = [
            place
            for place, name in enumerate(names)
            if owner[name] != factor.name and np.abs(correlations[places, place]).max(initial=0) >= PARTNER
        ]
        has_partners.append(bool(partners))
        strata.append(_strata(rows, factor, [names[place] for place in partners], unit))
    return strata, np.array(has_partners)


def _strata(rows, factor, partners, unit):
    """Fifths of units by what the partners foretell of a factor: int [units]."""
    if not partners:
        return np.zeros(unit.max() + 1, int)
    design = np.stack([_filled(rows.column(name).values) for name in partners] + [np.ones(len(rows))], axis=1)
    target = _filled(rows.column(factor.columns[0]).values)
    foretold = design @ np.linalg.lstsq(design, target, rcond=None)[0]
    means = np.bincount(unit, foretold) / np.bincount(unit)
    return np.searchsorted(np.quantile(means, np.linspace(0, 1, STRATA + 1)[1:-1]), means)


def _filled(values):
    known = np.isfinite(values)
    return np.where(known, values, values[known].mean() if known.any() else 0.0)


def turn_shares(score, threshold, inputs, factors, *, seed):
    """How often the decision on each row turns when a factor is drawn again from other rows.

    Args:
        score: float32 [rows, inputs] -> float64 [rows].
        threshold: float.
        inputs: float32 [rows, inputs].
        factors: list of `Factor`.
        seed: int.

    Returns:
        float64 [rows, factors].
    """
    donors = inputs[np.random.default_rng(seed).integers(len(inputs), size=DONORS)]
    before, turned = score(inputs) >= threshold, np.zeros((len(inputs), len(factors)))
    for place, factor in enumerate(factors):
        for donor in donors:
            mixed = np.array(inputs)
            mixed[:, factor.places] = donor[list(factor.places)]
            turned[:, place] += ((score(mixed) >= threshold) != before) / DONORS
    return turned


def affected_rows(contributions):
    """Rows that a factor affects: where its contribution is at least half of its tenth largest.

    Args:
        contributions: float64 [rows, factors].

    Returns:
        bool [rows, factors].
    """
    sizes = np.abs(contributions)
    tenth = np.sort(sizes, axis=0)[-min(TENTH, len(sizes))]
    return (sizes >= HALF * tenth) & (sizes > 1e-6 * sizes.max(initial=0))


def decisive_share(affected, turned, units, level=0.95):
    """The share of affected rows whose decision mostly turns, with bounds over units of which one row each counts.

    Args:
        affected: bool [rows].
        turned: float64 [rows], as of `turn_shares`.
        units: int [rows].
        level: float.

    Returns:
        float64 [3], nan without affected rows.
    """
    places = np.flatnonzero(affected)
    if not len(places):
        return np.full(3, np.nan)
    first = places[np.unique(np.asarray(units)[places], return_index=True)[1]]
    interval = wilson_interval((turned[first] > 0.5).sum(), len(first), level)
    return np.array([interval.mean, interval.low, interval.high])


def is_rare_and_decisive(share, rows, low):
    """Whether a factor affects few rows and decides them.

    Args:
        share: float, of rows that it affects.
        rows: int, how many these are.
        low: float, the lower bound of the share of them whose decision turns.

    Returns:
        bool.
    """
    return bool(share < RARE and rows >= FEWEST and low >= DECISIVE)
