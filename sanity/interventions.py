"""Interventions: how a network's score responds when parts of the input are removed, its own answer to where it looks."""

import itertools

import numpy as np

from lab import routines
from lab.kinds import kind_of
from sanity import removal
from sanity.removal import extent


def occlusion(subject, *, share=0.18, overlap=2, fill=None, scores=None):
    """Mean fall of the score when windows over a place are filled.

    Args:
        subject: the `Subject`.
        share: float, a window's side as a share of the input's. Where positions are no neighbours, as the columns of a table,
            it is one of them.
        overlap: int, windows over each place along an axis.
        fill: str, a name of `removal.fills` that draws nothing; None: the first one of the kind of inputs.
        scores: inputs -> float [..., samples], such as the scores of several networks; None: the subject's own score.

    Returns:
        float64 [..., samples, ...], without channels.
    """
    scores = scores or (lambda inputs: routines.scores(subject.network, inputs, subject.objective))
    kind, shape = kind_of(subject.inputs), (len(subject.inputs), *extent(subject.inputs))
    share, fill = share if kind.has_neighbours else 0, fill or kind.fills[0]
    before = np.asarray(scores(subject.inputs), "float64")
    total, count = np.zeros((*before.shape[:-1], *shape)), np.zeros(shape[1:])
    for window in _windows(shape[1:], share, overlap):
        removed = np.zeros(shape, bool)
        removed[(slice(None), *window)] = True
        fall = before - scores(removal.fill_positions(subject, removed, fill, None))
        total[(..., slice(None), *window)] += fall.reshape(*fall.shape, *[1] * len(shape[1:]))
        count[window] += 1
    return total / count


def _windows(extent, share, overlap):
    sides = [max(1, round(share * size)) for size in extent]
    steps = [max(1, side // overlap) for side in sides]
    starts = [sorted({*range(0, size - side + 1, step), size - side}) for size, side, step in zip(extent, sides, steps)]
    for corner in itertools.product(*starts):
        yield tuple(slice(start, start + side) for start, side in zip(corner, sides))
