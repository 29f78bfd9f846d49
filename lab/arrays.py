"""Arrays: inputs that lie in memory or in an .npz file, and those of a `tf.data.Dataset`, as data."""

import zipfile

import numpy as np

from lab.data import Data
from lab.kinds import KINDS, kind_of
from lab.refusal import Refused
from lab.registry import nearest
from lab.remote import as_path, is_file

# The names of the arrays of a file, the first one that is there.
INPUTS, LABELS = ("inputs", "x", "images", "ids"), ("labels", "y")
NAMES, COLUMNS, GROUPS, MASKS = ("names",), ("columns", "channels"), ("groups",), ("masks",)
# Samples of a dataset that are read at most.
MOST = 100_000
# Axes of a batch of each kind, where their number tells a batch from a sample.
AXES = {"table": 2, "tokens": 2, "series": 3, "image": 4}


def open_arrays(path, *, label=None, columns=None, group=None):
    """The arrays of an .npz file -> `Data`.

    It holds `inputs` (or x), and where they are known `labels` (or y), `names`, `columns` (or channels), `groups` and `masks`.

    Args:
        path: of the file.
        label: str, another name of the array of labels.
        columns: list of str, the names of columns or channels.
        group: str, another name of the array of groups.

    Returns:
        `Data`.

    Raises:
        Refused: for a file that is no .npz, pickled objects, and arrays that do not fit each other.
    """
    arrays = _read(as_path(path), path)
    place = _first(arrays, INPUTS)
    if place is None:
        raise Refused(
            f"An .npz file of data has an array inputs. Received: {path} with {', '.join(arrays) or 'no array'}."
        )
    for name in (label, group):
        if name is not None and name not in arrays:
            raise Refused(f"An array is named as in {path}. Received: {name!r}. {nearest(name, arrays)}")
    values = {
        name: arrays.get(_first(arrays, names))
        for name, names in (("names", NAMES), ("masks", MASKS), ("columns", COLUMNS))
    }
    return from_arrays(
        arrays[place],
        arrays.get(label or _first(arrays, LABELS)),
        names=values["names"],
        columns=columns or values["columns"],
        groups=arrays.get(group or _first(arrays, GROUPS)),
        masks=values["masks"],
        source=str(path),
    )


def _first(arrays, names):
    return next((name for name in names if name in arrays), None)


def _read(file, path):
    if not is_file(file):
        raise Refused(f"Arrays come from an .npz file. Received: {str(path)!r}, which is no file.")
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        if "pickle" in str(error):
            raise Refused(
                f"Arrays hold numbers or text. Received: {path} with pickled objects, which could run code. Save arrays of one dtype and shape, numpy.savez(path, inputs=..., labels=...)."
            ) from error
        raise Refused(f"Arrays come from an .npz file of numpy.savez. Received: {path}: {error}.") from error


def from_arrays(
    inputs, labels=None, *, names=None, columns=None, groups=None, masks=None, kind=None, source="the arrays"
):
    """Arrays -> `Data`.

    Args:
        inputs: float [samples, columns] of a table, int [samples, tokens] of ids, [samples, steps, channels] of series, uint8
            [samples, rows, columns, channels] of images in 0..255, or with more axes of volumes.
        labels: [samples], classes by name or index, or None.
        names: of the samples; None: their numbers, from 1.
        columns: the names of a table's columns or of a series' channels, or None.
        groups: [samples], the source of each, or None.
        masks: bool [samples, ...] over positions, or None.
        kind: str, one of `KINDS`; None: by axes and dtype.
        source: str, where they come from, in errors.

    Returns:
        `Data`.

    Raises:
        Refused: for arrays of other lengths, of objects or of NaN, and for images of another dtype.
    """
    try:
        inputs = np.asarray(inputs)
    except ValueError as error:
        raise Refused(
            f"Inputs are numbers [samples, ...]. Received: samples of different shapes from {source}. Pad them to one length."
        ) from error
    _refuse_objects(inputs, source)
    if kind not in (None, *KINDS):
        raise Refused(f"A kind is one of {', '.join(KINDS)}. Received: kind={kind!r}. {nearest(kind, KINDS)}")
    kind = KINDS[kind] if kind else kind_of(inputs)
    if kind.name == "image" and inputs.dtype != np.uint8:
        raise Refused(
            f"Images in arrays are uint8 in 0 to 255. Received: {inputs.dtype} from {source}, whose black and white are not known. Convert them."
        )
    count = len(inputs)
    beside = {"labels": labels, "names": names, "groups": groups, "masks": masks}
    for name, values in beside.items():
        if values is not None and len(values) != count:
            raise Refused(
                f"Every input has one entry of {name}. Received: {len(values)} for {count} inputs of {source}."
            )
    if not count:
        raise Refused(f"Data have at least one input. Received: none from {source}.")
    columns = _column_names(columns, inputs, kind, source)
    return Data(
        tuple(map(str, names))
        if names is not None
        else tuple(f"{kind.noun} {number}" for number in range(1, count + 1)),
        inputs,
        None if labels is None else tuple(_label(label) for label in np.asarray(labels).tolist()),
        masks=None if masks is None else np.asarray(masks, bool),
        columns=columns,
        groups=None if groups is None else tuple(np.asarray(groups).tolist()),
        kind=kind.name,
    )


