"""Rows: audited data as arrays: columns, labels, a network's scores and activations, and the units that rows belong to."""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import softmax

from lab.refusal import Refused
from sanity.audit.sheet import Sheet


@dataclass(frozen=True)
class Column:
    """One column of audited data.

    Args:
        name: str.
        values: float64 [rows]; of a category the place of each row's level; nan where missing.
        levels: tuple of str, the values of a category; empty for numbers.
        kind: "input" for what the network takes, "metadata" for other columns of a table, "statistic" for what is computed of
            a picture, text or series.
    """

    name: str
    values: np.ndarray
    levels: tuple = ()
    kind: str = "input"

    @property
    def is_category(self):
        """Whether its values are places of levels: bool."""
        return bool(self.levels)

    @property
    def missing(self):
        """Where it holds nothing: bool [rows]."""
        return np.isnan(self.values)


@dataclass(frozen=True)
class Rows:
    """Audited data as arrays.

    Args:
        columns: tuple of `Column`. Columns of ids and times, the label, and protected ones are not among them.
        units: int [rows], the unit of each row, from 0 on: a person, a day, a document. What belongs to one unit is split,
            permuted and resampled together.
        has_units: whether the user named units, or stated that each row is one.
        labels: of classes int [rows]; of a regression float64 [rows]; None where they are not known. -1 or nan: unknown.
        logits: float64 [rows, classes], as the network gives them; of a regression [rows, 1]. Two columns for one sigmoid.
        features: float32 [rows, channels], activations before the output layer, or None.
        times: float64 [rows], or None.
        protected: tuple of `Column`, read for questions about groups and for nothing else.
        inputs: what the network takes, float32 [rows, inputs], for tables; None for other data.
        untrained: float32 [rows, networks, channels], the same activations of untrained networks, or None.
        counterparts: dict of protected column to float64 [rows, classes], logits of the counterpart of each input in the other group,
            nan where there is none.
        unedited: dict of protected column to bool [rows], whether the counterpart is the input itself.
        descriptors: dict of name in `sanity.audit.descriptors` to array [rows, ...], what linear models take of pictures and texts.
        patches: float32 [rows, down, across, channels], means of the patches of each picture in 0..255, or None.
    """

    columns: tuple
    units: np.ndarray
    has_units: bool = False
    labels: np.ndarray | None = None
    logits: np.ndarray | None = None
    features: np.ndarray | None = None
    times: np.ndarray | None = None
    protected: tuple = ()
    inputs: np.ndarray | None = None
    untrained: np.ndarray | None = None
    counterparts: dict = field(default_factory=dict)
    unedited: dict = field(default_factory=dict)
    descriptors: dict = field(default_factory=dict)
    patches: np.ndarray | None = None

    def __len__(self):
        return len(self.units)

    @property
    def unit_count(self):
        """How many units there are: int."""
        return len(np.unique(self.units))

    @property
    def is_regression(self):
        """Whether the network gives a number and no classes: bool."""
        return self.logits is not None and self.logits.shape[1] == 1

    @property
    def probabilities(self):
        """Softmax of the logits: float64 [rows, classes]."""
        return softmax(self.logits, axis=1)

    @property
    def predicted(self):
        """The class of the highest logit: int [rows]."""
        return self.logits.argmax(axis=1)

    @property
    def labelled(self):
        """Which rows have a known label: bool [rows]."""
        if self.labels is None:
            return np.zeros(len(self), bool)
        return self.labels >= 0 if self.labels.dtype.kind in "iu" else np.isfinite(self.labels)

    @property
    def errors(self):
        """1 where the predicted class is wrong; of a regression how far off it is: float64 [rows], nan without a label."""
        known = self.labelled
        if self.is_regression:
            return np.where(known, np.abs(self.logits[:, 0] - np.where(known, self.labels, 0)), np.nan)
        return np.where(known, self.predicted != np.where(known, self.labels, 0), np.nan)

    def column(self, name):
        """A column by its name, protected ones too: `Column`."""
        return next(column for column in (*self.columns, *self.protected) if column.name == name)

    def take(self, places):
        """Some of the rows, in any order, also repeated; units keep their numbers.

        Args:
            places: int or bool [rows].

        Returns:
            `Rows`.
        """
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        parts = {name: None if values is None else values[places] for name, values in arrays.items()}
        columns = {
            name: tuple(replace(column, values=column.values[places]) for column in getattr(self, name))
            for name in ("columns", "protected")
        }
        by_name = {
            field_name: {name: values[places] for name, values in getattr(self, field_name).items()}
            for field_name in ("counterparts", "unedited", "descriptors")
        }
        return replace(self, **parts, **columns, **by_name)

    def with_values(self, **values):
        """A copy with other values of some columns.

        Args:
            values: column to float64 [rows].

        Returns:
            `Rows`.
        """
        return replace(
            self,
            columns=tuple(replace(column, values=values.get(column.name, column.values)) for column in self.columns),
        )


