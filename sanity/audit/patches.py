"""Patches: where in the picture current ones differ from the reference, with one threshold for all patches and channels.

A difference picture by itself has bright places where nothing is, since some patch of hundreds is always the largest. Here units
are exchanged between the sets, as the eyes of `sanity.audit.eyes` do, and the largest difference of each exchange is what a patch
has to exceed (max-T: Westfall, Young 1993).
"""

from dataclasses import dataclass

import numpy as np

from sanity.audit.eyes import SCALING, mean_differences
from sanity.audit.permutation import p_among

# Patches along the longer side of a picture, and levels of 255 that count as no difference.
MOST, LEAST = 14, 1e-3


def picture_patches(images):
    """Means of the patches of pictures.

    Args:
        images: float32 [images, rows, columns, channels] in 0..255, all of one size.

    Returns:
        float32 [images, patches down, patches across, channels], with 14 patches along the longer side, or as many as it has pixels.
    """
    longest = max(images.shape[1:3])
    down, across = (_shares(side, max(1, round(min(MOST, longest) * side / longest))) for side in images.shape[1:3])
    return np.einsum("pr,brcx,qc->bpqx", down, images, across, optimize=True).astype("float32")


def _shares(pixels, patches):
    """What each pixel of a side adds to the mean of each patch: float32 [patches, pixels]."""
    edges, starts = np.linspace(0, pixels, patches + 1)[:, None], np.arange(pixels)
    overlap = np.minimum(edges[1:], starts + 1) - np.maximum(edges[:-1], starts)
    return (np.maximum(overlap, 0) * patches / pixels).astype("float32")


@dataclass(frozen=True)
class PatchGaps:
    """How far the patches of current pictures differ from those of the reference.

    Args:
        reference: float64 [down, across, channels], the mean picture in 0..255.
        current: float64 [down, across, channels].
        deviations: float64 [down, across, channels], the difference of means in deviations of exchanged units.
        p: float64 [down, across, channels], adjusted for all of them.
        threshold: float, deviations above which a patch differs.
    """

    reference: np.ndarray
    current: np.ndarray
    deviations: np.ndarray
    p: np.ndarray
    threshold: float


def compare_patches(eyes, patches, draws, alpha):
    """Which patches differ, by the exchanges of units that the eyes see.

    Args:
        eyes: `sanity.audit.eyes.Eyes`.
        patches: float32 [rows, down, across, channels], of the rows of the eyes.
        draws: int, exchanges.
        alpha: float, the level of all patches together.

    Returns:
        `PatchGaps`.
    """
    side, flat = eyes.encoded.is_current, patches.reshape(len(patches), -1)
    mean = flat.mean(axis=0, dtype="float64")
    centred = (flat - mean).astype("float32")
    reference, current = (centred[rows].mean(axis=0, dtype="float64") for rows in (~side, side))
    # Draws that set the scale are not ranked.
    scale = np.maximum(np.sqrt((_differences(eyes, centred, SCALING, "scaling") ** 2).mean(axis=0)), LEAST)
    largest = np.sort((_differences(eyes, centred, draws, "exchanged") / scale).max(axis=1))
    deviations = (current - reference) / scale
    values = (reference + mean, current + mean, deviations, p_among(largest, np.abs(deviations)))
    return PatchGaps(*(value.reshape(patches.shape[1:]) for value in values), _threshold(largest, alpha))


def _differences(eyes, centred, draws, purpose):
    """The size of the difference of means of each patch for exchanged sides: float64 [draws, patches]."""
    parts = (mean_differences(centred, _turned(sides)) for sides in eyes.draw(draws, purpose))
    return np.concatenate(list(parts))


def _turned(sides):
    return np.ascontiguousarray(sides.T).view("uint8")


def _threshold(largest, alpha):
    """What so few of the ordered largest differences reach that p is at the level: float, infinite where draws are too few."""
    allowed = int(np.floor(alpha * (1 + len(largest)) + 1e-9)) - 1
    return float(largest[-1 - allowed]) if 0 <= allowed < len(largest) else float("inf")


def channel_names(count):
    """Names of the channels of a picture: tuple of str.

    Args:
        count: int.
    """
    names = {1: ("brightness",), 3: ("red", "green", "blue")}
    return names.get(count) or tuple(f"band {band + 1}" for band in range(count))


def differing(gaps, alpha):
    """Which patches differ in some channel.

    Args:
        gaps: `PatchGaps`.
        alpha: float, the level of all patches together.

    Returns:
        bool [down, across].
    """
    return (gaps.p <= alpha).any(axis=-1)


def patch_rows(gaps, alpha, most=30):
    """Patches that differ, each in the channel in which it differs most, the largest first.

    Args:
        gaps: `PatchGaps`.
        alpha: float, the level of all patches together.
        most: int, rows that are listed.

    Returns:
        list of dict of plain values.
    """
    sizes, names = np.abs(gaps.deviations), channel_names(gaps.p.shape[-1])
    channels, places = sizes.argmax(axis=-1), np.argwhere(differing(gaps, alpha)).tolist()
    rows = []
    for row, column in sorted(places, key=lambda place: -sizes[tuple(place)].max())[:most]:
        place = row, column, channels[row, column]
        rows.append(
            {
                "name": f"row {row + 1}, column {column + 1}",
                "channel": names[place[2]],
                "difference in levels of 255": float(gaps.current[place] - gaps.reference[place]),
                "difference in deviations": float(gaps.deviations[place]),
                "p": float(gaps.p[place]),
            }
        )
    return rows


def patch_words(gaps, alpha):
    """How many patches differ, and where.

    Args:
        gaps: `PatchGaps`.
        alpha: float, the level of all patches together.

    Returns:
        str.
    """
    marked = differing(gaps, alpha)
    if not marked.any():
        return f"none of {marked.size} patches differs by itself"
    count, (rows, columns) = int(marked.sum()), (np.flatnonzero(marked.any(axis=axis)) + 1 for axis in (1, 0))
    where = f"rows {rows[0]} to {rows[-1]} and columns {columns[0]} to {columns[-1]}, from the top left"
    return f"{count} of {marked.size} {'differs' if count == 1 else 'differ'}, in {where}"