def _refuse_objects(inputs, source):
    if inputs.dtype.kind not in "fiub" or inputs.ndim < 2:
        raise Refused(
            f"Inputs are numbers [samples, ...]. Received: an array of {inputs.dtype}, of shape {inputs.shape}, from {source}."
        )
    if inputs.dtype.kind == "f" and not np.isfinite(inputs).all():
        place = tuple(np.argwhere(~np.isfinite(inputs))[0].tolist())
        raise Refused(f"Inputs are finite numbers. Received: NaN or infinity from {source}, first at {place}.")


def _column_names(columns, inputs, kind, source):
    """The names of columns or channels: tuple of str. A table's are numbered where they are not known."""
    last = inputs.shape[-1]
    if columns is not None:
        if len(columns) != last:
            raise Refused(
                f"Every column or channel has a name. Received: {len(columns)} names for {last} from {source}."
            )
        return tuple(map(str, columns))
    return tuple(f"column {number}" for number in range(last)) if kind.name == "table" else ()


def _label(label):
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def from_dataset(dataset, *, most=MOST, **options):
    """The samples of a `tf.data.Dataset` of inputs, or of (inputs, labels) -> `Data`.

    Args:
        dataset: `tf.data.Dataset`, batched or not. Batches of one fixed size that have no labels and were mapped look like
            samples: give kind=, or dataset.unbatch().
        most: int, samples that are read at most.
        options: as of `from_arrays`, such as columns.

    Returns:
        `Data`.

    Raises:
        Refused: for a dataset without end, and for one with more samples.
    """
    if dataset.cardinality() == -1:
        raise Refused("A dataset has an end. Received: one that repeats without end. Give dataset.take(n).")
    spec = dataset.element_spec
    leaves = spec if isinstance(spec, tuple) else (spec,)
    if len(leaves) > 2 or isinstance(leaves[0], dict):
        raise Refused(f"A dataset has inputs, or pairs of inputs and labels. Received: {spec}.")
    batched = _is_batched(dataset, leaves, options.get("kind"))
    parts, count = [], 0
    for element in (dataset if batched else dataset.batch(256)).as_numpy_iterator():
        parts.append(element if isinstance(element, tuple) else (element,))
        count += len(parts[-1][0])
        if count > most:
            raise Refused(
                f"Data that are explained fit in memory, {most:,} samples at most. Received: a dataset with more. Give dataset.take(n)."
            )
    arrays = [np.concatenate(leaf) for leaf in zip(*parts)]
    return from_arrays(*arrays, source="the dataset", **options)


def _is_batched(dataset, leaves, kind):
    """Whether the elements of a dataset are batches, also where all are of one size, as with drop_remainder: bool."""
    shape = leaves[0].shape
    if not shape.rank:
        return False
    if shape[0] is None:
        return True
    if len(leaves) == 2:
        return bool(leaves[1].shape.rank) and leaves[1].shape[0] == shape[0]
    from lab.environment import tf

    size = tf.raw_ops.ComputeBatchSize(input_dataset=tf.data.experimental.to_variant(dataset))
    return int(size) == shape[0] or AXES.get(kind) == shape.rank
