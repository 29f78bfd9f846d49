"""Shapley: values of the players of a game, exact or estimated from the scores of coalitions, in float64.

A game is `scores(coalitions)`: bool [coalitions, players] -> float64 [samples, coalitions], for several samples at once.
Shapley 1953, https://doi.org/10.1515/9781400881970-018.
"""

import itertools
import math

import numpy as np

from lab.refusal import Refused

# Coalitions double with every player.
MOST_EXACT = 16
# How often coalitions are drawn until they tell all players apart.
DRAWS = 100


def exact_values(scores, players):
    """Shapley values from the scores of all coalitions.

    Args:
        scores: the game.
        players: int, at most `MOST_EXACT`.

    Returns:
        float64 [samples, players].

    Raises:
        Refused: for more players.
    """
    if players > MOST_EXACT:
        raise Refused(
            f"Exact Shapley values ask all coalitions of at most {MOST_EXACT} players. Received: {players}. Use fewer, by count= or players=, or an estimate such as kernel_shap."
        )
    coalitions = all_coalitions(players)
    values, sizes = scores(coalitions), coalitions.sum(axis=1)
    inside = np.array([0.0, *(1 / (players * math.comb(players - 1, size - 1)) for size in range(1, players + 1))])
    outside = np.array([*(1 / (players * math.comb(players - 1, size)) for size in range(players)), 0.0])
    return values @ np.where(coalitions, inside[sizes][:, None], -outside[sizes][:, None])


def all_coalitions(players):
    """Every coalition, the empty one first: bool [2 ** players, players]."""
    return (np.arange(2**players)[:, None] >> np.arange(players) & 1).astype(bool)


def kernel_values(scores, players, samples, rng):
    """Shapley values by a weighted regression on the scores of some coalitions, each beside its complement.

    KernelSHAP (Lundberg, Lee 2017, https://arxiv.org/abs/1705.07874), with paired coalitions drawn by their leverage and
    without repetition (Musco, Witter 2025, https://arxiv.org/abs/2410.01917). Exact where all coalitions fit into the samples.

    Args:
        scores: the game.
        players: int.
        samples: int, coalitions beside the empty one and the whole.
        rng: `numpy.random.Generator`.

    Returns:
        float64 [samples of the game, players]. They add up to the score of all players less that of none.

    Raises:
        Refused: for fewer samples than twice the players, unless these are all.
    """
    if players == 1:
        return np.diff(scores(np.array([[False], [True]])))
    if samples < min(2 * players, 2**players - 2):
        raise Refused(
            f"samples are at least twice the players, here {players}. Received: {samples}. Give samples={2 * players} or more, or fewer players."
        )
    coalitions, weights = _telling_coalitions(players, samples, rng)
    ends = scores(np.array([[False] * players, [True] * players]))
    return _regression_values(coalitions, weights, scores(coalitions), ends)


def _telling_coalitions(players, samples, rng):
    """Coalitions that tell all players apart, with their weights. By chance few may not, and a regression on them would be wrong."""
    for _ in range(DRAWS):
        coalitions, weights = paired_coalitions(players, samples, rng)
        if np.linalg.matrix_rank(coalitions - coalitions.mean(axis=1, keepdims=True)) == players - 1:
            return coalitions, weights
    raise Refused(
        f"Coalitions have to tell {players} players apart. Received: samples={samples}, with which they did not in {DRAWS} draws. Give samples={3 * players} or more."
    )


def _regression_values(coalitions, weights, values, ends):
    """The values that fit best and add up to the difference of the ends: float64 [samples, players]."""
    players = coalitions.shape[1]
    shares = coalitions.mean(axis=1)
    total = ends[:, 1] - ends[:, 0]
    residuals = values - ends[:, :1] - shares * total[:, None]
    # What adds up to zero is found in the space of rows that add up to zero.
    design = np.sqrt(weights)[:, None] * (coalitions - shares[:, None])
    rest = np.linalg.lstsq(design, (np.sqrt(weights) * residuals).T, rcond=None)[0].T
    return total[:, None] / players + rest


