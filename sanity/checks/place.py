"""Place: does a map lie where its evidence lies? It is held against its own mirrored and turned copies.

It catches maps that are flipped, transposed or shifted on the way. A filter of the input may pass it.
"""

import numpy as np

from sanity import gates
from sanity.checks import checks
from sanity.crossing import cells_of_maps, differs, ruled
from sanity.crossing import gates as applicable
from sanity.effects import agreement, effects
from sanity.evidence import Gate
from sanity.ruling import About, rules
from sanity.statistics import rotations
from sanity.viewer import Viewer, planes


def has_places(subject):
    """Whether the inputs have places that can be turned: `Gate`."""
    ndim = np.ndim(subject.inputs) if isinstance(subject.inputs, np.ndarray) else 0
    there = ndim in (3, 4)
    return Gate("inputs have places", "passed" if there else "not applicable", f"inputs with {max(0, ndim - 1)} axes")


def prepare(subject, *, seed):
    """The evidence of the class that is asked about, for all methods to share -> `Effects`, or None."""
    if any(gate.status != "passed" for gate in (*applicable(subject), has_places(subject))):
        return None
    return effects(subject, [subject.objective], seed=seed)


@checks.register(prepare=prepare)
def place(explainer, subject, *, seed, prepared=None, **options):
    """Does the map agree with its evidence as it lies, more than mirrored and turned? -> `Evidence`.

    Samples: `maps/EFFECT` and `oracle/EFFECT`, float64 [ways, samples], the way as it lies first. options: the explainer's own.
    """
    viewer, passed = Viewer(explainer, subject, seed, options), [*applicable(subject), has_places(subject)]
    if any(gate.status != "passed" for gate in passed):
        return viewer.evidence("place", {}, passed)
    prepared = prepared or prepare(subject, seed=seed)
    maps, copies = viewer.maps(), turned(prepared.cells)
    read = cells_of_maps([maps], prepared)
    samples = {f"maps/{name}": along(read[name][0], prepared.whole(name)[0], copies) for name in read}
    samples |= {f"oracle/{name}": along(halves[0, 0], halves[1, 0], copies) for name, halves in prepared.halves.items()}
    passed += [gates.usable(planes(maps)), differs(read)]
    return viewer.evidence("place", samples, passed, sizes={"ways": len(copies)})


def turned(cells):
    """Every way to lay a grid of cells on itself, as it lies first: int [ways, cells].

    Of a square grid its eight mirrored and turned copies, of another one four; of windows in a row eight, shifted by quarters and
    turned round.
    """
    shape = [
        len(np.unique(np.moveaxis(cells, axis, 0).reshape(cells.shape[axis], -1), axis=0)) for axis in range(cells.ndim)
    ]
    grid = np.arange(np.prod(shape)).reshape(shape)
    if cells.ndim == 1:
        shifts = sorted({round(quarter * len(grid) / 4) for quarter in range(4)})
        ways = [np.roll(row, shift) for row in (grid, grid[::-1]) for shift in shifts]
    else:
        turns = range(4) if shape[0] == shape[1] else (0, 2)
        ways = [np.rot90(sheet, turn) for sheet in (grid, grid[:, ::-1]) for turn in turns]
    return np.stack([way.ravel() for way in ways])


def along(maps, evidence, copies):
    """Agreement of maps with their evidence under every way: float64 [ways, samples]."""
    return np.stack([agreement(maps[:, copy], evidence) for copy in copies])


def advantage(agreements):
    """Agreement as it lies less the mean of all ways, so that a map without a side gets zero: [ways, units] -> float64 [units]."""
    return (agreements[0] - agreements).mean(axis=0)


@rules.register(
    name="place",
    about=About(
        "Lies where its evidence lies",
        "advantage",
        {
            "IN PLACE": "the map agrees with the evidence as it lies more than mirrored or turned, {why}",
            "NOT IN PLACE": "the map agrees with the evidence no more than its own mirrored and turned copies do",
            "BARELY": "{why}",
            "UNDECIDED": "{why}",
            "ORACLE DOES NOT PASS": "the evidence has no place of its own; {why}",
        },
        similarity="rank correlation of map and evidence over cells, as it lies, less the mean over its mirrored and turned copies",
        ceiling="the network's own answer",
        cannot="Cannot conclude: that the network was looked at. It is crossed: the place; a filter of the image may pass.",
        counted={"images": "images", "ways": "ways to lay it"},
    ),
)
def judge_place(family, margins, seed):
    """Random ways for every image, max-T over methods and effects."""
    return ruled(family, advantage, turns, margins, seed, "IN PLACE", "NOT IN PLACE")


def turns(agreements, seed):
    """p of agreements [ways, units] of a family, adjusted: float64 [members]."""
    return rotations(np.stack(agreements), seed=seed)
