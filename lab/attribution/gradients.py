"""Gradients of a score at the inputs, plain and averaged over samples around them."""

import numpy as np

from lab import routines
from lab.attribution import explainers
from lab.environment import tf

VARIANTS = ("mean", "squared", "variance")


@explainers.register
def gradient(network, inputs, objective):
    """Gradient of the score at the inputs (Simonyan, Vedaldi, Zisserman 2013, https://arxiv.org/abs/1312.6034).

    inputs: what the model takes. -> maps of the same structure and shape, signed float32, in score per unit of input.
    """
    return _single(routines.gradient(network, inputs, objective)[1])


@explainers.register
def gradient_x_input(network, inputs, objective):
    """Gradient times input (Shrikumar, Greenside, Shcherbina, Kundaje 2016, https://arxiv.org/abs/1605.01713).

    inputs: what the model takes. -> maps of the same structure and shape, signed float32, in units of the score.
    """
    slopes = routines.gradient(network, inputs, objective)[1]
    return _single(tf.nest.map_structure(np.multiply, slopes, network.inputs(inputs)))


@explainers.register
def guided_backprop(network, inputs, objective):
    """Guided backpropagation (Springenberg, Dosovitskiy, Brox, Riedmiller 2014, https://arxiv.org/abs/1412.6806).

    The gradient, but at each ReLU (Relu, Relu6, LeakyRelu, Elu, Selu) only what is positive of it flows on. inputs: what the
    model takes. -> maps of the same structure and shape, signed float32. Raises ValueError for a network without a ReLU.
    """
    return _single(routines.gradient(network, inputs, objective, rule="guided")[1])


@explainers.register
def deconvnet(network, inputs, objective):
    """Deconvolutional network (Zeiler, Fergus 2013, https://arxiv.org/abs/1311.2901).

    The gradient, but each ReLU (Relu, Relu6, LeakyRelu, Elu, Selu) passes what is positive of it, whatever the unit's own
    state. inputs: what the model takes. -> maps of the same structure and shape, signed float32. Raises ValueError as above.
    """
    return _single(routines.gradient(network, inputs, objective, rule="deconv")[1])


@explainers.register(complete=True)
def integrated_gradients(network, inputs, objective, *, steps=50, baseline=0.0, nodes="gauss"):
    """Integrated gradients along the straight path from a baseline (Sundararajan, Taly, Yan 2017, https://arxiv.org/abs/1703.01365).

    steps: gradients along the path. baseline: a number in units of the input, or an array (structure) that broadcasts
    against the inputs. nodes: "gauss" (Gauss-Legendre) or "midpoint". -> maps like the inputs, signed float32, in units of
    the score; they sum to score(inputs) - score(baseline) up to the gap that `lab.explain` reports.
    """
    where, weights = path_nodes(_count("steps", steps), nodes)
    arrays = network.inputs(inputs)
    start = baselines(arrays, baseline)
    options = {"nodes": where, "weights": weights}
    sums = routines.sampled_gradient(network, arrays, objective, _on_path, options, steps, beside=start)
    return _single(tf.nest.map_structure(lambda total, leaf, base: total * (leaf - base), sums, arrays, start))


@explainers.register
def smoothgrad(network, inputs, objective, *, samples=50, noise=0.15, variant="mean", seed):
    """SmoothGrad, the mean gradient over noisy copies (Smilkov, Thorat, Kim, Viegas, Wattenberg 2017, https://arxiv.org/abs/1706.03825).

    samples: noisy copies. noise: standard deviation of the Gaussian noise as a fraction of each input's own max - min.
    variant: "mean"; "squared", the mean of the squared gradients (Hooker et al. 2019, https://arxiv.org/abs/1806.10758); or "variance",
    VarGrad, their variance (Adebayo et al. 2018, https://arxiv.org/abs/1810.03307). -> maps like the inputs, float32.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant is one of {', '.join(VARIANTS)}. Received: {variant!r}.")
    if not noise >= 0:
        raise ValueError(f"noise is a fraction of 0 or more. Received: {noise!r}.")
    options = {"seed": _seed(seed), "noise": np.float32(noise), "share": np.float32(1 / _count("samples", samples))}
    if variant == "mean":
        return _single(routines.sampled_gradient(network, inputs, objective, _noisy, options, samples))
    means, squares = routines.sampled_gradient(network, inputs, objective, _noisy, options, samples, squares=True)
    return _single(
        squares
        if variant == "squared"
        else tf.nest.map_structure(lambda mean, square: np.maximum(square - mean**2, 0), means, squares)
    )


def path_nodes(steps, nodes):
    """Where on [0, 1] to take a path integral's gradients and how to weigh them: float32 [steps] each, the weights summing to 1."""
    if nodes == "gauss":
        places, weights = np.polynomial.legendre.leggauss(steps)
        return ((places + 1) / 2).astype("float32"), (weights / 2).astype("float32")
    if nodes == "midpoint":
        return ((np.arange(steps) + 0.5) / steps).astype("float32"), np.full(steps, 1 / steps, "float32")
    raise ValueError(f"nodes is 'gauss' or 'midpoint'. Received: {nodes!r}.")


def baselines(arrays, baseline):
    """A baseline in the structure and shape of the inputs. Raises ValueError where it does not broadcast against them."""
    same = (
        tf.nest.map_structure(lambda _: baseline, arrays)
        if np.isscalar(baseline) or isinstance(baseline, np.ndarray)
        else baseline
    )
    try:
        return tf.nest.map_structure(
            lambda leaf, base: np.broadcast_to(np.asarray(base, leaf.dtype), leaf.shape), arrays, same
        )
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"A baseline broadcasts against the inputs, {tf.nest.map_structure(np.shape, arrays)}. Received: {np.shape(baseline)}."
        ) from error


def _on_path(leaf, start, options, indices, number):
    del number  # The nodes are the same for every input.
    places = tf.cast(tf.gather(options["nodes"], indices), leaf.dtype)
    places = tf.reshape(places, [1, -1, *[1] * (len(leaf.shape) - 1)])
    return start[:, None] + places * (leaf - start)[:, None], tf.gather(options["weights"], indices)


def _noisy(leaf, _, options, indices, number):
    shape, seed, fold = (
        tf.shape(leaf)[1:],
        tf.ensure_shape(options["seed"], [2]),
        tf.random.experimental.stateless_fold_in,
    )

    def sample(index):
        return tf.random.stateless_normal(shape, fold(fold(seed, index), number), dtype=leaf.dtype)

    normal = tf.map_fn(sample, indices, fn_output_signature=leaf.dtype)
    axes = list(range(1, len(leaf.shape)))
    spread = tf.cast(options["noise"], leaf.dtype) * (
        tf.reduce_max(leaf, axes, keepdims=True) - tf.reduce_min(leaf, axes, keepdims=True)
    )
    return leaf[:, None] + spread[:, None] * normal[None], tf.fill(tf.shape(indices), options["share"])


def _single(maps):
    return tf.nest.map_structure(lambda leaf: np.asarray(leaf, "float32"), maps)


def _count(name, number):
    if int(number) != number or number < 1:
        raise ValueError(f"{name} is a whole number of 1 or more. Received: {number!r}.")
    return int(number)


def _seed(seed):
    return np.array([int(seed) & 0x7FFFFFFF, int(seed) >> 31 & 0x7FFFFFFF], "int32")
