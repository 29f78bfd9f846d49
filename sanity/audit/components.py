"""Components: the directions in which numbers vary most."""

import numpy as np


def principal_axes(centred, most, *, floor):
    """The directions of the largest variance, the largest first.

    Args:
        centred: float64 [rows, channels], of mean 0.
        most: int, directions at most.
        floor: float, the share of the largest variance that a direction needs.

    Returns:
        float64 [directions], variances, one at least; float64 [channels, directions], of which the largest part is positive.
    """
    variances, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    variances, axes = variances[::-1], axes[:, ::-1]
    count = max(1, min(most, int((variances > floor * variances[0]).sum())))
    axes = axes[:, :count]
    # Either sign of a direction is a principal axis.
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(count)])
    return variances[:count], axes * signs
