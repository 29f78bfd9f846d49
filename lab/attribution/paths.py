"""Path methods: gradients summed along a path from a baseline to the input, which add up to the score's difference."""

import numpy as np
from scipy import fft

from lab import chunks, routines
from lab.attribution import explainers, monte_carlo
from lab.attribution.noise import draw_noisy, table_scales
from lab.attribution.options import (
    as_float32,
    check_at_least,
    check_fraction,
    check_one_of,
    positive_integer,
    split_seed,
)
from lab.embeddings import are_numbers, at_embeddings
from lab.environment import tf
from lab.fills import named_baseline
from lab.refusal import Refused


def baselines(arrays, options):
    """The baselines in the options of a straight path.

    A method's map should add up to the score minus the mean score of these.

    Args:
        arrays: the inputs, [batch, ...].
        options: dict, the options of the method; `baseline`, `baselines` and `references` are read.

    Returns:
        list of structures like the inputs.
    """
    several = options.get("baselines", options.get("references"))
    if several is None:
        return [tf.nest.map_structure(np.ascontiguousarray, broadcast_baseline(arrays, options.get("baseline", 0.0)))]
    bases = stack_baselines(arrays, several)
    rows = len(tf.nest.flatten(arrays)[0])
    repeated = [chunks.take(bases, [number] * rows) for number in range(len(tf.nest.flatten(bases)[0]))]
    # Ids beside their vectors say what is masked, and stay as they are.
    return [
        tf.nest.map_structure(lambda leaf, base: base if leaf.dtype.kind == "f" else leaf, arrays, one)
        for one in repeated
    ]


def blurred_baselines(arrays, options):
    """The baseline of a path of blurs: the inputs under the strongest blur.

    Args:
        arrays: the inputs, [batch, ...].
        options: dict, the options of the method; `max_sigma` is read.

    Returns:
        list of one structure like the inputs.
    """
    return [
        tf.nest.map_structure(
            lambda leaf: _blur(*_cosine_transform(leaf), options.get("max_sigma", MAX_SIGMA))[0], arrays
        )
    ]


@explainers.register(complete=baselines)
@at_embeddings
def integrated_gradients(network, inputs, objective, *, steps=50, baseline=0.0, baselines=None, nodes="gauss"):
    """Integrated gradients along the straight path from a baseline (Sundararajan, Taly, Yan 2017, https://arxiv.org/abs/1703.01365).

    Args:
        steps: gradients along the path.
        baseline: a number in units of the input, or an array (structure) that broadcasts against the inputs. For
            token ids: ids, or the number in every embedding vector.
        baselines: several in its place, a list of numbers or arrays [baselines, ...]; their maps are averaged.
        nodes: "gauss" (Gauss-Legendre) or "midpoint".

    Returns:
        signed float32 in the structure and shape of the inputs, in units of the score. The maps sum to
        score(inputs) - score(baseline), up to the gap that `lab.explain` reports.
    """
    where, weights = path_nodes(positive_integer("steps", steps), nodes)
    arrays = network.inputs(inputs)
    if baselines is not None:
        bases = stack_baselines(arrays, baselines)
        count = len(tf.nest.flatten(bases)[0])
        which, where = np.repeat(np.arange(count), steps), np.tile(where, count)
        return _sum_over_paths(network, arrays, objective, bases, which, where, np.tile(weights, count) / count)
    start = network.keep(arrays, broadcast_baseline(arrays, baseline))
    options = {"nodes": where, "weights": weights}
    sums = routines.sampled_gradient(network, arrays, objective, _draw_on_path, options, steps, beside=start)
    return as_float32(tf.nest.map_structure(lambda total, leaf, base: total * (leaf - base), sums, arrays, start))


