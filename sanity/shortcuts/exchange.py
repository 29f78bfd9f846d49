"""Exchange: labels put anew onto rows, so that copies of a picture, or rows of one day, move together.

Where labels are the same within every group, groups exchange them whole. In a group with several labels the names of its classes
are permuted, so that rows that share a group and a label, such as photographs of one lesion, still share a label.
"""

import functools
from dataclasses import dataclass

import numpy as np

# Each size of mixed groups is this much larger than the one before; rows between two of them are left out.
STEP = 1.25


@dataclass(frozen=True)
class Exchange:
    """The labels of some rows, and the groups that exchange them.

    Args:
        labels: int [rows], classes from 0 on.
        groups: int [rows], groups from 0 on.
    """

    labels: np.ndarray
    groups: np.ndarray

    @functools.cached_property
    def is_whole(self):
        """Whether every group has one label: bool."""
        return not mixed_groups(self.labels, self.groups).any()

    @property
    def units(self):
        """How many groups there are that can exchange labels, with another group or within themselves: int."""
        mixed = mixed_groups(self.labels, self.groups)
        return sum(
            len(members) if len(members) > 1 else int(mixed[self.groups[members[0, 0]]]) for members in self._strata
        )

    @functools.cached_property
    def _strata(self):
        """Groups that exchange labels with each other: list of int [groups, rows of a group], or of one row a group."""
        order = np.argsort(self.groups, kind="stable")
        rows = np.split(order, np.flatnonzero(np.diff(self.groups[order])) + 1)
        if self.is_whole:
            return [np.array([members[0] for members in rows])[:, None]]
        sizes = sorted({len(members) for members in rows})
        return [np.stack([members for members in rows if len(members) == size]) for size in sizes]

    def arrange(self, group_keys, row_keys, ranks=None):
        """Labels in the order of keys: random keys give a random exchange, keys that follow a view plant a relation with it.

        Args:
            group_keys: float [groups].
            row_keys: float [rows].
            ranks: int [classes], which class is put at low keys; None: in their order.

        Returns:
            int [rows].
        """
        labels = self.labels if ranks is None else ranks[self.labels]
        arranged = np.empty_like(labels)
        for members in self._strata:
            blocks = np.sort(labels[members], axis=1)
            blocks = blocks[np.argsort(blocks.mean(axis=1), kind="stable")]
            receivers = members[np.argsort(group_keys[self.groups[members[:, 0]]], kind="stable")]
            within = np.argsort(row_keys[receivers], axis=1, kind="stable")
            arranged[np.take_along_axis(receivers, within, axis=1)] = blocks
        if self.is_whole:
            first = np.unique(self.groups, return_index=True)[1]
            arranged = arranged[first][self.groups]
        return arranged if ranks is None else np.argsort(ranks)[arranged]

    def draw(self, rng):
        """A random exchange of labels.

        Rows of one group and one label may be alike, as photographs of one lesion are, and keep a label in common: in a group with
        several labels their names are permuted, and groups with one label exchange it with each other.

        Args:
            rng: `numpy.random.Generator`.

        Returns:
            int [rows].
        """
        if self.is_whole:
            return self.arrange(rng.random(self.groups.max() + 1), rng.random(len(self.groups)))
        exchanged, mixed = self.labels.copy(), mixed_groups(self.labels, self.groups)
        for group in np.flatnonzero(mixed):
            rows = self.groups == group
            classes = np.unique(self.labels[rows])
            exchanged[rows] = rng.permutation(classes)[np.searchsorted(classes, self.labels[rows])]
        whole, first = np.flatnonzero(~mixed), np.unique(self.groups, return_index=True)[1]
        of_group = np.zeros(len(mixed), self.labels.dtype)
        of_group[whole] = rng.permutation(self.labels[first[whole]])
        return np.where(mixed[self.groups], exchanged, of_group[self.groups])


def mixed_groups(labels, groups):
    """Which groups have several labels.

    Args:
        labels: int [rows].
        groups: int [rows], from 0 on.

    Returns:
        bool [groups].
    """
    lowest, highest = np.full(groups.max() + 1, labels.max()), np.zeros(groups.max() + 1, labels.dtype)
    np.minimum.at(lowest, groups, labels)
    np.maximum.at(highest, groups, labels)
    return lowest != highest


def comparable_rows(labels, groups, rng):
    """Rows to keep, so that groups with several labels have sizes that others have too, and can exchange labels.

    Args:
        labels: int [rows].
        groups: int [rows], from 0 on.
        rng: `numpy.random.Generator`, which draws the rows that are left out.

    Returns:
        int [rows], all of them where every group has one label.
    """
    if not mixed_groups(labels, groups).any():
        return np.arange(len(labels))
    kept = [rng.permutation(np.flatnonzero(groups == group)) for group in np.unique(groups)]
    return np.sort(np.concatenate([rows[: _rounded(len(rows))] for rows in kept]))


def _rounded(size):
    """The largest of 1, 2, ..., 7, 8, 10, 12, 15, 18, ... that is not above a size: int."""
    allowed = 1
    while (larger := max(allowed + 1, int(allowed * STEP))) <= size:
        allowed = larger
    return allowed
