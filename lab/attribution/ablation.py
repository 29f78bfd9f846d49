"""Ablation: how far the score falls when a part of the input is taken away."""

import itertools
import math

import numpy as np

from lab.attribution import explainers
from lab.attribution.options import positive_integer
from lab.attribution.references import as_references, fill_of, passes_of
from lab.embeddings import at_embeddings
from lab.environment import tf
from lab.games import Game, explain_by, lay_out, masked_positions, sources_of
from lab.players import extent_of
from lab.refusal import Refused

# A window is a seventh of each axis of positions, and moves by half of it.
WINDOWS = 7
# The side of images of which nothing is known, in a world before training.
UNKNOWN = 28
# Numbers of a table of coalitions that are in the memory together.
MOST = 20_000_000


def _ablation_cost(network, options):
    players, baselines = passes_of(network, options)
    return players * baselines / 3


@explainers.register(resolution="parts", needs="scores", cost=_ablation_cost)
@at_embeddings
def feature_ablation(network, inputs, objective, *, players=None, count=49, baseline=0.0, baselines=None):
    """Feature ablation, the fall of the score when one part alone is replaced (Zeiler, Fergus 2014, https://arxiv.org/abs/1311.2901).

    Args:
        players: as of `exact_shapley`.
        count: about how many patches or superpixels.
        baseline: as of `exact_shapley`.
        baselines: as of `exact_shapley`.

    Returns:
        signed float32 in the structure and shape of the inputs. The channels of a position add up to the value of its part.
    """

    def estimate(game):
        return _falls(game, lambda part: np.arange(game.players) != np.arange(part.start, part.stop)[:, None])

    arrays = network.inputs(inputs)
    fill, references = fill_of(arrays, baseline, baselines), as_references(network, arrays, baseline, baselines)
    options = {"players": players, "count": positive_integer("count", count), "share": False, "fill": fill}
    return explain_by(estimate, network, arrays, objective, references, **options)