@explainers.register(complete=baselines)
@at_embeddings
def gradient_shap(network, inputs, objective, *, samples=50, references=0.0, noise=0.0, seed):
    """Expected gradients, or GradientSHAP (Erion, Janizek, Sturmfels, Lundberg, Lee 2021, https://arxiv.org/abs/1906.10670; Lundberg, Lee 2017, https://arxiv.org/abs/1705.07874).

    Each sample draws a reference, and a point on the straight path from it to the input.

    Args:
        samples: how many gradients.
        references: a number, a list of numbers, or arrays [references, ...].
        noise: standard deviation of noise that is added to the inputs, as a fraction of each one's max - min.
        seed: a whole number.

    Returns:
        signed float32 in the structure and shape of the inputs, in units of the score. Their expected sum is
        score(inputs) - mean score(references).
    """
    arrays = network.inputs(inputs)
    bases = stack_baselines(arrays, references)
    check_at_least("noise", noise, 0)
    rng, count = np.random.default_rng(seed), len(tf.nest.flatten(bases)[0])
    which = rng.integers(0, count, positive_integer("samples", samples))
    return _sum_over_paths(
        network, arrays, objective, bases, which, rng.random(samples), np.full(samples, 1 / samples), noise, seed
    )


@explainers.register(complete=baselines)
@at_embeddings
def guided_integrated_gradients(network, inputs, objective, *, steps=200, fraction=0.25, max_dist=0.02, baseline=0.0):
    """Guided integrated gradients: at every step the features of the smallest gradients go first (Kapishnikov, Venugopalan, Avci, Wedin, Terry, Bolukbasi 2021, https://arxiv.org/abs/2106.09788).

    Args:
        steps: gradients along the path.
        fraction: share of the features that move together.
        max_dist: how far a feature may be ahead of the straight path or behind it, as a share of its way.
        baseline: as of `integrated_gradients`.

    Returns:
        signed float32 in the structure and shape of the inputs, in units of the score.
    """
    check_fraction("fraction", fraction)
    check_fraction("max_dist", max_dist)
    routines.refuse_integers(network)
    arrays = network.inputs(inputs)
    start = network.keep(arrays, broadcast_baseline(arrays, baseline))
    positive_integer("steps", steps)
    parts = []
    for part in chunks.slices(len(tf.nest.flatten(arrays)[0]), chunks.size(network)):
        block, base = chunks.take((arrays, start), part)
        goal = objective.rows(np.arange(part.start, part.stop))
        parts.append(_guided_sums(network, block, base, goal, steps, fraction, max_dist))
    return as_float32(tf.nest.map_structure(lambda *leaves: np.concatenate(leaves), *parts))


MAX_SIGMA = 50.0


@explainers.register(complete=blurred_baselines)
def blur_integrated_gradients(network, inputs, objective, *, steps=50, max_sigma=MAX_SIGMA):
    """Blur integrated gradients, along a path that sharpens a blurred input (Xu, Venugopalan, Sundararajan 2020, https://arxiv.org/abs/2004.03383).

    The path's own derivative is exact.

    Args:
        inputs: arrays with positions, [batch, ..., channels].
        steps: gradients along the path, at Gauss-Legendre nodes.
        max_sigma: standard deviation of the strongest Gaussian blur, in positions.

    Returns:
        signed float32 in the structure and shape of the inputs. The maps sum to score(inputs) - score(inputs under the
        strongest blur), up to the gap.

    Raises:
        Refused: for inputs without positions.
    """
    check_at_least("max_sigma", max_sigma, 0)
    where, weights = path_nodes(positive_integer("steps", steps), "gauss")
    arrays = network.inputs(inputs)
    for leaf in tf.nest.flatten(arrays):
        if leaf.ndim < 3 or leaf.dtype.kind != "f":
            raise Refused(
                f"A blur needs inputs with positions, [batch, ..., channels]. Received: {leaf.dtype} {leaf.shape}."
            )
    waves = tf.nest.map_structure(lambda leaf: _cosine_transform(leaf)[0], arrays)

    kept = network.kept_mask(arrays)
    path = waves if kept is None else {"waves": waves, "inputs": arrays, "kept": kept}

    def sample(block, indices):
        sigmas = max_sigma * (1 - where[indices])
        block_waves = block if kept is None else block["waves"]
        pairs = [_stack_blurs(leaf, sigmas, max_sigma) for leaf in tf.nest.flatten(block_waves)]
        points, speeds = (tf.nest.pack_sequence_as(block_waves, parts) for parts in zip(*pairs))
        return (points, speeds) if kept is None else _keep_masked(points, speeds, block)

    def explain(points, goal):
        return routines.gradient(network, points, goal)[1]

    return as_float32(monte_carlo.accumulate(network, path, objective, steps, sample, explain, weights=weights)[0])


