"""Map scale: what the colours of a map stand for, and how much of it is shown. Nothing that draws figures is imported here."""

import matplotlib
import numpy as np
from matplotlib.colors import Normalize

SIGNED, UNSIGNED = "RdBu_r", "inferno"
# The strongest colour stands for this percentile of magnitudes, so that one pixel does not rule a map.
STRONGEST = 99.5
# Bars of one row of a table: more cannot be read.
BARS = 20


def scale(values):
    """The colours of a map: a `Normalize` and the name of a colour map; signed maps have zero in the middle."""
    magnitudes = np.abs(values[np.isfinite(values)])
    top = float(np.percentile(magnitudes, STRONGEST)) if magnitudes.size else 0.0
    top = top or float(magnitudes.max(initial=0)) or 1.0
    signed = bool((values < 0).any())
    return Normalize(-top if signed else 0, top), SIGNED if signed else UNSIGNED


def over_photograph(values, norm, colours):
    """A map to lie over a pale photograph, which shows through where the map is weak.

    Args:
        values: float [rows, columns].
        norm, colours: as `scale` returns them.

    Returns:
        float [rows, columns, 4] in 0..1, the last of them opacity.
    """
    strength = np.clip(np.abs(np.nan_to_num(values)) / norm.vmax, 0, 1)
    if colours == UNSIGNED:
        return np.dstack([matplotlib.colormaps[colours](norm(values))[..., :3], 0.85 * strength])
    ends = matplotlib.colormaps[colours](np.where(values > 0, 0.9, 0.1))[..., :3]
    return np.dstack([ends, strength**0.7])