def _falls(game, rows, count=None):
    """How far the score of the whole falls to those of some coalitions, a part of which is in the memory: float64 [batch, coalitions]."""
    count, step = count or game.players, max(1, MOST // game.players)
    whole = game.scores(np.ones((1, game.players), bool))
    parts = [slice(start, min(start + step, count)) for start in range(0, count, step)]
    return whole - np.concatenate([game.scores(rows(part)) for part in parts], axis=1)


def _occlusion_cost(network, options):
    """A forward pass for each window, of the largest input."""
    leaves = [] if network is None else tf.nest.flatten(network.spec)
    counts = [
        _count_windows([side or 1 for side in extent_of(leaf.shape)], options, _is_table(leaf)) for leaf in leaves
    ]
    windows = max(counts) if counts else _count_windows((UNKNOWN, UNKNOWN), options, False)
    return windows * (1 if options["baselines"] is None else len(options["baselines"])) / 3


def _count_windows(extent, options, is_table):
    return math.prod(len(_starts(*numbers)) for numbers in zip(extent, *_window(extent, options, is_table)))


def _is_table(leaf):
    """Whether positions are columns, which have no neighbours: bool."""
    return len(leaf.shape) == 2 and tf.as_dtype(leaf.dtype).is_floating


@explainers.register(resolution="parts", needs="scores", cost=_occlusion_cost)
@at_embeddings
def occlusion(network, inputs, objective, *, patch=None, stride=None, baseline=0.0, baselines=None):
    """Occlusion, the mean fall of the score over the windows that cover a position (Zeiler, Fergus 2014, https://arxiv.org/abs/1311.2901).

    Args:
        patch: sides of the window in positions, a number or one for each axis; None: a seventh of each axis, and one
            column of a table.
        stride: how far the window moves, as `patch`; None: half the window.
        baseline: as of `exact_shapley`.
        baselines: as of `exact_shapley`.

    Returns:
        signed float32 in the structure and shape of the inputs. The channels of a position add up to its value.

    Raises:
        Refused: for several inputs, and for windows that do not fit.
    """
    arrays = network.inputs(inputs)
    fill, references = fill_of(arrays, baseline, baselines), as_references(network, arrays, baseline, baselines)
    sources = sources_of(network, arrays, references)
    leaf, mask = _only_leaf(arrays, sources, masked_positions(network, arrays))
    extent = extent_of(leaf.shape)
    starts, spans, cells, counts = _cut(extent, *_window(extent, {"patch": patch, "stride": stride}, _is_table(leaf)))
    members = np.where(mask, -1, np.broadcast_to(cells, (len(leaf), *extent))).astype("int32")
    nobody = np.full(len(leaf), -1, "int32")
    places = [nobody if source is None else members for source in sources]
    game = Game(network, arrays, objective, places, references, math.prod(counts), fill)
    corners = list(itertools.product(*starts))
    falls = _falls(game, lambda part: _left_by_windows(corners[part], spans, counts), len(corners))
    values = _mean_over_windows(falls, corners, spans, counts) / max(1, len(sources) - sources.count(None))
    maps = [lay_out(values, numbers, leaf.shape[1:], False) for leaf, numbers in zip(tf.nest.flatten(arrays), places)]
    return tf.nest.pack_sequence_as(arrays, maps)


def _only_leaf(arrays, sources, masked):
    """The one input that something is taken away of, and what of it is masked; embeddings of one input count as one."""
    rows = [row for row in zip(tf.nest.flatten(arrays), masked, sources) if row[2] is not None]
    if len({source for *_, source in rows}) != 1:
        raise Refused(f"A window moves over one input. Received: {len(rows)}. Use feature_ablation.")
    leaf, mask, _ = rows[0]
    if not extent_of(leaf.shape):
        raise Refused(f"A window moves over positions. Received: inputs of shape {leaf.shape}. Use feature_ablation.")
    return leaf, mask


def _window(extent, options, is_table):
    """Side and step of the window along each axis: two lists of int."""
    usual = [1 if is_table else max(1, round(size / WINDOWS)) for size in extent]
    sides = _sides("patch", options["patch"], usual, extent)
    return sides, _sides("stride", options["stride"], [max(1, side // 2) for side in sides], extent)


def _sides(name, value, default, extent):
    """One number for each axis of positions: list of int."""
    if value is None:
        return default
    sides = [value] * len(extent) if np.ndim(value) == 0 else list(value)
    sides = [positive_integer(name, side) for side in sides]
    if len(sides) != len(extent) or any(side > size for side, size in zip(sides, extent)):
        raise Refused(
            f"{name} is at most the input's side, one number or one for each of its axes {tuple(extent)}. Received: {value!r}."
        )
    return sides


def _starts(size, side, step):
    """Where windows along an axis begin; the last one ends where the axis ends: list of int."""
    return sorted({*range(0, size - side + 1, step), size - side})


def _cut(extent, sides, steps):
    """Windows, and the cells that all their ends cut the positions into.

    Args:
        extent: tuple of int.
        sides: list of int, of the window.
        steps: list of int, how far it moves.

    Returns:
        the starts along each axis, list of lists of int; the cells that a window covers from each start, list of dict of start to
        (first, last); the cell of every position, int [...]; how many cells there are along each axis, tuple of int.
    """
    starts = [_starts(*numbers) for numbers in zip(extent, sides, steps)]
    edges = [np.unique([0, *begins, *(begin + side for begin in begins)]) for begins, side in zip(starts, sides)]
    edges = [axis[axis < size] for axis, size in zip(edges, extent)]
    places = [np.searchsorted(axis, np.arange(size), side="right") - 1 for axis, size in zip(edges, extent)]
    counts = tuple(len(axis) for axis in edges)
    cells = np.ravel_multi_index(np.meshgrid(*places, indexing="ij"), counts)
    spans = [
        {begin: (int(place[begin]), int(place[begin + side - 1]) + 1) for begin in begins}
        for begins, side, place in zip(starts, sides, places)
    ]
    return starts, spans, cells, counts


def _slices(corner, spans):
    """The cells of a window along each axis: tuple of slice."""
    return tuple(slice(*axis[begin]) for axis, begin in zip(spans, corner))


def _left_by_windows(corners, spans, counts):
    """What each window leaves: bool [windows, cells]."""
    left = np.ones((len(corners), *counts), bool)
    for row, corner in zip(left, corners):
        row[_slices(corner, spans)] = False
    return left.reshape(len(corners), -1)


def _mean_over_windows(falls, corners, spans, counts):
    """The mean fall over the windows that cover each cell; 0 for one that none covers: float64 [batch, cells]."""
    total, covered = np.zeros((len(falls), *counts)), np.zeros(counts)
    for fall, corner in zip(falls.T, corners):
        window = _slices(corner, spans)
        total[(slice(None), *window)] += fall.reshape(-1, *[1] * len(counts))
        covered[window] += 1
    return (total / np.maximum(covered, 1)).reshape(len(falls), -1)
