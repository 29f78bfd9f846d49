"""Owen values: Shapley values where players lie in a hierarchy of groups, and join a coalition group by group.

Owen 1977, https://doi.org/10.1007/978-3-642-45494-3_7; several levels: Winter 1989, https://doi.org/10.1007/BF01268161.
"""

import heapq
import itertools
import math
from dataclasses import dataclass

import numpy as np

from lab.hierarchy import players_in
from lab.refusal import Refused
from lab.shapley import MOST_EXACT, all_coalitions, chances

# Scores that are asked for together.
BLOCK = 32


def owen_values(scores, hierarchy, samples):
    """Owen values of one sample, from the groups that matter most down to single players, as far as the scores reach.

    A group is split for what it adds to one coalition of other groups at a time, the largest weighted addition first, as the
    Partition explainer of shap does. What a group adds where it was not split, its players share evenly.

    Args:
        scores: the game of one sample, bool [coalitions, players] -> float64 [coalitions].
        hierarchy: nested tuples, as of `lab.hierarchy`.
        samples: int, coalitions to score at most, beside the empty one and the whole.

    Returns:
        float64 [players], which add up to the score of all players less that of none; bool [players], which are exact; int, how
        many coalitions were scored.

    Raises:
        Refused: for a group of more than `MOST_EXACT` parts.
    """
    split = _Splits(scores, len(players_in(hierarchy)))
    waiting = [split.whole(hierarchy)] if isinstance(hierarchy, tuple) else []
    if not waiting:
        split.values[hierarchy] = split.total
    while waiting:
        batch, fresh = [], {}
        while waiting and len(fresh) < BLOCK:
            group = heapq.heappop(waiting)
            unknown = split.unknown(group, fresh)
            if split.count + len(fresh) + len(unknown) > samples:
                split.share(group)
            else:
                batch.append(group)
                fresh |= unknown
        split.learn(fresh)
        for group in batch:
            for part in split.split(group):
                heapq.heappush(waiting, part)
    return split.values, split.exact, split.count


@dataclass(order=True)
class _Group:
    """A group beside a coalition of others: how much it adds there, and with which weight."""

    rank: float
    order: int
    parts: tuple
    others: np.ndarray
    weight: float
    addition: float


class _Splits:
    """Values so far, and the scores that are known."""

    def __init__(self, scores, players):
        self.scores, self.players, self.known, self.orders = scores, players, {}, itertools.count()
        self.values, self.exact = np.zeros(players), np.ones(players, bool)
        nobody, everybody = np.zeros(players, bool), np.ones(players, bool)
        self.learn({row.tobytes(): row for row in (nobody, everybody)})
        self.total = self.known[everybody.tobytes()] - self.known[nobody.tobytes()]

    @property
    def count(self):
        """Scores beside those of nobody and of all."""
        return len(self.known) - 2

    def learn(self, coalitions):
        """Ask for the scores of coalitions, dict of bytes to bool [players]."""
        if coalitions:
            answers = self.scores(np.stack(list(coalitions.values())))
            self.known |= dict(zip(coalitions, answers.tolist()))

    def whole(self, hierarchy):
        """The group of all players."""
        return _Group(-math.inf, next(self.orders), hierarchy, np.zeros(self.players, bool), 1.0, self.total)

    def coalitions(self, group):
        """The others of a group beside every choice of its parts: bool [choices, players]."""
        if len(group.parts) > MOST_EXACT:
            raise Refused(
                f"Parts of a group are at most {MOST_EXACT}. Received: {len(group.parts)}. Give groups=, the number of the group of each player, or several rows of them."
            )
        masks = np.zeros((len(group.parts), self.players), bool)
        for mask, part in zip(masks, group.parts):
            mask[players_in(part)] = True
        return group.others | (all_coalitions(len(masks)).astype("uint8") @ masks.astype("uint8")).astype(bool)

    def unknown(self, group, fresh):
        """The coalitions that splitting a group needs and nobody has asked for: dict of bytes to bool [players]."""
        rows = {row.tobytes(): row for row in self.coalitions(group)}
        return {key: row for key, row in rows.items() if key not in self.known and key not in fresh}

    def share(self, group):
        """Leave a group whole: its players have equal parts of what it adds."""
        members = players_in(group.parts)
        self.values[members] += group.weight * group.addition / len(members)
        self.exact[members] = False

    def split(self, group):
        """What the parts of a group add: single players have their values, groups come back: iterator of `_Group`."""
        coalitions, count = self.coalitions(group), len(group.parts)
        answers = np.array([self.known[row.tobytes()] for row in coalitions])
        choices = all_coalitions(count)
        sizes = choices.sum(axis=1)
        for place, part in enumerate(group.parts):
            without = np.flatnonzero(~choices[:, place])
            additions = answers[without + (1 << place)] - answers[without]
            shares = chances(sizes[without], count)
            if not isinstance(part, tuple):
                self.values[part] += group.weight * shares @ additions
                continue
            for others, share, addition in zip(coalitions[without], shares, additions.tolist()):
                weight = group.weight * share
                yield _Group(-abs(weight * addition), next(self.orders), part, others, weight, addition)
