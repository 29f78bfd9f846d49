"""Swaps: what decisions do when columns are replaced by those of matched people of either group.

Donors are matched on P(A | L), given which the legitimate columns and the group are independent. Answers with all donors are computed
once, and groups drawn anew only deal the donors to other sides.
"""

import functools
from dataclasses import dataclass

import numpy as np
from scipy import stats

from sanity.audit.copies import SIZES, Tries
from sanity.audit.legitimate import design, odds_across_halves
from sanity.audit.permutation import capped_rows, halves, p_among
from sanity.seeds import derive_seed

# Strata of P(A | L) and least rows of one, donors of each row, rows at most, redraws of the scale, and rows asked at a time.
STRATA, STRATUM, DONORS, ROWS, SCALING, BATCH = 50, 20, 16, 4000, 150, 65536
# Units that a draw of rows keeps where there are as many.
KEPT_UNITS = 100
# Draws of members at a time: of 4,000 rows and 40 candidates fifty took 600 MB.
AT_ONCE = 10
TOGETHER, OUTPUT = "all of them", "output"


def score_residual(score, features, units, *, seed):
    """The score less what the legitimate columns say of it, learned on the other half of the units.

    Args:
        score: float64 [rows], or several [rows, scores].
        features: float64 [rows, features], as of `sanity.audit.legitimate.design`.
        units: int [rows].
        seed: int.

    Returns:
        float64 of the shape of the score.
    """
    first = halves(units, seed=derive_seed(seed, "residual"))
    fitted = np.empty(np.shape(score))
    for side in (first, ~first):
        known = features[~side]
        gram = known.T @ known + np.eye(known.shape[1])
        fitted[side] = features[side] @ np.linalg.solve(gram, known.T @ score[~side])
    return score - fitted


