"""Tokens: the patches of an image among the tokens of a layer [batch, tokens, channels].

Which token belongs to which patch is tested: a corner of the image is changed, and the token that changes most is that
corner's. So a class token at any place, and columns before rows, are recognized.
"""

import math
from dataclasses import dataclass

import numpy as np

from lab.environment import tf

# The largest number of tokens beside the patches, for the class and for storage.
BESIDE = 16


@dataclass(frozen=True)
class Grid:
    """The image patches among tokens: the first one's place, rows and columns, and whether columns are counted first."""

    first: int
    rows: int
    columns: int
    columns_first: bool = False

    @property
    def corners(self):
        """The places of the tokens at the top left, top right, bottom left and bottom right."""
        down, right = (1, self.rows) if self.columns_first else (self.columns, 1)
        return tuple(
            self.first + down * row + right * column for row in (0, self.rows - 1) for column in (0, self.columns - 1)
        )

    def unflatten(self, tokens):
        """Tokens [batch, tokens, channels] as [batch, rows, columns, channels], without the tokens beside the patches."""
        ops = np if isinstance(tokens, np.ndarray) else tf
        patches = tokens[:, self.first : self.first + self.rows * self.columns]
        sides = (self.columns, self.rows) if self.columns_first else (self.rows, self.columns)
        rows = ops.reshape(patches, (-1, *sides, tokens.shape[-1]))
        return ops.transpose(rows, (0, 2, 1, 3)) if self.columns_first else rows


def grids(network, candidates):
    """The candidates whose tokens hold the patches of an image: dict of address to `Grid`, in the order of the calls.

    Args:
        network: a `Network`.
        candidates: addresses of layers.

    Returns:
        dict of str to `Grid`; empty for a network without one image input and for channels first.
    """
    counts = {address: network.shapes[address][1] for address in candidates if len(network.shapes[address]) == 3}
    counts = {address: count for address, count in counts.items() if count}
    floating = all(leaf.dtype.is_floating for leaf in tf.nest.flatten(network.spec))
    if not counts or network.size is None or network.channels_first or not floating:
        return {}
    moves = {}
    for sides in _candidate_sides(network, counts):
        moves[sides] = _corner_moves(network, list(counts), sides)
    grid_of = {}
    for address, count in counts.items():
        # The order is found at the first layer with so many tokens. Behind it, where tokens mix, it must still hold.
        if count not in grid_of:
            grid_of[count] = _find_grid(moves, address, count)
        if grid_of[count] and not _keeps_corners(
            grid_of[count], moves[grid_of[count].rows, grid_of[count].columns][address]
        ):
            counts = {**counts, address: None}
    return {address: grid_of[count] for address, count in counts.items() if grid_of.get(count)}


def _candidate_sides(network, counts):
    """Rows and columns that tokens may have: those of layers with both before the last of them, and squares."""
    shapes = list(network.shapes.items())
    before = shapes[: 1 + max(place for place, (address, _) in enumerate(shapes) if address in counts)]
    planes = [shape[1:3] for _, shape in reversed(before) if _has_rows_and_columns(shape)]
    squares = [(math.isqrt(count), math.isqrt(count)) for count in counts.values()]
    fitting = [sides for sides in (*planes, *squares) if any(_fits_count(sides, count) for count in counts.values())]
    return list(dict.fromkeys(fitting))


def _has_rows_and_columns(shape):
    return isinstance(shape, tuple) and len(shape) == 4 and None not in shape[1:3]


def _fits_count(sides, count):
    return 0 <= count - math.prod(sides) <= BESIDE and min(sides) > 1


def _corner_moves(network, addresses, sides):
    """How far every token moves when each corner of an image is changed: dict of address to float32 [4, tokens]."""
    from lab import routines

    def body(batched, _):
        changed, plain = (network.trace(pictures, addresses).activations for pictures in batched)
        steps = {address: tf.cast(changed[address] - plain[address], tf.float32) for address in addresses}
        return {address: tf.reduce_sum(tf.abs(step), axis=-1) for address, step in steps.items()}

    pictures = _corner_pictures(network, *sides)
    pair = (pictures[1:], np.repeat(pictures[:1], 4, axis=0))
    return routines.run(network, ("moves", tuple(addresses)), body, pair, ())


def _find_grid(moves, address, count):
    """The grid on whose corners the tokens lie that each corner of an image moves most, or None."""
    for rows, columns in moves:
        first, *others = moves[rows, columns][address].argmax(axis=1)
        steps = tuple(int(place - first) for place in others)
        for columns_first in (False, True):
            grid = Grid(int(first), rows, columns, columns_first)
            if _fits_count((rows, columns), count) and steps == tuple(place - grid.first for place in grid.corners[1:]):
                return grid
    return None


def _keeps_corners(grid, moves):
    """Whether each corner moves its own token more than the other corners do: bool."""
    corner_moves = moves[:, list(grid.corners)]
    return bool((corner_moves.argmax(axis=0) == np.arange(4)).all() and (corner_moves.diagonal() > 0).all())


def _corner_pictures(network, rows, columns):
    """A random image, and the same with each corner's patch drawn again: float32 [5, rows, columns, channels]."""
    rng, (height, width) = np.random.default_rng(0), network.size
    spec = tf.nest.flatten(network.spec)[0]
    pictures = np.repeat(rng.uniform(size=(1, *spec.shape[1:])), 5, axis=0)
    tall, wide = max(1, height // rows), max(1, width // columns)
    corners = [
        (top, left)
        for top in (slice(None, tall), slice(-tall, None))
        for left in (slice(None, wide), slice(-wide, None))
    ]
    for picture, (top, left) in zip(pictures[1:], corners):
        picture[top, left] = rng.uniform(size=picture[top, left].shape)
    return pictures.astype("float32")


def influential(network, grids):
    """The addresses of grids whose patches influence the outputs: list, in order.

    Behind the last attention only the class token does.

    Args:
        network: a `Network`.
        grids: dict of address to `Grid`.

    Returns:
        list of str.
    """
    from lab import routines

    names = [name for name in network.outputs if name not in network.integer_outputs]
    if not names:
        return list(grids)

    def body(batched, _):
        trace = network.trace(batched[0], list(grids))
        floating = [trace.logits(name) for name in names]
        score = tf.add_n([tf.reduce_sum(tf.square(tf.cast(output, tf.float32))) for output in floating])
        slopes = tf.gradients(score, [trace.activations[address] for address in grids])
        return {address: _largest_slope(slope, grid) for (address, grid), slope in zip(grids.items(), slopes)}

    pictures = _corner_pictures(network, 2, 2)
    largest = routines.run(network, ("moving", tuple(grids)), body, (pictures,), ())
    return [address for address in grids if largest[address].any()]


def _largest_slope(slope, grid):
    if slope is None:
        return tf.zeros([1])
    return tf.reduce_max(tf.abs(tf.cast(grid.unflatten(slope), tf.float32)), axis=(1, 2, 3))
