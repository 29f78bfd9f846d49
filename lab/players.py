"""Players: the parts of an input that are taken away together: pixels, patches, superpixels, columns, tokens or windows.

players_of(leaf, players, count) -> int32 [batch, positions...]   the number of the player of every position
"""

import numpy as np
from skimage.segmentation import slic

from lab.refusal import Refused
from lab.registry import Registry

players = Registry("kind of players")

# How many there are about, where nothing else is said.
COUNT = 49


@players.register
def positions(leaf, count):
    """Every position alone: a pixel, a token, a step, or a column of a table.

    Args:
        leaf: array [batch, ..., channels], or a table [batch, columns].
        count: not used.

    Returns:
        int32 [batch, ...].
    """
    del count  # There are as many as positions.
    extent = extent_of(leaf.shape)
    return np.broadcast_to(np.arange(int(np.prod(extent)), dtype="int32").reshape(extent), (len(leaf), *extent))


@players.register
def patches(leaf, count):
    """The cells of a grid, as many along each axis of positions: patches of an image, windows of a series.

    Args:
        leaf: array [batch, ..., channels].
        count: int, about how many cells.

    Returns:
        int32 [batch, ...].
    """
    extent = extent_of(leaf.shape)
    side = max(1, round(count ** (1 / len(extent))))
    cells = [np.arange(size) * min(side, size) // size for size in extent]
    grid = np.zeros(extent, "int32")
    for axis, places in enumerate(cells):
        grid = grid * (places[-1] + 1) + places.reshape([-1 if number == axis else 1 for number in range(len(extent))])
    return np.broadcast_to(grid.astype("int32"), (len(leaf), *extent))


@players.register
def superpixels(leaf, count):
    """Parts of an image of one colour (SLIC: Achanta et al. 2012, https://doi.org/10.1109/TPAMI.2012.120).

    Args:
        leaf: images, float [batch, rows, columns, channels].
        count: int, about how many.

    Returns:
        int32 [batch, rows, columns].

    Raises:
        Refused: for inputs that are not images.
    """
    if leaf.ndim != 4:
        raise Refused(
            f"Superpixels are parts of images. Received: inputs of shape {leaf.shape}. Use players='patches'."
        )
    return np.stack([slic(_scaled(image), n_segments=count, start_label=0, channel_axis=-1) for image in leaf]).astype(
        "int32"
    )


def players_of(leaf, which, count):
    """The number of the player that every position of an input belongs to.

    Args:
        leaf: array [batch, ...].
        which: a name of `players`; or an int array of its positions, [...] or [batch, ...], numbers of 0 or more, or -1 for what is
            never taken away; None: every position of up to two axes [batch, columns], patches of others.
        count: int, about how many there are.

    Returns:
        int32 [batch, ...], numbered from 0 without gaps in every sample.

    Raises:
        Refused: for an unknown name, and for a map of another size or without a player.
    """
    if isinstance(which, str) or which is None:
        name = which or ("positions" if leaf.ndim <= 2 else "patches")
        return players.get(name)(leaf, count)
    numbers, extent = np.asarray(which), extent_of(leaf.shape)
    if numbers.dtype.kind not in "iu" or numbers.shape not in (extent, (len(leaf), *extent)):
        raise Refused(
            f"A map of players holds a whole number for every position, {extent} or {(len(leaf), *extent)}. Received: {numbers.dtype} {numbers.shape}."
        )
    if not (numbers >= 0).any():
        raise Refused("A map of players names at least one, by a number of 0 or more. Received: none.")
    return without_gaps(np.broadcast_to(numbers, (len(leaf), *extent)))


def without_gaps(numbers):
    """The same players numbered from 0 in every sample.

    Args:
        numbers: int [batch, ...]; below 0 for no player.

    Returns:
        int32 [batch, ...]; -1 for no player.
    """
    rows = [np.unique(np.where(sample < 0, -1, sample), return_inverse=True) for sample in numbers]
    return np.stack([(places - (names[0] < 0)).reshape(numbers.shape[1:]).astype("int32") for names, places in rows])


def extent_of(shape):
    """The positions of a sample: all axes but the batch and the last, or the columns of a table.

    Args:
        shape: of an input, (batch, ...).

    Returns:
        tuple.
    """
    return tuple(shape[1:-1] if len(shape) > 2 else shape[1:])


def _scaled(image):
    low, high = image.min(), image.max()
    return ((image - low) / ((high - low) or 1)).astype("float64")
