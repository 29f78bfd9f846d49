"""Shapley: values of the players of a game, exact or estimated from the scores of coalitions, in float64.

A game is `scores(coalitions)`: bool [coalitions, players] -> float64 [samples, coalitions], for several samples at once;
`scores(coalitions, rows)` is of some of them.
Shapley 1953, https://doi.org/10.1515/9781400881970-018.
"""

import itertools
import math

import numpy as np

from lab.estimates import Estimate, errors_of_means
from lab.refusal import Refused

# Coalitions double with every player.
MOST_EXACT = 16
# With an error to reach, sampling goes on to so many times the samples of the first round.
MOST_ROUNDS = 32
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
    before = chances(np.arange(players), players)
    inside, outside = np.array([0.0, *before]), np.array([*before, 0.0])
    return values @ np.where(coalitions, inside[sizes][:, None], -outside[sizes][:, None])


def chances(sizes, players):
    """How likely those before a player in a random order are one coalition of each size.

    Args:
        sizes: int array.
        players: int.

    Returns:
        float64 array.
    """
    return np.array([1 / (players * math.comb(players - 1, size)) for size in sizes.tolist()])


def all_coalitions(players):
    """Every coalition, the empty one first: bool [2 ** players, players]."""
    return (np.arange(2**players)[:, None] >> np.arange(players) & 1).astype(bool)


def kernel_values(scores, players, samples, rng, error=None, most=None):
    """Shapley values by a weighted regression on the scores of some coalitions, each beside its complement.

    KernelSHAP (Lundberg, Lee 2017, https://arxiv.org/abs/1705.07874), with paired coalitions drawn by their leverage and
    without repetition (Musco, Witter 2025, https://arxiv.org/abs/2410.01917). Exact where all coalitions fit into the samples.

    Errors are those of a weighted regression whose residuals differ in size, each divided by what the others leave it free
    (HC3: MacKinnon, White 1985, https://doi.org/10.1016/0304-4076(85)90158-7). A pair of coalitions is one observation. A size
    of coalitions counts by the share of them that was not drawn (Cochran 1977), so that what is complete has no error.

    Args:
        scores: the game.
        players: int.
        samples: int, coalitions beside the empty one and the whole; with an error to reach, those of the first round.
        rng: `numpy.random.Generator`.
        error: float, the standard error at which sampling stops; None: it stops after `samples`.
        most: int, samples at most with `error`; None: `MOST_ROUNDS` times as many.

    Returns:
        `Estimate`, values float64 [samples of the game, players]. They add up to the score of all players less that of none.
        Errors are NaN for fewer than four coalitions a player.

    Raises:
        Refused: for fewer samples than twice the players, unless these are all.
    """
    if players > 1 and samples < min(2 * players, 2**players - 2):
        raise Refused(
            f"samples are at least twice the players, here {players}. Received: {samples}. Give samples={2 * players} or more, or fewer players."
        )
    return _sample(scores, _Pairs(players, rng), rounds_of(samples, error, most), error)


def permutation_values(scores, players, permutations, rng, paired=True, error=None, most=None):
    """Shapley values as mean marginal contributions along random orders of the players.

    Castro, Gomez, Tejada 2009, https://doi.org/10.1016/j.cor.2008.04.004; paired with the reversed order: Mitchell, Cooper, Frank,
    Holmes 2022, https://arxiv.org/abs/2104.12199. Errors are the deviation over orders, or over the means of their pairs.

    Args:
        scores: the game.
        players: int.
        permutations: int, orders that are drawn; with an error to reach, those of the first round.
        rng: `numpy.random.Generator`.
        paired: whether each order is also gone backwards.
        error: as of `kernel_values`.
        most: int, permutations at most with `error`; None: `MOST_ROUNDS` times as many.

    Returns:
        `Estimate`, values float64 [samples, players]. They add up to the score of all players less that of none. Errors are NaN
        for fewer than three orders, unless there are at most two players.
    """
    return _sample(scores, _Orders(players, rng, paired), rounds_of(permutations, error, most), error)


def rounds_of(samples, error, most):
    """How many samples there are in all after each round: doubled until the most where an error is to be reached.

    Args:
        samples: int, of the first round.
        error: float, or None for one round.
        most: int, or None for `MOST_ROUNDS` times as many.

    Returns:
        list of int.
    """
    if error is None:
        return [samples]
    most = MOST_ROUNDS * samples if most is None else most
    totals = itertools.takewhile(lambda total: total < most, (samples << number for number in itertools.count()))
    return [*totals, most]


