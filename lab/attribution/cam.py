"""Class activation maps: one body, and a weight rule for each variant.

A rule computes weights from a layer's activation and the score's gradient there, both [batch, ..., channels]. The map is the
activation's weighted sum over channels. Maps of several layers are fused: each is divided by its largest magnitude, resized
to the finest, and averaged.
"""

import numpy as np

from lab import chunks, routines
from lab.attribution import explainers, monte_carlo, rules
from lab.attribution.noise import noise_options, noisy_sampler
from lab.attribution.options import as_float32, positive_integer
from lab.embeddings import at_embeddings
from lab.environment import tf
from lab.maps import resized
from lab.refusal import Refused


@explainers.register(resolution="layer")
def gradcam(network, inputs, objective, *, layer=None, relu=True):
    """Grad-CAM (Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra 2016, https://arxiv.org/abs/1610.02391).

    Tokens that hold the patches of an image are its rows and columns, without the class tokens.

    Args:
        layer: the address of a layer with positions, or a list of several to fuse; None: the last such layer.
        relu: whether only positive values are kept, as in the paper; False gives the signed map.

    Returns:
        float32 [batch, ...] at the layer's own resolution.

    Raises:
        Refused: for a layer without positions, and for one that the score does not depend on.
    """
    return _cam(network, inputs, objective, layer, relu, _mean_gradient)


@explainers.register(resolution="layer")
def gradcam_plus_plus(network, inputs, objective, *, layer=None, relu=True):
    """Grad-CAM++ (Chattopadhyay, Sarkar, Howlader, Balasubramanian 2018, https://arxiv.org/abs/1710.11063).

    Positive gradients are weighted by the paper's shares of their channel (equation 19, where the score is an exponential).

    Args:
        layer: as of `gradcam`.
        relu: as of `gradcam`.

    Returns:
        as of `gradcam`.
    """
    return _cam(network, inputs, objective, layer, relu, _plus_plus_weights)


@explainers.register(resolution="layer")
@at_embeddings
def smooth_gradcam_plus_plus(network, inputs, objective, *, layer=None, relu=True, samples=10, noise=0.15, seed):
    """Smooth Grad-CAM++, its derivatives averaged over noisy copies (Omeiza, Speakman, Cintas, Weldermariam 2019, https://arxiv.org/abs/1908.01224).

    The activation is that of the input without noise.

    Args:
        layer: as of `gradcam`.
        relu: as of `gradcam`.
        samples: how many noisy copies.
        noise: standard deviation as a fraction of each input's own max - min.
        seed: a whole number.

    Returns:
        as of `gradcam`.
    """
    drawn = noise_options(network, samples, noise, "mean", seed)
    arrays = network.inputs(inputs)

    def map_at(address):
        def explain(points, goal):
            return routines.layer_gradient(network, points, goal, address, rules.slope)

        means = monte_carlo.accumulate(
            network, arrays, objective, samples, noisy_sampler(network, drawn), explain, powers=(1, 2, 3)
        )
        activation, *means = (
            tokens_to_grid(network, address, values)
            for values in (routines.activations(network, arrays, address), *means)
        )
        return _weighted_map(activation, _weights_from_powers(activation, *means), relu)

    return fuse_layers(network, layer, map_at)


@explainers.register(resolution="layer")
def layercam(network, inputs, objective, *, layer=None, relu=True):
    """LayerCAM, each position weighed by its own positive gradient (Jiang, Zhang, Hou, Cheng, Wei 2021, https://doi.org/10.1109/TIP.2021.3089943).

    Args:
        layer: as of `gradcam`.
        relu: as of `gradcam`.

    Returns:
        as of `gradcam`.
    """
    return _cam(network, inputs, objective, layer, relu, _positive_gradient)


@explainers.register(resolution="layer")
def hirescam(network, inputs, objective, *, layer=None, relu=True):
    """HiResCAM, each position weighed by its own gradient (Draelos, Carin 2020, https://arxiv.org/abs/2011.08891).

    Args:
        layer: as of `gradcam`.
        relu: as of `gradcam`; without it the map sums to gradient times activation.

    Returns:
        as of `gradcam`.
    """
    return _cam(network, inputs, objective, layer, relu, _plain_gradient)


@explainers.register(resolution="layer")
def elementwise_gradcam(network, inputs, objective, *, layer=None):
    """Element-wise Grad-CAM, the positive part of gradient times activation, channel by channel (as in Gildenblat's pytorch-grad-cam, 2021, https://github.com/jacobgil/pytorch-grad-cam).

    Args:
        layer: as of `gradcam`.

    Returns:
        as of `gradcam`, without negative values.
    """
    return _cam(network, inputs, objective, layer, False, _gradient_where_positive)


@explainers.register(resolution="layer")
def xgradcam(network, inputs, objective, *, layer=None, relu=True):
    """XGrad-CAM, gradients averaged by each position's share of its channel's activation (Fu, Hu, Dong, Guo, Gao, Li 2020, https://arxiv.org/abs/2008.02312).

    A channel whose activations sum to zero has no weight.

    Args:
        layer: as of `gradcam`.
        relu: as of `gradcam`.

    Returns:
        as of `gradcam`.
    """
    return _cam(network, inputs, objective, layer, relu, _gradient_by_activation)


