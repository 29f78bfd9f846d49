"""Labels: names, indices or rows of 0 and 1, as data sets have them -> which classes are correct for each sample."""

import numpy as np

from lab.refusal import Refused
from lab.registry import nearest


def correct_classes(labels, count, names=None):
    """Which classes are correct for each sample.

    Args:
        labels: one a sample, [samples] or [samples, 1]: a class name, an index, or an index as text or as a whole
            float. Or rows [samples, classes] of 0 and 1, with any number of correct classes. Or a list of names a sample.
        count: how many classes there are; 2 for a network of one unit, which is class 1.
        names: the classes' names, or None.

    Returns:
        bool [samples, classes].

    Raises:
        Refused: for an unknown class (the nearest names are given), and for rows of another length or of fractions.
    """
    rows = _as_rows(labels)
    if isinstance(rows, np.ndarray) and rows.ndim == 2:
        return _check_rows(rows, count)
    if not len(rows):
        raise Refused("Labels have at least one sample. Received: none.")
    correct = np.zeros((len(rows), count), bool)
    index_of = _make_lookup(count, names)
    for sample, row in enumerate(rows):
        for label in row if isinstance(row, (list, tuple, set, frozenset, np.ndarray)) else [row]:
            correct[sample, index_of(label)] = True
    return correct


def _as_rows(labels):
    """Labels as an array of numbers [samples] or [samples, classes], or as a list with the labels of each sample."""
    listed = labels if hasattr(labels, "shape") else list(labels)
    try:
        array = np.asarray(listed)
    except ValueError:
        # Lists of names of different lengths.
        return list(listed)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2):
        raise Refused(f"Labels are one a sample, or rows [samples, classes]. Received: an array {array.shape}.")
    # numpy turns a list of numbers and texts into texts, so the original list is read.
    return array if array.dtype.kind in "biuf" else list(array if hasattr(labels, "shape") else listed)


def _check_rows(rows, count):
    if rows.shape[1] != count:
        raise Refused(f"A row of labels has one number a class, {count}. Received: rows of {rows.shape[1]}.")
    if not np.isin(rows, (0, 1)).all():
        raise Refused(
            f"A row of labels has 0 and 1. Received: {rows[~np.isin(rows, (0, 1)).all(axis=1)][0][:8].tolist()}. For "
            "smoothed labels give labels.argmax(axis=1)."
        )
    return rows.astype(bool)


def _make_lookup(count, names):
    """-> function from a label to its index, which looks up each label once."""
    exact = {name: index for index, name in enumerate(names or [])}
    lowered = {}
    for name, index in exact.items():
        lowered.setdefault(name.lower(), set()).add(index)
    known = {}

    def index_of(label):
        key = (type(label), label)
        if key not in known:
            known[key] = _index(label, count, exact, lowered)
        return known[key]

    return index_of


def _index(label, count, exact, lowered):
    if isinstance(label, bytes):
        label = label.decode("utf-8", "replace")
    if isinstance(label, str):
        return _index_of_name(label.strip(), count, exact, lowered)
    number = np.asarray(label)
    if number.ndim or number.dtype.kind not in "biuf" or number != np.round(number) or not 0 <= number < count:
        last = " Classes count from 0." if number.ndim == 0 and number.dtype.kind in "iuf" and number == count else ""
        raise Refused(f"A label is a class from 0 to {count - 1}. Received: {label!r}.{last}")
    return int(number)


def _index_of_name(label, count, exact, lowered):
    """The index of a name: as it stands, then without regard to case, then as an index, because a class may be called "7"."""
    if label in exact:
        return exact[label]
    alike = lowered.get(label.lower(), ())
    if len(alike) == 1:
        return next(iter(alike))
    try:
        return _index(float(label), count, exact, lowered)
    except ValueError:
        if count == 1 and not exact:
            raise Refused(
                f"One number tells two classes apart by their names. Received: {label!r}, and a network of one unit without names. Give classes=, two names, the second of which a high number speaks for; or leave the labels out."
            ) from None
        known = nearest(label, exact) if exact else "The network has no class names: give classes=."
        raise Refused(
            f"A label is a class name, or an index from 0 to {count - 1}. Received: {label!r}. {known}"
        ) from None
