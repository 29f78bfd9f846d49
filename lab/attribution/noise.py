"""Noise: methods averaged over noisy copies of the inputs."""

import numpy as np

from lab import routines
from lab.attribution import explainers, monte_carlo
from lab.attribution.calls import attribute, resolve_options
from lab.attribution.options import as_float32, check_at_least, check_one_of, positive_integer, split_seed
from lab.embeddings import at_embeddings
from lab.environment import tf
from lab.kinds import deviations
from lab.refusal import Refused

VARIANTS = ("mean", "squared", "variance")


@explainers.register(slope=True)
@at_embeddings
def smoothgrad(network, inputs, objective, *, samples=50, noise=0.15, variant="mean", seed):
    """SmoothGrad, the mean gradient over noisy copies (Smilkov, Thorat, Kim, Viegas, Wattenberg 2017, https://arxiv.org/abs/1706.03825).

    Args:
        samples: how many noisy copies.
        noise: standard deviation of the Gaussian noise, as a fraction of each input's own max - min. In a table it is a
            fraction of each column's deviation over `network.background`.
        variant: "mean"; "squared", the mean of the squared gradients (Hooker et al. 2019,
            https://arxiv.org/abs/1806.10758); or "variance", their variance, VarGrad (Adebayo et al. 2018,
            https://arxiv.org/abs/1810.03307).
        seed: a whole number.

    Returns:
        float32 in the structure and shape of the inputs.
    """
    options = noise_options(network, samples, noise, variant, seed) | {"share": np.float32(1 / samples)}
    if variant == "mean":
        return as_float32(routines.sampled_gradient(network, inputs, objective, draw_noisy, options, samples))
    return _squared_or_variance(
        variant, *routines.sampled_gradient(network, inputs, objective, draw_noisy, options, samples, squares=True)
    )


@explainers.register(wrapper=True, needs="scores")
@at_embeddings
def noise_tunnel(
    network, inputs, objective, *, explainer="gradient", samples=10, noise=0.15, variant="mean", seed, options=None
):
    """Any method averaged over noisy copies (the idea of SmoothGrad: Smilkov et al. 2017, https://arxiv.org/abs/1706.03825).

    The draws are those of `smoothgrad`. For token ids the noise is added to their embeddings.

    Args:
        explainer: a registered name or a callable.
        samples: as of `smoothgrad`.
        noise: as of `smoothgrad`.
        variant: as of `smoothgrad`.
        seed: a whole number.
        options: dict of the explainer's options.

    Returns:
        the explainer's maps, float32.

    Raises:
        Refused: for an unknown explainer or option.
    """
    drawn = noise_options(network, samples, noise, variant, seed)
    inner = explainers.get(explainer)
    settings = resolve_options(inner, network, seed, options or {})

    def explain(points, goal):
        return attribute(inner, network, points, goal, **settings)

    arrays = network.inputs(inputs)
    powers = (1,) if variant == "mean" else (1, 2)
    sums = monte_carlo.accumulate(
        network, arrays, objective, samples, noisy_sampler(network, drawn), explain, powers=powers
    )
    return as_float32(sums[0]) if variant == "mean" else _squared_or_variance(variant, *sums)


def draw_noisy(leaf, _, options, indices, number):
    """A kernel of `routines.sampled_gradient`: copies of each input with noise scaled to its own range, a table's columns to theirs.

    All rows get the same draw for a sample.

    Args:
        leaf: tensor [batch, ...], one of the inputs.
        _: not used.
        options: dict of the seed, int [2]; noise, the share of the range; share, the weight of a copy; and `column scales`
            of a table, float [columns].
        indices: int32 [width], the numbers of the copies.
        number: int, the place of the leaf among the inputs, which has its own draws.

    Returns:
        (copies [batch, width, ...], their weights [width], None).
    """
    shape, seed, fold = (
        tf.shape(leaf)[1:],
        tf.ensure_shape(options["seed"], [2]),
        tf.random.experimental.stateless_fold_in,
    )

    def sample(index):
        # One stream for all precisions.
        return tf.cast(tf.random.stateless_normal(shape, fold(fold(seed, index), number)), leaf.dtype)

    normal = tf.map_fn(sample, indices, fn_output_signature=leaf.dtype)
    spread = tf.cast(options["noise"], leaf.dtype) * _scale(leaf, options, number)
    return leaf[:, None] + spread[:, None] * normal[None], tf.fill(tf.shape(indices), options["share"]), None


