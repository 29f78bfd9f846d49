"""Exchange: errors that rows receive from other rows, within groups in which errors are compared: the null of a search for slices."""

import numpy as np
from scipy import stats

from sanity.audit.permutation import exchange_rows
from sanity.shortcuts.exchange import mixed_groups

# Parts of confidence that errors are compared within.
FIFTHS = 5


def group_codes(rows, beyond="label"):
    """Groups of rows that errors are compared within, so that what is known to be hard is not found again.

    Args:
        rows: `Rows`, all labelled.
        beyond: "label", so that a hard class is not found again as a slice that goes with it; "confidence", for the predicted
            class and the fifth of its probability; or "none". Of a regression there is one group.

    Returns:
        int [rows], from 0 on.
    """
    if rows.is_regression or beyond == "none":
        return np.zeros(len(rows), int)
    if beyond == "label":
        return np.unique(rows.labels, return_inverse=True)[1]
    ranks = stats.rankdata(rows.probabilities.max(axis=1))
    fifth = ((ranks - 0.5) / len(rows) * FIFTHS).astype(int)
    return np.unique(rows.predicted * FIFTHS + fifth, return_inverse=True)[1]


def centred_errors(errors, groups):
    """Errors less the mean of their group.

    Args:
        errors: float64 [rows].
        groups: int [rows], from 0 on.

    Returns:
        float64 [rows].
    """
    means = np.bincount(groups, errors) / np.maximum(np.bincount(groups), 1)
    return errors - means[groups]


def searched_errors(rows, groups):
    """What is searched: errors less the mean of their group, of a regression in units of their deviation.

    Args:
        rows: `Rows`, all labelled.
        groups: int [rows], as of `group_codes`.

    Returns:
        float64 [rows].
    """
    errors = centred_errors(rows.errors, groups)
    return errors / max(errors.std(), 1e-300) if rows.is_regression else errors


def unit_strata(units, groups):
    """Units by their group, where all rows of each unit have the same one.

    Args:
        units: int [rows].
        groups: int [rows].

    Returns:
        int [units], or None where a unit has rows of several groups.
    """
    first, numbers = np.unique(units, return_index=True, return_inverse=True)[1:]
    return None if mixed_groups(groups, numbers).any() else groups[first]


class Exchange:
    """Errors that rows receive from other rows.

    Groups differ in how often they are wrong: a class that is always told has no errors to give. There are two ways to give the
    error of another group. By its distance from the mean of its group, in deviations of the row's own: what is alike in a unit
    stays alike, and the largest are larger. Or by its rank, where equal errors have ranks by chance: each group keeps the errors
    that it had, and a unit becomes less alike. So exchanged errors are given by distance, or the null would be too narrow for
    units with rows of several groups; errors that are moved down the file are given by rank, or it would alarm by itself.

    Args:
        errors: float64 [rows], less the mean of their group.
        groups: int [rows], from 0 on.
    """

    def __init__(self, errors, groups):
        self.errors, self.groups, self.sizes = errors, groups, np.bincount(groups)
        order = np.lexsort((np.random.default_rng(len(errors)).random(len(errors)), errors, groups))
        self.ordered, self.starts = errors[order], np.cumsum(self.sizes) - self.sizes
        self.rank = np.empty(len(errors))
        self.rank[order] = (np.arange(len(errors)) - self.starts[groups[order]] + 0.5) / self.sizes[groups[order]]
        self.spread = np.sqrt(np.bincount(groups, errors**2) / np.maximum(self.sizes, 1))[groups]
        scaled = np.divide(errors, self.spread, out=np.zeros_like(errors), where=self.spread > 1e-12)
        self.scaled = scaled / max(scaled.std(), 1e-300)

    def moved(self, order):
        """Errors that rows of other groups may have given, by rank, less the mean of each group.

        Args:
            order: int [rows], the row whose error each row receives.

        Returns:
            float64 [rows].
        """
        places = self.starts[self.groups] + (self.rank[order] * self.sizes[self.groups]).astype(int)
        return centred_errors(self.ordered[places], self.groups)

    def draws(self, units, draws, *, seed):
        """Errors exchanged between units, within their group where each unit has one.

        Args:
            units: int [rows].
            draws: int.
            seed: int.

        Returns:
            iterator of float64 [rows].
        """
        strata = unit_strata(units, self.groups)
        for order in exchange_rows(units, draws, seed=seed, strata=strata):
            if strata is None:
                yield centred_errors(self.scaled[order] * self.spread, self.groups)
            else:
                yield self.errors[order]
