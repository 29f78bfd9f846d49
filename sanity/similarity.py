"""Similarity: how alike two maps of one image are, (PooledMap, PooledMap) -> float; nan where that is undefined.

Read every measure against its own null: what ties alone reach, and what two random networks reach.
"""

import functools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from lab.registry import Registry

measures = Registry("similarity")

# Pixels that the window of `ssim` reaches to each side, and the constants of its paper for values in 0..1.
REACH, C1, C2 = 5, 0.01**2, 0.03**2
# Below this many values a rank correlation says nothing.
FEWEST = 8


@dataclass(frozen=True)
class PooledMap:
    """One map with its channels pooled, as measures take it.

    Its mid-ranks are computed once; they are None where it is constant.

    Args:
        signed: float [rows, columns].
        unsigned: float [rows, columns].
        input: float [rows, columns], magnitude of the input, where it has the map's resolution; else None.
    """

    signed: np.ndarray
    unsigned: np.ndarray
    input: np.ndarray | None = None

    def alone(self):
        """The same map in memory of its own, without the maps beside it in a batch and without ranks: `PooledMap`."""
        return PooledMap(*(None if part is None else part.copy() for part in (self.signed, self.unsigned, self.input)))

    @cached_property
    def input_ranks(self):
        """Mid-ranks of the input's magnitude: float64 [positions], None where it is constant or unknown."""
        return None if self.input is None else _shared_ranks(self.input.tobytes(), self.input.dtype.str)

    @cached_property
    def signed_ranks(self):
        """Mid-ranks of the signed map: float64 [positions], None where it is constant."""
        return _ranks(self.signed.ravel())

    @cached_property
    def unsigned_ranks(self):
        """Mid-ranks of the absolute map: float64 [positions], None where it is constant."""
        return _ranks(self.unsigned.ravel())

    @cached_property
    def scaled(self):
        """The absolute map for `ssim`, clipped at its 99th percentile, 0..1: float64; None where it is constant."""
        return _scale(self.unsigned)

    @cached_property
    def local_means(self):
        """The Gaussian means around every position of the scaled map and of its square: two float64 of its shape."""
        return _smooth(self.scaled), _smooth(self.scaled * self.scaled)

    @cached_property
    def has_no_zeros(self):
        """Whether no value is zero, so that the joint support is the other map's."""
        return bool((self.unsigned != 0).all())


@measures.register
def joint_abs_spearman(a, b):
    """Rank correlation of absolute values where both maps are non-zero: no reward for agreeing on zeros. The measure that decides.

    Args:
        a: a `PooledMap`.
        b: another one of the same shape.

    Returns:
        float in -1..1, nan for a map that is constant.
    """
    if a.has_no_zeros and b.has_no_zeros:
        return abs_spearman(a, b)
    both = (a.unsigned != 0) & (b.unsigned != 0)
    return _correlation(_ranks(a.unsigned[both]), _ranks(b.unsigned[both]))


@measures.register
def signed_spearman(a, b):
    """Rank correlation of signed values, mid-ranks for ties: a change of sign alone makes it fall.

    Args:
        a: a `PooledMap`.
        b: another one of the same shape.

    Returns:
        float in -1..1, nan for a map that is constant.
    """
    return _correlation(a.signed_ranks, b.signed_ranks)


@measures.register
def abs_spearman(a, b):
    """Rank correlation of absolute values, mid-ranks for ties, as in most papers; read it beside `tie_null`.

    Args:
        a: a `PooledMap`.
        b: another one of the same shape.

    Returns:
        float in -1..1, nan for a map that is constant.
    """
    return _correlation(a.unsigned_ranks, b.unsigned_ranks)


@measures.register
def partial_abs_spearman(a, b):
    """Rank correlation of absolute values, the input's magnitude partialled out: for maps that multiply by the input.

    Args:
        a: a `PooledMap`.
        b: another one of the same shape.

    Returns:
        float in -1..1, nan where the input is unknown or explains one map whole.
    """
    ranks = (a.unsigned_ranks, b.unsigned_ranks, a.input_ranks)
    if any(values is None for values in ranks):
        return float("nan")
    both, first, second = (_correlation(ranks[one], ranks[other]) for one, other in ((0, 1), (0, 2), (1, 2)))
    rest = (1 - first**2) * (1 - second**2)
    return float((both - first * second) / np.sqrt(rest)) if rest > 1e-9 else float("nan")