def paired_coalitions(players, samples, rng):
    """Coalitions and their complements, as many of each size as far as there are, with the weights of the Shapley kernel.

    Args:
        players: int of 2 or more.
        samples: int, how many at most; all of them where so many fit.
        rng: `numpy.random.Generator`.

    Returns:
        bool [coalitions, players], without the empty one and the whole; float64 [coalitions].
    """
    sizes = np.arange(1, players // 2 + 1)
    # Both of a pair of half the players have one size, so that half as many pairs are as many coalitions.
    halves = np.where(2 * sizes == players, 2, 1)
    pairs = [math.comb(players, size) // half for size, half in zip(sizes.tolist(), halves.tolist())]
    counts = _spread_evenly(np.array(pairs, dtype=object), 1 / halves, samples // 2, rng)
    coalitions, weights = [], []
    for size, all_pairs, count in zip(sizes.tolist(), pairs, counts):
        drawn = _draw_coalitions(players, size, all_pairs, count, rng)
        coalitions += [drawn, ~drawn]
        # The kernel of a coalition is this over the number of coalitions of its size.
        mass = 1 / (size * (players - size)) / (2 if 2 * size == players else 1)
        weights += [np.full(2 * count, mass / max(1, count))]
    return np.concatenate(coalitions), np.concatenate(weights)


def _spread_evenly(most, shares, total, rng):
    """Whole numbers that add up to a total, in the proportion of shares as far as none is above its maximum: list of int."""
    counts, left = np.zeros(len(most), int), min(total, int(sum(most)))
    while left:
        # Python's integers: there may be more coalitions than numpy counts.
        open_ = np.flatnonzero([count < limit for count, limit in zip(counts.tolist(), most)])
        quota = np.floor(left * shares[open_] / shares[open_].sum()).astype(int)
        gains = np.array([min(part, most[place] - int(counts[place])) for part, place in zip(quota.tolist(), open_)])
        if not gains.any():
            chances = shares[open_] / shares[open_].sum()
            gains = np.isin(open_, rng.choice(open_, min(left, len(open_)), replace=False, p=chances)).astype(int)
        counts[open_] += gains
        left -= int(gains.sum())
    return counts.tolist()


def _draw_coalitions(players, size, all_pairs, count, rng):
    """Different coalitions of one size, no two of them complements: bool [count, players]."""
    halved = 2 * size == players
    if count == all_pairs:
        # Of two complements of half the players, the one with the first player.
        combinations = itertools.combinations(range(players), size)
        drawn = [combination for combination in combinations if not halved or combination[0] == 0]
    else:
        distinct = {}
        while len(distinct) < count:
            members = np.sort(rng.permutation(players)[:size])
            if halved and members[0] != 0:
                members = np.setdiff1d(np.arange(players), members)
            distinct.setdefault(members.tobytes(), members)
        drawn = list(distinct.values())
    coalitions = np.zeros((count, players), bool)
    for row, members in enumerate(drawn):
        coalitions[row, list(members)] = True
    return coalitions


def permutation_values(scores, players, permutations, rng, paired=True):
    """Shapley values as mean marginal contributions along random orders of the players.

    Castro, Gomez, Tejada 2009, https://doi.org/10.1016/j.cor.2008.04.004; paired with the reversed order: Mitchell, Cooper, Frank,
    Holmes 2022, https://arxiv.org/abs/2104.12199.

    Args:
        scores: the game.
        players: int.
        permutations: int, orders that are drawn.
        rng: `numpy.random.Generator`.
        paired: whether each order is also gone backwards.

    Returns:
        float64 [samples, players]. They add up to the score of all players less that of none.
    """
    orders = np.stack([rng.permutation(players) for _ in range(permutations)])
    if paired:
        orders = np.concatenate([orders, orders[:, ::-1]])
    ranks = orders.argsort(axis=1)
    # Who comes before each place of an order: [orders, players + 1, players].
    coalitions = ranks[:, None, :] < np.arange(players + 1)[None, :, None]
    inner = scores(coalitions[:, 1:-1].reshape(-1, players)) if players > 1 else np.zeros((0, 0))
    ends = scores(np.array([[False] * players, [True] * players]))
    inner = inner.reshape(len(ends), len(orders), players - 1)
    first, last = (np.repeat(ends[:, None, end, None], len(orders), axis=1) for end in (0, 1))
    gains = np.diff(np.concatenate([first, inner, last], axis=2), axis=2)
    return np.take_along_axis(gains, ranks[None], axis=2).mean(axis=1)
