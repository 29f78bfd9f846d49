"""Maximize: pictures that maximize a network's units, many units at once, with the whole ascent in one graph."""

import contextlib
import inspect
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from lab import chunks, routines, taps
from lab.activation_rules import ruled_gradient
from lab.environment import keras, tf
from lab.network import refuse_other
from lab.refusal import Refused
from lab.scoring import score
from lab.visualization.ascent import Adam, OfKeras
from lab.visualization.canvas import canvas
from lab.visualization.parameterizations import Fourier, resolve_parameterization
from lab.visualization.regularizers import Scene
from lab.visualization.resampling import GREY
from lab.visualization.transforms import transforms as sets

# The rate falls to a twentieth, along a cosine.
RATE, FLOOR = 0.05, 0.05


@dataclass(frozen=True)
class Pictures:
    """What `maximize` returns, one row a picture; the facets of a unit are together.

    Args:
        images: float32 [rows, *extent, channels] in 0..1, with opacity as a last channel where the parameterization has it.
        inputs: the images as the network takes them.
        curves: float32 [rows, steps], the objective on the transformed picture at each step.
        scores: float32 [rows], the objective on the picture itself.
        objective: in words.
        settings: dict of the options that were used.
        snapshots: float32 [rows, stops, *extent, channels] at `settings["stops"]`, or None.
        transparency: float32 [rows, *extent], summed magnitudes of the picture's gradient, scaled to 1, or None.
    """

    images: np.ndarray
    inputs: np.ndarray
    curves: np.ndarray
    scores: np.ndarray
    objective: str
    settings: dict = field(default_factory=dict)
    snapshots: np.ndarray | None = None
    transparency: np.ndarray | None = None

    @property
    def flags(self):
        """What is suspicious about each picture: tuple over rows of tuples of words.

        "not finite", and "flat": no step changed the objective, as where a unit is dead.
        """
        return tuple(tuple(_picture_flags(*row)) for row in zip(self.images, self.curves))

    def _repr_html_(self):
        from lab.thumbnails import strip

        return strip(self.images, [f"{value:.3g}" for value in self.scores], title=self.objective)


@dataclass(frozen=True)
class Climb:
    """What the trace of an ascent depends on; its numbers are tensors.

    `objective` is what is climbed, and `reported` that of the scores of final pictures.
    """

    objective: object
    reported: object
    canvas: object
    kind: object
    transforms: tuple
    regularizers: tuple
    ascent: object
    facets: int
    views: int
    normalize: bool
    transparency: bool
    redirect: bool

    @property
    def paths(self):
        """The paths of every layer that is read: list of str."""
        return list(
            dict.fromkeys(
                [*self.objective.paths, *(regularizer.layer for regularizer in self.regularizers if regularizer.layer)]
            )
        )

    @property
    def key(self):
        """The key of the trace."""
        fixed = (self.canvas, self.kind, self.transforms, self.ascent, self.facets, self.views)
        penalties = tuple(regularizer.structure for regularizer in self.regularizers)
        return (
            "maximize",
            self.objective.structure,
            self.reported.structure,
            *fixed,
            penalties,
            self.normalize,
            self.transparency,
            self.redirect,
        )

    @property
    def settings(self):
        """The settings in words: dict."""
        return {
            "size": list(self.canvas.shape[:-1]),
            "parameterization": repr(self.kind),
            "transforms": [_describe_part(part) for part in self.transforms],
            "regularizers": [
                f"{type(regularizer).__name__}({regularizer.weight:g})" for regularizer in self.regularizers
            ],
            "optimizer": _describe_part(self.ascent),
            "normalize": self.normalize,
            "facets": self.facets,
            "views": self.views,
            "redirect": self.redirect,
        }

    @property
    def coupled(self):
        """Whether the pictures of different units depend on each other: bool."""
        return self.kind.coupled or any(regularizer.coupled for regularizer in self.regularizers)