def _keep_masked(points, speeds, block):
    """Points of a path and their derivatives, with masked steps held at the inputs' values."""

    def at(kept, leaf, other):
        return np.where(kept[:, None], leaf[:, None], other).astype(other.dtype)

    zeros = tf.nest.map_structure(np.zeros_like, block["inputs"])
    return (
        tf.nest.map_structure(at, block["kept"], block["inputs"], points),
        tf.nest.map_structure(at, block["kept"], zeros, speeds),
    )


def path_nodes(steps, nodes):
    """Nodes and weights of a path integral on [0, 1].

    Args:
        steps: int, how many.
        nodes: "gauss" (Gauss-Legendre) or "midpoint".

    Returns:
        float32 [steps] twice; the weights sum to 1.

    Raises:
        Refused: for another name.
    """
    check_one_of("nodes", nodes, ("gauss", "midpoint"))
    if nodes == "midpoint":
        return ((np.arange(steps) + 0.5) / steps).astype("float32"), np.full(steps, 1 / steps, "float32")
    places, weights = np.polynomial.legendre.leggauss(steps)
    return ((places + 1) / 2).astype("float32"), (weights / 2).astype("float32")


def broadcast_baseline(arrays, baseline):
    """A baseline in the structure and shape of the inputs; ids stay as they are.

    Args:
        arrays: the inputs, [batch, ...].
        baseline: a number, an array, a structure of arrays, or a name (`lab.fills.named_baseline`).

    Returns:
        arrays in the structure and shape of the inputs.

    Raises:
        Refused: where it does not broadcast, and for a name that does not fit.
    """
    if isinstance(baseline, str):
        return named_baseline(arrays, baseline)
    if isinstance(baseline, (list, tuple)) and isinstance(arrays, np.ndarray):
        # As a command line gives an array.
        baseline = np.asarray(baseline, "float32")
    same = (
        tf.nest.map_structure(lambda _: baseline, arrays)
        if np.isscalar(baseline) or isinstance(baseline, np.ndarray)
        else baseline
    )
    try:
        return tf.nest.map_structure(_broadcast_leaf, arrays, same)
    except (TypeError, ValueError) as error:
        raise Refused(
            f"A baseline broadcasts against the inputs, {tf.nest.map_structure(np.shape, arrays)}. Received: {tf.nest.map_structure(np.shape, baseline)}."
        ) from error


def stack_baselines(arrays, references):
    """Several baselines in the structure of the inputs.

    Args:
        arrays: the inputs.
        references: a number, a list of numbers (each an input of that number everywhere), or arrays [references, ...].

    Returns:
        arrays [references, ...].

    Raises:
        Refused: where they do not fit.
    """
    listed = references if isinstance(references, (list, tuple)) else [references]
    if any(isinstance(entry, str) for entry in listed):
        raise Refused(
            f"baselines= are numbers or arrays. Received: {references!r}. Give one name as baseline=, or what it stands for as arrays."
        )
    if are_numbers(references):
        values = np.atleast_1d(np.asarray(references, "float32"))
        if not len(values):
            raise Refused("References are one or more. Received: none.")
        return tf.nest.map_structure(lambda leaf: _constant_baselines(leaf, values), arrays)
    several = len(tf.nest.flatten(arrays)) > 1
    same = references if several else tf.nest.pack_sequence_as(arrays, [np.asarray(references)])
    _refuse_misfits(arrays, same)
    return tf.nest.map_structure(lambda leaf, base: np.asarray(base, leaf.dtype), arrays, same)


