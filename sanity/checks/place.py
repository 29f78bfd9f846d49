"""Place: does a map lie where its evidence lies? It is compared with its own mirrored and turned copies.

It catches maps that are flipped, transposed or shifted on the way. A filter of the input may pass it.
"""

import numpy as np

from lab.kinds import IMAGE, SERIES, kind_of
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
    kind = kind_of(subject.inputs) if isinstance(subject.inputs, np.ndarray) else None
    words = "several inputs" if kind is None else f"inputs of the kind {kind.name}"
    return Gate("inputs have places", status(kind in (SERIES, IMAGE)), f"{words}; needed: series or images")


def grid_symmetries(cells):
    """Every way to lay a grid of cells on itself, the identity first.

    A square grid has its eight mirrored and turned copies, another one four. Windows in a row have eight: shifted by
    quarters, and reversed.

    Args:
        cells: int [positions], the cell of every position.

    Returns:
        int [ways, cells].
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


def agreements_by_way(maps, evidence, ways):
    """Agreement of maps with their evidence under every way to lay them.

    Args:
        maps: float [samples, cells].
        evidence: float [samples, cells].
        ways: int [ways, cells], as of `grid_symmetries`.

    Returns:
        float64 [ways, samples].
    """
    return np.stack([agreement(maps[:, way], evidence) for way in ways])


def advantage(agreements):
    """Agreement as the map lies less the mean over all ways: [ways, units] -> float64 [units].

    It is zero for a symmetric map.
    """
    return (agreements[0] - agreements).mean(axis=0)


def rotation_p(agreements, _, seed):
    """Adjusted p of agreements [ways, units] of a family, the largest of several tests: float64 [members].

    The map must be better than a way drawn at random, and than every single way. Evidence can look much the same
    mirrored, as in the upper half of photographs. There a mirrored map is better than most of its copies and worse than
    one.

    Args:
        agreements: list over members of float64 [ways, units]; the first way is the map as it lies.
        _: the settings of the evidence, not used.
        seed: int, of the random ways and signs.

    Returns:
        float64 [members].
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
    """The evidence for the target, for all methods to share.

    Args:
        subject: the `Subject`.
        seed: int.
        once: as of `sanity.checks.prepare_shared`; crossings of one subject share their effects.

    Returns:
        `Effects`, or None where the check does not apply.
    """
    return crossing.prepare(PLACES, subject, seed=seed, once=once)


@checks.register(prepare=prepare, answer="effects")
def place(explainer, subject, /, *, seed, prepared=None, **options):
    """Does the map agree with its evidence as it lies, more than mirrored and turned?

    Args:
        explainer: the method.
        subject: the `Subject`.
        seed: int.
        prepared: what `prepare` gives, to share among methods; None: computed here.
        options: options of the method.

    Returns:
        `Evidence` with samples `maps/EFFECT` and `oracle/EFFECT`, float64 [ways, samples], the way as it lies first.
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
                PLACES.failed: "the map agrees with the evidence no more than its own mirrored and turned copies do: {why}",
            },
            "it is not shown that the evidence has a place of its own",
        ),
        similarity="rank correlation of map and evidence over cells, as it lies, less the mean over its mirrored and turned copies",
        ceiling="the network's own answer",
        cannot="Cannot conclude: that the network was looked at. It is crossed: the place; a filter of the image may pass.",
        counted=PLACES.counted,
        better="higher",
    ),
)
def judge_place(family, margins, seed):
    """Random ways for every image, and sign flips against every single way; the larger p counts, by max-T.

    Args:
        family: list of `Evidence` of this check.
        margins: `Margins`.
        seed: int, of bootstrap and test.

    Returns:
        list of `Ruling`, in the order of the family.
    """
    return oracle.judge_crossing(PLACES, family, margins, seed)