@measures.register
def ssim(a, b):
    """Structural similarity of absolute values (Wang, Bovik, Sheikh, Simoncelli 2004, https://doi.org/10.1109/TIP.2003.819861).

    Maps are clipped at their 99th percentile and scaled to 0..1. The window is Gaussian, 1.5 pixels.

    Args:
        a: a `PooledMap`.
        b: another one of the same shape.

    Returns:
        float in -1..1, nan for maps smaller than the window.
    """
    if min(a.unsigned.shape) < 2 * REACH + 1 or a.scaled is None or b.scaled is None:
        return float("nan")
    # As skimage's structural_similarity, with what belongs to one map computed once for all pairs: a fifth of the time.
    (mean_a, square_a), (mean_b, square_b) = a.local_means, b.local_means
    shared = _smooth(a.scaled * b.scaled) - mean_a * mean_b
    spread_a, spread_b = square_a - mean_a * mean_a, square_b - mean_b * mean_b
    alike = (2 * mean_a * mean_b + C1) * (2 * shared + C2)
    values = alike / ((mean_a**2 + mean_b**2 + C1) * (spread_a + spread_b + C2))
    return float(values[(slice(REACH, -REACH),) * values.ndim].mean(dtype="float64"))


def tie_fraction(a):
    """Share of a map's values that are exactly zero: float."""
    return float(np.mean(np.asarray(a) == 0))


def tie_null(a, b):
    """The abs_spearman that independent maps reach by agreeing on their zeros alone.

    It is 3q / (3q + p^2) with p the share that is not zero and q = 1 - p.

    Args:
        a: float array, the absolute values of a map.
        b: those of another, of the same shape.

    Returns:
        float, nan where all values are zero.
    """
    share = float(np.mean((a != 0) | (b != 0)))
    return 3 * (1 - share) / (3 * (1 - share) + share**2) if share else float("nan")


def _ranks(values):
    """Mid-ranks, centred and of unit length: float64; None where a rank correlation would say nothing."""
    if len(values) < FEWEST or not np.isfinite(values).all() or (values == values[0]).all():
        return None
    ranks = mid_ranks(values)
    ranks -= ranks.mean()
    return ranks / np.sqrt(_inner(ranks, ranks))


# Of a few inputs, because maps under all weights and of all methods stand beside the same ones.
@functools.lru_cache(maxsize=32)
def _shared_ranks(content, dtype):
    """As `_ranks`, of the bytes of an array. The array that is returned is read-only."""
    ranks = _ranks(np.frombuffer(content, dtype))
    if ranks is not None:
        ranks.flags.writeable = False
    return ranks


def mid_ranks(values):
    """The rank of each value from 1, equal values at their mean rank, as `scipy.stats.rankdata`, in two thirds of its time.

    Args:
        values: float [values], finite.

    Returns:
        float64 [values].
    """
    # Zeros are the usual ties. With many of them a quicksort takes twice as long, and without them half.
    order = np.argsort(values, kind="quicksort" if values.all() else "stable")
    ordered, ranks = values[order], np.empty(len(values))
    starts = np.concatenate([[0], 1 + np.flatnonzero(ordered[1:] != ordered[:-1])])
    counts = np.diff(starts, append=len(values))
    ranks[order] = np.repeat(starts + (counts + 1) / 2, counts)
    return ranks


def _correlation(a, b):
    return float("nan") if a is None or b is None else float(np.clip(_inner(a, b), -1, 1))


def _inner(a, b):
    # Not by BLAS, whose threads wait for each other: on a busy machine they took a thousand times as long.
    return np.einsum("i,i->", a, b)


def _smooth(values):
    return ndimage.gaussian_filter(values, 1.5, mode="reflect", truncate=3.5)


def _scale(a):
    """Clipped at the 99th percentile, 0..1; None for a map that is constant, or all zero but for its last hundredth."""
    top = np.percentile(a, 99)
    return np.clip(a.astype("float64") / top, 0, 1) if top > 0 and a.min() < a.max() else None
