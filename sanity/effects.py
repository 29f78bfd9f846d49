"""Effects: how a network's own score responds when one cell of an input is filled or changed a little. Maps are compared with it."""

import functools
from dataclasses import dataclass

import numpy as np
from scipy import stats

from lab import routines
from lab.embeddings import to_embeddings
from lab.environment import tf
from lab.kinds import TOKENS, kind_of, ranges
from sanity.bound_explainer import add_noise
from sanity.localisation import relevances, signed_relevances
from sanity.removal import extent, fills, grid
from sanity.seeds import derive_seed

DRAWS, NOISE = 4, 0.05
# Positions that no larger share of texts has are a tail.
TAIL = 0.1
EFFECTS = REMOVAL, CHANGE = "removal", "small change"


@dataclass(frozen=True)
class Effects:
    """How scores depend on every cell of the inputs.

    Args:
        cells: int [positions], the cell of every position.
        halves: dict of effect to float64 [2, questions, samples, cells], two measurements: under two fills, or from two
            sets of draws; nan for a cell that holds nothing of a sample. Ids that no layer embeds have no small change.
        occupied: bool [samples, positions], as of `crossed_positions`; None: all of them.
    """

    cells: np.ndarray
    halves: dict
    occupied: np.ndarray | None = None

    @classmethod
    def of(cls, arrays):
        """The effects that `arrays` gave.

        Args:
            arrays: dict of name to array.

        Returns:
            `Effects`.
        """
        halves = {name: arrays[name] for name in EFFECTS if name in arrays}
        return cls(arrays["cells"], halves, arrays.get("occupied"))

    @property
    def arrays(self):
        """All that it holds: dict of name to array."""
        occupied = {} if self.occupied is None else {"occupied": self.occupied}
        return {"cells": self.cells, **occupied, **{name: np.asarray(half) for name, half in self.halves.items()}}

    def combine(self, name):
        """An effect from both halves: float64 [questions, samples, cells]."""
        first, second = self.halves[name]
        return (first + second) / 2 if name == REMOVAL else np.sqrt((first**2 + second**2) / 2)


def measured_effects(evidence):
    """The effects that the network's own answer was measured by, in order.

    Args:
        evidence: `Evidence` of a crossing.

    Returns:
        list of str, names of `EFFECTS`.
    """
    return [name for name in EFFECTS if f"oracle/{name}" in evidence.samples]


def effects(subject, objectives, *, seed):
    """How the scores of some objectives depend on every cell of the inputs.

    The effect "removal" is the score less the score with the cell filled. The effect "small change" is the root
    mean square of the score's change under noise in the cell. The noise has a deviation of .05 of the sample's own range,
    in a table of the deviation of each column. Token ids change a little behind the layers that embed them.

    Args:
        subject: the `Subject`.
        objectives: list of `Objective`.
        seed: int, of donors and noise.

    Returns:
        `Effects`.
    """
    occupied = crossed_positions(subject.network, subject.inputs)
    cells = cells_of(subject.inputs, occupied)
    fill_names, variable = kind_of(subject.inputs).fills, variable_inputs(subject)
    halves = {REMOVAL: [score_falls(subject, objectives, cells, occupied, fill, seed) for fill in fill_names]}
    if variable:
        halves[CHANGE] = [_noise_responses(variable, objectives, cells, occupied, half, seed) for half in (0, 1)]
    full = _full_cells(cells, occupied)
    return Effects(cells, {name: np.where(full, half, np.nan) for name, half in halves.items()}, occupied)


def occupied_positions(network, inputs):
    """Which positions hold something: all, but for the padding of texts.

    Args:
        network: a `Network`.
        inputs: one array that it takes.

    Returns:
        bool [samples, positions].
    """
    occupied = np.ones((len(inputs), *extent(inputs)), bool)
    if kind_of(inputs) is not TOKENS:
        return occupied
    padding, words = network.kept_mask(inputs), network.words(inputs)
    occupied = occupied if padding is None else ~padding
    return occupied if words is None else occupied & (np.array(words, object) != "")


