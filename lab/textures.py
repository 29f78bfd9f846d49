"""Textures: pictures of one pattern by formula, as concepts and as a pool of other pictures, where no photographs are at hand.

draw("stripes", 40, seed=0)       `Data` of forty pictures of stripes
draw("mixed", 400, seed=0)        of all patterns that are no usual concept
"""

from dataclasses import dataclass

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
        _colour(functions[place % len(functions)](_turned_canvas(generator, side)), generator) for place in range(count)
    ]
    kinds = [names[place % len(names)] for place in range(count)]
    return Data(tuple(f"{kind}-{place}" for place, kind in enumerate(kinds)), images)


@dataclass(frozen=True)
class Canvas:
    """What a texture is drawn on; each returns float [side, side] in 0..1.

    Args:
        generator: `np.random.Generator`.
        rows: float [side, side], a coordinate of every pixel, in -1..1 or so.
        columns: float [side, side], the other one.
    """

    generator: np.random.Generator
    rows: np.ndarray
    columns: np.ndarray


def _turned_canvas(generator, side):
    """A canvas whose coordinates are turned by a random angle."""
    angle = generator.uniform(0, np.pi)
    rows, columns = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    return Canvas(
        generator, np.cos(angle) * rows - np.sin(angle) * columns, np.sin(angle) * rows + np.cos(angle) * columns
    )


def _colour(plane, generator):
    """A pattern in 0..1 between two colours, with a little noise and shading: uint8 [rows, columns, 3]."""
    low, high = generator.uniform(0, 0.45, 3), generator.uniform(0.55, 1, 3)
    if generator.random() < 0.5:
        low, high = high, low
    image = low + plane[..., None] * (high - low) + generator.normal(size=plane.shape)[..., None] * 0.03
    return np.round(255 * np.clip(image, 0, 1)).astype("uint8")


@textures.register(concept=True)
def stripes(canvas):
    """Dark and bright bands of one width."""
    return _sharp(
        np.sin(
            canvas.generator.uniform(15, 45) * canvas.rows
            + 0.3 * np.sin(3 * canvas.columns)
            + canvas.generator.uniform(0, 6)
        )
    )


@textures.register(concept=True)
def dots(canvas):
    """Discs of one size at uneven places."""
    centres = canvas.generator.uniform(-1.3, 1.3, size=(canvas.generator.integers(40, 120), 2))
    distance = np.min([np.hypot(canvas.rows - row, canvas.columns - column) for row, column in centres], axis=0)
    return _sharp(canvas.generator.uniform(0.05, 0.1) - distance, 60)


@textures.register(concept=True)
def honeycomb(canvas):
    """Hexagonal cells with bright walls."""
    scale = canvas.generator.uniform(10, 22)
    waves = [
        np.cos(scale * (np.cos(turn) * canvas.rows + np.sin(turn) * canvas.columns))
        for turn in (0, 2 * np.pi / 3, 4 * np.pi / 3)
    ]
    return _sharp(-0.7 - np.sum(waves, axis=0), 8)


@textures.register(concept=False)
def blotches(canvas):
    """Smooth noise of one scale."""
    return _rescaled(
        ndimage.gaussian_filter(canvas.generator.normal(size=canvas.rows.shape), canvas.generator.uniform(4, 16))
    )


@textures.register(concept=False)
def cells(canvas):
    """The nearest of some random points."""
    centres = canvas.generator.uniform(-1.3, 1.3, size=(60, 2))
    nearest = np.argmin([np.hypot(canvas.rows - row, canvas.columns - column) for row, column in centres], axis=0)
    return canvas.generator.random(60)[nearest]


@textures.register(concept=False)
def chequers(canvas):
    """Squares of two colours by turns."""
    scale = canvas.generator.uniform(8, 25)
    return _sharp(np.sin(scale * canvas.rows) * np.sin(scale * canvas.columns), 8)


@textures.register(concept=False)
def clouds(canvas):
    """Noise of all scales."""
    layers = [
        ndimage.gaussian_filter(canvas.generator.normal(size=canvas.rows.shape), width) * width
        for width in (2, 4, 8, 16, 32)
    ]
    return _rescaled(np.sum(layers, axis=0))


@textures.register(concept=False)
def grain(canvas):
    """Fine noise."""
    return _rescaled(
        ndimage.gaussian_filter(canvas.generator.normal(size=canvas.rows.shape), canvas.generator.uniform(0.5, 1.5))
    )


@textures.register(concept=False)
def rings(canvas):
    """Circles around one point."""
    centre = canvas.generator.uniform(-1, 1, 2)
    return _sharp(
        np.sin(canvas.generator.uniform(15, 40) * np.hypot(canvas.rows - centre[0], canvas.columns - centre[1]))
    )


@textures.register(concept=False)
def scratches(canvas):
    """Noise that is drawn out along one direction, at any angle."""
    noise = ndimage.gaussian_filter(canvas.generator.normal(size=canvas.rows.shape), (0.7, 14))
    return _rescaled(ndimage.rotate(noise, canvas.generator.uniform(0, 180), reshape=False, mode="reflect"))


@textures.register(concept=False)
def shading(canvas):
    """One colour that fades into another."""
    return _rescaled(
        canvas.rows
        + canvas.generator.uniform(-1, 1) * canvas.columns
        + canvas.generator.uniform(0, 1) * canvas.rows * canvas.columns
    )


@textures.register(concept=False)
def tiles(canvas):
    """Bricks with joints."""
    scale = canvas.generator.uniform(5, 12)
    course = np.floor(scale * canvas.rows)
    joints = np.minimum(
        np.abs((scale * canvas.rows) % 1 - 0.5), np.abs((scale * canvas.columns / 2 + 0.5 * (course % 2)) % 1 - 0.5)
    )
    return _sharp(joints - 0.06, 40)


@textures.register(concept=False)
def waves(canvas):
    """Two crossing waves, without edges."""
    first, second = canvas.generator.uniform(5, 20, 2)
    return _rescaled(np.sin(first * canvas.rows) + np.sin(second * canvas.columns + 2 * np.sin(3 * canvas.rows)))


def _sharp(plane, slope=6):
    return 1 / (1 + np.exp(-slope * plane))


def _rescaled(plane):
    low, high = np.quantile(plane, [0.01, 0.99])
    return np.clip((plane - low) / max(high - low, 1e-9), 0, 1)
