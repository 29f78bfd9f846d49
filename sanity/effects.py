"""Effects: how a network's own score responds when one cell of an input is filled or changed a little. Maps are compared with it."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from lab import routines
from lab.kinds import kind_of, ranges
from sanity.localisation import relevances, signed_relevances
from sanity.removal import extent, fills, grid
from sanity.seeds import derive_seed

DRAWS, NOISE = 4, 0.05
EFFECTS = REMOVAL, CHANGE = "removal", "small change"


@dataclass(frozen=True)
class Effects:
    """How scores depend on every cell of the inputs.

    Args:
        cells: int [positions], the cell of every position.
        halves: dict of effect to float64 [2, questions, samples, cells], two measurements: under two fills, or from two
            sets of draws.
    """

    cells: np.ndarray
    halves: dict

    def combine(self, name):
        """An effect from both halves: float64 [questions, samples, cells]."""
        first, second = self.halves[name]
        return (first + second) / 2 if name == REMOVAL else np.sqrt((first**2 + second**2) / 2)


def effects(subject, objectives, *, seed):
    """How the scores of some objectives depend on every cell of the inputs.

    The effect "removal" is the score less the score with the cell filled. The effect "small change" is the root
    mean square of the score's change under noise in the cell. The noise has a deviation of .05 of the sample's own range,
    in a table of the deviation of each column.

    Args:
        subject: the `Subject`.
        objectives: list of `Objective`.
        seed: int, of donors and noise.

    Returns:
        `Effects`.
    """
    cells = cells_of(subject.inputs)
    halves = {
        REMOVAL: np.stack(
            [_score_falls(subject, objectives, cells, fill, seed) for fill in kind_of(subject.inputs).fills]
        ),
        CHANGE: np.stack([_noise_responses(subject, objectives, cells, half, seed) for half in (0, 1)]),
    }
    return Effects(cells, halves)


def cells_of(inputs):
    """The cell of every position of a sample: a grid over images, windows over series, columns of a table.

    Returns:
        int [positions].
    """
    return grid(extent(inputs), kind_of(inputs).cells)


def reduce_to_cells(maps, cells, name):
    """What maps say of every cell about an effect.

    Args:
        maps: arrays, as a method gives them.
        cells: int [positions].
        name: "removal": the mean of the signed map, channels summed; "small change": its root mean square over channels
            and positions.

    Returns:
        float64 [samples, cells]; nan for a map that is not finite.
    """
    shape = (len(maps), *cells.shape)
    values = signed_relevances(maps, shape) if name == REMOVAL else relevances(maps, shape) ** 2
    sizes = np.bincount(cells.ravel())
    means = np.stack([np.bincount(cells.ravel(), row.ravel()) / sizes for row in values])
    return means if name == REMOVAL else np.sqrt(means)


def agreement(first, second):
    """Spearman rank correlation of rows, mid-ranks for ties.

    Args:
        first: [..., cells].
        second: [..., cells].

    Returns:
        float64 [...]; nan where a row is constant or not finite.
    """
    return (_standardize(first) * _standardize(second)).mean(axis=-1)


def _standardize(values):
    ranks = stats.rankdata(values, axis=-1) - (values.shape[-1] + 1) / 2
    size = np.sqrt((ranks**2).mean(axis=-1, keepdims=True))
    usable = (size > 0) & np.isfinite(values).all(axis=-1, keepdims=True)
    return np.where(usable, ranks / np.where(size > 0, size, 1), np.nan)


def _score_falls(subject, objectives, cells, fill, seed):
    """Fall of every score when a cell is filled: float64 [questions, samples, cells]."""
    draws = DRAWS if fill == "donor" else 1
    falls = []
    for draw in range(draws):
        rng = np.random.default_rng(derive_seed(seed, "donors", draw))
        everywhere = np.ones(subject.inputs.shape[: cells.ndim + 1], bool)
        filled = fills.get(fill)(subject.inputs, everywhere, rng).astype(subject.inputs.dtype)
        falls.append(-_cell_changes(subject, objectives, cells, filled))
    return np.mean(falls, axis=0)


def _noise_responses(subject, objectives, cells, half, seed):
    """Root mean square of the change of every score under noise in a cell: float64 [questions, samples, cells]."""
    inputs, squares = subject.inputs, []
    spread = ranges(inputs, subject.network.background)
    for draw in range(half, DRAWS, 2):
        rng = np.random.default_rng(derive_seed(seed, "noise in a cell", draw))
        moved = inputs + NOISE * spread * rng.standard_normal(inputs.shape[1:])
        squares.append(_cell_changes(subject, objectives, cells, moved.astype(inputs.dtype)) ** 2)
    return np.sqrt(np.mean(squares, axis=0))


def _cell_changes(subject, objectives, cells, others):
    """Change of every score when one cell after another is that of other inputs: float64 [questions, samples, cells]."""
    before = scores(subject.network, subject.inputs, objectives)
    changes = []
    for cell in range(cells.max() + 1):
        in_cell = kind_of(subject.inputs).over_features((cells == cell)[None])
        changed = np.where(in_cell, others, subject.inputs)
        changed = subject.network.keep(subject.inputs, changed)
        changes.append(scores(subject.network, changed, objectives) - before)
    return np.stack(changes, axis=-1)


def scores(network, inputs, objectives):
    """The scores of several objectives, from one pass where all are logits of one output.

    Args:
        network: a `Network`.
        inputs: one array that it takes.
        objectives: list of `Objective`.

    Returns:
        float64 [objectives, samples].
    """
    terms = [objective.terms[0] for objective in objectives if len(objective.terms) == 1]
    where = {(weight, term.kind, term.where) for weight, term in terms}
    if len(terms) < len(objectives) or len(where) > 1 or terms[0][1].kind != "logit":
        return np.stack([routines.scores(network, inputs, objective) for objective in objectives]).astype("float64")
    ((weight, _, output),) = where
    values = routines.outputs(network, inputs)[network.output_name(output)].reshape(len(inputs), -1)
    class_indices = np.stack([objective.numbers(len(inputs))[0][0] for objective in objectives])
    return weight * np.take_along_axis(values.T.astype("float64"), class_indices, axis=0)