_ARRAYS = ("units", "labels", "logits", "features", "times", "inputs", "untrained", "patches")


@dataclass(frozen=True)
class AuditSubject:
    """A network's answers on the data that it is audited on.

    Args:
        title: str, the network in words.
        test: `Rows`, labelled and never trained on.
        train: `Rows` that the network was trained on, or None.
        current: `Rows` of a later time, or None.
        sheet: `Sheet`.
        classes: tuple of str, the names of the classes; empty for a regression.
        input_places: dict of column to tuple of int, where the inputs of each column stand in `Rows.inputs`.
        predict: float32 [rows, inputs] -> float64 [rows, classes], the logits of other inputs; None where nothing can be asked.
        kind: str, a name of `lab.kinds.KINDS`, or "text".
        alpha: float, the level of each question.
        networks: tuple of functions like `predict`, of networks trained alike from other seeds.
        untried: dict of str to str, simple models that were not tried, and why.
        layers: tuple of `sanity.audit.layers.Layer`, those before the last hidden one of a table's network, in their order.
    """

    title: str
    test: Rows
    train: Rows | None = None
    current: Rows | None = None
    sheet: Sheet = field(default_factory=Sheet)
    classes: tuple = ()
    input_places: dict = field(default_factory=dict)
    predict: object = field(default=None, compare=False)
    kind: str = "table"
    alpha: float = 0.05
    networks: tuple = ()
    untried: dict = field(default_factory=dict)
    layers: tuple = field(default=(), compare=False)

    @property
    def sizes(self):
        """How many rows and units are tested: dict."""
        return {"rows": len(self.test), "units": self.test.unit_count}

    def favourable(self):
        """The place of the favourable class.

        Returns:
            int.

        Raises:
            Refused: where the sheet states no decision, or a class that the network does not have.
        """
        if self.sheet.decision is None:
            raise Refused(
                'This question is about decisions. Received: a sheet without [decision]. Add favourable = "CLASS" and threshold = 0.5.'
            )
        name = self.sheet.decision.favourable
        if name not in self.classes:
            raise Refused(f"The favourable class is one of {', '.join(self.classes)}. Received: {name!r}.")
        return self.classes.index(name)


def joined_units(reference, current):
    """The units of two sets of rows, those of the current one other units than those of the same number in the reference.

    Args:
        reference: `Rows`.
        current: `Rows`.

    Returns:
        int [rows], the reference first.
    """
    first = reference.units.max() + 1 if len(reference) else 0
    return np.concatenate([reference.units, current.units + first])


def unit_numbers(values):
    """The unit of each row as a number from 0 on, in the order in which units first appear.

    Args:
        values: sequence of hashable.

    Returns:
        int [rows].
    """
    _, first, inverse = np.unique(np.asarray([str(value) for value in values]), return_index=True, return_inverse=True)
    rank = np.empty(len(first), int)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return rank[inverse]
