"""Mechanism: what the answers lose when a layer's direction for a protected column, beyond legitimate ones, is erased.

The direction is that of LEACE (Belrose et al. 2023, https://arxiv.org/abs/2306.03819) for the column less P(A | L). It is learned on
one half of the units and erased from the other half, both ways round. Erasing the column itself takes away what it shares with the
legitimate columns, and moves every network that uses these.
"""

import functools
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from lab.concepts.erasure import erase_targets, whitening
from sanity.audit.copies import SIZES, Tries
from sanity.audit.legitimate import design, odds_across_halves
from sanity.audit.permutation import halves, p_among
from sanity.audit.swaps import sample_units, score_residual
from sanity.seeds import derive_seed
from sanity.statistics import exchange_p

# Rows at most, how much a deviation of a planted direction raises the log odds of the group, and steps of a search.
ROWS, STRENGTH, STEPS = 10_000, 1.0, 20


def slopes(surplus, changes):
    """The slope of changes on what a column has beyond the legitimate ones.

    Args:
        surplus: float64 [draws, rows], or [1, rows] for all.
        changes: float64 [draws, rows].

    Returns:
        float64 [draws].
    """
    return (surplus * changes).sum(axis=1) / np.maximum((surplus**2).sum(axis=1), 1e-300)


def slope_interval(surplus, changes, units, level):
    """The slope of changes on a column, with bounds by unit.

    One unit more whose decisions all turn is added either way, so that bounds hold where few decisions turn. It weighs what a unit
    weighs on average, large ones and those of a small group more often.

    Args:
        surplus: float64 [rows].
        changes: float64 [rows].
        units: int [rows], from 0 on.
        level: float, coverage.

    Returns:
        float64 [3].
    """
    size = (surplus**2).sum()
    if size < 1e-12:
        return np.full(3, np.nan)
    slope = (surplus * changes).sum() / size
    influence = np.bincount(units, surplus * (changes - slope * surplus)) / size
    count = len(influence)
    weights = (np.bincount(units, np.abs(surplus)) / size) ** 2
    added = 2 * (weights**2).sum() / weights.sum()
    variance = (influence**2).sum() * count / max(count - 1, 1) + added
    half = stats.norm.ppf((1 + level) / 2) * np.sqrt(variance)
    return np.array([slope, slope - half, slope + half])


def bends(layer, inputs, hidden):
    """Whether what follows a layer is more than a linear map; if not, erasures say what the answers say.

    Args:
        layer: `sanity.audit.layers.Layer`.
        inputs: float32 [rows, inputs].
        hidden: float32 [rows, channels], its activations.

    Returns:
        bool.
    """
    other = np.roll(hidden, 1, axis=0)
    start, middle, end = (layer.resume(inputs, values) for values in (hidden, (hidden + other) / 2, other))
    return bool(np.abs(middle - (start + end) / 2).max() > 1e-3 * max(np.abs(end - start).max(), 1e-12))


@dataclass(frozen=True)
class Erased:
    """What erasures did for one contrast.

    Args:
        share: float64 [3], by how much groups differ less in favourable decisions, given the legitimate columns, with bounds by unit.
        left: float64 [3], by how much groups differ in favourable decisions after the erasure, the same way.
        slopes: float64 [2], of the score on the column given legitimate ones, before and after.
        redrawn: float64 [1 + draws], the change of the slope in deviations: of the column, then of columns drawn anew, each with its
            own direction.
        directions: float64 [1 + draws], the change of the slope on the column, by its own direction, then by those of the others.
        output: float64 [1 + draws], what the score has of the column given legitimate ones, in deviations, then of the others.
        accuracy: float64 [3], before, after, and on average after the directions of the others; nan without labels.
        copies: float64 [tries], as redrawn, of rolled columns.
        planted: float64 [sizes * tries], as redrawn, of planted use.
    """

    share: np.ndarray
    left: np.ndarray
    slopes: np.ndarray
    redrawn: np.ndarray
    directions: np.ndarray
    output: np.ndarray
    accuracy: np.ndarray
    copies: np.ndarray
    planted: np.ndarray

    @property
    def is_finite(self):
        """Whether the network gave numbers after every erasure: bool."""
        parts = (self.left, self.slopes, self.redrawn, self.directions, self.copies, self.planted)
        return all(np.isfinite(part).all() for part in parts)


