"""Encoding: columns of two sets of rows as one matrix of numbers, in which neither set is told from the other by the encoding.

Everything is decided on both sets together: which levels are frequent, what is constant, the scale. A column "level not in the
reference" would break this. Half of a category with many rare levels is always new, so that such a column alarms where nothing
is (`sanity/CALIBRATION.md`). New levels that are frequent have columns, and the others are among the rare ones.
"""

from dataclasses import dataclass, replace

import numpy as np

from sanity.audit.components import principal_axes
from sanity.audit.rows import Column, joined_units

# Rows of both sets that a level needs for a column, and columns of a category at most; deviations at which values are cut, and
# components of many channels.
FREQUENT, MOST_LEVELS, CUT, COMPONENTS = 10, 500, 5.0, 50
# Why a column is left out that has one value.
CONSTANT = "constant"


@dataclass(frozen=True)
class Encoded:
    """Columns of two sets as numbers, the reference first.

    Args:
        names: list of str.
        owners: list of str, the column that each comes from.
        values: float64 [rows, columns], nan where missing.
        is_current: bool [rows].
        units: int [rows]; no unit is in both sets.
        left_out: dict of column to why it was left out.
        patches: float32 [rows, down, across, channels], means of the patches of pictures, or None.
    """

    names: list
    owners: list
    values: np.ndarray
    is_current: np.ndarray
    units: np.ndarray
    left_out: dict
    patches: np.ndarray | None = None

    def __len__(self):
        return len(self.units)

    @property
    def standard(self):
        """Values in deviations from their mean, missing ones at the mean, far ones cut: float32 [rows, columns]."""
        # Column by column, since copies of a large table are larger than all else.
        standard = np.empty(self.values.shape, "float32")
        for column, values in zip(standard.T, self.values.T):
            column[:] = np.clip(np.nan_to_num((values - np.nanmean(values)) / _deviation(values)), -CUT, CUT)
        return standard

    def take(self, rows):
        """Some of the rows, with the columns that vary there.

        Args:
            rows: int or bool [rows].

        Returns:
            `Encoded`.
        """
        patches = None if self.patches is None else self.patches[rows]
        values, is_current, units = self.values[rows], self.is_current[rows], self.units[rows]
        return without_constants(Encoded(self.names, self.owners, values, is_current, units, {}, patches))

    def with_sides(self, is_current):
        """The same rows, dealt to other sides.

        Args:
            is_current: bool [rows].

        Returns:
            `Encoded`.
        """
        return replace(self, is_current=np.asarray(is_current))


def _deviation(values):
    return np.nanstd(values) or 1.0


def encode_inputs(reference, current):
    """Columns of inputs, metadata and statistics, and patches of pictures: `Encoded`.

    Args:
        reference: `sanity.audit.rows.Rows`.
        current: `Rows`.

    Returns:
        `Encoded`, without columns that are constant or number the rows.
    """
    parts, left_out = [], {}
    known = {column.name for column in current.columns}
    for column in reference.columns:
        if column.name not in known:
            left_out[column.name] = "not in the current data"
            continue
        other = current.column(column.name)
        if not column.is_category and not other.is_category:
            if _numbers_rows(column.values, other.values):
                left_out[column.name] = "numbers the rows"
                continue
            parts += _number(column.name, np.concatenate([column.values, other.values]))
        else:
            parts += _category(column.name, *_joined_places(column, other))
    return replace(_join(parts, reference, current, left_out), patches=_joined_patches(reference, current))


def _joined_patches(reference, current):
    """Patches of the pictures of both sets: float32 [rows, down, across, channels], or None where a set has none."""
    if reference.patches is None or current.patches is None:
        return None
    return np.concatenate([reference.patches, current.patches])


def encode_features(reference, current):
    """Activations before the output layer, at most 50 components of them.

    Args:
        reference: `sanity.audit.rows.Rows`.
        current: `Rows`.

    Returns:
        `Encoded`, or None where there are none.
    """
    if reference.features is None or current.features is None:
        return None
    values = np.concatenate([reference.features, current.features]).astype("float64")
    return _join(_channels("channel", values), reference, current, {})


def encode_predictions(reference, current):
    """Logits, predicted class and highest confidence; of a regression the answer.

    Args:
        reference: `sanity.audit.rows.Rows`.
        current: `Rows`.

    Returns:
        `Encoded`, or None where the network's answers are not known.
    """
    if reference.logits is None or current.logits is None:
        return None
    values = np.concatenate([reference.logits, current.logits]).astype("float64")
    if reference.is_regression:
        return _join(_number("answer", values[:, 0]), reference, current, {})
    # A constant that is added to all logits changes no answer; of two only the difference says anything.
    centred = values[:, 1:] - values[:, :1] if values.shape[1] == 2 else values - values.mean(axis=1, keepdims=True)
    parts = _channels("logit", centred)
    classes = Column("", values.argmax(axis=1).astype("float64"), tuple(map(str, range(values.shape[1]))))
    confidence = np.concatenate([rows.probabilities.max(axis=1) for rows in (reference, current)])
    parts += _category("predicted class", *_word_places(classes)) + _number("confidence", confidence)
    return _join(parts, reference, current, {})


