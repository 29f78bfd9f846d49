"""Frames: data frames and what was stated of their columns -> `Rows`, as far as these are known before a network was asked.

read_frame(path, sheet)                     -> DataFrame   a CSV file as it is, categories as text
read_tables(frames, sheet, signature, ...)  -> Tables      all sets of an audit, columns by name and with one meaning
"""

import io
import warnings
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from lab.refusal import Refused
from lab.registry import nearest
from lab.remote import as_path, is_file
from lab.tables import MISSING
from sanity.audit.cells import (
    MOST_LEVELS,
    are_dates,
    cell_words,
    distinct_words,
    holds_numbers,
    level_cells,
    number_cells,
    time_cells,
)
from sanity.audit.rows import Column, Rows, unit_numbers

# Roles whose cells are read as text, whatever they look like.
AS_TEXT = ("unit", "id", "label")
# What "yes" and "no" of a label are called where a network of one unit has no names.
BINARY = {"0": 0, "1": 1, "false": 0, "true": 1}
# The share of cells that a column holds at least where it is compared with the label.
KNOWN = 0.5


# A file ------------------------------------------------------------------------------------------------------------------


def read_frame(path, sheet):
    """A CSV file as a data frame: categories, units, ids and labels as text, other columns as their cells are.

    Args:
        path: of the file, in UTF-8.
        sheet: `Sheet`.

    Returns:
        `pandas.DataFrame`.

    Raises:
        Refused: for a file that is no table.
    """
    path = as_path(path)
    if not is_file(path):
        raise Refused(f"A table is a CSV file. Received: {str(path)!r}, which is no file.")
    content = path.read_bytes()
    _refuse_encoding(content, path)
    header = _header(content, path)
    texts = {name: str for name in header if _is_text(name, sheet)}
    empty = {name: [word for word in _MISSING if word not in sheet.column(name).levels] for name in header}
    with warnings.catch_warnings():
        # Cells beyond the header would be lost.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            frame = pd.read_csv(
                io.BytesIO(content),
                dtype=texts,
                keep_default_na=False,
                na_values=empty,
                encoding="utf-8-sig",
                index_col=False,
                low_memory=False,
            )
        except (ValueError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
            raise Refused(
                f"A table has a header and rows of the same length. Received: {path}: {' '.join(str(error).split())}."
            ) from error
    if not len(frame):
        raise Refused(f"A table has a header and rows. Received: {path} without rows.")
    return frame


_MISSING = sorted({form for word in MISSING for form in (word, word.upper(), word.capitalize(), word.title(), "NaN")})


def _is_text(name, sheet):
    column = sheet.column(name)
    return (
        bool(column.levels or column.counterpart_of)
        or column.kind in ("category", "text")
        or bool(set(column.roles) & set(AS_TEXT))
    )


def _refuse_encoding(content, path):
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise Refused(
            f"A table is a CSV file in UTF-8. Received: {path}, whose line {line} has a byte of another encoding. Save it as UTF-8, such as by: iconv -f latin1 -t utf-8."
        ) from error


def _header(content, path):
    """The names in the first line: list of str. Raises Refused for a name that stands there twice."""
    try:
        names = pd.read_csv(io.BytesIO(content), header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0]
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise Refused(f"A table has a header and rows. Received: {path}, which is empty.") from error
    names = [name.removeprefix("\ufeff") for name in names]
    _refuse_repeated(names, path)
    return names


def _refuse_repeated(names, source):
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise Refused(f"Each column of a table has its own name. Received: {repeated[0]!r} more than once in {source}.")


# All sets of an audit -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tables:
    """The sets of an audit as they were read.

    Args:
        rows: dict of "test", "train" and "current" to `Rows` without logits.
        input_places: dict of column to tuple of int, where its inputs stand.
        classes: tuple of str; empty for a regression.
        notes: tuple of str, what a reader has to know first.
        texts: dict of set to list of str, what a network of texts takes.
        counterparts: dict of protected column to list of str, for each row to test the text, or the path of the picture, that is its
            counterpart in the other group; None where there is none.
    """

    rows: dict
    input_places: dict = field(default_factory=dict)
    classes: tuple = ()
    notes: tuple = ()
    texts: dict = field(default_factory=dict)
    counterparts: dict = field(default_factory=dict)


def read_tables(frames, sheet, signature, sources=None):
    """All sets of an audit, their columns by name and with one meaning.

    Args:
        frames: dict of "test" and, where there are any, "train" and "current" to `pandas.DataFrame`.
        sheet: `Sheet`.
        signature: `sanity.audit.signature.Signature`.
        sources: dict of set to str, where it comes from, in errors; None: the names of the sets.

    Returns:
        `Tables`.

    Raises:
        Refused: for what the sheet names and no file has, for inputs that are missing or cannot be read, and for labels
            that are no classes.
    """
    sources = {name: str(sources[name]) if sources else f"the data frame {name!r}" for name in frames}
    frames = {name: _named(frame, sources[name]) for name, frame in frames.items()}
    _refuse_unknown_columns(sheet, frames["test"], sources["test"])
    text = _text_column(sheet, signature, frames["test"], sources["test"])
    inputs = [] if signature.kind != "table" else _input_names(frames, sheet, signature, sources)
    known = _known_columns(frames, sheet, inputs, text)
    reader = _Reader(frames, sheet, sources, known.levels, inputs)
    rows, places = reader.rows(known.shown), reader.places()
    if signature.kind == "table":
        signature.refuse_width(inputs, sum(map(len, places.values())))
        rows = {name: _with_inputs(table, reader, name, places, sheet) for name, table in rows.items()}
    classes = _class_names(frames, sheet, signature, sources)
    labels = {name: _labels(frames[name], sheet, signature, classes, sources[name]) for name in frames}
    rows = {name: replace(table, labels=labels[name]) for name, table in rows.items()}
    notes = (*known.notes, *reader.notes(), *_label_notes(rows, sheet))
    texts = {name: _texts(frame[text], text, sources[name]) for name, frame in frames.items()} if text else {}
    counterparts = {column: list(cell_words(frames["test"][name])) for column, name in sheet.counterparts.items()}
    return Tables(rows, places, () if signature.is_regression else classes, notes, texts, counterparts)


def _named(frame, source):
    """The frame with names of columns that are text, and rows numbered from 0 on."""
    if not hasattr(frame, "columns"):
        raise Refused(f"A set of an audit is a data frame or a CSV file. Received: {type(frame).__name__}.")
    names = [str(name) for name in frame.columns]
    _refuse_repeated(names, source)
    if not len(frame):
        raise Refused(f"A table has rows. Received: {source} without any.")
    return frame.set_axis(names, axis=1).reset_index(drop=True)


def _refuse_unknown_columns(sheet, frame, source):
    for name in sheet.columns:
        if name not in frame.columns:
            raise Refused(
                f"The sheet names columns of {source}. Received: {name!r}, which it does not have. {nearest(name, list(frame.columns))}"
            )


def _text_column(sheet, signature, frame, source):
    """The column that a network of texts takes: str, or None for other networks."""
    if signature.kind != "text":
        return None
    names = [
        name for name in frame.columns if sheet.column(name).kind == "text" and not sheet.column(name).counterpart_of
    ]
    stated = [name for name in names if "input" in sheet.column(name).roles] or names
    if len(stated) != 1:
        raise Refused(
            f'A network of texts takes one column. Received: {len(stated)} of kind "text" in the sheet of {source}. State it: kind = "text" and roles = ["input"].'
        )
    return stated[0]


def _texts(cells, name, source):
    words = cell_words(cells)
    if words.isna().any():
        raise Refused(
            f"A text has at least one word. Received: {int(words.isna().sum()):,} empty cells in the column {name!r} of {source}. Remove these rows."
        )
    return list(words)


# Inputs of a table -------------------------------------------------------------------------------------------------------


def _input_names(frames, sheet, signature, sources):
    """The columns that the network takes, in its order: list of str."""
    stated = sheet.with_role("input")
    first = "train" if "train" in frames else "test"
    names = stated or [name for name in frames[first].columns if _may_be_input(name, frames[first], sheet)]
    if signature.columns:
        names = _in_order(list(signature.columns), names, frames, sources)
    for table, frame in frames.items():
        for name in names:
            if name not in frame.columns:
                raise Refused(
                    f"The network takes the column {name!r}. Received: {sources[table]} without it. {nearest(name, list(frame.columns))}"
                )
    return names


def _in_order(columns, names, frames, sources):
    for name in columns:
        if name not in frames["test"].columns:
            raise Refused(
                f"The network takes columns that it names. Received: {sources['test']} without {name!r}. {nearest(name, names)}"
            )
    return columns


def _may_be_input(name, frame, sheet):
    """Whether a column without a role is an input: bool."""
    column = sheet.column(name)
    if column.roles or column.kind == "text" or column.counterpart_of:
        return False
    return bool(column.levels) or (column.kind != "category" and holds_numbers(frame[name]))


# Columns that are searched -----------------------------------------------------------------------------------------------


@dataclass
class _Known:
    """Columns that are read, with levels of the categories, and what was left out and why."""

    shown: list = field(default_factory=list)
    levels: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)