def crossed_positions(network, inputs):
    """Which positions are laid into cells: those that hold something, without the tail of a few long texts.

    Where a text has more words than there are cells, a cell is a window. One text much longer than others would make
    windows that no other text fills.

    Args:
        network: a `Network`.
        inputs: one array that it takes.

    Returns:
        bool [samples, positions].
    """
    occupied = occupied_positions(network, inputs)
    if kind_of(inputs) is not TOKENS or occupied.any(axis=0).sum() <= TOKENS.cells:
        return occupied
    return occupied & (occupied.mean(axis=0) > TAIL)


def cell_counts(network, inputs):
    """How many cells of each sample hold something everywhere.

    Args:
        network: a `Network`.
        inputs: one array that it takes.

    Returns:
        int [samples].
    """
    occupied = crossed_positions(network, inputs)
    return _full_cells(cells_of(inputs, occupied), occupied).sum(axis=1)


def variable_inputs(subject):
    """A subject's network with inputs that can change a little, for ids behind the layers that embed them.

    Args:
        subject: the `Subject`.

    Returns:
        (network, arrays that it takes), or None for ids that no layer embeds.
    """
    network, inputs = subject.network, subject.inputs
    if kind_of(inputs) is not TOKENS:
        return network, inputs
    if "layers" not in network.capabilities:
        return None
    embedded, arrays = to_embeddings(network, inputs)
    if embedded is network or any(rows.shape[1] != inputs.shape[1] for rows in arrays["vectors"].values()):
        return None
    return embedded, arrays


def cells_of(inputs, occupied=None):
    """The cell of every position of a sample: a grid over images, windows over series, columns of a table, words of texts.

    Args:
        inputs: one array that a network takes.
        occupied: bool [samples, positions]; where no text has a word there is no cell. None: all positions.

    Returns:
        int [positions].
    """
    if occupied is None or occupied.all():
        return grid(extent(inputs), kind_of(inputs).cells)
    cells, columns = np.zeros(occupied.shape[1], int), occupied.any(axis=0)
    cells[columns] = grid((int(columns.sum()),), kind_of(inputs).cells)
    return cells


def reduce_to_cells(maps, cells, name, occupied=None):
    """What maps say of every cell about an effect.

    Args:
        maps: arrays, as a method gives them.
        cells: int [positions].
        name: "removal": the mean of the signed map, channels summed; "small change": its root mean square over channels
            and positions.
        occupied: bool [samples, positions], those that count; None: all of them.

    Returns:
        float64 [samples, cells]; nan for a map that is not finite, and for a cell that holds nothing.
    """
    shape = (len(maps), *cells.shape)
    occupied = np.ones(shape, bool) if occupied is None else occupied
    values = signed_relevances(maps, shape) if name == REMOVAL else relevances(maps, shape) ** 2
    full = _full_cells(cells, occupied)
    sizes = np.maximum(np.bincount(cells[occupied.any(axis=0)]), 1)
    means = np.stack([np.bincount(cells.ravel(), row.ravel()) for row in np.where(occupied, values, 0)]) / sizes
    means = np.where(full, means, np.nan)
    return means if name == REMOVAL else np.sqrt(means)


def _full_cells(cells, occupied):
    """Whether all positions of a cell that hold something in any sample do so in this one: bool [samples, cells].

    So what a map says of places alone is the same for all samples that have the cell.
    """
    sizes = np.bincount(cells[occupied.any(axis=0)])
    counts = np.stack([np.bincount(cells[row], minlength=len(sizes)) for row in occupied])
    return (counts == sizes) & (sizes > 0)


def agreement(maps, evidence):
    """Spearman rank correlation of rows over the cells of which there is evidence, mid-ranks for ties.

    Args:
        maps: [samples, cells].
        evidence: [samples, cells], nan for a cell that does not count.

    Returns:
        float64 [samples]; nan where a row is constant or not finite.
    """
    counted = ~np.isnan(evidence)
    if counted.all():
        return (_standardize(maps) * _standardize(evidence)).mean(axis=-1)
    rows = [
        agreement(map_row[None, mask], evidence_row[None, mask])[0] if mask.any() else np.nan
        for map_row, evidence_row, mask in zip(maps, evidence, counted)
    ]
    return np.array(rows)