def _sample(scores, design, rounds, error):
    """Draw coalitions in rounds until the error of a sample is small; those that are done are asked no more."""
    ends = scores(np.array([[False] * design.players, [True] * design.players]))
    values, errors = np.zeros((len(ends), design.players)), np.zeros((len(ends), design.players))
    rows, answers, counts = np.arange(len(ends)), np.zeros((len(ends), 0)), np.zeros(len(ends), int)
    for total in rounds:
        coalitions = design.draw_until(total)
        open_rows = () if len(rows) == len(ends) else (rows,)
        if len(coalitions):
            answers = np.concatenate([answers, scores(coalitions, *open_rows)], axis=1)
        values[rows], errors[rows] = design.fit(answers, ends[rows])
        counts[rows] = answers.shape[1]
        # An error that is not known is not small.
        open_ = ~(errors[rows].max(axis=1) <= (np.inf if error is None else error))
        rows, answers = rows[open_], answers[open_]
        if error is None or not len(rows):
            break
    return Estimate(values, errors, counts, errors.max(axis=1))


class _Pairs:
    """Pairs of complements, and the regression on them: one of each pair is kept."""

    def __init__(self, players, rng):
        self.players, self.rng, self.halves = players, rng, np.zeros((0, players), bool)

    def draw_until(self, samples):
        """Draw until there are so many coalitions: bool [new coalitions, players], complements beside each other."""
        if self.players == 1:
            return self.halves
        new = self._draw(samples // 2 - len(self.halves))
        self.halves = np.concatenate([self.halves, new])
        return np.stack([new, ~new], axis=1).reshape(-1, self.players)

    def _draw(self, pairs):
        """Pairs that tell all players apart together. By chance few may not, and a regression on them would be wrong."""
        for _ in range(DRAWS):
            halves = draw_pairs(self.players, pairs, self.rng, self.halves)
            if len(self.halves) or _tell_apart(halves):
                return halves
        raise Refused(
            f"Coalitions have to tell {self.players} players apart. Received: samples={2 * pairs}, with which they did not in {DRAWS} draws. Give samples={3 * self.players} or more."
        )

    def fit(self, answers, ends):
        """Values and errors, float64 [samples, players], of answers [samples, 2 * pairs]."""
        total = ends[:, 1] - ends[:, 0]
        if self.players == 1:
            return total[:, None], np.zeros((len(ends), 1))
        # Of a pair only the difference counts; the sum tells nothing of Shapley values.
        differences = (answers[:, 0::2] - answers[:, 1::2]) / 2
        shares, weights = self.halves.mean(axis=1), pair_weights(self.halves)
        residuals = differences - np.outer(total, shares - 0.5)
        # What adds up to zero is found in the space of rows that add up to zero.
        design = np.sqrt(weights)[:, None] * (self.halves - shares[:, None])
        left, lengths, right = (part[..., : self.players - 1] for part in _svd(design))
        targets = np.sqrt(weights) * residuals
        rest = targets @ left / lengths @ right.T
        freedom = 1 - (left**2).sum(axis=1)
        misfits = (targets - targets @ left @ left.T) / np.where(freedom > 1e-9, freedom, np.nan)
        return total[:, None] / self.players + rest, self._errors(misfits, left / lengths @ right.T)

    def _errors(self, misfits, pulls):
        """The root of the sum of squares of what each pair pulls: misfits [samples, pairs], pulls [pairs, players]."""
        missing = _missing_shares(self.halves)
        if not missing.any():
            return np.zeros((len(misfits), self.players))
        if len(self.halves) < 2 * self.players:
            return np.full((len(misfits), self.players), np.nan)
        # Of sizes that are complete a misfit has no part, also where it is not known.
        squares = np.where(missing > 0, misfits**2 * missing, 0.0)
        return np.sqrt(squares @ pulls**2)


def _svd(design):
    """Left vectors, lengths and right vectors in columns."""
    left, lengths, right = np.linalg.svd(design, full_matrices=False)
    return left, lengths, right.T


def _tell_apart(halves):
    """Whether coalitions tell all players apart: bool."""
    return np.linalg.matrix_rank(halves - halves.mean(axis=1, keepdims=True)) == halves.shape[1] - 1


class _Orders:
    """Orders of the players, and the mean of what each player adds."""

    def __init__(self, players, rng, paired):
        self.players, self.rng, self.paired, self.ranks = players, rng, paired, np.zeros((0, players), int)

    def draw_until(self, permutations):
        """Draw until there are so many orders: bool [new coalitions, players], those inside of each order beside each other."""
        count = permutations - len(self.ranks) // (1 + self.paired)
        orders = np.stack([self.rng.permutation(self.players) for _ in range(count)])
        if self.paired:
            orders = np.stack([orders, orders[:, ::-1]], axis=1).reshape(-1, self.players)
        ranks = orders.argsort(axis=1)
        self.ranks = np.concatenate([self.ranks, ranks])
        # Who comes before each place of an order.
        coalitions = ranks[:, None, :] < np.arange(1, self.players)[None, :, None]
        return coalitions.reshape(-1, self.players)

    def fit(self, answers, ends):
        """Values and errors, float64 [samples, players], of answers [samples, orders * (players - 1)]."""
        inner = answers.reshape(len(ends), len(self.ranks), self.players - 1)
        first, last = (np.repeat(ends[:, None, end, None], len(self.ranks), axis=1) for end in (0, 1))
        gains = np.diff(np.concatenate([first, inner, last], axis=2), axis=2)
        gains = np.take_along_axis(gains, self.ranks[None], axis=2)
        if self.paired:
            gains = gains.reshape(len(ends), -1, 2, self.players).mean(axis=2)
        # With one player, or two in both orders, nothing is left to chance.
        exact = self.players <= 1 + self.paired
        variances = gains.var(axis=1)
        return gains.mean(axis=1), np.zeros_like(variances) if exact else errors_of_means(variances, gains.shape[1])


def paired_coalitions(players, samples, rng):
    """Coalitions and their complements, as many of each size as far as there are, with the weights of the Shapley kernel.

    Args:
        players: int of 2 or more.
        samples: int, how many at most; all of them where so many fit.
        rng: `numpy.random.Generator`.

    Returns:
        bool [coalitions, players], without the empty one and the whole; float64 [coalitions].
    """
    halves = draw_pairs(players, samples // 2, rng)
    return np.concatenate([halves, ~halves]), np.tile(pair_weights(halves), 2)


def draw_pairs(players, pairs, rng, drawn=None):
    """One coalition of each of several pairs of complements, as many of each size as far as there are, without repetition.

    Args:
        players: int of 2 or more.
        pairs: int, how many at most.
        rng: `numpy.random.Generator`.
        drawn: bool [pairs, players] of an earlier draw, which are not drawn again; None: none.

    Returns:
        bool [pairs, players], of at most half the players each.
    """
    drawn = np.zeros((0, players), bool) if drawn is None else drawn
    sizes = np.arange(1, players // 2 + 1)
    before = np.bincount(drawn.sum(axis=1), minlength=len(sizes) + 1)[1:].tolist()
    most = [_pairs_of_size(players, size) - count for size, count in zip(sizes.tolist(), before)]
    # Both of a pair of half the players have one size, so that half as many pairs are as many coalitions.
    shares = np.where(2 * sizes == players, 0.5, 1.0)
    counts = _spread_evenly(np.array(most, dtype=object), shares, pairs, rng)
    halves = [
        _draw_coalitions(players, size, count, rng, drawn[drawn.sum(axis=1) == size])
        for size, count in zip(sizes.tolist(), counts)
    ]
    return np.concatenate(halves)


def _pairs_of_size(players, size):
    """How many pairs of complements there are of which one has so many players: int."""
    return math.comb(players, size) // (2 if 2 * size == players else 1)


def pair_weights(halves):
    """The Shapley kernel of the coalitions of each pair, as far as each size was drawn.

    Args:
        halves: bool [pairs, players], one of each pair, of at most half the players.

    Returns:
        float64 [pairs].
    """
    players, sizes = halves.shape[1], halves.sum(axis=1)
    # The kernel of a coalition is this over the number of coalitions of its size.
    masses = 1 / (sizes * (players - sizes)) / np.where(2 * sizes == players, 2, 1)
    return masses / np.bincount(sizes)[sizes]


def _missing_shares(halves):
    """The share of the pairs of each pair's size that was not drawn: float64 [pairs]."""
    sizes = halves.sum(axis=1)
    counts = np.bincount(sizes).tolist()
    return np.array([1 - counts[size] / _pairs_of_size(halves.shape[1], size) for size in sizes.tolist()])


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


def _draw_coalitions(players, size, count, rng, drawn):
    """Different coalitions of one size, no two of them complements, and none that was drawn before: bool [count, players]."""
    before = {row.tobytes() for row in drawn}
    if 2 * (count + len(before)) >= _pairs_of_size(players, size):
        every = _coalitions_of_size(players, size)
        if before:
            every = every[[row.tobytes() not in before for row in every]]
        return every if count == len(every) else every[rng.choice(len(every), count, replace=False)]
    fresh = {}
    while len(fresh) < count:
        row = np.zeros(players, bool)
        row[rng.permutation(players)[:size]] = True
        row = ~row if 2 * size == players and not row[0] else row
        if row.tobytes() not in before:
            fresh.setdefault(row.tobytes(), row)
    return np.array(list(fresh.values()), bool).reshape(count, players)


def _coalitions_of_size(players, size):
    """Every coalition of one size; of two complements of half the players, the one with the first: bool [coalitions, players]."""
    members = np.array(list(itertools.combinations(range(players), size)))
    coalitions = np.zeros((len(members), players), bool)
    coalitions[np.arange(len(members))[:, None], members] = True
    return coalitions[coalitions[:, 0]] if 2 * size == players else coalitions