def _known_columns(frames, sheet, inputs, text):
    """What the columns of the test table are."""
    known = _Known()
    for name in frames["test"].columns:
        column, cells = sheet.column(name), [frame[name] for frame in frames.values() if name in frame.columns]
        if (
            name == text
            or column.counterpart_of
            or (set(column.roles) & {"id", "label", "time", "unit"} and name not in inputs)
        ):
            continue
        if frames["test"][name].isna().all() and column.kind != "text":
            known.notes.append(f"the column {name} holds nothing in the test rows, and was left out")
            continue
        levels = _levels_of(name, column, cells, name in inputs)
        if levels is None:
            words = "text" if column.kind == "text" else f"more than {MOST_LEVELS} distinct values"
            known.notes.append(f"the column {name} holds {words}, and was left out")
            continue
        known.levels[name] = levels
        known.shown.append(name)
    both = [name for name in sheet.with_role("protected") if name in inputs]
    known.notes[:0] = [f"the protected column {name} is an input of the network" for name in both]
    return known


def _levels_of(name, column, cells, is_input):
    """Levels of a category, () for numbers, None for what is neither."""
    if column.levels:
        return column.levels
    if column.kind == "number" or (column.kind is None and holds_numbers(cells[0])):
        return ()
    if is_input:
        return _refuse_text_input(name, cells)
    levels = None if column.kind == "text" else distinct_words(cells)
    return None if levels is None or len(levels) > MOST_LEVELS else levels


