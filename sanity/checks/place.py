"""Place: does a map lie where its evidence lies? It is held against its own mirrored and turned copies.

It catches maps that are flipped, transposed or shifted on the way. A filter of the input may pass it.
"""

import numpy as np

from sanity import crossing, oracle
from sanity.checks import checks
from sanity.crossing import Crossing
from sanity.effects import agreement, cells_of
from sanity.evidence import Gate
from sanity.questions import conditions, status
from sanity.ruling import About, rules
from sanity.statistics import rotations, sign_flips


def has_places(subject):
    """Whether the inputs have places that can be turned: `Gate`."""
    ndim = np.ndim(subject.inputs) if isinstance(subject.inputs, np.ndarray) else 0
    words = f"inputs with {max(0, ndim - 1)} axes; needed: a series or an image with channels"
    return Gate("inputs have places", status(ndim in (3, 4)), words)


def grid_symmetries(cells):
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


def agreements_by_way(maps, evidence, copies):
    """Agreement of maps with their evidence under every way: float64 [ways, samples]."""
    return np.stack([agreement(maps[:, copy], evidence) for copy in copies])


def advantage(agreements):
    """Agreement as it lies less the mean of all ways, so that a map without a side gets zero: [ways, units] -> float64 [units]."""
    return (agreements[0] - agreements).mean(axis=0)


def rotation_p(agreements, _, seed):
    """p of agreements [ways, units] of a family, adjusted, the largest of several tests: float64 [members].

    Better than a way drawn at random, and than every single one: where evidence lies much alike mirrored, in the upper half of all
    photographs say, a mirrored map is better than most of its copies, and worse than one.
    """
    agreements = np.stack(agreements)
    singly = [sign_flips(agreements[:, 0] - agreements[:, way], seed=seed) for way in range(1, agreements.shape[1])]
    return np.max([rotations(agreements, seed=seed), *singly], axis=0)


PLACES = Crossing(
    "place",
    conditions=lambda subject: [*conditions(subject), has_places(subject)],
    questions=lambda subject: [subject.objective],
    numbers=lambda maps, evidence, subject: agreements_by_way(
        maps[0], evidence[0], grid_symmetries(cells_of(subject.inputs))
    ),
    statistic=advantage,
    test=rotation_p,
    passed="IN PLACE",
    failed="NOT IN PLACE",
    counted={"images": "images", "ways": "ways to lay it"},
    sizes=lambda subject: {"ways": len(grid_symmetries(cells_of(subject.inputs)))},
)


def prepare(subject, *, seed, once=None):
    """The evidence of the class that is asked about, for all methods to share -> `Effects`, or None."""
    return crossing.prepare(PLACES, subject, seed=seed, once=once)


@checks.register(prepare=prepare)
def place(explainer, subject, *, seed, prepared=None, **options):
    """Does the map agree with its evidence as it lies, more than mirrored and turned? -> `Evidence`.

    Samples: `maps/EFFECT` and `oracle/EFFECT`, float64 [ways, samples], the way as it lies first. options: the explainer's own.
    """
    return crossing.measure(PLACES, explainer, subject, seed=seed, prepared=prepared, options=options)


@rules.register(
    name="place",
    about=About(
        "Lies where its evidence lies",
        "advantage",
        crossing.finding_words(
            {
                PLACES.passed: "the map agrees with the evidence as it lies more than under any other way to lay it, {why}",
                PLACES.failed: "the map agrees with the evidence no more than its own mirrored and turned copies do; {why}",
            },
            "it is not shown that the evidence has a place of its own",
        ),
        similarity="rank correlation of map and evidence over cells, as it lies, less the mean over its mirrored and turned copies",
        ceiling="the network's own answer",
        cannot="Cannot conclude: that the network was looked at. It is crossed: the place; a filter of the image may pass.",
        counted=PLACES.counted,
    ),
)
def judge_place(family, margins, seed):
    """Random ways for every image, and sign flips against every single way; the larger p counts; max-T over methods and effects."""
    return oracle.judge_crossing(PLACES, family, margins, seed)
