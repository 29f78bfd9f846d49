"""Patches: where in the picture current ones differ from the reference, with one threshold for all patches and channels.

A difference picture by itself has bright places where nothing is, since some patch of hundreds is always the largest. Here units
are exchanged between the sets, as the eyes of `sanity.audit.eyes` do, and the largest difference of each exchange is what a patch
has to exceed (max-T: Westfall, Young 1993).
"""

from dataclasses import dataclass

import numpy as np

from sanity.audit.eyes import EYES
from sanity.audit.permutation import p_among

# Patches along the longer side of a picture.
MOST = 14


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


def compare_patches(eyes, sight, alpha):
    """Which patches differ, by the exchanges of units that the eyes saw.

    Args:
        eyes: `sanity.audit.eyes.Eyes`, with patches.
        sight: `sanity.audit.eyes.Sight`, what they saw.
        alpha: float, the level of all patches together.

    Returns:
        `PatchGaps`.
    """
    side, patches = eyes.encoded.is_current, eyes.encoded.patches
    reference, current = (patches[rows].mean(axis=0, dtype="float64") for rows in (~side, side))
    deviations = (current - reference) / eyes.scales[2][1].reshape(reference.shape)
    largest = np.sort(sight.statistics[1:, EYES.index("patches")])
    return PatchGaps(reference, current, deviations, p_among(largest, np.abs(deviations)), _threshold(largest, alpha))


def planted_marks(eyes, sight, sides, amounts, *, seed):
    """What eyes see of sides that were dealt at random, after one patch of the current pictures became brighter in one colour.

    The other eyes see what they saw, so that what they would add is not counted.

    Args:
        eyes: `sanity.audit.eyes.Eyes`, with patches.
        sight: `sanity.audit.eyes.Sight` whose copies are these sides.
        sides: bool [copies, rows].
        amounts: float64 [copies], by how many deviations of the patch among pictures.
        seed: int.

    Returns:
        float64 [copies, eyes].
    """
    marked, eye = sight.copies.copy(), EYES.index("patches")
    places = np.random.default_rng(seed).integers(eyes.patches.shape[1], size=len(sides))
    for row, side, place, amount in zip(marked, sides, places, amounts):
        values = eyes.patches[:, place].astype("float64")
        moved = values[side].mean() - values[~side].mean() + amount * values.std()
        row[eye] = max(row[eye], abs(moved) / eyes.scales[2][1][place])
    return marked


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
    where = f"{_span('row', rows)} and {_span('column', columns)}, from the top left"
    return f"{count} of {marked.size} {'differs' if count == 1 else 'differ'}, in {where}"


def _span(noun, places):
    """Places from the first to the last in words: str."""
    return f"{noun} {places[0]}" if places[0] == places[-1] else f"{noun}s {places[0]} to {places[-1]}"