def maximize(
    network,
    objective,
    *,
    steps=256,
    size=None,
    seed,
    parameterization="fourier",
    transforms="robust",
    regularizers=(),
    optimizer=None,
    rate=RATE,
    normalize=False,
    facets=1,
    views=1,
    start=None,
    snapshots=(),
    transparency=False,
    redirect=False,
    linear=True,
    of=None,
    beside=None,
):
    """Climb an objective by changing a picture (Erhan, Bengio, Courville, Vincent 2009; Olah et al. 2017, https://distill.pub/2017/feature-visualization) -> `Pictures`.

    Args:
        network: a `Network` that takes images.
        objective: an `Objective`; its index list has one entry per unit.
        steps: how many steps.
        size: rows and columns of the picture in pixels, an int or a pair; None: the network's.
        seed: a whole number.
        parameterization: a name or object of `lab.visualization.parameterizations`.
        transforms: the name of a set (robust, tiled, textbook, crops, none), or a sequence of transforms and functions.
        regularizers: objects of `lab.visualization.regularizers`.
        optimizer: a Keras optimizer; None: Adam, with a rate that falls from `rate` along a cosine.
        rate: Adam's rate at the first step.
        normalize: whether each picture's gradient is divided by its length.
        facets: pictures per unit, each from its own start.
        views: transformed views that are averaged at each step.
        start: photographs in 0..1 [1 or units, *extent, channels] to start from; None: a random start.
        snapshots: steps after which the picture is kept.
        transparency: whether the magnitudes of the picture's gradient are summed too.
        redirect: whether a ReLU that lets no gradient through passes the positive part of the incoming one, for
            starts at which it is dead.
        linear: whether what goes into the layer's activation function is maximized, where a dead unit still has a
            gradient. Scores are always those of the objective itself.
        of: the name of the input to draw, where there are several.
        beside: dict of the other inputs, arrays [1 or units, ...].

    Returns:
        `Pictures`.

    Raises:
        Refused: for a network that does not take images, and for options that do not fit.
    """
    refuse_other(network, objective)
    network.check(objective)
    board, count, units = canvas(network, size, of), _count(steps, "steps"), objective.length
    climb = Climb(
        objective.linear if linear else objective,
        objective,
        board,
        resolve_parameterization(parameterization),
        _transforms(transforms, board.extent),
        tuple(regularizers),
        Adam() if optimizer is None else optimizer,
        _count(facets, "facets"),
        _count(views, "views"),
        bool(normalize),
        bool(transparency),
        bool(redirect),
    )
    stops, others = _stops(snapshots, count), _other_inputs(network, board, beside, units)
    results = _climb(network, climb, stops, float(rate), seed, _check_start(start, board, units), others)
    settings = {**climb.settings, "steps": count, "stops": stops, "seed": seed, "rate": rate, "linear": linear}
    return _make_pictures(network, objective, climb, results, others, settings)


def _picture_flags(image, curve):
    if not (np.isfinite(image).all() and np.isfinite(curve).all()):
        yield "not finite"
    elif len(curve) > 1 and curve.min() == curve.max():
        yield "flat"


def _describe_part(part):
    """A part of an ascent in words that are the same in every process, without an address of memory."""
    if isinstance(part, keras.optimizers.Optimizer):
        return f"{type(part).__name__}({part.get_config()})"
    return f"{part.__module__}:{part.__qualname__}" if inspect.isfunction(part) else repr(part)


def _make_pictures(network, objective, climb, results, others, settings):
    """The results of an ascent, with the scores and inputs of the final pictures."""
    drawn = _blend_on_grey(climb.kind, results["images"])
    inputs = _arrays(climb.canvas.inputs(network, drawn, _repeat_rows(others, climb.facets)))
    return Pictures(
        results["images"],
        inputs,
        results["curves"],
        results["scores"],
        str(objective),
        settings,
        results.get("snapshots"),
        _scale_to_one(results["magnitudes"]) if climb.transparency else None,
    )


def _scale_to_one(magnitudes):
    return magnitudes / np.maximum(magnitudes.max(axis=tuple(range(1, magnitudes.ndim)), keepdims=True), 1e-30)


