"""Objective: (activations, inputs) -> one score per sample.

A frozen sum of weighted terms. `+`, `-`, `*` with numbers and objectives make new objectives.
Indices, weights and directions are passed as tensors, so that only the *structure* of an objective is traced.
An index list has one entry per sample: its length is 1 or the batch's.
"""

from dataclasses import dataclass, replace

import numpy as np

from lab.displays import typed
from lab.refusal import Refused
from lab.registry import Registry, nearest

objectives = Registry("objective")

# Kinds that are read from an output of the model, before its softmax; all others are read from layers.
OUTPUTS = ("logit", "class_score", "region", "token")
# Those of them that score a class of an output [batch, classes].
CLASSES = ("logit", "class_score")


@dataclass(frozen=True)
class Term:
    """One thing to score: its kind, the layer path or output name where it is read, and its numbers, one row a sample.

    Args:
        kind: the name of the objective, such as "logit".
        where: a layer path, an output name or None; a tuple of paths for kind "custom".
        numbers: tuple of rows of indices, vectors or weights.
        linear: whether to read what goes into the layer's activation function, where a dead ReLU has a gradient.
        function: the score function of kind "custom", which reads several layers.
    """

    kind: str
    where: str | tuple | None
    numbers: tuple
    linear: bool = False
    function: object = None

    @property
    def paths(self):
        """The layers that the term reads: tuple of str."""
        if self.kind in OUTPUTS:
            return ()
        return self.where if isinstance(self.where, tuple) else (self.where,)

    @property
    def length(self):
        """How many samples the term has numbers for (1: any number): int."""
        return max((len(rows) for rows in self.numbers), default=1)


@dataclass(frozen=True)
class Objective:
    """A weighted sum of terms; equal terms are merged, so `a + a == 2 * a`."""

    terms: tuple

    def __add__(self, other):
        if not isinstance(other, Objective):
            return NotImplemented
        weights = {}
        for weight, term in (*self.terms, *other.terms):
            weights[term] = weights.get(term, 0.0) + weight
        return Objective(tuple((weight, term) for term, weight in weights.items()))

    def __mul__(self, number):
        if not np.isscalar(number) or not np.isreal(number):
            return NotImplemented
        return Objective(tuple((weight * float(number), term) for weight, term in self.terms))

    __rmul__ = __mul__

    def __neg__(self):
        return -1.0 * self

    def __sub__(self, other):
        return self + (-1.0) * other if isinstance(other, Objective) else NotImplemented

    @property
    def linear(self):
        """The same objective, read before the activation functions of its layers.

        Terms of outputs, of whole activations ("likeness") and of kind "custom" are read as they are.
        """
        plain = (*OUTPUTS, "likeness", "custom")
        return Objective(tuple((weight, replace(term, linear=term.kind not in plain)) for weight, term in self.terms))

    @property
    def structure(self):
        """What a trace depends on: (kind, where, linear, function) of each term, and never a number."""
        return tuple((term.kind, term.where, term.linear, term.function) for _, term in self.terms)

    @property
    def paths(self):
        """The layers that the terms read: list of str."""
        return [path for _, term in self.terms for path in term.paths]

    @property
    def length(self):
        """How many samples the objective has numbers for (1: any number): int."""
        return max(term.length for _, term in self.terms)

    def rows(self, kept):
        """The objective of some samples of its batch, by their indices; lists of one entry stay as they are."""

        def pick(rows):
            return rows if len(rows) == 1 else tuple(rows[index] for index in kept)

        return Objective(
            tuple(
                (weight, replace(term, numbers=tuple(pick(rows) for rows in term.numbers)))
                for weight, term in self.terms
            )
        )

    def for_classes(self, classes):
        """The same objective for other classes, one a sample, of the same output and region; for an objective of one term."""
        ((weight, term),) = self.terms
        return Objective(((weight, replace(term, numbers=(tuple(classes), *term.numbers[1:]))),))

    @property
    def weights(self):
        """The weight of each term: float32 [terms]."""
        return np.array([weight for weight, _ in self.terms], "float32")

    def numbers(self, batch):
        """Every term's numbers, one row a sample.

        Returns:
            tuple over terms of tuples of arrays [batch, ...].

        Raises:
            Refused: where a list is neither 1 nor `batch` long.
        """
        return tuple(tuple(_broadcast_numbers(rows, batch, term) for rows in term.numbers) for _, term in self.terms)

    def __repr__(self):
        return typed(self)

    def __str__(self):
        return " + ".join(_describe_term(weight, term) for weight, term in self.terms).replace("+ -", "- ")


