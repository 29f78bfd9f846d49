"""FORGrad: any method's maps without their high frequencies."""

import numpy as np

from lab.attribution import explainers
from lab.attribution.calls import attribute, resolve_options
from lab.attribution.options import check_at_least
from lab.environment import tf
from lab.refusal import Refused
from lab.registry import options as known


@explainers.register(wrapper=True, needs="scores")
def forgrad(network, inputs, objective, *, explainer="gradient", cutoff=15.0, options=None):
    """FORGrad, any method's maps without their high frequencies (Muzellec, Andeol, Fel, VanRullen, Serre 2024, https://arxiv.org/abs/2307.09591).

    Args:
        explainer: a registered name or a callable.
        cutoff: the highest frequency that is kept, in cycles over the whole map.
        options: dict of the explainer's options; a method that draws needs its seed here.

    Returns:
        the explainer's maps, float32.

    Raises:
        Refused: for maps without positions.
    """
    check_at_least("cutoff", cutoff, 0)
    inner, inner_options = explainers.get(explainer), options or {}
    if "seed" in known(inner) and "seed" not in inner_options:
        raise Refused(
            f"A method that draws needs a seed. Received: {explainers.name(inner)} without options={{'seed': ...}}."
        )
    arrays = network.inputs(inputs)
    maps = attribute(inner, network, arrays, objective, **resolve_options(inner, network, None, inner_options))
    if isinstance(maps, np.ndarray) and np.shape(arrays) != maps.shape:
        return low_pass(maps, cutoff, channelled=explainers.tag(inner, "resolution") == "activation")
    return tf.nest.map_structure(lambda leaf, array: low_pass(leaf, cutoff, array.dtype.kind == "f"), maps, arrays)


def low_pass(maps, cutoff, channelled=True):
    """Maps without the frequencies above a cutoff.

    Args:
        maps: [batch, ..., channels], or [batch, ...].
        cutoff: in cycles over the map.
        channelled: whether the last axis is channels.

    Returns:
        float32 in the shape of the maps.

    Raises:
        Refused: for maps without positions.
    """
    axes = tuple(range(1, maps.ndim - channelled))
    if not axes:
        raise Refused(f"FORGrad filters maps with positions. Received: maps of {maps.shape}.")
    cycles = np.meshgrid(*(np.fft.fftfreq(maps.shape[axis]) * maps.shape[axis] for axis in axes), indexing="ij")
    kept = np.sqrt(sum(frequencies**2 for frequencies in cycles)) <= cutoff
    kept = kept[None, ..., None] if channelled else kept[None]
    return np.fft.ifftn(np.fft.fftn(maps, axes=axes) * kept, axes=axes).real.astype("float32")
