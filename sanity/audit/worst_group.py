"""Worst group: the loss of a model in the protected group where it is largest, beside what chance makes of equal groups."""

import numpy as np

from sanity.audit.groups import group_by
from sanity.audit.permutation import exchange_rows
from sanity.audit.small_counts import FEWEST

DRAWS = 200


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
        grouping = group_by(column)
        names, groups, counts = grouping.names, grouping.codes, grouping.counts
        if (counts >= FEWEST).sum() < 2:
            continue
        chance = dict.fromkeys(models, 0.0)
        for order in exchange_rows(rows.units, draws, seed=seed):
            exchanged = groups[order]
            sizes = np.bincount(exchanged)
            for model, values in models.items():
                chance[model] += _means(values, exchanged, sizes).max() / draws
        for model, values in models.items():
            means = _means(values, groups, counts)
            worst = int(np.argmax(means))
            table.append(
                {
                    "column": column.name,
                    "model": model,
                    "all rows": float(values.mean()),
                    "worst group": names[worst],
                    "rows": int(counts[worst]),
                    "loss there": float(means[worst]),
                    "worst of equal groups": float(chance[model]),
                }
            )
    return table


def _means(values, groups, counts):
    return np.where(counts >= FEWEST, np.bincount(groups, values) / np.maximum(counts, 1), -np.inf)