def _broadcast_numbers(rows, batch, term):
    values = np.asarray(rows)
    values = values.astype("int32" if values.dtype.kind in "iu" else "float32")
    if len(values) not in (1, batch):
        raise Refused(
            f"An index list has one entry, or one per sample. Received: {len(values)} in {term.kind}(...) for {batch} samples."
        )
    return np.ascontiguousarray(np.broadcast_to(values, (batch, *values.shape[1:])))


def _describe_term(weight, term):
    indices = list(term.numbers[0]) if term.numbers and np.ndim(term.numbers[0]) == 1 else []
    shown_indices = indices[0] if len(indices) == 1 else (f"{indices[:4]}..." if len(indices) > 4 else indices)
    place = [", ".join(term.paths) or term.where] if term.where else []
    inside = ", ".join(str(part) for part in [*place, *([shown_indices] if indices else [])])
    sign = {1.0: "", -1.0: "-"}.get(weight, f"{weight:g} * ")
    return f"{sign}{term.kind}({inside})"


def _as_indices(value, rule):
    listed = np.atleast_1d(np.asarray(list(value) if isinstance(value, range) else value))
    if listed.ndim != 1 or listed.dtype.kind not in "iu" or (listed < 0).any() or not len(listed):
        raise Refused(f"{rule} is an index of 0 or more, or a list of them. Received: {value!r}.")
    return tuple(int(index) for index in listed)


def _as_vectors(value):
    listed = np.atleast_2d(np.asarray(value, "float64"))
    if listed.ndim != 2 or not np.isfinite(listed).all() or not listed.size:
        raise Refused(
            f"A direction is a vector [channels] of finite numbers, or one per sample. Received: shape {np.shape(value)}."
        )
    return tuple(tuple(row) for row in listed.tolist())


def _as_window(pair, rule):
    first, last = _as_indices(pair, f"A window's {rule}") if np.size(pair) == 2 else (1, 0)
    if first > last:
        raise Refused(f"A window's {rule} are (first, last), first <= last. Received: {pair!r}.")
    return ((first, last),)


def _single_term(kind, where, *numbers):
    return Objective(((1.0, Term(kind, where, numbers)),))


@objectives.register
def logit(index, *, output=None):
    """The score of a class before softmax or sigmoid.

    Args:
        index: the index of a class, or a list of one per sample.
        output: the name of an output, where there are several.

    Returns:
        `Objective`.
    """
    return _single_term("logit", output, _as_indices(index, "A class"))


@objectives.register
def class_score(index, *, output=None):
    """The score of a class of a classification.

    Of several units it is the logit. One unit stands for two classes: class 1 has the unit before its sigmoid, and
    class 0 minus that.

    Args:
        index: the index of a class, or a list of one per sample.
        output: the name of an output, where there are several.

    Returns:
        `Objective`.
    """
    return _single_term("class_score", output, _as_indices(index, "A class"))


@objectives.register
def region(index, mask=None, *, output=None):
    """The mean score of a class over positions of an output (Vinogradova, Dibrov, Myers 2020, https://arxiv.org/abs/2002.11434).

    The output is [batch, ..., classes], such as that of a segmentation.

    Args:
        index: the index of a class, or a list of one per sample.
        mask: bool or weights over the positions [...], or one per sample [batch, ...] or as a list; None: all alike.
        output: the name of an output, where there are several.

    Returns:
        `Objective`.

    Raises:
        Refused: for a mask without positions, and for weights below 0 or not finite.
    """
    rows = (
        [[1.0]]
        if mask is None
        else [np.ravel(sample_mask) for sample_mask in (mask if isinstance(mask, (list, tuple)) else [mask])]
    )
    weights = tuple(tuple(np.asarray(row, "float64").tolist()) for row in rows)
    if any(not np.isfinite(row).all() or min(row) < 0 or not any(row) for row in weights):
        raise Refused(
            "A region holds at least one position, with weights of 0 or more. Received: no position, or other weights."
        )
    return _single_term("region", output, _as_indices(index, "A class"), weights)