def sample_units(units, *, seed, rows=ROWS):
    """So many rows at most, by whole units; of large units some rows, so that a hundred units are kept where there are as many.

    Args:
        units: int [rows].
        seed: int.
        rows: int.

    Returns:
        int [rows that are kept], in their order.
    """
    if len(units) <= rows:
        return np.arange(len(units))
    units = np.unique(units, return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(units.max() + 1)
    most = max(rows // min(len(order), KEPT_UNITS), 1)
    capped = capped_rows(units, most, seed=derive_seed(seed, "capped"))
    fits = np.cumsum(np.minimum(np.bincount(units), most)[order]) <= rows
    return np.flatnonzero(np.isin(units, order[fits]) & capped)


def match_donors(chance, *, seed, donors=DONORS):
    """Donors of each row, from its stratum of P(A | L), each row a donor as often as any other of the stratum.

    Args:
        chance: float64 [rows].
        seed: int.
        donors: int.

    Returns:
        int [rows, donors], -1 where a stratum has no more.
    """
    rng = np.random.default_rng(seed)
    count = int(np.clip(len(chance) // STRATUM, 1, STRATA))
    edges = np.unique(np.quantile(chance, np.linspace(0, 1, count + 1)[1:-1]))
    strata = np.searchsorted(edges, chance)
    matched = np.full((len(chance), donors), -1)
    for stratum in np.unique(strata):
        members = rng.permutation(np.flatnonzero(strata == stratum))
        steps = 1 + rng.permutation(len(members) - 1)[:donors]
        places = (np.arange(len(members))[:, None] + steps) % len(members)
        matched[members, : len(steps)] = members[places]
    return matched


def swapped_scores(predict, inputs, places, donors, score):
    """Scores of each row with some of its inputs replaced by those of each donor.

    Args:
        predict: float32 [rows, inputs] -> float64 [rows, classes].
        inputs: float32 [rows, inputs].
        places: tuple of int, inputs that are replaced.
        donors: int [rows, donors]; -1: the row itself.
        score: float64 [rows, classes] -> float64 [rows].

    Returns:
        float64 [rows, donors].
    """
    receivers = np.repeat(np.arange(len(inputs)), donors.shape[1])
    givers = np.where(donors < 0, np.arange(len(inputs))[:, None], donors).ravel()
    scores = []
    for start in range(0, len(receivers), BATCH):
        part = slice(start, start + BATCH)
        swapped = inputs[receivers[part]]
        swapped[:, list(places)] = inputs[givers[part]][:, list(places)]
        scores.append(score(predict(swapped)))
    return np.concatenate(scores).reshape(donors.shape)


def donor_weights(members, donors):
    """Weights whose sum with scores is the mean with donors of the group less that with other donors, over rows with both.

    Args:
        members: float64 [draws, rows].
        donors: int [rows, donors].

    Returns:
        float64 [draws, rows, donors].
    """
    known = donors >= 0
    inside = members[:, np.maximum(donors, 0)] * known
    outside = known - inside
    counts = inside.sum(axis=2, keepdims=True), outside.sum(axis=2, keepdims=True)
    usable = (counts[0] > 0) & (counts[1] > 0)
    weights = inside / np.maximum(counts[0], 1) - outside / np.maximum(counts[1], 1)
    return weights * usable / np.maximum(usable.sum(axis=1, keepdims=True), 1)


def mean_changes(members, scores, donors):
    """The sum of `donor_weights` with scores, for several sets of scores at once.

    Args:
        members: float64 [draws, rows].
        scores: float64 [candidates, rows, donors].
        donors: int [rows, donors].

    Returns:
        float64 [draws, candidates].
    """
    known = (donors >= 0).astype("float64")
    inside = members.T[np.maximum(donors, 0)].transpose(0, 2, 1) * known[:, None]
    scores = np.moveaxis(scores, 0, 2) * known[:, :, None]
    count, total = inside.sum(axis=2), known.sum(axis=1)[:, None]
    usable = (count > 0) & (count < total)
    sums = np.matmul(inside, scores)
    rest = (scores.sum(axis=1)[:, None] - sums) / np.maximum(total - count, 1)[:, :, None]
    changes = (sums / np.maximum(count, 1)[:, :, None] - rest) * usable[:, :, None]
    return changes.sum(axis=0) / np.maximum(usable.sum(axis=0), 1)[:, None]


def influence_of_units(weights, values, donors, members, units):
    """How much each unit moves the mean, as the rows that it has and the donors that it gives.

    Args:
        weights: float64 [rows, donors], as of `donor_weights`.
        values: float64 [rows, donors].
        donors: int [rows, donors].
        members: float64 [rows].
        units: int [rows], from 0 on.

    Returns:
        float64 [units], of mean 0 or nearly so.
    """
    differences = (weights * values).sum(axis=1)
    usable = np.abs(weights).sum(axis=1) > 0
    of_rows = np.where(usable, differences - differences.sum() / max(usable.sum(), 1), 0)
    inside = members[np.maximum(donors, 0)] == 1
    parts = np.zeros(len(units))
    for side in (inside, ~inside):
        share = np.abs(weights) * side
        means = (share * values).sum(axis=1) / np.maximum(share.sum(axis=1), 1e-300)
        moved = weights * side * (values - means[:, None])
        parts += np.bincount(np.maximum(donors, 0).ravel(), moved.ravel(), minlength=len(units))
    return np.bincount(units, of_rows + parts)


@dataclass(frozen=True)
class Swapped:
    """What swaps did for one contrast.

    Args:
        names: list of str, the candidates; "output", of what goes with the group given the legitimate columns, is the last.
        shares: float64 [candidates, 3], of decisions that are favourable with donors of the group less those with others.
        logits: float64 [candidates], the same of the logit.
        distances: float64 [1 + draws, candidates + 1], in deviations of redraws, whatever the sign, the observed ones first.
        copies: float64 [copies, candidates + 1], the same of rolled groups.
        planted: float64 [sizes * tries], of planted use by the last candidate.
    """

    names: list
    shares: np.ndarray
    logits: np.ndarray
    distances: np.ndarray
    copies: np.ndarray
    planted: np.ndarray


class Swap:
    """A contrast and what is swapped.

    Args:
        contrast: `sanity.audit.legitimate.Contrast`.
        rows: `Rows`.
        legitimate: list of str.
        candidates: dict of name to tuple of int, the inputs of each.
        predict: as of `swapped_scores`.
        decide: float64 [rows, classes] -> float64 [rows], a score above 0 where the decision is favourable.
        seed: int.
    """

    # Rows that are looked at.
    most = ROWS

    def __init__(self, contrast, rows, legitimate, candidates, predict, decide, *, seed):
        kept = sample_units(rows.units[contrast.places], seed=derive_seed(seed, "rows"), rows=self.most)
        self.rows = rows.take(contrast.places[kept])
        self.members, self.name, self.seed = contrast.members[kept], contrast.name, seed
        self.features = design(self.rows, legitimate)
        self.odds = odds_across_halves(self.features, self.members, self.rows.units, seed=derive_seed(seed, "halves"))
        self.donors = match_donors(self.odds.chance, seed=derive_seed(seed, "donors"))
        self.candidates = candidates
        self.scores = np.stack(
            [swapped_scores(predict, self.rows.inputs, places, self.donors, decide) for places in candidates.values()]
        )
        self.residual = score_residual(decide(self.rows.logits), self.features, self.rows.units, seed=seed)

    def measure(self, draws, tries, delta, level):
        """Compare the true group with groups drawn anew, and with rolled ones; and find use that is planted.

        Args:
            draws: int.
            tries: int, copies of a kind.
            delta: float, a share of decisions.
            level: float, coverage of one interval.

        Returns:
            `Swapped`.
        """
        scaling = self._effects(self.odds.draw(SCALING, seed=derive_seed(self.seed, "scaling")))
        centre, spread = scaling.mean(axis=0), scaling.std(axis=0)

        def distances(effects):
            return np.where(spread > 1e-12, np.abs(effects - centre) / np.maximum(spread, 1e-300), 0.0)

        redrawn = self.odds.draw(draws, seed=derive_seed(self.seed, "redrawn"))
        effects = self._effects(np.vstack([self.members, redrawn]))
        rolled = [self.odds.roll(self.members, seed=derive_seed(self.seed, "rolled", k)) for k in range(tries)]
        planted = self._planted(tries, delta)
        return Swapped(
            [*self.candidates, OUTPUT],
            self._shares(level),
            effects[0, :-1],
            distances(effects),
            distances(self._effects(np.array(rolled))),
            np.abs(planted - centre[-2]) / max(spread[-2], 1e-300),
        )

    def _effects(self, members):
        """Mean change of the logit by each candidate, and what the output has of the group given L: float64 [draws, tests]."""
        parts = [
            mean_changes(members[start : start + AT_ONCE], self.scores, self.donors)
            for start in range(0, len(members), AT_ONCE)
        ]
        output = (members - self.odds.chance) @ self.residual / len(self.residual)
        return np.column_stack([np.concatenate(parts), output])

    def _shares(self, level):
        """Share of decisions that turn with each candidate, and its bounds by unit: float64 [candidates, 3]."""
        return np.array([self._share(scores, level) for scores in self.scores])

    def _share(self, scores, level):
        """Share of decisions that turn with one candidate, and its bounds by unit: float64 [3]."""
        decisions = (scores >= 0).astype("float64")
        weights = donor_weights(self.members[None], self.donors)[0]
        share = float((weights * decisions).sum())
        if not np.abs(weights).sum():
            return np.full(3, np.nan)
        influence = influence_of_units(weights, decisions, self.donors, self.members, self.odds.units)
        count = len(influence)
        half = stats.norm.ppf((1 + level) / 2) * np.sqrt((influence**2).sum() * count / max(count - 1, 1))
        return np.array([share, share - half, share + half])

    def _planted(self, tries, delta):
        """Effects of the last candidate where donors of the group raise the logit so that a share of decisions turns."""
        scores, effects = self.scores[-1], []
        for size in SIZES:
            shift = self._shift(scores, size * delta)
            purpose = derive_seed(self.seed, f"planted {size}")
            members = self.odds.draw(tries, seed=purpose)
            # Where the donors of the group have all logits raised, the mean change is what it was and so much more.
            effects.append(mean_changes(members, scores[None], self.donors)[:, 0] + shift)
        return np.concatenate(effects)

    def _shift(self, scores, share):
        """What is added to all logits so that a share of decisions becomes favourable: float."""
        short = np.sort(-scores[(scores < 0) & (self.donors >= 0)])
        if not len(short):
            return 0.0
        return float(short[min(int(share * (self.donors >= 0).sum()), len(short) - 1)])


def read_swaps(swapped, alpha, tries):
    """p of each candidate and of the output, adjusted over all contrasts, and what was said of copies.

    Args:
        swapped: list of `Swapped`.
        alpha: float.
        tries: int.

    Returns:
        list of float64 [candidates + 1], and list of `Tries`.
    """
    largest = np.max([part.distances.max(axis=1) for part in swapped], axis=0)[1:]
    p_of = functools.partial(p_among, np.sort(largest))
    p = [np.where(part.distances.std(axis=0) > 0, p_of(part.distances[0]), 1.0) for part in swapped]
    null = np.any([(p_of(part.copies) <= alpha).any(axis=1) for part in swapped], axis=0)
    return p, [Tries(null, (p_of(part.planted) <= alpha).reshape(len(SIZES), tries)) for part in swapped]