def _refuse_text_input(name, cells):
    """Raise Refused for an input that holds text in the test rows."""
    if are_dates(cells[0]):
        raise Refused(
            f'An input of the network is a number or a category. Received: dates in the column {name!r}. Write days since a date, as in training, or give it roles = ["time"].'
        )
    raise Refused(
        f'An input of the network is a number, or a category with its levels. Received: text in the column {name!r}. Give levels = [...] in the order in which the network knows them, or roles = ["metadata"].'
    )


class _Reader:
    """Reads the columns of every set by their names, and keeps what it has read."""

    def __init__(self, frames, sheet, sources, levels, inputs):
        self.frames, self.sheet, self.sources = frames, sheet, sources
        self.levels, self.inputs, self._values, self._absent = levels, inputs, {}, []

    def values(self, table, name):
        """The numbers of a column of a set: float64 [rows]."""
        key = (table, name)
        if key not in self._values:
            self._values[key] = self._read(table, name)
        return self._values[key]

    def _read(self, table, name):
        frame, source = self.frames[table], self.sources[table]
        if name not in frame.columns:
            self._absent.append((table, name))
            return np.full(len(frame), np.nan)
        levels = self.levels[name]
        cells = frame[name]
        return level_cells(cells, levels, name, source) if levels else number_cells(cells, name, source)

    def places(self):
        """Where the inputs of each column stand: dict of column to tuple of int."""
        places, start = {}, 0
        for name in self.inputs:
            wide = self.sheet.column(name).encoding == "one-hot"
            count = len(self.levels[name]) if wide else 1
            places[name], start = tuple(range(start, start + count)), start + count
        return places

    def rows(self, names):
        """The columns, units and times of every set: dict of set to `Rows`."""
        return {table: self._rows(table, names) for table in self.frames}

    def _rows(self, table, names):
        frame, protected = self.frames[table], self.sheet.with_role("protected")
        columns = {name: self._column(table, name) for name in names}
        units, times = self._units(table), self._times(table)
        return Rows(
            tuple(column for name, column in columns.items() if name not in protected),
            np.arange(len(frame)) if units is None else units,
            units is not None or self.sheet.rows_are_units,
            times=times,
            protected=tuple(column for name, column in columns.items() if name in protected),
        )

    def _column(self, table, name):
        kind = "input" if name in self.inputs else "metadata"
        return Column(name, self.values(table, name), self.levels[name], kind)

    def _units(self, table):
        name = self._single(table, "unit")
        if name is None:
            return None
        words = cell_words(self.frames[table][name])
        if words.isna().any():
            raise Refused(
                f"Every row belongs to a unit. Received: {int(words.isna().sum()):,} empty cells in the column {name!r} of {self.sources[table]}. Fill them in, or remove these rows."
            )
        return unit_numbers(words)

    def _times(self, table):
        name = self.sheet.one("time")
        if name is None or name not in self.frames[table].columns:
            return None
        return time_cells(self.frames[table][name], name, self.sources[table])

    def _single(self, table, role):
        name = self.sheet.one(role)
        if name is not None and name not in self.frames[table].columns:
            raise Refused(
                f"The {role} of each row is the column {name!r}. Received: {self.sources[table]} without it. {nearest(name, list(self.frames[table].columns))}"
            )
        return name

    def notes(self):
        """What was noticed in reading: list of str."""
        notes = [f"the {table} rows have no column {name}: all of it counts as missing" for table, name in self._absent]
        return [*notes, *self._shared_units(), *self._new_levels()]

    def _shared_units(self):
        name = self.sheet.one("unit")
        if name is None or "train" not in self.frames:
            return []
        units = {table: set(cell_words(self.frames[table][name])) for table in ("test", "train")}
        shared = len(units["test"] & units["train"])
        words = f"{shared:,} of {len(units['test']):,} units of the test rows are among the training rows too"
        return [words] if shared else []

    def _new_levels(self):
        """Values of categories that no training row has: list of str."""
        if "train" not in self.frames:
            return []
        notes = []
        for name in [name for name in self.inputs if self.levels[name]]:
            trained = set(self.values("train", name))
            for table in [table for table in self.frames if table != "train"]:
                values = self.values(table, name)
                unseen = ~np.isnan(values) & ~np.isin(values, list(trained))
                if unseen.any():
                    notes.append(f"{int(unseen.sum()):,} {table} rows have a value of {name} that no training row has")
        return notes


