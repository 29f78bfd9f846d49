"""Displays: what a network, an objective and data show of themselves in a session and in a notebook.

as_text(title, rows) -> str      a title, and one line for each (name, value)
as_html(title, rows) -> str      the same as a table
"""

import html
import itertools
from collections import Counter

import numpy as np

from lab.kinds import KINDS
from lab.nouns import plural
from lab.refusal import Refused
from lab.sequences import Lazy
from lab.thumbnails import strip

# Names of a list, and numbers of one objective, before the rest is left out.
NAMES, NUMBERS = 6, 8
# Samples that a record shows of itself unless told otherwise.
SHOWN = 8
# The longer side of a thumbnail, about.
SIDE = 112
# How a kind of term is called, where its name is another.
_FUNCTIONS = {"direction_at": "direction"}
_IN_FILES = "in files, which are read one by one"


def as_text(title, rows):
    """A title and named values, one a line.

    Args:
        title: str.
        rows: list of (name, value), each str.

    Returns:
        str.
    """
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in rows)])


def as_html(title, rows):
    """A title and named values as an HTML table, every text escaped.

    Args:
        title: str.
        rows: list of (name, value), each str.

    Returns:
        str.
    """
    cells = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in rows)
    return f"<p><b>{html.escape(title)}</b></p><table>{cells}</table>"


def join_names(names):
    """Names in one line; beyond `NAMES`, the rest is counted: str."""
    names = map(str, names)
    first = ", ".join(itertools.islice(names, NAMES))
    more = sum(1 for _ in names)
    return first + (f" and {more} more" if more else "")


# Networks -----------------------------------------------------------------------------------------------------------------


def network_title(network):
    """The name of a network and how large it is: str."""
    return f"Network {network.name}: {len(network.layers())} layers, {network.model.count_params():,} parameters"


def network_rows(network):
    """What a network takes and gives, and how images are made its inputs.

    Args:
        network: a `Network`.

    Returns:
        list of (name, value), each str.
    """
    inputs = [("input", f"{name} {_shape(spec.shape)} {spec.dtype.name}") for name, spec in network.places()]
    outputs = [
        ("output", f"{name} {_shape(shape)}: {_classes(network, name)}") for name, shape in network.outputs.items()
    ]
    return [*inputs, *outputs, *_image_rows(network)]


def _shape(shape):
    return f"({', '.join('any' if side is None else str(side) for side in tuple(shape))})"


def _classes(network, output):
    """The classes of an output in words: str."""
    count, names = network.classes_in(output), network.names_in(output)
    counted = "any number of classes" if count is None else f"{count} class{'es' * (count != 1)}"
    return f"{counted} ({join_names(names)})" if names else counted


def _image_rows(network):
    if network.image_place is None:
        return []
    if network.preprocessing is None:
        return [("images", "given ready-made: neither preprocess= nor input_range= is known")]
    channels = network.preprocessing.channels
    black, white = (network.preprocessing.apply(np.full(channels, value, "float32")) for value in (0, 255))
    return [("images", f"0 to 255 becomes {_range(black, white)}, {channels} channel{'s' * (channels != 1)}")]


def _range(black, white):
    """What black and white become: two numbers where all channels are alike, else two lists: str."""
    ends = [
        f"{values[0]:.4g}" if np.allclose(values, values[0]) else f"[{', '.join(f'{value:.4g}' for value in values)}]"
        for values in (black, white)
    ]
    return " to ".join(ends)


# Objectives ---------------------------------------------------------------------------------------------------------------


def typed(objective):
    """An objective as it would be typed, such as `lab.logit(3) - lab.logit(8)`; long lists end with dots.

    Args:
        objective: an `Objective`.

    Returns:
        str.
    """
    terms = [f"{_typed_weight(weight)}{_typed_term(term)}" for weight, term in objective.terms]
    return " + ".join(terms).replace("+ -", "- ")


def _typed_weight(weight):
    if abs(weight) == 1:
        return "-" if weight < 0 else ""
    return f"{int(weight) if float(weight).is_integer() else weight!r} * "


def _typed_term(term):
    arguments = [*_place(term), *(_ARGUMENTS[term.kind](term) if term.kind in _ARGUMENTS else _indices(term))]
    if term.kind in _OUTPUT_KINDS and term.where is not None:
        arguments.append(f"output={term.where!r}")
    return f"lab.{_FUNCTIONS.get(term.kind, term.kind)}({', '.join(arguments)}){'.linear' if term.linear else ''}"


_OUTPUT_KINDS = ("logit", "class_score", "region", "token")


def _place(term):
    """The layer as the first argument; outputs are named last, and a custom function comes before its layers."""
    return [] if term.kind in (*_OUTPUT_KINDS, "custom") else [repr(term.where)]


def _rows(rows):
    """Numbers, one row a sample, as they would be typed: a single row by itself, and long lists cut short."""
    return _numbers(rows[0] if len(rows) == 1 else rows)


