"""Pairs: what decisions do when an input is replaced by its counterpart of the other group, such as an edited picture or text.

The pair holds all else as far as the edit does. What an edit itself does to the score, whoever is edited, is in both groups and
cancels, since both weigh the same.
"""

import numpy as np
from scipy import stats

from sanity.audit.copies import SIZES
from sanity.audit.legitimate import design, odds_across_halves
from sanity.audit.swaps import OUTPUT, SCALING, Swapped, score_residual
from sanity.seeds import derive_seed

PAIRS = "counterparts"


class Pairs:
    """A contrast of two groups, and the answers on counterparts.

    Args:
        contrast: `sanity.audit.legitimate.Contrast`.
        rows: `Rows`, all with a counterpart by the column of the contrast.
        legitimate: list of str; none is needed.
        decide: float64 [rows, classes] -> float64 [rows], a score above 0 where the decision is favourable.
        seed: int.
    """

    def __init__(self, contrast, rows, legitimate, decide, *, seed):
        self.rows = rows.take(contrast.places)
        self.members, self.name, self.seed = contrast.members, contrast.name, seed
        self.candidates = {PAIRS: ()}
        self.features = design(self.rows, legitimate)
        self.odds = odds_across_halves(self.features, self.members, self.rows.units, seed=derive_seed(seed, "halves"))
        self.scores = np.stack([decide(self.rows.logits), decide(self.rows.counterparts[contrast.column])], axis=1)
        self.residual = score_residual(self.scores[:, 0], self.features, self.rows.units, seed=seed)

    def measure(self, draws, tries, delta, level):
        """Compare the true group with groups drawn anew, and with rolled ones; and find use that is planted.

        Args:
            draws: int.
            tries: int, copies of a kind.
            delta: float, a share of decisions.
            level: float, coverage of the interval.

        Returns:
            `sanity.audit.swaps.Swapped`.
        """
        scaling = self._effects(self.odds.draw(SCALING, seed=derive_seed(self.seed, "scaling")))
        centre, spread = scaling.mean(axis=0), scaling.std(axis=0)

        def distances(effects):
            return np.where(spread > 1e-12, np.abs(effects - centre) / np.maximum(spread, 1e-300), 0.0)

        redrawn = self.odds.draw(draws, seed=derive_seed(self.seed, "redrawn"))
        effects = self._effects(np.vstack([self.members, redrawn]))
        rolled = [self.odds.roll(self.members, seed=derive_seed(self.seed, "rolled", k)) for k in range(tries)]
        planted = np.abs(self._planted(tries, delta) - centre[0]) / max(spread[0], 1e-300)
        share = self._share(level)
        return Swapped(
            [PAIRS, OUTPUT],
            share[None],
            effects[0, :-1],
            distances(effects),
            distances(self._effects(np.array(rolled))),
            planted,
        )

    def _effects(self, members):
        """Mean change of the logit from the other group to the group, and what the output has of it given L: float64 [draws, 2]."""
        changes = balanced_change(members, self.scores[:, 0] - self.scores[:, 1])
        output = (members - self.odds.chance) @ self.residual / len(self.residual)
        return np.column_stack([changes, output])

    def _share(self, level):
        """Share of decisions that are favourable as a member, less as another, and its bounds by unit: float64 [3]."""
        turned = (self.scores[:, 0] >= 0).astype("float64") - (self.scores[:, 1] >= 0)
        share = float(balanced_change(self.members[None], turned)[0])
        sides = self.members == 1
        if sides.all() or not sides.any():
            return np.full(3, np.nan)
        centred = np.where(sides, turned - turned[sides].mean(), turned[~sides].mean() - turned)
        influence = np.bincount(self.odds.units, 0.5 * centred / np.where(sides, sides.sum(), (~sides).sum()))
        count = len(influence)
        half = stats.norm.ppf((1 + level) / 2) * np.sqrt((influence**2).sum() * count / max(count - 1, 1))
        # Where no decision turns there is no spread. So many might turn, of which none would be seen.
        half = max(half, -np.log((1 - level) / 2) / count)
        return np.array([share, share - half, share + half])

    def _planted(self, tries, delta):
        """Changes where being in the group raises the logit so that a share of decisions turns: float64 [sizes * tries]."""
        changes, effects = self.scores[:, 0] - self.scores[:, 1], []
        for size in SIZES:
            members = self.odds.draw(tries, seed=derive_seed(self.seed, f"planted {size}"))
            effects.append(balanced_change(members, changes) + self._shift(size * delta))
        return np.concatenate(effects)

    def _shift(self, share):
        """What is added to all logits so that a share of decisions becomes favourable: float."""
        short = np.sort(-self.scores[self.scores < 0])
        return float(short[min(int(share * self.scores.size), len(short) - 1)]) if len(short) else 0.0


def balanced_change(members, changes):
    """Half of the mean change of members less half of that of the others, so that what all share cancels.

    Args:
        members: float64 [draws, rows], 0 or 1.
        changes: float64 [rows], of the row less its counterpart.

    Returns:
        float64 [draws], 0 where a side is empty.
    """
    count = members.sum(axis=1)
    others = members.shape[1] - count
    inside = members @ changes
    means = inside / np.maximum(count, 1) - (changes.sum() - inside) / np.maximum(others, 1)
    return np.where((count > 0) & (others > 0), means / 2, 0.0)