def _with_inputs(rows, reader, table, places, sheet):
    """Rows with what the network takes of each."""
    inputs = np.zeros((len(rows), sum(map(len, places.values()))), "float32")
    for name, where in places.items():
        values = _filled(reader.values(table, name), name, sheet, reader.levels[name], reader.sources[table])
        if sheet.column(name).encoding == "one-hot":
            inputs[np.arange(len(rows)), where[0] + values.astype(int)] = 1
        else:
            inputs[:, where[0]] = values
    return replace(rows, inputs=inputs)


def _filled(values, name, sheet, levels, source):
    """The values of an input, with the sheet's fill where one is missing."""
    missing, fill = np.isnan(values), sheet.column(name).fill
    if not missing.any():
        return values
    if fill is None:
        raise Refused(
            f"An input of the network is known in every row. Received: {int(missing.sum()):,} of {len(values):,} cells of {name!r} missing in {source}. Fill them in as in training, or state it: fill = VALUE."
        )
    if levels and str(fill) not in levels:
        raise Refused(
            f"The fill of a category is one of its levels. Received: {fill!r} of {name!r}. {nearest(fill, levels)}"
        )
    return np.where(missing, levels.index(str(fill)) if levels else float(fill), values)


# Labels ------------------------------------------------------------------------------------------------------------------