class Mechanism:
    """A contrast, and a layer that it is erased from.

    Args:
        contrast: `sanity.audit.legitimate.Contrast`.
        rows: `Rows`.
        legitimate: list of str.
        layer: `sanity.audit.layers.Layer`.
        decide: float64 [rows, classes] -> float64 [rows], a score above 0 where the decision is favourable.
        seed: int.
    """

    def __init__(self, contrast, rows, legitimate, layer, decide, *, seed):
        kept = sample_units(rows.units[contrast.places], seed=derive_seed(seed, "rows"), rows=ROWS)
        self.rows = rows.take(contrast.places[kept])
        self.members, self.layer, self.decide, self.seed = contrast.members[kept], layer, decide, seed
        self.features = design(self.rows, legitimate)
        purpose = derive_seed(seed, "halves")
        self.first = halves(self.rows.units, seed=purpose)
        self.odds = odds_across_halves(self.features, self.members, self.rows.units, seed=purpose)
        self.hidden = np.asarray(layer.read(self.rows.inputs), "float64")
        self.logits = layer.resume(self.rows.inputs, self.hidden)
        self.scores = decide(self.logits)
        self.residual = self._beyond(self.scores)

    def _beyond(self, values):
        """Values less what legitimate columns say of them."""
        return score_residual(values, self.features, self.rows.units, seed=self.seed)

    @property
    def varies(self):
        """Whether activations are numbers, and differ on both halves of the units, which directions are learned on: bool."""
        finite = bool(np.isfinite(self.hidden).all())
        return finite and all(np.ptp(self.hidden[side], axis=0).any() for side in (self.first, ~self.first))

    def measure(self, draws, tries, delta, level):
        """Erase the column, and columns drawn anew; rolled ones, and ones whose use is planted.

        Args:
            draws: int.
            tries: int, copies of a kind.
            delta: float, a share of decisions.
            level: float, coverage of the interval.

        Returns:
            `Erased`.
        """
        members = np.vstack([self.members, self.odds.draw(draws, seed=derive_seed(self.seed, "redrawn"))])
        surplus = members - self.odds.chance
        answers = [self._score_and_accuracy(hidden) for hidden in self.erased(members)]
        scores, accuracies = (np.array(part) for part in zip(*answers))
        changes = self._beyond((self.scores - scores).T).T
        fallen = slopes(surplus, changes)
        before = slopes(surplus, self.residual[None])
        decided, kept = ((part >= 0).astype("float64") for part in (self.scores, scores[0]))
        return Erased(
            self._share(surplus[0], decided - kept, level),
            self._share(surplus[0], kept, level),
            np.array([before[0], before[0] - fallen[0]]),
            _distances(fallen, fallen[1:]),
            np.abs(slopes(surplus[:1], changes)),
            _distances(before, before[1:]),
            np.array([self._accuracy(self.logits), accuracies[0], accuracies[1:].mean()]),
            _distances(self._rolled(tries), fallen[1:]),
            _distances(self._planted(tries, delta, fallen[1:]), fallen[1:]),
        )

    def erased(self, members):
        """The activations without what they say of columns beyond legitimate ones, learned on the other half of the units.

        Args:
            members: float64 [draws, rows].

        Returns:
            iterator of float64 [rows, channels].
        """
        surplus, sides = (members - self.odds.chance).T, (self.first, ~self.first)
        erasures = [erase_targets(self.hidden[side], surplus[side]) for side in sides]
        for pair in zip(*erasures):
            hidden = np.empty_like(self.hidden)
            for side, erasure in zip(sides, pair):
                hidden[~side] = erasure(self.hidden[~side])
            yield hidden

    def _logits_after(self, hidden):
        return self.layer.resume(self.rows.inputs, hidden)

    def _share(self, surplus, decisions, level):
        return slope_interval(surplus, self._beyond(decisions), self.odds.units, level)

    def _score_and_accuracy(self, hidden):
        logits = self._logits_after(hidden)
        return self.decide(logits), self._accuracy(logits)

    def _accuracy(self, logits):
        known = self.rows.labelled
        return float((logits[known].argmax(axis=1) == self.rows.labels[known]).mean()) if known.any() else np.nan

    def _rolled(self, tries):
        """Changes of the slope of rolled columns: float64 [tries]."""
        seeds = [derive_seed(self.seed, "rolled", number) for number in range(tries)]
        members = np.array([self.odds.roll(self.members, seed=seed) for seed in seeds])
        scores = np.array([self.decide(self._logits_after(hidden)) for hidden in self.erased(members)])
        return slopes(members - self.odds.chance, self._beyond((self.scores - scores).T).T)

    # Planted use ----------------------------------------------------------------------------------------------------------

    def _planted(self, tries, delta, chance):
        """Changes of the slope where the score reads a direction that goes with a column, added to those that chance gives.

        Args:
            tries: int.
            delta: float, a share of decisions.
            chance: float64 [draws], changes of columns drawn anew.

        Returns:
            float64 [sizes * tries].
        """
        whiten, mean = whitening(self.hidden)[0], self.hidden.mean(axis=0)
        effects = []
        for size in SIZES:
            seeds = [derive_seed(self.seed, f"planted {size}", number) for number in range(tries)]
            readouts = np.stack([self._readout(whiten, mean, seed) for seed in seeds], axis=1)
            codes = (self.hidden - mean) @ readouts
            members = np.array([self._members_along(code, seed) for code, seed in zip(codes.T, seeds)])
            lost = [
                self._weight(code, column, size * delta) * (code - (hidden - mean) @ readout)
                for code, column, readout, hidden in zip(codes.T, members, readouts.T, self.erased(members))
            ]
            drawn = np.resize(chance, tries)
            effects.append(slopes(members - self.odds.chance, self._beyond(np.array(lost).T).T) + drawn)
        return np.concatenate(effects)

    def _readout(self, whiten, mean, seed):
        """A direction of the layer that does not go with the score: float64 [channels], its code has the deviation 1."""
        along = whiten @ ((self.hidden - mean).T @ (self.scores - self.scores.mean()))
        vector = np.random.default_rng(seed).normal(size=len(along))
        if len(vector) > 1 and along.any():
            vector = vector - along * (along @ vector) / (along @ along)
        readout = whiten.T @ vector
        return readout / max(((self.hidden - mean) @ readout).std(), 1e-12)

    def _members_along(self, code, seed):
        """A column that goes with a code beyond the legitimate columns: float64 [rows]."""
        chance = expit(logit(self.odds.chance) + STRENGTH * self._beyond(code))
        odds = self.odds
        if odds.by_unit:
            chance = (np.bincount(odds.units, chance) / np.bincount(odds.units))[odds.units]
        return replace(odds, chance=chance).draw(1, seed=derive_seed(seed, "members"))[0]

    def _weight(self, code, members, share):
        """The weight of a code in the score by which groups differ by so many decisions more: float."""
        surplus, before = members - self.odds.chance, self.scores >= 0

        def turned(weight):
            decisions = (self.scores + weight * code >= 0).astype("float64") - before
            return slopes(surplus[None], decisions[None])[0]

        low, high = 0.0, 8 * max(float(self.scores.std()), 1e-12)
        for _ in range(STEPS):
            middle = (low + high) / 2
            low, high = (middle, high) if turned(middle) < share else (low, middle)
        return high


