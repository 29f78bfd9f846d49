"""Effects: how a score changes along one column, as accumulated local effects and as partial dependence.

Accumulated local effects move every row only within its own bin (Apley, Zhu 2020, https://arxiv.org/abs/1612.08468). Partial
dependence puts every value into every row, and so asks about rows that do not exist where columns go together.
"""

from dataclasses import dataclass

import numpy as np

from sanity.audit.small_counts import FEWEST
from sanity.seeds import derive_seed

# Bins of a column, bootstrap samples of units, rows of a partial dependence, and the share of its points that may lie far off.
BINS, DRAWS, DEPENDENCE_ROWS, FAR = 20, 200, 200, 0.2


@dataclass(frozen=True)
class Effect:
    """Accumulated local effects of one column.

    Args:
        values: float64 [points], of the column.
        effects: float64 [points], of mean 0 over the rows.
        low: float64 [points], bounds by unit.
        high: float64 [points].
    """

    values: np.ndarray
    effects: np.ndarray
    low: np.ndarray
    high: np.ndarray


def accumulated_effects(score, inputs, place, units, *, seed, bins=BINS, level=0.95):
    """Accumulated local effects of one input.

    Args:
        score: float32 [rows, inputs] -> float64 [rows].
        inputs: float32 [rows, inputs].
        place: int, of the input.
        units: int [rows], which are drawn again for the interval.
        seed: int.
        bins: int, of equally many rows each, where values allow it.
        level: float.

    Returns:
        `Effect`, or None where the input is constant.
    """
    column = np.asarray(inputs)[:, place]
    known = np.isfinite(column)
    inputs, column, units = inputs[known], column[known], np.asarray(units)[known]
    edges = np.unique(np.quantile(column, np.linspace(0, 1, bins + 1))) if known.any() else np.zeros(1)
    if len(edges) < 2:
        return None
    bin_of = np.clip(np.searchsorted(edges, column, side="left") - 1, 0, len(edges) - 2)
    steps = _with(inputs, place, edges[bin_of + 1], score) - _with(inputs, place, edges[bin_of], score)
    names, unit = np.unique(units, return_inverse=True)
    sums, counts = (_by_unit_and_bin(values, unit, bin_of, (len(names), len(edges) - 1)) for values in (steps, None))
    rng = np.random.default_rng(derive_seed(seed, "units", place))
    weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)
    weights = np.concatenate([np.ones((1, len(names)), weights.dtype), weights])
    effects = _accumulate(weights @ sums, weights @ counts)
    low, high = np.quantile(effects[1:], [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Effect(edges.astype("float64"), effects[0], low, high)


def hide_ends(effect, column):
    """The effect without a smallest and a largest value that fewer than ten rows have: they would tell cells of these rows.

    Args:
        effect: `Effect`.
        column: float [rows].

    Returns:
        `Effect`.
    """
    start = int((column <= effect.values[0]).sum() < FEWEST)
    stop = len(effect.values) - int((column >= effect.values[-1]).sum() < FEWEST)
    return Effect(*(part[start:stop] for part in (effect.values, effect.effects, effect.low, effect.high)))


def _with(inputs, place, values, score):
    """The score where one input has other values."""
    moved = np.array(inputs)
    moved[:, place] = values
    return score(moved)


def _by_unit_and_bin(values, unit, bin_of, shape):
    cells = np.bincount(unit * shape[1] + bin_of, values, minlength=shape[0] * shape[1])
    return cells.reshape(shape).astype("float64")


def _accumulate(sums, counts):
    """Effects at the edges of bins, less their mean over rows: float64 [draws, points]."""
    steps = sums / np.maximum(counts, 1)
    effects = np.concatenate([np.zeros((len(steps), 1)), np.cumsum(steps, axis=1)], axis=1)
    middles = (effects[:, :-1] + effects[:, 1:]) / 2
    return effects - ((middles * counts).sum(axis=1) / np.maximum(counts.sum(axis=1), 1))[:, None]


@dataclass(frozen=True)
class Dependence:
    """Partial dependence of one column.

    Args:
        values: float64 [points].
        rows: float64 [rows, points], the score of each row with each value (individual conditional expectation).
        far: float, the share of points that lie farther from real rows than those do from each other.
    """

    values: np.ndarray
    rows: np.ndarray
    far: float

    @property
    def is_drawn(self):
        """Whether so few points lie far off that it may be shown: bool."""
        return self.far <= FAR


def partial_dependence(score, inputs, place, values, neighbours, *, seed):
    """The score of some rows with every value of one input.

    Args:
        score: float32 [rows, inputs] -> float64 [rows].
        inputs: float32 [rows, inputs].
        place: int.
        values: float [points].
        neighbours: `sanity.audit.plausibility.Neighbourhood`.
        seed: int.

    Returns:
        `Dependence`.
    """
    order = np.random.default_rng(derive_seed(seed, "rows", place)).permutation(len(inputs))
    rows = np.asarray(inputs)[order[:DEPENDENCE_ROWS]]
    points = np.repeat(rows[:, None], len(values), axis=1)
    points[:, :, place] = values
    points = points.reshape(-1, rows.shape[1])
    scores = score(points).reshape(len(rows), len(values))
    return Dependence(np.asarray(values, "float64"), scores, float(1 - neighbours.is_plausible(points).mean()))
