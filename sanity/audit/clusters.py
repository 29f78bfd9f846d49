"""Clusters: groups of rows by a network's activations alone, and what is frequent in them.

Domino (Eyuboglu et al. 2022, https://arxiv.org/abs/2203.14960) assigns rows by activations, label and prediction, so that a row may
belong to a cluster because it is an error. Here neither is known, so that errors may be exchanged over clusters as over slices.
"""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from sanity.audit.components import principal_axes
from sanity.audit.search import search_slices
from sanity.audit.slices import ROWS, SHARE, UNITS, Predicates, Slices, list_conditions
from sanity.audit.swaps import sample_units
from sanity.seeds import derive_seed

# Principal components at most, rows of one, numbers of clusters that are tried, and rows that they are fitted to
# and that tell what is frequent.
COMPONENTS, PER_COMPONENT, COUNTS, MOST = 50, 10, (1, 2, 3, 4, 6, 8, 10, 13, 16, 20, 25), 10_000
# What is frequent in a cluster: draws, and words of each.
DRAWS, WORDS = 199, 3
# Rows of a cluster that are shown.
SHOWN = 12


def fit_clusters(rows, *, seed):
    """A mixture of Gaussians of the principal components of activations, as many as BIC says.

    Args:
        rows: `Rows` with features.
        seed: int.

    Returns:
        int [rows], the cluster of each row; float64 [rows], how central it is there, larger is more.
    """
    order = np.array(sorted(range(len(rows)), key=_keys(rows.features).__getitem__))
    # Rows in another order are the same rows.
    components = principal_components(rows.features[order])
    fitted = components
    if len(rows) > MOST:
        fitted = components[np.random.default_rng(derive_seed(seed, "rows")).choice(len(rows), MOST, replace=False)]
    with threadpool_limits(1), warnings.catch_warnings():
        # Of fewer distinct rows than clusters. BIC takes another number.
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixtures = [_fit(fitted, count, seed) for count in COUNTS if count * ROWS <= len(rows)]
        best = mixtures[int(np.argmin([mixture.bic(fitted) for mixture in mixtures]))]
        members = best.predict(components)
    deviations = (components - best.means_[members]) / np.sqrt(best.covariances_[members])
    back = np.argsort(order)
    return members[back], -(deviations**2).sum(axis=1)[back]


def _keys(features):
    return [row.tobytes() for row in np.ascontiguousarray(features, "float32")]


def _fit(components, count, seed):
    mixture = GaussianMixture(
        count, covariance_type="diag", reg_covar=1e-4, max_iter=200, tol=1e-3, random_state=seed % 2**32
    )
    return mixture.fit(components)


def principal_components(features):
    """The largest principal components of activations, in units of the first one's deviation.

    Args:
        features: float [rows, channels].

    Returns:
        float64 [rows, components], one at least.
    """
    centred = np.asarray(features, "float64") - features.mean(axis=0)
    most = min(COMPONENTS, max(1, len(centred) // PER_COMPONENT))
    variances, axes = principal_axes(centred, most, floor=1e-9)
    return centred @ axes / max(np.sqrt(variances[0]), 1e-300)


def list_clusters(members, units):
    """Clusters that are large enough to be searched, as slices.

    Args:
        members: int [rows].
        units: int [rows].

    Returns:
        `Slices`.
    """
    masks = members == np.unique(members)[:, None]
    large = [mask for mask in masks if mask.sum() >= max(ROWS, SHARE * len(mask)) and mask.mean() <= 1 - SHARE]
    large = [mask for mask in large if min(len(np.unique(units[mask])), len(np.unique(units[~mask]))) >= UNITS]
    places = np.arange(len(large))
    names = [f"cluster {place + 1}" for place in places]
    holds = np.array(large, bool).reshape(len(large), len(units))
    return Slices(Predicates(names, places, holds), np.stack([places, places], axis=1))


def frequent_conditions(mask, rows, *, alpha, seed):
    """Values of columns, labels and predicted classes that are more frequent in a cluster than elsewhere.

    Membership is exchanged between units, and the largest of all conditions is compared. Of very many rows some are looked at, drawn
    by unit.

    Args:
        mask: bool [rows].
        rows: `Rows`.
        alpha: float.
        seed: int.

    Returns:
        list of (str, float, float): a condition, its share inside and its share elsewhere, three at most.
    """
    kept = sample_units(rows.units, seed=derive_seed(seed, "kept"), rows=MOST)
    mask, rows = mask[kept], rows.take(kept)
    conditions = list_conditions(rows)
    if not len(conditions) or not mask.any():
        return []
    member = mask - mask.mean()
    nothing = np.zeros(len(rows), int)
    search = search_slices(conditions, member, rows.units, nothing, draws=DRAWS, seed=seed)
    order = np.argsort(-search.distance, kind="stable")[:WORDS]
    holds = conditions.conditions.holds
    return [
        (conditions.name(place), float(holds[place][mask].mean()), float(holds[place][~mask].mean()))
        for place in order
        if search.p[place] <= alpha
    ]


def central_rows(mask, centrality):
    """The most central rows of a cluster.

    Args:
        mask: bool [rows].
        centrality: float64 [rows].

    Returns:
        int [12] or fewer.
    """
    members = np.flatnonzero(mask)
    return members[np.argsort(-centrality[members], kind="stable")][:SHOWN]


def other_rows(mask, *, seed):
    """As many rows elsewhere, drawn at random.

    Args:
        mask: bool [rows].
        seed: int.

    Returns:
        int [12] or fewer.
    """
    others = np.flatnonzero(~mask)
    return np.sort(np.random.default_rng(seed).permutation(others)[:SHOWN])