@explainers.register(resolution="layer", cost=lambda network, options: _channels(network, options) * FORWARD)
def scorecam(network, inputs, objective, *, layer=None, relu=True, channels=None):
    """Score-CAM, channels weighed by the score of the input seen through them (Wang, Wang, Du, Yang, Zhang, Ding, Mardziel, Hu 2019, https://arxiv.org/abs/1910.01279).

    Each channel is resized to the input, scaled to 0..1 and multiplied with it. The weights are the softmax of the scores
    over channels (algorithm 1). A constant channel is left out.

    Args:
        layer: as of `gradcam`.
        relu: as of `gradcam`.
        channels: how many channels of highest variance of each sample are used (Faster Score-CAM); None: all.

    Returns:
        as of `gradcam`.

    Raises:
        Refused: for several inputs, and for inputs without positions.
    """
    arrays = network.inputs(inputs)
    _refuse_without_positions(arrays)

    def map_at(address):
        activation = tokens_to_grid(network, address, routines.activations(network, arrays, address))
        weights = [_score_weights(network, arrays, objective, activation, row, channels) for row in range(len(arrays))]
        return _weighted_map(activation, np.stack(weights).reshape(_channel_shape(activation)), relu)

    return fuse_layers(network, layer, map_at)


@explainers.register(resolution="layer")
def ablationcam(network, inputs, objective, *, layer=None, relu=True):
    """Ablation-CAM, channels weighed by what the score loses without them (Desai, Ramaswamy 2020, https://doi.org/10.1109/WACV45572.2020.9093360).

    The loss is divided by the score's magnitude. The paper divides by the score itself, which turns the sign of the map
    where the score is negative. For a score of zero the loss is not divided.

    Args:
        layer: as of `gradcam`.
        relu: as of `gradcam`.

    Returns:
        as of `gradcam`.
    """
    arrays = network.inputs(inputs)
    scores = routines.scores(network, arrays, objective)

    def map_at(address):
        activation = routines.activations(network, arrays, address)
        without = np.stack(
            [_ablated_scores(network, arrays, objective, address, activation, row) for row in range(len(activation))]
        )
        size = np.where(scores != 0, np.abs(scores), 1)
        weights = (scores[:, None] - without) / size[:, None]
        activation = tokens_to_grid(network, address, activation)
        return _weighted_map(activation, weights.reshape(_channel_shape(activation)), relu)

    return fuse_layers(network, layer, map_at)


# The cost of a forward pass as a share of a gradient's, about.
FORWARD = 0.4


def _channels(network, options):
    """How many channels Score-CAM uses: int; 1 where that is not known yet."""
    if network is None:
        return 1
    counts = [network.shapes[address][-1] for address in addresses(network, options["layer"])]
    most = None if options["channels"] is None else positive_integer("channels", options["channels"])
    return sum(count if most is None else min(count, most) for count in counts)


def _cam(network, inputs, objective, layer, relu, rule):
    def map_at(address):
        options = {"weigh": rule, "relu": bool(relu), "grid": network.grids.get(address)}
        return routines.layer_gradient(network, inputs, objective, address, _map_in_graph, **options)

    return fuse_layers(network, layer, map_at)


def fuse_layers(network, layer, map_at):
    """The map `map_at(address)` of one layer, or the fused maps of several.

    Args:
        network: a `Network`.
        layer: the address of a layer with positions, or a list of several; None: the last such layer.
        map_at: function of an address -> the map of that layer [batch, ...].

    Returns:
        float32 [batch, ...], at the resolution of the layer with the most positions.

    Raises:
        Refused: for an empty list, an unknown layer, and a layer without positions.
    """
    maps = [as_float32(map_at(address)) for address in addresses(network, layer)]
    if len(maps) == 1:
        return maps[0]
    finest = max((map_.shape[1:] for map_ in maps), key=np.prod)
    return np.mean([resized(map_ / _largest_magnitude(map_), *finest) for map_ in maps], axis=0)


def tokens_to_grid(network, address, values):
    """A layer's array [batch, ..., channels], with tokens of image patches as rows and columns.

    Args:
        network: a `Network`.
        address: the address of the layer.
        values: array or tensor [batch, ..., channels], such as the layer's activation.

    Returns:
        [batch, rows, columns, channels] without class tokens; the values themselves where the layer holds no patches.
    """
    grid = network.grids.get(address)
    return values if grid is None else grid.unflatten(values)


def addresses(network, layer):
    """The addresses of the layers that an option `layer` names, checked: list of str; the last one with positions for None.

    Args:
        network: a `Network`.
        layer: an address, or a list or tuple of several; None: the last layer with positions.

    Returns:
        list of str.

    Raises:
        Refused: for an empty list, an unknown layer, and a layer without positions.
    """
    if layer is None:
        return [network.last_spatial()]
    paths = list(layer) if isinstance(layer, (list, tuple)) else [layer]
    if not paths:
        raise Refused("A CAM looks at one layer or several. Received: an empty list.")
    return [network.check_positions(address) for address in paths]