def _scale(leaf, options, number):
    """What the noise of an input is a share of: its own range, [batch, 1, ...]; of a table each column's deviation, [1, columns]."""
    if column_scales(number) in options:
        return tf.cast(options[column_scales(number)], leaf.dtype)[None]
    axes = list(range(1, len(leaf.shape)))
    return tf.reduce_max(leaf, axes, keepdims=True) - tf.reduce_min(leaf, axes, keepdims=True)


def column_scales(number):
    """The name of the option with the deviations of a table's columns: str.

    Args:
        number: int, the place of the table among the inputs.
    """
    return f"column scales {number}"


def noisy_sampler(network, options):
    """`sample` of `monte_carlo.accumulate`: the noisy copies of `draw_noisy` outside a graph, with masked steps unchanged.

    Args:
        network: a `Network`.
        options: as of `noise_options`.

    Returns:
        function `(block of inputs, indices of the copies) -> (copies, None)`.
    """

    def sample(block, indices):
        pairs = zip(tf.nest.flatten(block), network.masks(tf.nest.map_structure(tf.constant, block)))
        leaves = [_copy_with_noise(leaf, mask, options, indices, number) for number, (leaf, mask) in enumerate(pairs)]
        return tf.nest.pack_sequence_as(block, leaves), None

    return sample


def _copy_with_noise(leaf, mask, options, indices, number):
    """One input's copies: array [batch, width, ...]; whole numbers are repeated unchanged."""
    if leaf.dtype.kind != "f":
        return np.repeat(leaf[:, None], len(indices), axis=1)
    open_, sample_indices = routines.fill_masked(tf.constant(leaf), mask), tf.constant(indices, tf.int32)
    drawn = draw_noisy(open_, None, {**options, "share": 1.0}, sample_indices, number)[0].numpy()
    return drawn if mask is None else np.where(mask[:, None], leaf[:, None], drawn)


def noise_options(network, samples, noise, variant, seed):
    """The options of `draw_noisy`, checked: dict.

    Args:
        network: a `Network`.
        samples: int of 1 or more, how many copies.
        noise: standard deviation as a share of each input's own range, 0 or more.
        variant: str, one of VARIANTS.
        seed: a whole number of 0 or more.

    Returns:
        dict of seed, int32 [2], noise, float32, and of a table `column scales`, float32 [columns].

    Raises:
        Refused: for an option out of range.
    """
    positive_integer("samples", samples)
    check_at_least("noise", noise, 0)
    check_one_of("variant", variant, VARIANTS)
    return {"seed": split_seed(seed), "noise": np.float32(noise), **table_scales(network, noise)}


def table_scales(network, noise):
    """The deviations of a table's columns, by which noise is scaled: dict, empty for a network that takes no table.

    Args:
        network: a `Network`.
        noise: float, the share. Without noise no deviation is needed.

    Returns:
        dict of `column_scales` to float32 [columns].

    Raises:
        Refused: for a network whose background is not known.
    """
    tables = [
        place for place, (_, spec) in enumerate(network.places()) if len(spec.shape) == 2 and spec.dtype.is_floating
    ]
    if not tables or not noise:
        return {}
    if network.background is None:
        raise Refused(
            f"Noise in a table is a share of each column's deviation. Received: {network.name} without rows to take it from. Give lab.load(..., background=rows), rows of your data."
        )
    return {column_scales(network.table_place): deviations(network.background)}


def _squared_or_variance(variant, means, squares):
    if variant == "squared":
        return as_float32(squares)
    return as_float32(tf.nest.map_structure(lambda mean, square: np.maximum(square - mean**2, 0), means, squares))