def _numbers(values):
    if not isinstance(values, (tuple, list)):
        return repr(values)
    if len(values) > NUMBERS:
        return f"[{', '.join(map(_numbers, values[: NUMBERS // 2]))}, ...]"
    return f"[{', '.join(map(_numbers, values))}]"


def _indices(term):
    return [_rows(rows) for rows in term.numbers]


def _region(term):
    everywhere = term.numbers[1] == ((1.0,),)
    return [_rows(term.numbers[0]), *([] if everywhere else [f"mask={_numbers(term.numbers[1])}"])]


def _neuron(term):
    index, *position = term.numbers
    return [
        _rows(index),
        *(f"{name}={_rows(rows)}" for name, rows in zip(("row", "column"), position) if rows != (-1,)),
    ]


def _with_power(term):
    """A vector, its position if it has one, and its power if that is not 0."""
    vector, (power,), *position = term.numbers
    place = [f"{name}={_rows(rows)}" for name, rows in zip(("row", "column"), position)]
    return [_rows(vector), *place, *([f"power={power!r}"] if power else [])]


def _custom(term):
    layers = list(term.where)
    return [getattr(term.function, "__name__", "function"), repr(layers[0] if len(layers) == 1 else layers)]


# The arguments of a term after its layer, for kinds that are not indices alone: a term -> list of str.
_ARGUMENTS = {
    "region": _region,
    "neuron": _neuron,
    "direction": _with_power,
    "direction_at": _with_power,
    "likeness": _with_power,
    "custom": _custom,
}


# Data ---------------------------------------------------------------------------------------------------------------------


def data_title(data):
    """How many inputs there are, of how many sources: str."""
    noun = {"image": "image", "text": "text"}.get(data.kind) or KINDS[data.kind].noun
    nouns = plural(noun)
    if not len(data):
        return f"Data: no {nouns}"
    count = len(data)
    sources = count if isinstance(data.groups, range) else len(set(data.groups))
    counted = f"Data: {count} {noun if count == 1 else nouns}"
    return counted if count == sources else f"{counted} of {sources} source{'s' * (sources != 1)}"


def data_rows(data):
    """The names, sizes and labels of inputs, and what else is known of them. No file is read.

    Args:
        data: a `Data`.

    Returns:
        list of (name, value), each str.
    """
    if not len(data):
        return []
    rows = [("names", join_names(data.names)), _size_row(data)]
    if isinstance(data.labels, Lazy):
        rows.append(("labels", _IN_FILES))
    elif data.labels is not None:
        counts = Counter(data.labels)
        rows.append(("labels", join_names(f"{name} ({count})" for name, count in counts.items())))
    rows += [("masks", _shape(np.shape(data.masks)))] if data.masks is not None else []
    if data.table is not None:
        rows.append(("table", f"{_shape(np.shape(data.table))}: {join_names(data.columns)}".rstrip(": ")))
    elif len(data.columns):
        rows.append(("columns", join_names(data.columns)))
    return rows


def _size_row(data):
    """How large the inputs are: (name, value)."""
    if data.kind == "image":
        return "sizes", _sizes(data.inputs)
    if data.kind == "text":
        lengths = [len(text) for text in data.inputs]
        return "lengths", f"{min(lengths)} to {max(lengths)} characters"
    return "shape", f"{_shape(np.shape(data.inputs))} {np.asarray(data.inputs).dtype}"


def _sizes(images):
    """Rows and columns of the smallest and the largest image: str."""
    if hasattr(images, "paths") or isinstance(images, Lazy):
        return _IN_FILES
    shapes = sorted({np.shape(image)[:2] for image in images}, key=lambda shape: (np.prod(shape), shape))
    ends = [" x ".join(map(str, shape)) for shape in dict.fromkeys((shapes[0], shapes[-1]))]
    kinds = sorted({str(np.asarray(image).dtype) for image in images})
    return f"{' to '.join(ends)}, {', '.join(kinds)}"


def thumbnails(data):
    """The first images of some data, each with its name and size, as HTML.

    Args:
        data: a `Data`. At most `NAMES` images are read.

    Returns:
        str, empty where there are no images.
    """
    figures = [_thumbnail(data, place) for place in range(min(len(data), NAMES))]
    images, captions = ([figure[part] for figure in figures if figure] for part in (0, 1))
    unreadable = [str(data.names[place]) for place, figure in enumerate(figures) if figure is None]
    words = f"<p>cannot be read: {html.escape(join_names(unreadable))}</p>" if unreadable else ""
    return (strip(images, captions, "") if images else "") + words


def _thumbnail(data, place):
    """A small copy of an image in uint8, and its caption; None for a file that cannot be read."""
    try:
        image = np.asarray(data.images[place])
    except Refused:
        return None
    rows, columns = image.shape[:2]
    step = max(1, max(rows, columns) // SIDE)
    small = image[::step, ::step]
    small = np.clip(np.nan_to_num(small), 0, 255).astype("uint8")
    return small, f"{data.names[place]} ({rows} x {columns})"