def _largest_magnitude(maps):
    largest = np.abs(maps).max(axis=tuple(range(1, maps.ndim)), keepdims=True)
    return np.where(largest > 0, largest, 1)


# The map and its weights, inside a graph -----------------------------------------------------------------------------------


def _map_in_graph(activation, gradient, weigh, relu, grid):
    if grid is not None:
        activation, gradient = grid.unflatten(activation), grid.unflatten(gradient)
    maps = tf.reduce_sum(weigh(activation, gradient) * activation, axis=-1)
    return tf.nn.relu(maps) if relu else maps


def _positions(tensor):
    return list(range(1, len(tensor.shape) - 1))


def _mean_gradient(activation, gradient):
    del activation  # Grad-CAM weighs by the gradient alone.
    return tf.reduce_mean(gradient, axis=_positions(gradient), keepdims=True)


def _plus_plus_weights(activation, gradient):
    return _weights_from_powers(activation, gradient, gradient**2, gradient**3)


def _weights_from_powers(activation, slope, squares, cubes):
    """Weights of Grad-CAM++, one a channel, from the first three powers of the derivative or from their means."""
    axes = _positions(activation)
    below = 2 * squares + tf.reduce_sum(activation, axis=axes, keepdims=True) * cubes
    return tf.reduce_sum(tf.math.divide_no_nan(squares, below) * tf.nn.relu(slope), axis=axes, keepdims=True)


def _positive_gradient(activation, gradient):
    del activation  # LayerCAM weighs by the gradient alone.
    return tf.nn.relu(gradient)


def _plain_gradient(activation, gradient):
    del activation  # HiResCAM weighs by the gradient alone.
    return gradient


def _gradient_where_positive(activation, gradient):
    return tf.where(activation * gradient > 0, gradient, 0.0)


def _gradient_by_activation(activation, gradient):
    axes = _positions(activation)
    total = tf.reduce_sum(activation, axis=axes, keepdims=True)
    return tf.math.divide_no_nan(tf.reduce_sum(activation * gradient, axis=axes, keepdims=True), total)


# Weights from forward passes ------------------------------------------------------------------------------------------


def _weighted_map(activation, weights, relu):
    maps = np.sum(np.asarray(weights) * activation, axis=-1)
    return np.maximum(maps, 0) if relu else maps


def _channel_shape(activation):
    return (len(activation), *[1] * (activation.ndim - 2), activation.shape[-1])


def _refuse_without_positions(arrays):
    if not isinstance(arrays, np.ndarray) or arrays.ndim < 3 or arrays.dtype.kind != "f":
        shapes = tf.nest.map_structure(np.shape, arrays)
        raise Refused(f"Score-CAM masks one input with positions, [batch, ..., channels]. Received: {shapes}.")


def _score_weights(network, arrays, objective, activation, row, channels):
    """The weight of each channel for one sample: float32 [channels]."""
    planes = np.moveaxis(activation[row], -1, 0)
    variance = planes.reshape(len(planes), -1).var(axis=1)
    order = np.argsort(-variance, kind="stable")[: None if channels is None else positive_integer("channels", channels)]
    kept = np.sort(order[variance[order] > 0])
    scores = [
        routines.scores(
            network,
            _apply_masks(network, arrays[row], _channel_masks(planes[block], arrays.shape[1:-1])),
            objective.rows([row] * len(block)),
        )
        for block in np.array_split(kept, max(1, -(-len(kept) // chunks.size(network))))
        if len(block)
    ]
    weights = np.zeros(len(planes), "float32")
    if scores:
        exponentials = np.exp(np.concatenate(scores) - max(values.max() for values in scores))
        weights[kept] = exponentials / exponentials.sum()
    return weights


def _apply_masks(network, sample, masks):
    """A sample times each of the masks, with padding and masked steps unchanged: [masks, ...]."""
    repeated = np.repeat(sample[None], len(masks), axis=0)
    return network.keep(repeated, (masks * repeated).astype(sample.dtype))


def _channel_masks(planes, extent):
    """Channels [channels, ...] at the input's resolution, each scaled to 0..1: float32 [channels, ..., 1]."""
    large = resized(planes, *extent)
    axes = tuple(range(1, large.ndim))
    low, high = large.min(axes, keepdims=True), large.max(axes, keepdims=True)
    return ((large - low) / np.where(high > low, high - low, 1))[..., None]


def _ablated_scores(network, arrays, objective, address, activation, row):
    """The score of one sample without each channel of a layer: float32 [channels]."""
    scores = []
    for part in chunks.slices(activation.shape[-1], chunks.size(network)):
        channels = np.arange(activation.shape[-1])[part]
        rows = [row] * len(channels)
        ablated, repeated = chunks.take((activation, arrays), rows)
        ablated[np.arange(len(channels)), ..., channels] = 0
        scores.append(routines.replace_activations(network, repeated, objective.rows(rows), address, ablated))
    return np.concatenate(scores)