def _climb(network, climb, stops, rate, seed, photographs, others):
    """-> dict: images [rows, ...] in 0..1, curves [rows, steps], snapshots [rows, stops, ...], magnitudes [rows, *extent]."""
    units, shape = climb.objective.length, climb.canvas.shape
    part = chunks.even_size(units, _units_per_chunk(network, climb, units))
    if not isinstance(climb.ascent, Adam):
        ascent = OfKeras(climb.ascent, part * climb.facets)
        if ascent.alone and climb.facets > 1:
            raise Refused(
                f"An optimizer that uses all parameters together optimizes one picture a unit. Received: {ascent.kind.__name__} and facets={climb.facets}."
            )
        part = 1 if ascent.alone else part
        climb = replace(climb, ascent=ascent)
    encoded = () if photographs is None else climb.kind.encode(photographs)
    goals = tuple(regularizer.targets(units) for regularizer in climb.regularizers)
    batched = (climb.objective.numbers(units), np.arange(units, dtype="int32"), tuple(others), encoded, goals)
    shared = (
        climb.objective.weights,
        np.array([regularizer.weight for regularizer in climb.regularizers] or [0.0], "float32"),
        climb.kind.constants(shape),
        np.array([seed & 0x7FFFFFFF, seed >> 31 & 0x7FFFFFFF], "int32"),
        np.array(stops, "int32"),
        np.float32(rate),
    )
    static = climb.ascent.rows
    several = len(stops) > 1
    key, body = (climb.key, several), _body(network, climb, several)
    results = routines.run(network, key, body, batched, shared, most=part, pad=True if static else None)
    return {name: array.reshape(-1, *array.shape[2:]) for name, array in results.items()}


