"""Worst group: the loss of a model in the protected group where it is largest, beside what chance makes of equal groups."""

import numpy as np

from sanity.audit.permutation import exchange_rows

# Groups of fewer rows are not shown, since a count of a few people may name them.
FEWEST = 10
MISSING = "not stated"
DRAWS = 200


def group_names(column):
    """The group of each row: object [rows]. A missing one is a group by itself, and numbers are cut at their quartiles."""
    if column.is_category:
        names = np.array([*column.levels, MISSING], object)
        return names[np.where(column.missing, len(column.levels), np.nan_to_num(column.values)).astype(int)]
    cuts = np.quantile(column.values[~column.missing], (0.25, 0.5, 0.75)) if (~column.missing).any() else np.zeros(3)
    names = np.array(["first quarter", "second quarter", "third quarter", "fourth quarter", MISSING], object)
    return names[np.where(column.missing, 4, np.searchsorted(cuts, column.values))]


def worst_groups(models, rows, *, seed, draws=DRAWS):
    """The largest mean loss of each model over the groups of each protected column.

    The worst of several equal groups is worse than all rows, so that the mean of the worst is shown for groups that units
    have exchanged.

    Args:
        models: dict of name to float64 [rows], losses.
        rows: `Rows`.
        seed: int.
        draws: int, exchanges of groups between units.

    Returns:
        list of dict: column, model, loss of all rows, worst group, its rows, its loss, and the worst of equal groups.
    """
    table = []
    for column in rows.protected:
        names, groups = np.unique(group_names(column).astype(str), return_inverse=True)
        counts = np.bincount(groups)
        if (counts >= FEWEST).sum() < 2:
            continue
        orders = list(exchange_rows(rows.units, draws, seed=seed))
        for model, values in models.items():
            means = _means(values, groups, counts)
            worst = int(np.argmax(means))
            chance = np.mean([_means(values, groups[order], None).max() for order in orders])
            table.append(
                {
                    "column": column.name,
                    "model": model,
                    "all rows": float(values.mean()),
                    "worst group": str(names[worst]),
                    "rows": int(counts[worst]),
                    "loss there": float(means[worst]),
                    "worst of equal groups": float(chance),
                }
            )
    return table


def _means(values, groups, counts):
    counts = np.bincount(groups) if counts is None else counts
    return np.where(counts >= FEWEST, np.bincount(groups, values) / np.maximum(counts, 1), -np.inf)