def _word_places(column):
    """The words of a column in their order, "" where missing, and the place of that of each row: list of str, int [rows].

    A word is written once, and not for every row.
    """
    missing = column.missing
    if column.is_category:
        words, places = column.levels, np.nan_to_num(column.values).astype(int)
    else:
        # A zero is one word, whatever its sign.
        distinct, known = np.unique(column.values[~missing] + 0.0, return_inverse=True)
        words, places = [f"{value:g}" for value in distinct], np.zeros(len(missing), int)
        places[~missing] = known
    ordered, place_of = np.unique(np.array(["", *words], dtype=str), return_inverse=True)
    return ordered.tolist(), place_of[np.where(missing, 0, places + 1)]


def _joined_places(first, second):
    """The words of two columns in their order, and the place of that of each row, those of the first column before."""
    parts = [_word_places(column) for column in (first, second)]
    words = sorted(set().union(*(words for words, _ in parts)))
    return words, np.concatenate([np.searchsorted(words, known)[places] for known, places in parts])


def _number(name, values):
    """A number and whether it is missing: list of (name, owner, float64 [rows])."""
    missing = ~np.isfinite(values)
    parts = [(name, name, np.where(missing, np.nan, values))] if not missing.all() else []
    return parts + ([(f"{name} missing", name, missing.astype("float64"))] if missing.any() else [])


def _category(name, levels, places):
    """One column for each frequent level, one for the rare ones, and one for missing cells."""
    counts, fewest = np.bincount(places, minlength=len(levels)), max(FREQUENT, len(places) / MOST_LEVELS)
    frequent = [place for place in range(len(levels)) if counts[place] >= fewest and levels[place]]
    parts = [(f"{name} = {levels[place]}", name, (places == place).astype("float64")) for place in frequent]
    missing = np.isin(places, [place for place, level in enumerate(levels) if not level])
    rare = ~np.isin(places, frequent) & ~missing
    parts += [(f"{name} = any rare level", name, rare.astype("float64"))] if rare.any() else []
    parts += [(f"{name} missing", name, missing.astype("float64"))] if missing.any() else []
    # Of two levels one column says all.
    return parts[1:] if len(parts) == 2 else parts


def _channels(name, values):
    """Channels, or the strongest components of many: list of (name, owner, float64 [rows])."""
    if values.shape[1] > COMPONENTS:
        centred = np.nan_to_num(values - np.nanmean(values, axis=0))
        values, name = centred @ principal_axes(centred, COMPONENTS, floor=0.0)[1], f"component of {name}s"
    return [part for place, column in enumerate(values.T) for part in _number(f"{name} {place}", column)]


def _numbers_rows(first, second):
    """Whether a column of whole numbers rises by row in both sets and never repeats: bool."""
    both = np.concatenate([first, second])
    if not np.isfinite(both).all() or (both != np.round(both)).any() or len(np.unique(both)) < len(both):
        return False
    return all(len(values) > 2 and (np.diff(values) > 0).all() for values in (first, second))


def _join(parts, reference, current, left_out):
    is_current = np.arange(len(reference) + len(current)) >= len(reference)
    units = joined_units(reference, current)
    columns = [values for _, _, values in parts]
    table = np.stack(columns, axis=1) if columns else np.zeros((len(units), 0))
    names, owners = [name for name, _, _ in parts], [owner for _, owner, _ in parts]
    return without_constants(Encoded(names, owners, table, is_current, units, left_out))


def without_constants(encoded):
    """The columns that vary; the others are listed as left out: `Encoded`.

    Args:
        encoded: `Encoded`.
    """
    varies = np.array([_varies(values) for values in encoded.values.T], bool)
    left_out = {name: CONSTANT for name, varying in zip(encoded.names, varies) if not varying}
    return replace(
        encoded,
        names=[name for name, varying in zip(encoded.names, varies) if varying],
        owners=[owner for owner, varying in zip(encoded.owners, varies) if varying],
        values=encoded.values if varies.all() else encoded.values[:, varies],
        left_out={**encoded.left_out, **left_out},
    )


def _varies(values):
    known = values[np.isfinite(values)]
    return len(known) > 1 and known.max() > known.min()


def new_levels(reference, current):
    """The share of current rows whose level is not in the reference, by column.

    It is listed and not tested, since it grows with the number of rare levels where nothing has shifted.

    Args:
        reference: `sanity.audit.rows.Rows`.
        current: `Rows`.

    Returns:
        dict of column to float, those above zero.
    """
    shares, known = {}, {column.name for column in current.columns}
    for column in reference.columns:
        if column.is_category and column.name in known:
            words, places = _word_places(column)
            before = {words[place] for place in np.unique(places)}
            words, places = _word_places(current.column(column.name))
            is_new = np.array([word not in before and word != "" for word in words], bool)
            share = float(is_new[places].mean()) if len(places) else 0.0
            shares |= {column.name: share} if share else {}
    return shares
