"""Ablation: how far the score falls when a part of the input is taken away."""

import numpy as np

from lab.attribution import explainers
from lab.attribution.options import positive_integer
from lab.attribution.references import as_references
from lab.embeddings import at_embeddings
from lab.environment import tf
from lab.games import explain_by
from lab.masking import coalition_scores
from lab.refusal import Refused

# A window is a seventh of each axis of positions, and moves by half of it.
WINDOWS = 7


@explainers.register(resolution="parts", cost=lambda network, options: options["count"] / 3)
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
        without = ~np.eye(game.players, dtype=bool)
        scores = game.scores(np.concatenate([np.ones((1, game.players), bool), without]))
        return scores[:, :1] - scores[:, 1:]

    arrays = network.inputs(inputs)
    references = as_references(network, arrays, baseline, baselines)
    positive_integer("count", count)
    options = {"players": players, "count": count, "share": False}
    return explain_by(estimate, network, arrays, objective, references, **options)


@explainers.register(resolution="parts", cost=lambda network, options: (2 * WINDOWS - 1) ** 2 / 3)
@at_embeddings
def occlusion(network, inputs, objective, *, patch=None, stride=None, baseline=0.0, baselines=None):
    """Occlusion, the mean fall of the score over the windows that cover a position (Zeiler, Fergus 2014, https://arxiv.org/abs/1311.2901).

    Args:
        patch: sides of the window in positions, a number or one for each axis; None: a seventh of each axis.
        stride: how far the window moves, as `patch`; None: half the window.
        baseline: as of `exact_shapley`.
        baselines: as of `exact_shapley`.

    Returns:
        signed float32 in the structure and shape of the inputs. The channels of a position add up to its value.

    Raises:
        Refused: for several inputs, and for windows that do not fit.
    """
    arrays = network.inputs(inputs)
    leaf, place = _only_leaf(arrays)
    extent = leaf.shape[1:-1] if leaf.ndim > 2 else leaf.shape[1:]
    sides = _sides("patch", patch, [max(1, round(size / WINDOWS)) for size in extent], extent)
    steps = _sides("stride", stride, [max(1, side // 2) for side in sides], extent)
    axes = [_cut_axis(*numbers) for numbers in zip(extent, sides, steps)]
    cells, coalitions = _cells(extent, axes), _windows(axes)
    members = [np.full(len(leaf_), -1, "int32") for leaf_ in tf.nest.flatten(arrays)]
    members[place] = np.broadcast_to(cells, (len(leaf), *extent))
    references = as_references(network, arrays, baseline, baselines)
    coalitions_and_whole = np.concatenate([np.ones((1, coalitions.shape[1]), bool), coalitions])
    scores = coalition_scores(network, arrays, objective, members, coalitions_and_whole, references).astype("float64")
    covered = (~coalitions).astype("float64")
    # What lies between windows that move by more than their side is covered by none.
    falls = (scores[:, :1] - scores[:, 1:]) @ (covered / np.maximum(covered.sum(axis=0), 1))
    channels = leaf.shape[-1] if leaf.ndim > 2 else 1
    laid = (falls / channels)[:, cells].reshape(len(leaf), *extent, *[1] * (leaf.ndim > 2))
    maps = [np.zeros(leaf_.shape, "float32") for leaf_ in tf.nest.flatten(arrays)]
    maps[place] = np.broadcast_to(laid, leaf.shape).astype("float32")
    return tf.nest.pack_sequence_as(arrays, maps)


def _only_leaf(arrays):
    """The one input of floating numbers, and its place."""
    leaves = tf.nest.flatten(arrays)
    places = [place for place, leaf in enumerate(leaves) if leaf.dtype.kind == "f"] or list(range(len(leaves)))
    if len(places) != 1:
        raise Refused(f"A window moves over one input. Received: {len(places)}. Use feature_ablation.")
    return leaves[places[0]], places[0]


def _sides(name, value, default, extent):
    """One number for each axis of positions: list of int."""
    if value is None:
        return default
    sides = [value] * len(extent) if np.ndim(value) == 0 else list(value)
    if len(sides) != len(extent) or any(side > size for side, size in zip(sides, extent)):
        raise Refused(
            f"{name} is at most the input's side, one number or one for each of its axes {tuple(extent)}. Received: {value!r}."
        )
    return [positive_integer(name, side) for side in sides]


def _cut_axis(size, side, step):
    """Windows along an axis, and the cells that all their ends cut it into: (starts, stops), and the first position of each cell."""
    starts = list(range(0, size - side + 1, step))
    # The last window ends where the axis ends.
    starts += [size - side] if starts[-1] != size - side else []
    starts = np.array(starts)
    return starts, starts + side, np.unique(np.concatenate([starts, starts + side]))[:-1]


def _cells(extent, axes):
    """The number of the cell of every position: int32 [...]."""
    places = [np.searchsorted(firsts, np.arange(size), side="right") - 1 for size, (*_, firsts) in zip(extent, axes)]
    counts = [len(firsts) for *_, firsts in axes]
    return np.ravel_multi_index(np.meshgrid(*places, indexing="ij"), counts).astype("int32")


def _windows(axes):
    """What each window leaves: bool [windows, cells]."""
    along = [(firsts >= starts[:, None]) & (firsts < stops[:, None]) for starts, stops, firsts in axes]
    inside = along[0]
    for axis in along[1:]:
        inside = (inside[:, None, :, None] & axis[None, :, None, :]).reshape(len(inside) * len(axis), -1)
    return ~inside
