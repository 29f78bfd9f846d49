"""Textures: pictures of one pattern by formula, as concepts and as a pool of other pictures, where no photographs are at hand.

draw("stripes", 40, seed=0)       `Data` of forty pictures of stripes
draw("mixed", 400, seed=0)        of all patterns that are no usual concept
"""

import numpy as np
from scipy import ndimage

from lab.data import Data
from lab.refusal import Refused
from lab.registry import Registry

textures = Registry("texture")
SIDE = 224
MIXED = "mixed"


def draw(name, count, *, seed, side=SIDE):
    """Pictures of one pattern, each of its own scale, turn, phase and pair of colours.

    Args:
        name: a name of `textures`, or "mixed" for all that are not tagged as concepts.
        count: int.
        seed: int.
        side: int, pixels of a side.

    Returns:
        `Data` with uint8 images [side, side, 3].

    Raises:
        Refused: for an unknown texture, and for no picture.
    """
    if count < 1:
        raise Refused(f"Textures are drawn one or more at a time. Received: {count}.")
    names = textures.names(concept=False) if name == MIXED else [name]
    functions = [textures.get(kind) for kind in names]
    generator = np.random.default_rng([seed, *name.encode()])
    images = [
        _colour(functions[place % len(functions)](generator, *_grid(generator, side)), generator)
        for place in range(count)
    ]
    kinds = [names[place % len(names)] for place in range(count)]
    return Data(tuple(f"{kind}-{place}" for place, kind in enumerate(kinds)), images)


def _grid(generator, side):
    """Coordinates of every pixel, turned by a random angle: two float [side, side] in -1..1 or so."""
    angle = generator.uniform(0, np.pi)
    rows, columns = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    return np.cos(angle) * rows - np.sin(angle) * columns, np.sin(angle) * rows + np.cos(angle) * columns


def _colour(plane, generator):
    """A pattern in 0..1 between two colours, with a little noise and shading: uint8 [rows, columns, 3]."""
    low, high = generator.uniform(0, 0.45, 3), generator.uniform(0.55, 1, 3)
    if generator.random() < 0.5:
        low, high = high, low
    image = low + plane[..., None] * (high - low) + generator.normal(size=plane.shape)[..., None] * 0.03
    return np.round(255 * np.clip(image, 0, 1)).astype("uint8")


@textures.register(concept=True)
def stripes(generator, rows, columns):
    """Dark and bright bands of one width.

    Args:
        generator: `np.random.Generator`.
        rows: float [side, side], a coordinate of every pixel.
        columns: float [side, side], the other one.

    Returns:
        float [side, side] in 0..1.
    """
    return _sharp(np.sin(generator.uniform(15, 45) * rows + 0.3 * np.sin(3 * columns) + generator.uniform(0, 6)))


@textures.register(concept=True)
def dots(generator, rows, columns):
    """Discs of one size at uneven places.

    Args:
        generator: `np.random.Generator`.
        rows: float [side, side], a coordinate of every pixel.
        columns: float [side, side], the other one.

    Returns:
        float [side, side] in 0..1.
    """
    centres = generator.uniform(-1.3, 1.3, size=(generator.integers(40, 120), 2))
    distance = np.min([np.hypot(rows - row, columns - column) for row, column in centres], axis=0)
    return _sharp(generator.uniform(0.05, 0.1) - distance, 60)


@textures.register(concept=True)
def honeycomb(generator, rows, columns):
    """Hexagonal cells with bright walls.

    Args:
        generator: `np.random.Generator`.
        rows: float [side, side], a coordinate of every pixel.
        columns: float [side, side], the other one.

    Returns:
        float [side, side] in 0..1.
    """
    scale = generator.uniform(10, 22)
    waves = [
        np.cos(scale * (np.cos(turn) * rows + np.sin(turn) * columns)) for turn in (0, 2 * np.pi / 3, 4 * np.pi / 3)
    ]
    return _sharp(-0.7 - np.sum(waves, axis=0), 8)


@textures.register(concept=False)
def blotches(generator, rows, columns):
    """Smooth noise of one scale.

    Args:
        generator: `np.random.Generator`.
        rows: float [side, side], a coordinate of every pixel.
        columns: float [side, side], the other one.

    Returns:
        float [side, side] in 0..1.
    """
    return _rescaled(ndimage.gaussian_filter(generator.normal(size=rows.shape), generator.uniform(4, 16)))


