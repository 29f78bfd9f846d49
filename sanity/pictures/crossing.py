"""Crossing of units: unit A's pictures and natural images against those of other units. What all have in common cancels.

The contrast is s(A, A) - s(A, C) - s(B, A) + s(B, C). There s(X, Y) is how well the pictures of X match the natural
images of Y. It is averaged over the other units B that are not C. In the plain double dissociation B is C. There a
wrong picture of A would gain from the right ones of C, by s(C, C).
"""

import numpy as np

from sanity.evidence import Gate
from sanity.pictures import sources
from sanity.statistics import FEWEST, jackknife

# The axis of units in what `judge_units` measures.
OF_UNITS = {"decided": 1, "rival": 0, "lead": 1}


def gates(study):
    """Whether a study has enough units, and natural images from enough sources, to be crossed: tuple of `Gate`."""
    units = len(study.units)
    words = f"{units} {'unit' if units == 1 else 'units'}; needed: {FEWEST}, name more of the layer"
    return sources.gate(study), Gate("units to cross", "passed" if units >= FEWEST else "failed", words)


def crossings(likeness, replaced=None):
    """How much better A's pictures match A's natural images than C's, beyond what the pictures of other units do.

    Args:
        likeness: float [units, units], of the pictures of the first unit with the natural images of the second; three
            units or more.
        replaced: float [units, units], rows that replace each unit's own while all others stay, or None.

    Returns:
        float64 [units, units], A by C, nan on the diagonal.
    """
    likeness = np.asarray(likeness, "float64")
    rows = likeness if replaced is None else np.asarray(replaced, "float64")
    return _contrasts(rows, _other_rows(likeness) - _other_rows(likeness, swapped=True))


def vector_crossings(rows, pictures, natural, likeness=None):
    """`crossings` of vectors by their products, corrected for what separates all pictures from all natural images.

    The rows may lie nearer to natural images than to pictures. They are compared with the nearest point on the line
    through the means of the other units' pictures and natural images.

    Args:
        rows: float [units, numbers], what replaces the pictures of each unit while those of all others stay.
        pictures: float [units, numbers], the mean of the pictures of each unit.
        natural: float [units, numbers], the mean of the natural images of each unit.
        likeness: float [units, units], of the rows with the natural images, or None: their products.

    Returns:
        float64 [units, units], A by C, nan on the diagonal.
    """
    row_natural, picture_natural, within = rows @ natural.T, pictures @ natural.T, natural @ natural.T
    across = _other_products(picture_natural)
    near, length = (
        across - _other_products(within),
        _other_products(pictures @ pictures.T) - 2 * across + _other_products(within),
    )
    along = _other_columns(rows @ pictures.T) - _other_columns(row_natural) - near
    place = np.divide(along, length, out=np.zeros_like(along), where=length > 1e-12)
    gaps = [_other_rows(products) - _other_rows(products, swapped=True) for products in (within, picture_natural)]
    expected = gaps[0] + place * (gaps[1] - gaps[0])
    return _contrasts(row_natural if likeness is None else likeness, expected)


def judge_units(crossed, by_source, images):
    """Each unit's share of what its own held-out natural images reach, and the other unit that its pictures match best.

    Args:
        crossed: float [2, units, units], the crossings of the pictures and of held-out natural images in their place.
        by_source: float [sources, 2, units, units], the same without one source. The other units are these, no sample
            of units.
        images: int, natural images a unit, each of its own source.

    Returns:
        share: float64 [3, units], with its interval, nan where held-out natural images do not match their own unit.
        rival: int [units], the place of the other unit.
        lead: float64 [3, units], over the rival, with its interval.
    """
    means, mean = np.nanmean(by_source, axis=-1), np.nanmean(crossed, axis=-1)
    reachable = jackknife(mean[1], means[:, 1], images - 1)
    share = jackknife(_ratio(*mean), _ratio(means[:, 0], means[:, 1]), images - 1)
    share = np.where(reachable[1] > 0, share, np.nan)
    lead = jackknife(crossed[0], by_source[:, 0], images - 1)
    rival = np.nanargmin(lead[2], axis=1)
    return share, rival, np.take_along_axis(lead, rival[None, :, None], axis=2)[..., 0]


def permutation_null(likeness, seed, draws):
    """Mean likeness of units' pictures with their own natural images less that with all, under permuted pictures.

    Args:
        likeness: float [units, units].
        seed: int.
        draws: int, permutations.

    Returns:
        float64 [1 + draws], the observed one first.
    """
    rng, units = np.random.default_rng(seed), np.arange(len(likeness))
    orders = np.stack([units, *(rng.permutation(units) for _ in range(draws))])
    return likeness[orders, units].mean(axis=1) - likeness.mean()


def _ratio(reached, reachable):
    return reached / np.where(reachable > 0, reachable, np.nan)


def _contrasts(rows, expected):
    crossed = np.diag(rows)[:, None] - rows - expected
    np.fill_diagonal(crossed, np.nan)
    return crossed


def _other_rows(values, swapped=False):
    """Mean of a column over the rows that are neither A nor C, the column of A (swapped: of C): [A, C]."""
    sums, diagonal = values.sum(axis=0), np.diag(values)
    if swapped:
        return (sums[None] - diagonal[None] - values) / (len(values) - 2)
    return (sums[:, None] - diagonal[:, None] - values.T) / (len(values) - 2)


def _other_columns(values):
    """Mean of the row of A over the columns that are neither A nor C: [A, C]."""
    return (values.sum(axis=1)[:, None] - np.diag(values)[:, None] - values) / (len(values) - 2)


def _other_products(products):
    """Product of the means over the rows and over the columns that are neither A nor C: [A, C]."""
    sums, diagonal = products.sum(axis=0) + products.sum(axis=1), np.diag(products)
    rest = products.sum() - sums[:, None] - sums[None] + diagonal[:, None] + diagonal[None] + products + products.T
    return rest / (len(products) - 2) ** 2
