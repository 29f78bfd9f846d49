"""Robustness: how far maps move when inputs, outputs or representations move a little."""

import numpy as np

from lab import routines
from lab.kinds import IMAGE, kind_of
from sanity.localisation import signed_relevances
from sanity.metrics import metrics
from sanity.removal import extent
from sanity.seeds import derive_seed

NOISE, DRAWS = 0.02, 8
# The smallest denominator, from the paper.
SMALLEST = 1e-12


@metrics.register(better="low")
def max_sensitivity(bound, maps, seed):
    """Largest relative change of the map under noise of 2% of the range (Yeh et al. 2019, https://arxiv.org/abs/1901.09392).

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], 0 for a map that does not move.
    """
    return np.max([change for _, change in _noisy_changes(bound, maps, seed)], axis=0)


@metrics.register(better="low")
def average_sensitivity(bound, maps, seed):
    """Mean relative change of the map under noise of 2% of the range (Bhatt, Weller, Moura 2020, https://arxiv.org/abs/2005.00631).

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], 0 for a map that does not move.
    """
    return np.mean([change for _, change in _noisy_changes(bound, maps, seed)], axis=0)


@metrics.register(better="low")
def local_lipschitz(bound, maps, seed):
    """Largest change of the map per change of the input, both L2 (Alvarez-Melis, Jaakkola 2018, https://arxiv.org/abs/1806.08049).

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], 0 for a map that does not move.
    """
    size = _norm(maps)
    return np.max(
        [change * size / _norm(inputs - bound.subject.inputs) for inputs, change in _noisy_changes(bound, maps, seed)],
        axis=0,
    )


@metrics.register(better="low")
def relative_input_stability(bound, maps, seed):
    """RIS: largest relative change of the map per relative change of the input, where the prediction stays (Agarwal et al. 2022, https://arxiv.org/abs/2203.06877).

    Changes are relative by norms, since value by value zeros would dominate. It is nan where the prediction never
    stays.

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], 0 for a map that does not move.
    """
    return _largest_relative_change(bound, maps, seed, lambda inputs: inputs)


@metrics.register(better="low")
def relative_output_stability(bound, maps, seed):
    """ROS: largest relative change of the map per absolute change of the logits, L2, where the prediction stays (Agarwal et al. 2022, https://arxiv.org/abs/2203.06877).

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], 0 for a map that does not move.
    """
    network, name = bound.subject.network, bound.subject.network.output_name(bound.subject.output)
    return _largest_relative_change(
        bound, maps, seed, lambda inputs: routines.outputs(network, inputs)[name], absolute=True
    )


@metrics.register(better="low")
def relative_representation_stability(bound, maps, seed):
    """RRS: largest relative change of the map per relative change of the layer that feeds the logits, where the prediction stays (Agarwal et al. 2022, https://arxiv.org/abs/2203.06877).

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], 0 for a map that does not move.
    """
    network = bound.subject.network
    layer = network.last_hidden()
    return _largest_relative_change(bound, maps, seed, lambda inputs: routines.activations(network, inputs, layer))


@metrics.register(better="low")
def continuity(bound, maps, seed, steps=4):
    """Continuity: mean change of the map per pixel of shift, relative to the map (Montavon, Samek, Mueller 2018, https://arxiv.org/abs/1706.07979).

    The change is that of relevance in the left and right half. Inputs of rows and columns are shifted down by 1 to 4
    rows, edges repeated.

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.
        steps: int, the largest shift in rows.

    Returns:
        float64 [samples], nan for inputs that are not images.
    """
    del seed  # Nothing is drawn.
    inputs = bound.subject.inputs
    if kind_of(inputs) is not IMAGE:
        return np.full(len(inputs), np.nan)
    halves = _half_relevance(maps, inputs)
    changes = []
    for step in range(1, steps + 1):
        shifted = np.concatenate([np.repeat(inputs[:, :1], step, axis=1), inputs[:, :-step]], axis=1)
        changes.append(np.abs(_half_relevance(bound.maps(shifted), inputs) - halves).sum(axis=1) / step)
    return np.mean(changes, axis=0) / np.maximum(np.abs(halves).sum(axis=1), 1e-300)


@metrics.register(better="high")
def consistency(bound, maps, seed):
    """Consistency: share of the samples with the same peak cell that have the same target (Dasgupta, Frost, Moshkovitz 2022, https://arxiv.org/abs/2202.00734).

    The cell is that of the highest value in a grid of four by four.

    Args:
        bound: the `BoundExplainer`, the method on its subject.
        maps: arrays, the method's maps of the subject's inputs.
        seed: int, of what is drawn.

    Returns:
        float64 [samples], in 0..1, nan for a sample that shares its cell with none.
    """
    del seed  # Nothing is drawn.
    subject = bound.subject
    relevance = np.abs(signed_relevances(maps, (len(subject.names), *extent(subject.inputs))))
    places = [np.unravel_index(sample_relevance.argmax(), sample_relevance.shape) for sample_relevance in relevance]
    cells = [tuple(4 * at // size for at, size in zip(place, relevance.shape[1:])) for place in places]
    targets = np.array(subject.objective.numbers(len(subject.names))[0][0])
    groups = [
        [other for other, other_cell in enumerate(cells) if other_cell == cell and other != row]
        for row, cell in enumerate(cells)
    ]
    return np.array([np.mean(targets[group] == targets[row]) if group else np.nan for row, group in enumerate(groups)])


def _noisy_changes(bound, maps, seed):
    """Noisy inputs with the map's relative change: list of (inputs, float64 [samples]). The method's seed stays."""
    changes = []
    for turn in range(DRAWS):
        inputs = bound.noisy_inputs(derive_seed(seed, "robustness noise", turn), NOISE)
        changes.append((inputs, _norm(bound.maps(inputs) - maps) / np.maximum(_norm(maps), 1e-300)))
    return changes


def _largest_relative_change(bound, maps, seed, representation, absolute=False):
    """Largest ratio of the map's relative change to the representation's: float64 [samples].

    Only noisy inputs whose prediction stays count.
    """
    subject, inputs = bound.subject, bound.subject.inputs
    before, predicted = representation(inputs), _predicted_classes(subject, inputs)
    size = 1.0 if absolute else np.maximum(_norm(before), 1e-300)
    ratios = []
    for noisy, map_change in _noisy_changes(bound, maps, seed):
        change = np.maximum(_norm(representation(noisy) - before) / size, SMALLEST)
        ratios.append(np.where(_predicted_classes(subject, noisy) == predicted, map_change / change, -np.inf))
    largest = np.max(ratios, axis=0)
    return np.where(largest >= 0, largest, np.nan)


def _predicted_classes(subject, inputs):
    """The class with the highest score of the explained output: int [samples]."""
    return routines.class_logits(subject.network, inputs, subject.output).argmax(axis=1)


def _norm(values):
    return np.linalg.norm(values.reshape(len(values), -1).astype("float64"), axis=1)


def _half_relevance(maps, inputs):
    """Relevance of the left and of the right half: float64 [samples, 2]."""
    relevance = signed_relevances(maps, inputs.shape[:-1])
    half = relevance.shape[2] // 2
    return np.stack([relevance[:, :, :half].sum(axis=(1, 2)), relevance[:, :, half:].sum(axis=(1, 2))], axis=1)
