"""Maps: the one place where channels are pooled and maps are resized."""

import numpy as np
from skimage.transform import resize

from lab.environment import tf
from lab.refusal import Refused
from lab.registry import Registry

poolings = Registry("pooling")


@poolings.register
def total(maps):
    """Sum over channels, signed."""
    return maps.sum(axis=-1)


@poolings.register
def l2(maps):
    """Euclidean norm over channels, unsigned."""
    wide = maps.astype("float64")
    return np.sqrt(np.einsum("...c,...c->...", wide, wide)).astype("float32")


@poolings.register
def max_abs(maps):
    """Largest absolute value over channels, unsigned."""
    return np.abs(maps).max(axis=-1)


def pooled(maps, pooling="total"):
    """Maps of image inputs without their channel axis.

    Args:
        maps: [batch, rows, columns, channels], or [batch, rows, columns] (CAM), which are returned as they are.
        pooling: the name of a pooling or a function.

    Returns:
        [batch, rows, columns].
    """
    return maps if maps.ndim < 4 else poolings.get(pooling)(maps)


def resized(maps, *extent):
    """Maps at another resolution, by linear interpolation, with their signs kept.

    Args:
        maps: [batch, ...].
        extent: one number for each axis of positions.

    Returns:
        float32 [batch, *extent].

    Raises:
        Refused: for another number of axes.
    """
    if maps.ndim != len(extent) + 1:
        raise Refused(f"A map is resized to as many axes as it has. Received: {maps.shape[1:]} for {extent}.")
    if maps.shape[1:] == extent:
        return maps.astype("float32")
    if len(extent) == 2:
        # The same numbers as skimage's, in a tenth of the time.
        return tf.image.resize(maps[..., None].astype("float32"), extent, "bilinear").numpy()[..., 0]
    return np.stack(
        [resize(map_.astype("float64"), extent, order=1, mode="edge", anti_aliasing=False) for map_ in maps]
    ).astype("float32")
