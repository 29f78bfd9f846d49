"""Opening: data of any kind from where they are -> `Data`."""

import os

from lab import arrays, tables, text
from lab.data import Data
from lab.refusal import Refused
from lab.registry import nearest
from lab.remote import RemotePath
from lab.sources import SOURCES, source_kind
from lab.streams import open_images


def open_data(source, labels=None, *, kind=None, label=None, columns=None, group=None, masks=None):
    """Data of any kind: a path, arrays, a pandas data frame, a `tf.data.Dataset` or a list of texts -> `Data`.

    Args:
        source: the path of a folder of images, of a CSV table, of a CSV list of images (with a column path) or texts (with a column
            text), of an .npz file, or of a text file with one text a line; or an array, a data frame, a dataset, or a list of texts.
        labels: for arrays and texts, the class of each; None: not known.
        kind: str, what a path holds, one of `SOURCES`; None: by its ending. Of arrays, a name of `lab.kinds.KINDS`.
        label: str, the column of the labels, or the name of their array in a file.
        columns: list of str, the columns that a network takes, in their order; or the names of channels.
        group: str, the column or array with the source of each input.
        masks: bool [samples, ...], where the relevant positions are known.

    Returns:
        `Data`.

    Raises:
        Refused: for what is none of these, and for missing values, text in a table, and arrays that do not fit.
    """
    options = {"label": label, "columns": columns, "group": group}
    arguments = {**options, "labels": labels, "masks": masks}
    if isinstance(source, Data):
        _refuse_unread(arguments, (), "Data")
        return source
    if isinstance(source, (str, os.PathLike, RemotePath)):
        _refuse_unread(arguments, tuple(options), "a path")
        return _open_path(source, kind or source_kind(source), options)
    if hasattr(source, "columns") and hasattr(source, "to_numpy"):
        _refuse_unread(arguments, tuple(options), "a data frame")
        return tables.from_frame(source, **options)
    if hasattr(source, "element_spec"):
        _refuse_unread(arguments, ("columns",), "a dataset")
        return arrays.from_dataset(source, columns=columns, kind=kind)
    if isinstance(source, (list, tuple)) and source and all(isinstance(entry, str) for entry in source):
        _refuse_unread(arguments, ("labels",), "a list of texts")
        return text.from_texts(source, labels=None if labels is None else tuple(map(str, labels)))
    _refuse_unread(arguments, ("labels", "columns", "masks"), "an array")
    return arrays.from_arrays(source, labels, columns=columns, kind=kind, masks=masks)


def _refuse_unread(arguments, read, what):
    """Raise Refused for an argument that a source of this form has no use for."""
    for name, value in arguments.items():
        if value is not None and name not in read:
            raise Refused(
                f"{what} is read with {', '.join(f'{word}=' for word in read) or 'no further argument'}. Received: {name}= beside {what}. Leave it out."
            )


def _open_path(path, kind, options):
    if kind not in SOURCES:
        raise Refused(f"A path holds one of {', '.join(SOURCES)}. Received: kind={kind!r}. {nearest(kind, SOURCES)}")
    if kind == "text":
        return _open_texts(path, **options)
    if kind == "images" and any(options.values()):
        name = next(name for name, value in options.items() if value)
        raise Refused(f"{name}= is for tables and arrays. Received: {path}, which holds {kind}.")
    opener = {"images": open_images, "table": tables.open_table, "arrays": arrays.open_arrays}[kind]
    return opener(path, **(options if kind in ("table", "arrays") else {}))


def _open_texts(path, label, columns, group):
    if columns:
        raise Refused(f"columns= is for tables and arrays. Received: {path}, which holds texts.")
    return text.open_texts(path, label=label, group=group)
