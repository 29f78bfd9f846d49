"""Attribution at a layer: its units' contributions to a score. Maps have the shape of the layer's output."""

import numpy as np

from lab import chunks, routines
from lab.attribution import explainers, monte_carlo, rules
from lab.attribution.options import as_float32, positive_integer
from lab.attribution.paths import baselines, broadcast_baseline, path_nodes
from lab.embeddings import options_to_embeddings, to_embeddings
from lab.environment import tf


@explainers.register(resolution="activation")
def layer_gradient_x_activation(network, inputs, objective, *, layer=None):
    """Gradient times activation at a layer (Shrikumar, Greenside, Kundaje 2017, https://arxiv.org/abs/1704.02685, at a layer).

    Args:
        layer: the address of a layer; None: the last with positions, or the last hidden one of a network without any.

    Returns:
        signed float32 in the shape of the layer's output, in units of the score.
    """
    return as_float32(routines.layer_gradient(network, inputs, objective, _address(network, layer), rules.product))


@explainers.register(resolution="activation", complete=baselines)
def layer_integrated_gradients(network, inputs, objective, *, layer=None, steps=50, baseline=0.0):
    """Integrated gradients from a layer's activation at the baseline to that at the input (Sundararajan, Taly, Yan 2017, https://arxiv.org/abs/1703.01365, at a layer).

    Only the layer's output moves along the path. What lies before the layer, or leads around it, stays that of the input.

    Args:
        layer: as of `layer_gradient_x_activation`.
        steps: gradients along the path.
        baseline: of the input, as of `integrated_gradients`.

    Returns:
        signed float32 in the shape of the layer's output. It sums to the score's difference where nothing leads
        around the layer.
    """
    address = _address(network, layer)
    embedded, arrays, start = _inputs_and_baseline(network, inputs, baseline)
    base_activation, activation = (routines.activations(embedded, end, address) for end in (start, arrays))
    where, weights = path_nodes(positive_integer("steps", steps), "gauss")

    def sample(block, indices):
        places = where[indices].reshape(1, -1, *[1] * (base_activation.ndim - 1))
        points = block["from"][:, None] + places * (block["to"] - block["from"])[:, None]
        repeated = tf.nest.map_structure(lambda leaf: np.repeat(leaf[:, None], len(indices), axis=1), block["inputs"])
        return {"inputs": repeated, "at": points}, None

    def explain(points, goal):
        return routines.replace_activations(embedded, points["inputs"], goal, address, points["at"], slope=True)

    path = {"inputs": arrays, "from": base_activation, "to": activation}
    sums = monte_carlo.accumulate(embedded, path, objective, steps, sample, explain, weights=weights)[0]
    return as_float32(sums * (activation - base_activation))


@explainers.register(resolution="activation", complete=baselines)
def layer_conductance(network, inputs, objective, *, layer=None, steps=50, baseline=0.0):
    """Conductance, how much of integrated gradients flows through each unit of a layer (Dhamdhere, Sundararajan, Yan 2018, https://arxiv.org/abs/1805.12233).

    Args:
        layer: as of `layer_gradient_x_activation`.
        steps: parts of the straight path of the inputs, by the trapezoidal rule.
        baseline: of the input, as of `integrated_gradients`.

    Returns:
        signed float32 in the shape of the layer's output. It sums to the score's difference where nothing leads
        around the layer.
    """
    address = _address(network, layer)
    embedded, arrays, start = _inputs_and_baseline(network, inputs, baseline)
    positive_integer("steps", steps)
    parts = []
    for part in chunks.slices(len(tf.nest.flatten(arrays)[0]), chunks.size(embedded)):
        block, base = chunks.take((arrays, start), part)
        goal = objective.rows(np.arange(part.start, part.stop))
        parts.append(_conductance(embedded, block, base, goal, address, steps))
    return as_float32(np.concatenate(parts))


@explainers.register(resolution="activation")
def internal_influence(network, inputs, objective, *, layer=None, steps=50, baseline=0.0):
    """Internal influence, the mean gradient at a layer along the straight path of the inputs (Leino, Sen, Datta, Fredrikson, Li 2018, https://arxiv.org/abs/1802.03788).

    Args:
        layer: as of `layer_gradient_x_activation`.
        steps: gradients along the path.
        baseline: of the input, as of `integrated_gradients`.

    Returns:
        signed float32 in the shape of the layer's output, in score per unit of activation.
    """
    address = _address(network, layer)
    embedded, arrays, start = _inputs_and_baseline(network, inputs, baseline)
    where, weights = path_nodes(positive_integer("steps", steps), "gauss")

    def sample(block, indices):
        return tf.nest.map_structure(
            lambda leaf, base: _path_points(leaf, base, where[indices]), block["to"], block["from"]
        ), None

    def explain(points, goal):
        return routines.layer_gradient(embedded, points, goal, address, rules.slope)

    path = {"to": arrays, "from": start}
    return as_float32(monte_carlo.accumulate(embedded, path, objective, steps, sample, explain, weights=weights)[0])


def _address(network, layer):
    if layer is None:
        return network.default_layer("activation")
    network.refuse_unknown(layer)
    return layer


def _inputs_and_baseline(network, inputs, baseline):
    """-> the network behind its Embedding layers, its inputs, and its baseline in their shape."""
    embedded, arrays = to_embeddings(network, inputs)
    start = options_to_embeddings(network, {"baseline": baseline})["baseline"]
    return (
        embedded,
        arrays,
        tf.nest.map_structure(np.ascontiguousarray, embedded.keep(arrays, broadcast_baseline(arrays, start))),
    )


def _path_points(leaf, base, places):
    """Points of the straight path: [batch, places, ...]; ids are repeated as they are."""
    if leaf.dtype.kind != "f":
        return np.repeat(leaf[:, None], len(places), axis=1)
    shaped = places.reshape(1, -1, *[1] * (leaf.ndim - 1)).astype(leaf.dtype)
    return base[:, None] + shaped * (leaf - base)[:, None]


def _conductance(network, arrays, start, objective, address, steps):
    """Sum over the path of the gradient at the layer times the change of its activation at each step."""
    rows, last, total = len(tf.nest.flatten(arrays)[0]), None, 0.0
    places = np.linspace(0, 1, steps + 1, dtype="float32")
    for block in np.array_split(places, -(-len(places) * rows // chunks.size(network))):
        points = _flat_path_points(arrays, start, block)
        goal = objective.rows(np.repeat(np.arange(rows), len(block)))
        both = routines.layer_gradient(network, points, goal, address, rules.both)
        both = both.reshape(rows, len(block), *both.shape[1:])
        both = both if last is None else np.concatenate([last, both], axis=1)
        activation, slope = both[:, :, 0], both[:, :, 1]
        total = total + (0.5 * (slope[:, 1:] + slope[:, :-1]) * np.diff(activation, axis=1)).sum(axis=1)
        last = both[:, -1:]
    return total


def _flat_path_points(arrays, start, places):
    """Points of the straight path, stacked along the batch axis: [batch * places, ...]."""
    points = tf.nest.map_structure(lambda leaf, base: _path_points(leaf, base, places), arrays, start)
    return tf.nest.map_structure(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), points)