def _units_per_chunk(network, climb, units):
    """Units of one chunk. Raises Refused where a batch that may not be split does not fit."""
    most = max(1, chunks.size(network) // (climb.facets * climb.views))
    if climb.coupled and units > most:
        raise Refused(
            f"Pictures that share parameters are optimized in one batch, at most {most} here. Received: {units}. Raise memory= of lab.load."
        )
    if climb.coupled and climb.facets > 1:
        raise Refused(f"Pictures that share parameters have one facet a unit. Received: facets={climb.facets}.")
    return most


def _body(network, climb, several):
    """The graph of an ascent: one stretch of steps or several, with a picture kept at the end of each."""
    kind, shape, facets = climb.kind, climb.canvas.shape, climb.facets

    def body(batched, shared):
        (numbers, index, others, encoded, goals), (weights, costs, constants, seed, stops, rate) = batched, shared
        seed, units = tf.ensure_shape(seed, [2]), tf.shape(index)[0]
        scoring = (weights, costs, *(_repeat_rows(rows, facets) for rows in (numbers, others, goals)))
        parameters = _start_parameters(climb, units, seed, constants, encoded)

        def ascend(step, parameters, state, magnitudes, curve):
            now = tf.random.experimental.stateless_fold_in(seed, step)
            gains, slope, at = _evaluate(network, climb, scoring, parameters, constants, now)
            parameters, state = climb.ascent.step(step, parameters, slope, state, _cosine_rate(rate, step, stops[-1]))
            return step + 1, parameters, state, magnitudes + at, curve.write(step, gains)

        def stretch(number, kept, state):
            state = tf.while_loop(lambda step, *_: step < stops[number], ascend, state, parallel_iterations=1)
            return number + 1, kept.write(number, kind.picture(state[1], shape, constants)), state

        def stretches(*start):
            return tf.while_loop(lambda number, *_: number < tf.size(stops), stretch, start, parallel_iterations=1)

        start = _start_loop(climb, units, stops, parameters)
        with network.weights_before_loop():
            # A loop around the loop would add a sixth to the time of a first picture of few steps.
            _, kept, (*_, magnitudes, curve) = (stretches if several else stretch)(*start)
            results = _results(kept.stack(), curve.stack(), magnitudes, several)
            results["scores"] = _final_scores(network, climb, scoring, results["images"])
        return {name: _group_by_unit(rows, facets) for name, rows in results.items()}

    return body


def _start_loop(climb, units, stops, parameters):
    """Where the loop over stretches begins: the number of the stretch, no pictures yet, and the state of the ascent."""
    curve = tf.TensorArray(tf.float32, size=stops[-1], element_shape=[None])
    kept = tf.TensorArray(tf.float32, size=tf.size(stops), element_shape=None)
    magnitudes = tf.zeros([units * climb.facets, *(climb.canvas.shape[:-1] if climb.transparency else ())])
    return tf.constant(0), kept, (tf.constant(0), parameters, climb.ascent.begin(parameters), magnitudes, curve)


def _results(kept, curve, magnitudes, several):
    """Pictures kept [stops, rows, ...] and scores [steps, rows], rows first; the last picture alone where there is one stop."""
    results = {"images": kept[-1], "curves": tf.transpose(curve), "magnitudes": magnitudes}
    snapshots = {"snapshots": tf.transpose(kept, [1, 0, *range(2, len(kept.shape))])} if several else {}
    return results | snapshots


def _final_scores(network, climb, scoring, pictures):
    """The objective's score of each picture as it is, on grey where it is transparent: float32 [rows]."""
    weights, _, numbers, others, _ = scoring
    inputs = climb.canvas.inputs(network, _blend_on_grey(climb.kind, pictures), others)
    trace = network.trace(inputs, climb.reported.paths)
    return tf.cast(score(climb.reported.structure, weights, numbers, trace), tf.float32)


def _evaluate(network, climb, scoring, parameters, constants, seed):
    """The objective on the current picture, its gradient at the parameters, and the gradient's magnitude at the picture."""
    picture = climb.kind.picture(parameters, climb.canvas.shape, constants)
    views = [
        _score_view(network, climb, scoring, picture, tf.random.experimental.stateless_fold_in(seed, -1 - view))
        for view in range(climb.views)
    ]
    slope_of = _redirected_slope if climb.redirect else _slope
    picture_slope = sum(slope_of(view, picture) for view in views) / climb.views
    return sum(view.gains for view in views) / climb.views, *_slopes(picture_slope, parameters, picture, climb)


def _start_parameters(climb, units, seed, constants, encoded):
    """The first parameters [units * facets, ...]: each facet has its own draw, and all units have the same ones."""
    draws = [tf.random.experimental.stateless_fold_in(seed, -1 - facet) for facet in range(climb.facets)]
    starts = [climb.kind.start(units, climb.canvas.shape, draw, constants, encoded) for draw in draws]

    def join(*leaves):
        rows = leaves[0] if len(leaves) == 1 else tf.stack(leaves, axis=1)
        rows = tf.reshape(rows, [-1, *leaves[0].shape[1:]])
        return rows if climb.ascent.rows is None else tf.ensure_shape(rows, [climb.ascent.rows, *rows.shape[1:]])

    return tf.nest.map_structure(join, *starts)


class _View(NamedTuple):
    """A transformed picture, what the network takes for it, and what that is worth: gains less penalties [rows]."""

    transformed: object
    entry: object
    operations: list
    gains: object
    penalties: object


def _score_view(network, climb, scoring, picture, seed):
    weights, costs, numbers, others, goals = scoring
    view = _lay_on_background(picture, seed) if climb.kind.transparent else picture
    for position, transform in enumerate(climb.transforms):
        view = transform(view, tf.random.experimental.stateless_fold_in(seed, position))
    entry, graph = tf.identity(view), tf.compat.v1.get_default_graph()
    start = len(graph.get_operations())
    with taps.visible(network.tree.values()) if climb.redirect else contextlib.nullcontext():
        trace = network.trace(climb.canvas.inputs(network, entry, others), climb.paths)
    gains = tf.cast(score(climb.objective.structure, weights, numbers, trace), tf.float32)
    penalties = tf.zeros_like(gains)
    for place, regularizer in enumerate(climb.regularizers):
        read = {path: tf.cast(tensor, tf.float32) for path, tensor in trace.activations.items()}
        penalties += costs[place] * regularizer(Scene(picture, read, climb.facets, goals[place]))
    return _View(view, entry, graph.get_operations()[start:], gains, penalties)


def _slope(view, picture):
    """The gradient at the picture of what a view is worth."""
    return tf.gradients(view.gains - view.penalties, picture)[0]


def _redirected_slope(view, picture):
    """The same, with another rule at each ReLU of the network; transforms keep their gradient."""
    worth = view.gains - view.penalties
    operations = [*view.operations, worth.op]
    at_entry, at_picture = ruled_gradient(worth, [view.entry, picture], "redirected", operations=operations)
    through = tf.gradients(view.transformed, picture, grad_ys=at_entry)[0]
    return through if at_picture is None else through + at_picture


def _slopes(picture_slope, parameters, picture, climb):
    """The gradient at the parameters, of length one with `normalize`, and its magnitude at the picture, or zeros."""
    slopes = tf.gradients(picture, tf.nest.flatten(parameters), grad_ys=picture_slope)
    if climb.normalize:
        slopes = [_normalize(slope) for slope in slopes]
    magnitudes = (
        tf.reduce_sum(tf.abs(picture_slope), axis=-1) if climb.transparency else tf.zeros(tf.shape(picture)[:1])
    )
    return tf.nest.pack_sequence_as(parameters, slopes), magnitudes


def _normalize(slope):
    length = tf.sqrt(tf.reduce_sum(tf.square(slope), axis=range(1, len(slope.shape)), keepdims=True))
    return slope / (length + 1e-12)


def _lay_on_background(picture, seed):
    """A picture with opacity over a background that is drawn anew at each step: images [rows, *extent, channels]."""
    colours, opacity = picture[..., :-1], picture[..., -1:]
    shape = tuple(colours.shape[1:])
    ground = Fourier(deviation=0.3)
    behind = ground.picture(ground.start(1, shape, seed, (), ()), shape, ())
    return opacity * colours + (1 - opacity) * behind


def _blend_on_grey(kind, images):
    """Pictures without opacity, on grey where they are transparent."""
    if not kind.transparent:
        return images
    return images[..., -1:] * images[..., :-1] + (1 - images[..., -1:]) * GREY


def _group_by_unit(rows, facets):
    return tf.reshape(rows, tf.concat([[-1, facets], tf.shape(rows)[1:]], 0))


def _repeat_rows(structure, times):
    """Every row of every array `times` times, the copies together."""
    if times == 1:
        return structure
    return tf.nest.map_structure(lambda array: tf.repeat(array, times, axis=0), structure)


def _cosine_rate(rate, step, steps):
    progress = tf.cast(step, tf.float32) / tf.cast(steps, tf.float32)
    return rate * (FLOOR + (1 - FLOOR) * 0.5 * (1 + tf.cos(np.pi * progress)))


def _arrays(structure):
    return tf.nest.map_structure(lambda leaf: np.asarray(leaf, "float32"), structure)


def _count(value, name):
    if int(value) != value or value < 1:
        raise Refused(f"{name} is a whole number of 1 or more. Received: {value!r}.")
    return int(value)


def _stops(snapshots, steps):
    """The steps after which a picture is kept, the last one among them: list of int."""
    stops = sorted({int(step) for step in snapshots} | {steps})
    if stops[0] < 1 or stops[-1] > steps:
        raise Refused(f"snapshots are steps between 1 and {steps}. Received: {list(snapshots)}.")
    return stops


def _transforms(transforms, extent):
    return sets.get(transforms)(*extent) if isinstance(transforms, str) else tuple(transforms)


def _check_start(photographs, board, units):
    """Photographs in 0..1 to start from, one a unit: float32 [units, *shape], or None."""
    if photographs is None:
        return None
    start = np.asarray(photographs, "float32")
    if start.ndim != len(board.shape) + 1 or start.shape[1:] != board.shape or len(start) not in (1, units):
        raise Refused(
            f"start= holds pictures [1 or {units}, {', '.join(map(str, board.shape))}]. Received: {start.shape}."
        )
    if not np.isfinite(start).all() or start.min() < 0 or start.max() > 1:
        raise Refused(f"start= holds pictures in 0..1. Received: values from {start.min()} to {start.max()}.")
    return np.repeat(start, units, axis=0) if len(start) == 1 else start


def _other_inputs(network, board, beside, units):
    """The inputs that are not drawn, in flattened order, one row a unit: list of arrays."""
    names = [name for place, (name, _) in enumerate(network.places()) if place != board.place]
    arrays = beside or {}
    if set(arrays) != set(names):
        raise Refused(f"beside= holds every input that is not drawn, {names}. Received: {sorted(arrays)}.")
    specs = dict(network.places())
    return [_rows(np.asarray(arrays[name], specs[name].dtype.as_numpy_dtype), units, name) for name in names]


def _rows(array, units, name):
    if not array.ndim or len(array) not in (1, units):
        raise Refused(f"beside= has one row or {units} for each input. Received: {array.shape} for {name!r}.")
    return np.repeat(array, units, axis=0) if len(array) == 1 else array
