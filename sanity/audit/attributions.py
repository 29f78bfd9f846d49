"""Attributions: what each factor adds to a score against each of several reference rows, as interventional Shapley values.

A factor is taken from the row or, together with all its columns, from the reference row (Janzing et al. 2020,
https://arxiv.org/abs/1910.13413). Values of each reference row are kept, so that references can be drawn again without asking the
network again.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from lab.estimates import REACH
from lab.shapley import exact_values, permutation_values
from sanity.audit.factors import members
from sanity.seeds import derive_seed

# Factors of which all coalitions are asked, predictions at most of one call, and of one batch.
MOST_EXACT, MOST, BATCH = 12, 2_000_000, 1 << 16
# Pairs of orders of the factors that each reference row gets at least and at most.
FEWEST_ORDERS, MOST_ORDERS = 3, 16


@dataclass(frozen=True)
class Attributions:
    """What each factor adds to the score of each row.

    Args:
        values: float64 [rows, references, factors], against each reference row.
        errors: float64 [rows, factors], standard errors of the means over references by the orders that were drawn; 0 where
            all coalitions were asked.
        gaps: float64 [rows], how far the sum lies from the difference of the scores, as a share of that.
        is_exact: bool.
    """

    values: np.ndarray
    errors: np.ndarray
    gaps: np.ndarray
    is_exact: bool

    @property
    def means(self):
        """Over all references: float64 [rows, factors]."""
        return self.values.mean(axis=1)


def attribute(score, rows, references, factors, *, seed, most=MOST):
    """Shapley values of a score against reference rows: exact up to 12 factors where there is room, else along random orders.

    Args:
        score: float32 [rows, inputs] -> float64 [rows].
        rows: float32 [rows, inputs].
        references: float32 [references, inputs].
        factors: list of `sanity.audit.factors.Factor`, which hold every input.
        seed: int, of the orders.
        most: int, about how many predictions at most.

    Returns:
        `Attributions`.
    """
    rows, references = np.asarray(rows, "float32"), np.asarray(references, "float32")
    pairs, players = len(rows) * len(references), len(factors)
    owners = members(factors, rows.shape[1])
    is_exact = players <= 2 or (players <= MOST_EXACT and pairs * 2**players <= most)
    orders = int(np.clip(most // max(pairs * 2 * players, 1), FEWEST_ORDERS, MOST_ORDERS))
    values = np.empty((len(rows), len(references), players))
    variances = np.zeros((len(rows), players))
    for place, reference in enumerate(references):
        game = _game(score, rows, reference, owners)
        if is_exact:
            values[:, place] = exact_values(game, players)
            continue
        rng = np.random.default_rng(derive_seed(seed, "orders", place))
        drawn = permutation_values(game, players, orders, rng)
        values[:, place] = drawn.values
        # Errors of few orders are widened as Student's t is. Here they are added up over all reference rows.
        variances += (drawn.errors * REACH / stats.t.ppf(0.975, orders - 1)) ** 2
    return Attributions(
        values, np.sqrt(variances) / len(references), _gaps(score, rows, references, values.mean(axis=1)), is_exact
    )


def _game(score, rows, reference, owners):
    """The score of rows of which a coalition of factors is left and the others are those of a reference row."""

    def scores(coalitions, open_rows=None):
        kept = coalitions[:, owners]
        present = rows if open_rows is None else rows[open_rows]
        step, parts = max(1, BATCH // max(len(kept), 1)), []
        for start in range(0, len(present), step):
            block = present[start : start + step]
            mixed = np.where(kept[None], block[:, None], reference)
            parts.append(score(mixed.reshape(-1, rows.shape[1])).reshape(len(block), len(kept)))
        return np.concatenate(parts)

    return scores


def _gaps(score, rows, references, means):
    """How far sums lie from the differences of scores, as a share of these: float64 [rows]."""
    differences = score(rows) - score(references).mean()
    scale = np.maximum(np.abs(differences), np.abs(means).max(axis=1, initial=0))
    return np.abs(means.sum(axis=1) - differences) / np.maximum(scale, 1e-9)


def exchange_roles(rows, factors, *, seed):
    """Factors that play each other's parts: what networks agree on then is chance.

    The inputs of a factor receive the ranks of another factor's columns, as values of their own, so that the network sees
    values of the usual size. Half of the factors are turned round, too.

    Args:
        rows: float32 [rows, inputs], of which ranks are taken.
        factors: list of `sanity.audit.factors.Factor`.
        seed: int.

    Returns:
        float32 [any, inputs] -> what the network sees in their place, and the factors with the places that they now have.
    """
    rng, ordered = np.random.default_rng(seed), np.sort(np.asarray(rows, "float32"), axis=0)
    roles, is_reversed = rng.permutation(len(factors)), rng.random(len(factors)) < 0.5
    moved = [replace(factor, places=factors[role].places) for factor, role in zip(factors, roles)]

    def to_roles(inputs):
        mixed = np.array(inputs, "float32")
        for factor, other, turn in zip(factors, moved, is_reversed):
            for number, place in enumerate(other.places):
                rank = _ranks(ordered[:, giver := factor.places[number % len(factor.places)]], inputs[:, giver])
                mixed[:, place] = ordered[len(ordered) - 1 - rank if turn else rank, place]
        return mixed

    return to_roles, moved


def _ranks(ordered, values):
    """The middle place of each value among ordered ones: int."""
    low = np.searchsorted(ordered, values, side="left")
    return np.minimum((low + np.searchsorted(ordered, values, side="right")) // 2, len(ordered) - 1)
