"""Exchange: labels put anew onto rows, so that copies of a picture, or rows of one day, move together.

Where labels are the same within every group, groups exchange them whole. In a group with several labels the names of its classes
are permuted, so that rows that share a group and a label, such as photographs of one lesion, still share a label.
"""

import functools
from dataclasses import dataclass

import numpy as np


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
    def blocks(self):
        """The block of each row: rows that share a group and a label: int [rows], from 0 on."""
        return np.unique(np.stack([self.groups, self.labels]), axis=1, return_inverse=True)[1].ravel()

    @functools.cached_property
    def _of_blocks(self):
        """The group and the label of each block: int [blocks], int [blocks]."""
        first = np.unique(self.blocks, return_index=True)[1]
        return self.groups[first], self.labels[first]

    @functools.cached_property
    def _circles(self):
        """Blocks that exchange their labels with each other: those of one group, and those of all groups that are one: list of int."""
        groups, _ = self._of_blocks
        mixed = np.bincount(groups)[groups] > 1
        circles = [np.flatnonzero(groups == group) for group in np.unique(groups[mixed])]
        return [*circles, np.flatnonzero(~mixed)]

    @property
    def units(self):
        """How many groups there are that can exchange labels, with another group or within themselves: int."""
        *mixed, whole = self._circles
        return len(mixed) + (len(whole) if len(whole) > 1 else 0)

    def arrange(self, keys, ranks=None):
        """Labels in the order of keys: random keys give a random exchange, keys that follow a view plant a relation with it.

        Args:
            keys: float [blocks].
            ranks: int [classes], which class is put at low keys; None: in their order.

        Returns:
            int [rows].
        """
        _, labels = self._of_blocks
        arranged = np.empty_like(labels)
        for circle in self._circles:
            order = labels[circle] if ranks is None else ranks[labels[circle]]
            arranged[circle[np.argsort(keys[circle], kind="stable")]] = labels[circle][np.argsort(order, kind="stable")]
        return arranged[self.blocks]

    def draw(self, rng):
        """A random exchange of labels.

        Args:
            rng: `numpy.random.Generator`.

        Returns:
            int [rows].
        """
        return self.arrange(rng.random(self.blocks.max() + 1))


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