@objectives.register
def token(index, position, *, output=None):
    """The score of a class at one position of an output [batch, positions, classes].

    Args:
        index: the index of a class, or a list of one per sample.
        position: the index of a position, or a list of one per sample.
        output: the name of an output, where there are several.

    Returns:
        `Objective`.
    """
    return _single_term("token", output, _as_indices(index, "A class"), _as_indices(position, "A position"))


@objectives.register
def channel(layer, index):
    """The mean over positions of a channel of a layer.

    Args:
        layer: the address of a layer.
        index: the index of a channel, or a list of one per sample.

    Returns:
        `Objective`.
    """
    return _single_term("channel", layer, _as_indices(index, "A channel"))


def goal(layer, units):
    """The objective with one entry per unit: channels of a layer, or classes.

    Args:
        layer: the address of a layer; None for classes.
        units: indices, one a sample.

    Returns:
        `Objective`.
    """
    return logit(list(units)) if layer is None else channel(layer, list(units))


@objectives.register
def neuron(layer, index, row=None, column=None):
    """One unit of a layer: a channel at a row and column, or the unit itself for layers without positions.

    Args:
        layer: the address of a layer.
        index: the index of a channel, or a list of one per sample.
        row: counted from 0, or a list of one per sample; None: the centre. A layer of tokens or steps has row 0 alone.
        column: as `row`; the place of a token or step.

    Returns:
        `Objective`.
    """
    rows = _CENTRE if row is None else _as_indices(row, "A row")
    columns = _CENTRE if column is None else _as_indices(column, "A column")
    return _single_term("neuron", layer, _as_indices(index, "A channel"), rows, columns)


@objectives.register
def layer(path):
    """The mean square of a whole layer (DeepDream; Mordvintsev, Olah, Tyka 2015).

    Args:
        path: the address of a layer.
    """
    return _single_term("layer", path)


@objectives.register
def direction(layer, vector, row=None, column=None, power=0.0):
    """A layer's projection on a vector: the mean over positions, or at a row and column.

    Args:
        layer: the address of a layer.
        vector: [channels], or one per sample [batch, channels].
        row: counted from 0, or a list of one per sample; None: the mean over positions.
        column: as `row`.
        power: the projection is multiplied by the cosine to this power; the cosine is at least .1. A higher power
            asks for the direction more than for length (Carter et al. 2019, https://distill.pub/2019/activation-atlas).

    Returns:
        `Objective`.

    Raises:
        Refused: for a row without a column, a column without a row, and a vector that is not finite.
    """
    if (row is None) != (column is None):
        raise Refused(f"A position is a row and a column. Received: row={row!r}, column={column!r}.")
    if row is None:
        return _single_term("direction", layer, _as_vectors(vector), (float(power),))
    place = (_as_indices(row, "A row"), _as_indices(column, "A column"))
    return _single_term("direction_at", layer, _as_vectors(vector), (float(power),), *place)


@objectives.register
def cosine(layer, vector):
    """The cosine between a layer's mean over positions and a vector.

    Args:
        layer: the address of a layer.
        vector: [channels], or one per sample [batch, channels].

    Returns:
        `Objective`.
    """
    return _single_term("cosine", layer, _as_vectors(vector))


