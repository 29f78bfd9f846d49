"""Pixel views: what little of a picture's pixels a view keeps, `(picture) -> dict of feature to number`.

None of them sees a shape in the middle of the picture. Each is registered under its own name.
"""

import numpy as np
from skimage.filters import laplace
from skimage.transform import resize

from sanity.shortcuts import views
from sanity.shortcuts.regions import BORDER, CORNER

# Cells along a side of a low-pass picture, along an edge of the border, and along a side of a corner.
CELLS, EDGE_CELLS, CORNER_CELLS = 8, 8, 2


@views.register
def border(picture):
    """The colours of the ring along the edge, an eighth of the picture wide, in 32 cells.

    Args:
        picture: `Picture`.

    Returns:
        dict of feature to float.
    """
    rows, columns = picture.image.shape[:2]
    width = max(1, round(min(rows, columns) * BORDER))
    image = picture.image / 255.0
    parts = {
        "top": image[:width],
        "bottom": image[-width:],
        "left": image[:, :width].swapaxes(0, 1),
        "right": image[:, -width:].swapaxes(0, 1),
    }
    return {
        feature: value
        for name, part in parts.items()
        for feature, value in _cell_means(name, part, 1, EDGE_CELLS).items()
    }


@views.register
def corners(picture):
    """The colours of the four corners, each a quarter of the shorter side, in 2 x 2 cells, and how much they vary.

    Args:
        picture: `Picture`.

    Returns:
        dict of feature to float.
    """
    rows, columns = picture.image.shape[:2]
    side = max(1, round(min(rows, columns) * CORNER))
    image, features = picture.image / 255.0, {}
    for vertical, rows_part in (("top", slice(None, side)), ("bottom", slice(-side, None))):
        for horizontal, columns_part in (("left", slice(None, side)), ("right", slice(-side, None))):
            part, name = image[rows_part, columns_part], f"{vertical} {horizontal}"
            features |= _cell_means(name, part, CORNER_CELLS, CORNER_CELLS)
            features[f"{name} deviation"] = float(part.std())
    return features


@views.register
def mean_colour(picture):
    """The mean and the deviation of each colour.

    Args:
        picture: `Picture`.

    Returns:
        dict of feature to float.
    """
    pixels = picture.image.reshape(-1, 3) / 255.0
    numbers = {"mean": pixels.mean(axis=0), "deviation": pixels.std(axis=0)}
    return {
        f"{name} {colour}": float(value)
        for name, values in numbers.items()
        for colour, value in zip(("red", "green", "blue"), values)
    }


@views.register
def low_pass(picture):
    """The picture in 8 x 8 cells.

    Args:
        picture: `Picture`.

    Returns:
        dict of feature to float.
    """
    return _cell_means("cell", picture.image / 255.0, CELLS, CELLS)


@views.register
def sharpness(picture):
    """The variance of the Laplacian of the grey picture, as it is and at half its size (Pech-Pacheco et al. 2000, https://doi.org/10.1109/ICPR.2000.903548).

    Args:
        picture: `Picture`.

    Returns:
        dict of feature to float, logarithms.
    """
    grey = picture.image.mean(axis=-1) / 255.0
    half = resize(grey, [max(2, side // 2) for side in grey.shape], anti_aliasing=True)
    return {
        name: float(np.log(laplace(plane).var() + 1e-9))
        for name, plane in (("at full size", grey), ("at half size", half))
    }


def _cell_means(name, image, rows, columns):
    """The mean colour of each cell of an image: dict."""
    cells = np.stack([_row_of_cells(part, columns) for part in _split(image, rows)])
    return {
        f"{name} {row},{column} {colour}": float(cells[row, column, channel])
        for row in range(rows)
        for column in range(columns)
        for channel, colour in enumerate(("red", "green", "blue"))
    }


def _row_of_cells(image, columns):
    return np.stack([part.mean(axis=(0, 1)) for part in _split(image.swapaxes(0, 1), columns)])


def _split(image, count):
    """An image in so many parts along its first axis, none of them empty."""
    edges = np.linspace(0, len(image), count + 1)
    return [image[int(low) : max(int(low) + 1, int(high))] for low, high in zip(edges, edges[1:])]
