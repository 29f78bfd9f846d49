"""Regions: parts of a picture that ought not to decide, as masks: its border and its corners."""

import numpy as np

# Shares of the shorter side: the width of the border, and the side of a corner.
BORDER, CORNER = 1 / 8, 1 / 4


def border_mask(rows, columns):
    """The ring along the edge, an eighth of the shorter side wide.

    Args:
        rows: int.
        columns: int.

    Returns:
        bool [rows, columns].
    """
    width = max(1, round(min(rows, columns) * BORDER))
    mask = np.ones((rows, columns), bool)
    mask[width : rows - width, width : columns - width] = False
    return mask


def corners_mask(rows, columns):
    """The four corners, squares of a quarter of the shorter side.

    Args:
        rows: int.
        columns: int.

    Returns:
        bool [rows, columns].
    """
    side = max(1, round(min(rows, columns) * CORNER))
    in_rows, in_columns = (np.arange(size) for size in (rows, columns))
    at_edge = (in_rows < side) | (in_rows >= rows - side), (in_columns < side) | (in_columns >= columns - side)
    return at_edge[0][:, None] & at_edge[1][None, :]


REGIONS = {"border": border_mask, "corners": corners_mask}