@objectives.register
def weighted(layer, indices, weights):
    """A weighted sum of the means of channels.

    Args:
        layer: the address of a layer.
        indices: [channels], or one list per sample [batch, channels].
        weights: numbers of the same shape.

    Returns:
        `Objective`.

    Raises:
        Refused: where indices and weights differ in shape.
    """
    channels = np.atleast_2d(np.asarray(indices))
    shares = _as_vectors(weights)
    if channels.shape != np.shape(shares):
        raise Refused(
            f"Every channel has its weight. Received: {channels.shape} channels and {np.shape(shares)} weights."
        )
    return _single_term("weighted", layer, tuple(_as_indices(row, "A channel") for row in channels), shares)


@objectives.register
def interpolation(layer, first, second, count=6):
    """From one channel to another, one step a sample: the pictures between two units.

    Args:
        layer: the address of a layer.
        first: the index of a channel.
        second: the index of another.
        count: int, steps with both ends.

    Returns:
        `Objective` of `count` samples.
    """
    shares = np.linspace(0.0, 1.0, count)
    return weighted(layer, [[first, second]] * count, np.stack([1 - shares, shares], axis=1))


@objectives.register
def group(layer, index, rows, columns):
    """The mean of a channel over a window of positions.

    Args:
        layer: the address of a layer.
        index: the index of a channel, or a list of one per sample.
        rows: (first, last), both included.
        columns: (first, last), both included.

    Returns:
        `Objective`.
    """
    windows = [_as_window(pair, rule) for pair, rule in ((rows, "rows"), (columns, "columns"))]
    return _single_term("group", layer, _as_indices(index, "A channel"), *windows)


@objectives.register
def likeness(layer, activation, power=0.0):
    """The dot product with another picture's whole activation, for feature inversion and caricature.

    Mahendran, Vedaldi 2015, https://arxiv.org/abs/1412.0035; Olah et al. 2018, https://distill.pub/2018/building-blocks.

    Args:
        layer: the address of a layer.
        activation: [..., channels], or one per sample.
        power: the product is multiplied by the cosine to this power.

    Returns:
        `Objective`.
    """
    flat = np.asarray(activation, "float32")
    flat = flat[None] if flat.ndim in (1, 3) else flat
    return _single_term("likeness", layer, _as_vectors(flat.reshape(len(flat), -1)), (float(power),))


def custom(function, layers):
    """Any traceable function of activations.

    Args:
        function: `function({path: tensor [batch, ...]}) -> score [batch]`.
        layers: the address of the layer that it reads, or a list of several.

    Returns:
        `Objective`.

    Raises:
        Refused: for what is not a function.
    """
    if not callable(function):
        raise Refused(f"custom(...) takes a function of activations. Received: {function!r}.")
    paths = (layers,) if isinstance(layers, str) else tuple(layers)
    return Objective(((1.0, Term("custom", paths, (), function=function)),))


# An index that no neuron has: the trace replaces it by the centre.
_CENTRE = (-1,)


def refuse_no_objective(value):
    """Raise Refused for what is not an objective, and say what to type instead."""
    if isinstance(value, Objective):
        return
    hint = "lab.class_score(index)"
    if callable(value):
        hint = "lab.custom(function, layers)"
    elif isinstance(value, str):
        hint = f"lab.class_score(network.class_index({value!r}))"
    elif np.ndim(value) < 2 and np.asarray(value).dtype.kind in "iu":
        index = np.asarray(value).tolist()
        hint = f"lab.logit({index}), or lab.class_score({index}) of one unit that stands for two classes,"
    raise Refused(f"This needs an objective. Received: {type(value).__name__}: {hint} makes one.")


def check(objective, layers, outputs):
    """Check that a network has everything that an objective names.

    Args:
        objective: an `Objective`.
        layers: dict of path (with @call) to output shape.
        outputs: dict of output name to shape.

    Raises:
        Refused: for a layer, output, class, channel or position that the network lacks.
    """
    for _, term in objective.terms:
        if term.kind in OUTPUTS:
            _check_class(term, outputs)
            continue
        for path in term.paths:
            if path not in layers:
                raise Refused(f"Unknown layer. Received: {path!r}. {nearest(path, layers)}")
        if term.kind != "custom":
            _check_channel(term, layers[term.where])