def _refuse_misfits(arrays, same):
    """Raise Refused where references [references, ...] do not fit the inputs, or where there are none."""
    try:
        tf.nest.assert_same_structure(arrays, same)
        sizes = [
            (np.shape(base)[1:], leaf.shape[1:], len(base))
            for leaf, base in zip(tf.nest.flatten(arrays), tf.nest.flatten(same))
        ]
    except (TypeError, ValueError) as error:
        raise Refused(
            "References are arrays [references, ...] in the structure of the inputs. Received: another."
        ) from error
    shapes_fit = all(shape == expected for shape, expected, _ in sizes)
    if not shapes_fit or len({count for *_, count in sizes}) > 1 or not sizes[0][2]:
        raise Refused(
            f"References are arrays [references, ...] of the inputs' shape, {[expected for _, expected, _ in sizes]}. Received: {[shape for shape, *_ in sizes]}."
        )


def _constant_baselines(leaf, values):
    if leaf.dtype.kind != "f":
        return np.repeat(np.zeros_like(leaf[:1]), len(values), axis=0)
    return np.broadcast_to(values.reshape(-1, *[1] * (leaf.ndim - 1)), (len(values), *leaf.shape[1:])).astype(
        leaf.dtype
    )


def _broadcast_leaf(leaf, base):
    return leaf if leaf.dtype.kind != "f" else np.broadcast_to(np.asarray(base, leaf.dtype), leaf.shape)


def _sum_over_paths(network, arrays, objective, bases, which, where, weights, noise=0.0, seed=0):
    """Sums along straight paths from several bases: sample i lies on the path from base `which[i]`, at `where[i]`."""
    options = {"which": which.astype("int32"), "nodes": where.astype("float32"), "weights": weights.astype("float32")}
    options |= {"seed": split_seed(seed), "noise": np.float32(noise), "share": np.float32(1)}
    options |= {f"bases{number}": base for number, base in enumerate(tf.nest.flatten(bases))}
    options |= table_scales(network, noise)
    draw = _draw_on_noisy_paths if noise else _draw_on_paths
    return as_float32(routines.sampled_gradient(network, arrays, objective, draw, options, len(which)))


def _draw_on_path(leaf, start, options, indices, number):
    del number  # The nodes are the same for every input.
    places = _broadcast_nodes(options["nodes"], indices, leaf)
    return start[:, None] + places * (leaf - start)[:, None], tf.gather(options["weights"], indices), None


def _draw_on_paths(leaf, _, options, indices, number):
    return _interpolate(leaf[:, None], options, indices, number)


def _draw_on_noisy_paths(leaf, _, options, indices, number):
    return _interpolate(draw_noisy(leaf, None, options, indices, number)[0], options, indices, number)


def _interpolate(ends, options, indices, number):
    start = tf.gather(options[f"bases{number}"], tf.gather(options["which"], indices))[None]
    ways = ends - start
    return (
        start + _broadcast_nodes(options["nodes"], indices, ends[:, 0]) * ways,
        tf.gather(options["weights"], indices),
        ways,
    )


def _broadcast_nodes(nodes, indices, leaf):
    return tf.reshape(tf.cast(tf.gather(nodes, indices), leaf.dtype), [1, -1, *[1] * (len(leaf.shape) - 1)])


# Guided paths -------------------------------------------------------------------------------------------------------------


def _guided_sums(network, arrays, start, objective, steps, fraction, max_dist):
    goal, base = _join_features(arrays, arrays), _join_features(start, arrays)
    points = base.copy()
    sums, whole_way = np.zeros_like(points), np.abs(goal - base).sum(axis=1)
    for step in range(1, steps + 1):
        slopes = _join_features(routines.gradient(network, _split_features(points, arrays), objective)[1], arrays)
        corridor = (max(step / steps - max_dist, 0.0), min(step / steps + max_dist, 1.0))
        left = whole_way * (1 - step / steps)
        for row in range(len(points)):
            moved = _move_features(points[row], slopes[row], base[row], goal[row], corridor, left[row], fraction)
            sums[row] += (moved - points[row]) * slopes[row]
            points[row] = moved
    # Ids do not move, and have no attribution.
    return _split_features(
        sums, tf.nest.map_structure(lambda leaf: leaf if leaf.dtype.kind == "f" else np.zeros_like(leaf), arrays)
    )