def _distances(values, redrawn):
    """The size of slopes in deviations of those of columns drawn anew, which have the mean 0; 0 where these do not vary."""
    spread = np.sqrt(np.mean(redrawn**2))
    return np.abs(values) / spread if spread > 1e-12 else np.zeros(len(values))


def read_erased(erased, alpha, tries):
    """p of each contrast, adjusted over all, and what was said of copies.

    Args:
        erased: list of `Erased`.
        alpha: float.
        tries: int.

    Returns:
        float64 [contrasts, 3], of the change beside columns drawn anew, of it beside their directions, and of the output; and list of
            `Tries`.
    """
    p_of = functools.partial(p_among, np.sort(np.max([part.redrawn[1:] for part in erased], axis=0)))
    p_output = functools.partial(p_among, np.sort(np.max([part.output[1:] for part in erased], axis=0)))
    beside = exchange_p(np.array([part.directions for part in erased]))
    p = [
        [
            p_of(part.redrawn[0]) if part.redrawn.any() else 1.0,
            one,
            p_output(part.output[0]) if part.output.any() else 1.0,
        ]
        for part, one in zip(erased, beside)
    ]
    null = np.any([p_of(part.copies) <= alpha for part in erased], axis=0)
    planted = [(p_of(part.planted) <= alpha).reshape(len(SIZES), tries) for part in erased]
    return np.array(p, "float64"), [Tries(null, alarms) for alarms in planted]