def _check_class(term, outputs):
    if term.where is None and len(outputs) > 1:
        raise Refused(f"The network has several outputs: name one with output=. Received: none. {nearest('', outputs)}")
    if term.where is not None and term.where not in outputs:
        raise Refused(f"Unknown output. Received: {term.where!r}. {nearest(term.where, outputs)}")
    shape = outputs[term.where] if term.where is not None else next(iter(outputs.values()))
    _CLASS_CHECKS[term.kind](term, shape)
    units = shape[-1] if len(shape) > 1 else 1
    if term.kind == "logit" and units == 1 and max(term.numbers[0]) == 1:
        raise Refused(
            "logit(0) is the one unit of this output. Received: logit(1). class_score(1) and class_score(0) are the scores of the two classes that it tells apart."
        )
    _check_range("A class", term.numbers[0], 2 if term.kind == "class_score" and units == 1 else units, term.kind)


def _check_one_score(term, shape):
    if len(shape) not in (1, 2):
        raise Refused(
            f"{term.kind}(...) needs one score per class and sample, [batch, classes]. Received: an output of shape {shape}; region(...) and token(...) explain scores at positions."
        )


def _check_region(term, shape):
    if len(shape) < 3:
        raise Refused(f"region(...) needs an output with positions, [batch, ..., classes]. Received: {shape}.")
    size = None if None in shape[1:-1] else int(np.prod(shape[1:-1]))
    for row in term.numbers[1]:
        if len(row) > 1 and size is not None and len(row) != size:
            raise Refused(f"A mask covers the output's positions, {shape[1:-1]}. Received: {len(row)} numbers.")


def _check_token(term, shape):
    if len(shape) != 3:
        raise Refused(f"token(...) needs an output [batch, positions, classes]. Received: {shape}.")
    _check_range("A position", term.numbers[1], shape[1], "token")


_CLASS_CHECKS = {
    "logit": _check_one_score,
    "class_score": _check_one_score,
    "region": _check_region,
    "token": _check_token,
}


def _check_channel(term, shape):
    if not isinstance(shape, tuple) or len(shape) < 2:
        raise Refused(
            f"{term.kind}(...) needs a layer with one array [batch, ..., channels]. Received: {term.where!r} with {shape}."
        )
    if term.kind in ("direction", "direction_at", "cosine") and len(term.numbers[0][0]) != shape[-1]:
        raise Refused(
            f"A direction has one number per channel. Received: {len(term.numbers[0][0])} for {shape[-1]} channels of {term.where!r}."
        )
    if term.kind == "likeness" and None not in shape[1:] and len(term.numbers[0][0]) != int(np.prod(shape[1:])):
        raise Refused(
            f"likeness(...) compares whole activations. Received: {len(term.numbers[0][0])} numbers for {term.where!r} of {shape}."
        )
    if term.kind in ("channel", "neuron", "group"):
        _check_range("A channel", term.numbers[0], shape[-1], term.where)
    if term.kind == "weighted":
        _check_range("A channel", [max(row) for row in term.numbers[0]], shape[-1], term.where)
    if term.kind in _POSITION_NUMBERS:
        _check_place(term, shape)


# Kinds that name a position, and where their numbers do.
_POSITION_NUMBERS = {"neuron": (1, 2), "direction_at": (2, 3), "group": (1, 2)}


def _check_place(term, shape):
    if len(shape) != 4 and term.kind != "neuron":
        raise Refused(f"A position needs a layer with rows and columns. Received: {term.where!r} of {shape}.")
    if len(shape) == 2:
        return
    sides = shape[1:3] if len(shape) == 4 else (1, None if None in shape[1:-1] else int(np.prod(shape[1:-1])))
    for name, place, size in zip(("A row", "A column"), _POSITION_NUMBERS[term.kind], sides):
        numbers = term.numbers[place]
        if numbers != _CENTRE:
            _check_range(name, [int(np.max(values)) for values in numbers], size, term.where)


def _check_range(rule, numbers, size, place):
    if size is not None and max(numbers) >= size:
        raise Refused(f"{rule} of {place} is between 0 and {size - 1}. Received: {max(numbers)}.")
