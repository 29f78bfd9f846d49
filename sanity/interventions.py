"""Interventions: what a network's score does when parts of the input are taken away; the model's own answer to where it looks."""

import itertools

import numpy as np

from lab import routines


def occlusion(subject, *, share=0.18, overlap=2):
    """Mean change of the score when windows over a place are replaced by the sample's mean: float64 [samples, ...], without channels.

    share: a window's side as a share of the input's; overlap: windows over each place along an axis.
    """
    inputs, network = subject.inputs, subject.network
    extent = inputs.shape[1:-1] if inputs.ndim > 2 else inputs.shape[1:]
    before = routines.scores(network, inputs, subject.objective).astype("float64")
    total, count = np.zeros((len(inputs), *extent)), np.zeros(extent)
    for window in _windows(extent, share, overlap):
        after = routines.scores(network, _emptied(inputs, window), subject.objective)
        total[(slice(None), *window)] += (before - after).reshape(-1, *[1] * len(extent))
        count[window] += 1
    return total / count


def _windows(extent, share, overlap):
    sides = [max(1, round(share * size)) for size in extent]
    steps = [max(1, side // overlap) for side in sides]
    starts = [sorted({*range(0, size - side + 1, step), size - side}) for size, side, step in zip(extent, sides, steps)]
    for corner in itertools.product(*starts):
        yield tuple(slice(start, start + side) for start, side in zip(corner, sides))


def _emptied(inputs, window):
    found = inputs.copy()
    axes = tuple(range(1, max(2, inputs.ndim - 1)))
    found[(slice(None), *window)] = inputs.mean(axis=axes, keepdims=True)
    return found