@textures.register(concept=False)
def cells(generator, rows, columns):
    """The nearest of some random points.

    Args:
        generator: `np.random.Generator`.
        rows: float [side, side], a coordinate of every pixel.
        columns: float [side, side], the other one.

    Returns:
        float [side, side] in 0..1.
    """
    centres = generator.uniform(-1.3, 1.3, size=(60, 2))
    nearest = np.argmin([np.hypot(rows - row, columns - column) for row, column in centres], axis=0)
    return generator.random(60)[nearest]


@textures.register(concept=False)
def chequers(generator, rows, columns):
    """Squares of two colours by turns.

    Args:
        generator: `np.random.Generator`.
        rows: float [side, side], a coordinate of every pixel.
        columns: float [side, side], the other one.

    Returns:
        float [side, side] in 0..1.
    """
    scale = generator.uniform(8, 25)
    return _sharp(np.sin(scale * rows) * np.sin(scale * columns), 8)


@textures.register(concept=False)
def clouds(generator, rows, columns):
    """Noise of all scales.

    Args:
        generator: `np.random.Generator`.
        rows: float [side, side], a coordinate of every pixel.
        columns: float [side, side], the other one.

    Returns:
        float [side, side] in 0..1.
    """
    layers = [ndimage.gaussian_filter(generator.normal(size=rows.shape), width) * width for width in (2, 4, 8, 16, 32)]
    return _rescaled(np.sum(layers, axis=0))


@textures.register(concept=False)
def grain(generator, rows, columns):
    """Fine noise.

    Args:
        generator: `np.random.Generator`.
        rows: float [side, side], a coordinate of every pixel.
        columns: float [side, side], the other one.

    Returns:
        float [side, side] in 0..1.
    """
    return _rescaled(ndimage.gaussian_filter(generator.normal(size=rows.shape), generator.uniform(0.5, 1.5)))


@textures.register(concept=False)
def rings(generator, rows, columns):
    """Circles around one point.

    Args:
        generator: `np.random.Generator`.
        rows: float [side, side], a coordinate of every pixel.
        columns: float [side, side], the other one.

    Returns:
        float [side, side] in 0..1.
    """
    centre = generator.uniform(-1, 1, 2)
    return _sharp(np.sin(generator.uniform(15, 40) * np.hypot(rows - centre[0], columns - centre[1])))


@textures.register(concept=False)
def scratches(generator, rows, columns):
    """Noise that is drawn out along one direction, at any angle.

    Args:
        generator: `np.random.Generator`.
        rows: float [side, side], a coordinate of every pixel.
        columns: float [side, side], the other one.

    Returns:
        float [side, side] in 0..1.
    """
    noise = ndimage.gaussian_filter(generator.normal(size=rows.shape), (0.7, 14))
    return _rescaled(ndimage.rotate(noise, generator.uniform(0, 180), reshape=False, mode="reflect"))


@textures.register(concept=False)
def shading(generator, rows, columns):
    """One colour that fades into another.

    Args:
        generator: `np.random.Generator`.
        rows: float [side, side], a coordinate of every pixel.
        columns: float [side, side], the other one.

    Returns:
        float [side, side] in 0..1.
    """
    return _rescaled(rows + generator.uniform(-1, 1) * columns + generator.uniform(0, 1) * rows * columns)


@textures.register(concept=False)
def tiles(generator, rows, columns):
    """Bricks with joints.

    Args:
        generator: `np.random.Generator`.
        rows: float [side, side], a coordinate of every pixel.
        columns: float [side, side], the other one.

    Returns:
        float [side, side] in 0..1.
    """
    scale = generator.uniform(5, 12)
    course = np.floor(scale * rows)
    joints = np.minimum(np.abs((scale * rows) % 1 - 0.5), np.abs((scale * columns / 2 + 0.5 * (course % 2)) % 1 - 0.5))
    return _sharp(joints - 0.06, 40)


@textures.register(concept=False)
def waves(generator, rows, columns):
    """Two crossing waves, without edges.

    Args:
        generator: `np.random.Generator`.
        rows: float [side, side], a coordinate of every pixel.
        columns: float [side, side], the other one.

    Returns:
        float [side, side] in 0..1.
    """
    first, second = generator.uniform(5, 20, 2)
    return _rescaled(np.sin(first * rows) + np.sin(second * columns + 2 * np.sin(3 * rows)))


def _sharp(plane, slope=6):
    return 1 / (1 + np.exp(-slope * plane))


def _rescaled(plane):
    low, high = np.quantile(plane, [0.01, 0.99])
    return np.clip((plane - low) / max(high - low, 1e-9), 0, 1)
