"""Chance: tables drawn as a table is, with the dependence of its columns and without any row that belongs to another one."""

import numpy as np
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from scipy.stats import rankdata

# Tables that are drawn in each of two ways, rows of a value that rows share by chance, rows by which columns are linked, and steps
# towards the correlations of the columns.
DRAWS, COMMON, MOST_ROWS, STEPS = 20, 10, 5000, 8


def drawn_tables(table, others):
    """Draw tables in which rows are alike by chance alone.

    Half of them have the rank correlations of the columns (Iman, Conover 1982, https://doi.org/10.1080/03610918208812265), as
    answers to a survey do. In the others each column depends on one other, in any way (Chow, Liu 1968,
    https://doi.org/10.1109/TIT.1968.1054142), as a model of a car does on its maker. A number that a few rows alone hold is no
    chance, and is all different in them.

    Args:
        table: float64 [rows, columns].
        others: float64 [other rows, columns], by which values are rare.

    Returns:
        iterator of float64 [rows, columns]; empty where no row could be like another one.
    """
    rare = np.stack([_is_rare(column, other) for column, other in zip(table.T, others.T)], axis=1)
    if rare.all(axis=0).any():
        return
    rng = np.random.default_rng(0)
    common = np.where(rare, rng.random(table.shape), table)
    root, codes = _correlation_root(table, rng), _codes(table, rare)
    links = _links(codes[rng.permutation(len(codes))[:MOST_ROWS]])
    for _ in range(DRAWS):
        yield _ordered_as(common, rng.normal(size=table.shape) @ root)
        yield _drawn_along(links, common, codes, rng)


def _is_rare(column, other):
    """Whether fewer than `COMMON` of the other values are this one: bool [rows]."""
    order = np.unique(np.concatenate([other, column]), return_inverse=True)[1]
    return np.bincount(order[: len(other)], minlength=order.max() + 1)[order[len(other) :]] < COMMON


def _correlation_root(table, rng):
    """A matrix that makes independent normal variables go together as the columns do: float64 [columns, columns]."""
    # A missing cell is a value as any other.
    ranks = rankdata(np.nan_to_num(table, nan=-np.inf, posinf=np.inf, neginf=-np.inf), axis=0)
    target = matrix = _correlations(ranks)
    normal = rng.normal(size=table.shape)
    for _ in range(STEPS):
        # Values of few levels go together less than what they are cut from.
        drawn = _correlations(_ordered_as(ranks, normal @ _square_root(matrix)))
        matrix = np.clip(matrix + target - drawn, -1, 1)
    return _square_root(matrix)


def _correlations(values):
    deviations = values.std(axis=0)
    standard = (values - values.mean(axis=0)) / np.where(deviations > 0, deviations, 1)
    matrix = standard.T @ standard / len(values)
    np.fill_diagonal(matrix, 1)
    return matrix


def _square_root(matrix):
    """Of the nearest matrix that correlations may be, columns of length one: float64 [columns, columns]."""
    sizes, directions = np.linalg.eigh(matrix)
    root = directions * np.sqrt(np.maximum(sizes, 0))
    return (root / np.linalg.norm(root, axis=1, keepdims=True)).T


def _ordered_as(table, scores):
    """The values of each column in the order of its scores: float64 [rows, columns]."""
    ordered = np.empty_like(table)
    np.put_along_axis(ordered, scores.argsort(axis=0), np.sort(table, axis=0), axis=0)
    return ordered


def _codes(table, rare):
    """Numbers of the values of each column, one for all that are rare: int [rows, columns]."""
    numbers = np.stack([np.unique(column, return_inverse=True)[1] for column in table.T], axis=1)
    codes = np.where(rare, 0, numbers + 1)
    # Few bytes, which are sorted fast.
    return codes.astype(np.min_scalar_type(codes.max()))


def _links(codes):
    """Each column, and the one that it is drawn by, of the tree with most mutual information: list of (int, int or None)."""
    columns = range(codes.shape[1])
    entropies = [_entropy(codes[:, [column]]) for column in columns]
    shared = np.zeros([len(columns)] * 2)
    for first in columns:
        for second in range(first):
            shared[second, first] = entropies[first] + entropies[second] - _entropy(codes[:, [first, second]])
    lengths = np.triu(1 + shared.max() - shared, 1)
    order, parents = breadth_first_order(minimum_spanning_tree(lengths), 0, directed=False)
    return [(column, parents[column] if parents[column] >= 0 else None) for column in order]


def _entropy(codes):
    """The entropy of rows, with what few rows hide of it (Miller 1955): float, nats."""
    counts = np.unique(codes, axis=0, return_counts=True)[1]
    shares = counts / len(codes)
    return float(-(shares * np.log(shares)).sum() + (len(counts) - 1) / (2 * len(codes)))


def _drawn_along(links, table, codes, rng):
    """Each column exchanged among the rows with one value of the column it is drawn by: float64 [rows, columns]."""
    sources = np.empty(codes.shape, dtype=int)
    for column, parent in links:
        if parent is None:
            sources[:, column] = rng.permutation(len(table))
            continue
        before, after = codes[:, parent], codes[sources[:, parent], parent]
        taken, placed = (_sorted_places(values, rng) for values in (before, after))
        sources[placed, column] = taken
    return np.take_along_axis(table, sources, axis=0)


def _sorted_places(values, rng):
    """Places of the values in their order, equal ones in any: int [rows]."""
    places = rng.permutation(len(values))
    return places[np.argsort(values[places], kind="stable")]
