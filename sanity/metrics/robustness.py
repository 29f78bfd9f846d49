"""Robustness: how far maps move when inputs, outputs or representations move a little."""

import numpy as np

from lab import routines
from sanity.localisation import signed_relevances
from sanity.metrics import metrics
from sanity.removal import extent
from sanity.seeds import derive_seed

NOISE, DRAWS = 0.02, 8
# The paper's smallest denominator.
SMALLEST = 1e-12


@metrics.register(better="low")
def max_sensitivity(bound, maps, seed):
    """Largest relative change of the map under noise of 2% of the range (Yeh et al. 2019, https://arxiv.org/abs/1901.09392)."""
    return np.max([moved for _, moved in _noisy_changes(bound, maps, seed)], axis=0)


@metrics.register(better="low")
def average_sensitivity(bound, maps, seed):
    """Mean relative change of the map under noise of 2% of the range (Bhatt, Weller, Moura 2020, https://arxiv.org/abs/2005.00631)."""
    return np.mean([moved for _, moved in _noisy_changes(bound, maps, seed)], axis=0)


@metrics.register(better="low")
def local_lipschitz(bound, maps, seed):
    """Largest change of the map per change of the input, both L2 (Alvarez-Melis, Jaakkola 2018, https://arxiv.org/abs/1806.08049)."""
    size = _norm(maps)
    return np.max(
        [moved * size / _norm(inputs - bound.subject.inputs) for inputs, moved in _noisy_changes(bound, maps, seed)],
        axis=0,
    )


@metrics.register(better="low")
def relative_input_stability(bound, maps, seed):
    """RIS: largest relative change of the map per relative change of the input, where the prediction stays (Agarwal et al. 2022, https://arxiv.org/abs/2203.06877).

    Relative by norms, not value by value, where zeros would rule; nan for a sample whose prediction never stays.
    """
    return _largest_relative_change(bound, maps, seed, lambda inputs: inputs)


@metrics.register(better="low")
def relative_output_stability(bound, maps, seed):
    """ROS: largest relative change of the map per absolute change of the logits, L2, where the prediction stays (Agarwal et al. 2022, https://arxiv.org/abs/2203.06877)."""
    network, name = bound.subject.network, bound.subject.network.output_name(bound.subject.output)
    return _largest_relative_change(
        bound, maps, seed, lambda inputs: routines.outputs(network, inputs)[name], absolute=True
    )


@metrics.register(better="low")
def relative_representation_stability(bound, maps, seed):
    """RRS: largest relative change of the map per relative change of the layer that feeds the logits, where the prediction stays (Agarwal et al. 2022, https://arxiv.org/abs/2203.06877)."""
    network = bound.subject.network
    layer = network.last_hidden()
    return _largest_relative_change(bound, maps, seed, lambda inputs: routines.activations(network, inputs, layer))


@metrics.register(better="low")
def continuity(bound, maps, seed, steps=4):
    """Mean change of the map, in halves of relevance, per pixel of shift, relative to the map (Montavon, Samek, Mueller 2018, https://arxiv.org/abs/1706.07979).

    For inputs of rows and columns; the shifts go down by 1 to 4 rows, edges repeated.
    """
    del seed  # Nothing is drawn.
    inputs = bound.subject.inputs
    if inputs.ndim != 4:
        return np.full(len(inputs), np.nan)
    own = _by_halves(maps, inputs)
    moved = []
    for step in range(1, steps + 1):
        shifted = np.concatenate([np.repeat(inputs[:, :1], step, axis=1), inputs[:, :-step]], axis=1)
        moved.append(np.abs(_by_halves(bound.maps(shifted), inputs) - own).sum(axis=1) / step)
    return np.mean(moved, axis=0) / np.maximum(np.abs(own).sum(axis=1), 1e-300)


@metrics.register(better="high")
def consistency(bound, maps, seed):
    """Share of the samples with the same place of the highest value (in a grid of four by four) that have the same target (Dasgupta, Frost, Moshkovitz 2022, https://arxiv.org/abs/2202.00734)."""
    del seed  # Nothing is drawn.
    subject = bound.subject
    found = np.abs(signed_relevances(maps, (len(subject.names), *extent(subject.inputs))))
    places = [np.unravel_index(each.argmax(), each.shape) for each in found]
    cells = [tuple(4 * at // size for at, size in zip(place, found.shape[1:])) for place in places]
    targets = np.array(subject.objective.numbers(len(subject.names))[0][0])
    groups = [
        [other for other, each in enumerate(cells) if each == cell and other != row] for row, cell in enumerate(cells)
    ]
    return np.array([np.mean(targets[group] == targets[row]) if group else np.nan for row, group in enumerate(groups)])


def _noisy_changes(bound, maps, seed):
    """Noisy inputs, and the relative change of the map there: list of (inputs, float64 [samples]). The method's own seed stays."""
    found = []
    for turn in range(DRAWS):
        inputs = bound.noisy_inputs(derive_seed(seed, "robustness noise", turn), NOISE)
        found.append((inputs, _norm(bound.maps(inputs) - maps) / np.maximum(_norm(maps), 1e-300)))
    return found


def _largest_relative_change(bound, maps, seed, representation, absolute=False):
    """Largest ratio of the map's relative change to the representation's over the noisy inputs whose prediction stays: float64 [samples]."""
    subject, inputs = bound.subject, bound.subject.inputs
    before, own = representation(inputs), _predicted(subject, inputs)
    size = 1.0 if absolute else np.maximum(_norm(before), 1e-300)
    ratios = []
    for noisy, moved in _noisy_changes(bound, maps, seed):
        change = np.maximum(_norm(representation(noisy) - before) / size, SMALLEST)
        ratios.append(np.where(_predicted(subject, noisy) == own, moved / change, -np.inf))
    largest = np.max(ratios, axis=0)
    return np.where(largest >= 0, largest, np.nan)


def _predicted(subject, inputs):
    """The class of highest score of the output that is asked: int [samples]."""
    return routines.class_logits(subject.network, inputs, subject.output).argmax(axis=1)


def _norm(values):
    return np.linalg.norm(values.reshape(len(values), -1).astype("float64"), axis=1)


def _by_halves(maps, inputs):
    """Relevance of the left and of the right half: float64 [samples, 2]."""
    found = signed_relevances(maps, inputs.shape[:-1])
    half = found.shape[2] // 2
    return np.stack([found[:, :, :half].sum(axis=(1, 2)), found[:, :, half:].sum(axis=(1, 2))], axis=1)