def _move_features(point, slope, base, goal, corridor, left, fraction):
    """The features after a step: those of the smallest gradients move first, until only `left` of the way remains."""
    way = goal - base
    behind = np.abs(point - base) < corridor[0] * np.abs(way)
    point, edge = np.where(behind, base + corridor[0] * way, point), base + corridor[1] * way
    need, free = np.abs(goal - point).sum() - left, np.flatnonzero(point != edge)
    if need <= 1e-9 * max(left, np.abs(way).sum()) or not len(free):
        return point
    steep = np.abs(slope[free])
    order = np.argsort(steep)
    steep, order = steep[order], free[order]
    reach = np.concatenate([[0.0], np.cumsum(np.abs(edge - point)[order])])
    # The lowest fraction of the features, with ties, moves to the corridor's edge, then the next, as far as needed.
    size, first = int(fraction * (len(point) - 1)) + 1, 0
    while first < len(order):
        last = int(np.searchsorted(steep, steep[min(first + size, len(order)) - 1], side="right"))
        if need < reach[last]:
            part = order[first:last]
            point[part] += (need - reach[first]) / (reach[last] - reach[first]) * (edge[part] - point[part])
            break
        first = last
    point[order[:first]] = edge[order[:first]]
    return point


def _join_features(structure, arrays):
    """The floating numbers of each sample in one row, without ids: float64 [batch, numbers]."""
    pairs = zip(tf.nest.flatten(structure), tf.nest.flatten(arrays))
    leaves = [leaf for leaf, array in pairs if array.dtype.kind == "f"]
    return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1).astype("float64")


def _split_features(rows, like):
    """The inverse of `_join_features`; whole numbers are those of `like`."""
    leaves, place = [], 0
    for leaf in tf.nest.flatten(like):
        size = leaf[0].size if leaf.dtype.kind == "f" else 0
        leaves.append(rows[:, place : place + size].reshape(leaf.shape).astype(leaf.dtype) if size else leaf)
        place += size
    return tf.nest.pack_sequence_as(like, leaves)


# Blurs --------------------------------------------------------------------------------------------------------------------


def _cosine_transform(leaf):
    """The cosine transform of arrays [batch, ..., channels] over their positions, and each wave's squared frequency.

    A Gaussian blur with mirrored edges only damps these waves, which gives every blur and its derivative exactly.
    """
    axes = tuple(range(1, leaf.ndim - 1))
    return fft.dctn(leaf.astype("float32"), axes=axes, norm="ortho"), _squared_frequencies(leaf.shape)


def _squared_frequencies(shape):
    squares = np.zeros((1, *shape[1:-1], 1), "float32")
    for axis, size in enumerate(shape[1:-1], start=1):
        squares = squares + np.square(np.pi * np.arange(size) / size).reshape(
            [-1 if position == axis else 1 for position in range(len(shape))]
        )
    return squares.astype("float32")


def _blur(waves, squares, sigma):
    """The blurred arrays, and their derivative as sigma falls."""
    axes = tuple(range(1, waves.ndim - 1))
    damped = waves * np.exp(-0.5 * sigma**2 * squares)
    return fft.idctn(damped, axes=axes, norm="ortho"), fft.idctn(sigma * squares * damped, axes=axes, norm="ortho")


def _stack_blurs(waves, sigmas, max_sigma):
    """Blurs of each sigma and their derivatives along the path from max_sigma to 0: float32 [batch, sigmas, ...] each."""
    squares = _squared_frequencies(waves.shape)
    blurred = [_blur(waves, squares, sigma) for sigma in sigmas]
    points, speeds = (np.stack(values, axis=1).astype("float32") for values in zip(*blurred))
    return points, np.float32(max_sigma) * speeds