def _standardize(values):
    ranks = stats.rankdata(values, axis=-1) - (values.shape[-1] + 1) / 2
    size = np.sqrt((ranks**2).mean(axis=-1, keepdims=True))
    usable = (size > 0) & np.isfinite(values).all(axis=-1, keepdims=True)
    return np.where(usable, ranks / np.where(size > 0, size, 1), np.nan)


def score_falls(subject, objectives, cells, occupied, fill, seed):
    """Fall of every score when a cell is filled.

    Args:
        subject: the `Subject`.
        objectives: list of `Objective`.
        cells: int [positions], the cell of every position.
        occupied: bool [samples, positions], as of `occupied_positions`.
        fill: str, a name of `sanity.removal.fills`.
        seed: int, of donors.

    Returns:
        float64 [objectives, samples, cells].
    """
    draws, inputs = DRAWS if fill == "donor" else 1, subject.inputs
    falls = []
    for draw in range(draws):
        rng = np.random.default_rng(derive_seed(seed, "donors", draw))
        everywhere = np.ones(inputs.shape[: cells.ndim + 1], bool)
        filled = fills.get(fill)(inputs, everywhere, rng).astype(inputs.dtype)
        falls.append(-_cell_changes(subject.network, inputs, objectives, cells, occupied, filled))
    return np.mean(falls, axis=0)


def _noise_responses(variable, objectives, cells, occupied, half, seed):
    """Root mean square of the change of every score under noise in a cell: float64 [questions, samples, cells]."""
    (network, inputs), squares = variable, []
    for draw in range(half, DRAWS, 2):
        moved = _move_a_little(inputs, derive_seed(seed, "noise in a cell", draw), network.background)
        squares.append(_cell_changes(network, inputs, objectives, cells, occupied, moved) ** 2)
    return np.sqrt(np.mean(squares, axis=0))


def _move_a_little(inputs, seed, background):
    """Inputs with noise, the same for all samples; but each text has its own, or all would share the luck of a place."""
    if isinstance(inputs, np.ndarray):
        return add_noise(inputs, seed, NOISE, background)
    rng = np.random.default_rng(seed)
    moved = {
        address: vectors + NOISE * ranges(vectors) * rng.standard_normal(vectors.shape)
        for address, vectors in inputs["vectors"].items()
    }
    return {**inputs, "vectors": {address: vectors.astype("float32") for address, vectors in moved.items()}}


def _cell_changes(network, inputs, objectives, cells, occupied, others):
    """Change of every score when one cell after another is that of other inputs: float64 [questions, samples, cells]."""
    before = scores(network, inputs, objectives)
    changes = []
    for cell in range(cells.max() + 1):
        in_cell = (cells == cell)[None] & occupied
        changed = tf.nest.map_structure(functools.partial(_exchange, in_cell), others, inputs)
        changes.append(scores(network, network.keep(inputs, changed), objectives) - before)
    return np.stack(changes, axis=-1)


def _exchange(positions, others, inputs):
    """Inputs with the values of others at some positions, all features of them."""
    return np.where(positions.reshape(positions.shape + (1,) * (inputs.ndim - positions.ndim)), others, inputs)


def scores(network, inputs, objectives):
    """The scores of several objectives, from one pass where all are logits of one output.

    Args:
        network: a `Network`.
        inputs: arrays that it takes.
        objectives: list of `Objective`.

    Returns:
        float64 [objectives, samples].
    """
    terms = [objective.terms[0] for objective in objectives if len(objective.terms) == 1]
    where = {(weight, term.kind, term.where) for weight, term in terms}
    if len(terms) < len(objectives) or len(where) > 1 or terms[0][1].kind != "logit":
        return np.stack([routines.scores(network, inputs, objective) for objective in objectives]).astype("float64")
    ((weight, _, output),) = where
    count = len(tf.nest.flatten(inputs)[0])
    values = routines.outputs(network, inputs)[network.output_name(output)].reshape(count, -1)
    class_indices = np.stack([objective.numbers(count)[0][0] for objective in objectives])
    return weight * np.take_along_axis(values.T.astype("float64"), class_indices, axis=0)