def _class_names(frames, sheet, signature, sources):
    """The names of the classes in the network's order: tuple of str."""
    if signature.is_regression:
        return ()
    name = sheet.one("label")
    stated = sheet.column(name).levels if name else ()
    if stated and len(stated) != signature.count:
        raise Refused(
            f"The levels of the label are the classes of the network. Received: {len(stated)} levels for {signature.name}, which tells {signature.count} classes."
        )
    return stated or signature.classes or tuple(map(str, range(signature.count)))


def _labels(frame, sheet, signature, classes, source):
    """The label of each row: int or float64 [rows], or None."""
    name = sheet.one("label")
    if name is None or name not in frame.columns:
        return None
    if signature.is_regression:
        return number_cells(frame[name], name, source)
    words = cell_words(frame[name])
    lookup = {str(place): place for place in range(len(classes))} | (BINARY if len(classes) == 2 else {})
    lookup |= {label: place for place, label in enumerate(classes)}
    labels = words.map(lookup)
    unknown = labels.isna() & words.notna()
    if unknown.any():
        raise Refused(_unknown_label(words[unknown].iloc[0], int(unknown.sum()), name, classes, source))
    return labels.fillna(-1).to_numpy("int64")


def _unknown_label(word, count, name, classes, source):
    if classes == tuple(map(str, range(len(classes)))):
        return f"The labels are classes of the network, by name or number. Received: {word!r} in the column {name!r} of {source}, and no names. Give --classes, or levels = [...] of the label in the network's order."
    return f"The labels are classes of the network. Received: {word!r} in {count:,} rows of the column {name!r} of {source}. {nearest(word, classes)}"


def _label_notes(rows, sheet):
    """What is suspicious of the labels: list of str."""
    test = rows["test"]
    if test.labels is None or not test.labelled.any():
        return ["no label of the test rows is known"]
    known = test.labelled
    labels = test.labels[known]
    same = [f"all labelled {name} rows have the same label" for name, table in rows.items() if _has_one_label(table)]
    if len(np.unique(labels)) == 1:
        return same
    copies = [column.name for column in test.columns if _is_copy(column.values[known], labels)]
    return [*(f"LEAK: the column {name} is a copy of the label" for name in copies), *same]


def _has_one_label(table):
    return table.labels is not None and table.labelled.any() and len(np.unique(table.labels[table.labelled])) == 1


def _is_copy(values, labels):
    """Whether values and labels say the same wherever a value is known.

    Each value goes with one class, and each class with one value. Of two columns of numbers that never repeat this is always so,
    so that numbers have to rise or fall together.
    """
    known = ~np.isnan(values)
    if known.sum() < max(2, KNOWN * len(values)) or np.ptp(values[known]) == 0:
        return False
    values, labels = values[known], labels[known].astype("float64")
    pairs = np.unique(np.stack([values, labels], axis=1), axis=0)
    if not len(pairs) == len(np.unique(values)) == len(np.unique(labels)):
        return False
    steps = np.diff(pairs[:, 1])
    return len(pairs) < len(values) / 2 or bool((steps > 0).all() or (steps < 0).all())
