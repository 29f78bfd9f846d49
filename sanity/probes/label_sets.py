"""Label sets: labels of some inputs by one column, with the groups that stay on one side of every split."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from lab.refusal import Refused
from sanity.shortcuts.separability import FEWEST_GROUPS


@dataclass(frozen=True)
class LabelSet:
    """Labels of those inputs that have one.

    Args:
        name: str, of the column.
        classes: tuple of str.
        rows: int [rows], the places of the inputs that are kept.
        labels: int [rows], their classes.
        groups: int [rows], their groups, from 0 on.
        left_out: tuple of str, classes in too few groups.
        unlabelled: int, inputs without a label.
    """

    name: str
    classes: tuple
    rows: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    left_out: tuple = ()
    unlabelled: int = 0

    def of_positions(self, inputs):
        """The same labels of positions of the inputs, in the groups of these.

        Args:
            inputs: int [positions], the input of each position.

        Returns:
            `LabelSet`, whose rows are places of positions.
        """
        place_of = np.full(max(inputs.max(), self.rows.max()) + 1, -1)
        place_of[self.rows] = np.arange(len(self.rows))
        rows = np.flatnonzero(place_of[inputs] >= 0)
        owners = place_of[inputs[rows]]
        groups = np.unique(self.groups[owners], return_inverse=True)[1]
        return LabelSet(
            self.name, self.classes, rows, self.labels[owners], groups, self.left_out, unlabelled=self.unlabelled
        )


def label_set(name, labels, groups):
    """The label set of one column. Classes in fewer groups than an exchange needs are left out.

    Args:
        name: str, of the column.
        labels: sequence of str, one an input; None where there is none.
        groups: sequence of hashable, one an input: those of one source are equal.

    Returns:
        `LabelSet`.

    Raises:
        Refused: for fewer than two classes that are in enough groups.
    """
    known = [place for place, label in enumerate(labels) if label is not None]
    pairs = {(str(labels[place]), str(groups[place])) for place in known}
    counts = Counter(label for label, _ in pairs)
    classes = tuple(sorted(label for label, count in counts.items() if count >= FEWEST_GROUPS))
    _refuse_few_classes(name, counts, classes)
    rows = np.array([place for place in known if str(labels[place]) in classes])
    codes = np.array([classes.index(str(labels[place])) for place in rows])
    group_codes = np.unique([str(groups[place]) for place in rows], return_inverse=True)[1]
    left_out = tuple(sorted(set(counts) - set(classes)))
    return LabelSet(name, classes, rows, codes, group_codes, left_out, len(labels) - len(known))


def _refuse_few_classes(name, counts, classes):
    if len(counts) < 2:
        raise Refused(
            f"A probe tells two classes or more apart. Received: {name!r} with {'no label' if not counts else f'{next(iter(counts))!r} alone'}. Give inputs of another class, or another column."
        )
    if len(classes) < 2:
        label, count = counts.most_common()[min(1, len(classes))]
        raise Refused(
            f"A probe needs two classes with {FEWEST_GROUPS} sources each. Received: {name!r}, where {label!r} is in {count}. Give more inputs, or join rare classes."
        )
