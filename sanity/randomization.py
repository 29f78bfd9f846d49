"""Randomization: what a network's weights would be had they been drawn and never trained.

Every tensor is drawn again by its layer's initializer, re-seeded from (seed, path, position). To get the initializer, a
layer is rebuilt from its config and `add_weight` is watched. Where that fails, the trained values are shuffled over the
whole tensor. `ways` records which it was for every tensor.
"""

import contextlib
import functools
import json
import re
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from lab import routines, taps
from lab.environment import keras, tf
from lab.layers import variables
from lab.refusal import Refused
from lab.registry import Registry
from sanity.head_weights import heads_of
from sanity.seeds import derive_seed

WAYS = ("redrawn", "reset", "permuted", "re-estimated")
UNITS = ("block", "layer", "head")
ORDERS = ("full", "top_down", "bottom_up", "independent")
initializations = Registry("initialization")

# BatchNormalization statistics are estimated on at most so many images: they average over positions as well.
STATISTICS_IMAGES = 16
# Characters of a layer's configuration from which on it is not kept: it holds an array.
LONG = 100_000


@dataclass(frozen=True)
class Draw:
    """New values of weights.

    Args:
        state: dict of variable name to array.
        ways: dict of variable name to one of WAYS; "reset" means that the initializer is a constant.
        count: int, how many numbers were drawn; None: all of the state.
    """

    state: dict
    ways: dict
    count: int | None = None

    def select(self, paths):
        """The values that belong to the layers at `paths`: `Draw`."""
        wanted = set(paths)
        names = [name for name in self.state if name.rpartition("/")[0] in wanted]
        return Draw({name: self.state[name] for name in names}, {name: self.ways[name] for name in names})

    def select_heads(self, heads, trained):
        """The values of some heads alone, within tensors that are otherwise as they were trained.

        Args:
            heads: list of `sanity.head_weights.Head`.
            trained: dict of variable name to array, the network's own values.

        Returns:
            `Draw`.
        """
        state, count = {}, 0
        for path, index in (part for head in heads for part in head.parts):
            for name in self.select([path]).state:
                values = state.setdefault(name, trained[name].copy())
                values[..., index, :] = self.state[name][..., index, :]
                count += values[..., index, :].size
        return Draw(state, {name: self.ways[name] for name in state}, count)


@dataclass(frozen=True)
class Stage:
    """A state of the weights on the way to a random network.

    Args:
        name: str.
        state: dict of variable name to array, the values that differ.
        done: dict of numbers, what the stage changed.
    """

    name: str
    state: dict
    done: dict


def layers_in_order(network):
    """Paths of the layers that have weights of their own, in the order in which they run: list of str."""
    network.refuse_without("weights", "A comparison with random weights")
    paths = [layer.path for layer in network.layers() if _own_variables(network, layer.path)]
    return paths if not _own_variables(network, "") else [*paths, ""]


def blocks(network, unit="block", paths=None):
    """Units of a cascade, input first.

    Args:
        network: a `Network`.
        unit: "layer", "block" for layers that share a block's name, or "head" for the queries, keys and values of each head of
            attention alone.
        paths: list of str, the layers of the cascade, in order; None: all that have weights.

    Returns:
        list of (name, paths), of heads (name, list of `sanity.head_weights.Head`).

    Raises:
        Refused: for another unit, and for heads whose weights are not known.
    """
    if unit not in UNITS:
        raise Refused(f"A cascade goes by {', '.join(UNITS)}. Received: {unit!r}.")
    if unit == "head":
        heads = heads_of(network)
        return [(head.name, [head]) for head in heads if paths is None or head.layers <= set(paths)]
    grouped = {}
    for path in layers_in_order(network) if paths is None else paths:
        grouped.setdefault(_block_name(path) if unit == "block" else path, []).append(path)
    return list(grouped.items())


def stages(network, mode="full", unit="block", paths=None):
    """The steps of a randomization. Every mode ends with all layers random.

    Args:
        network: a `Network`.
        mode: one of ORDERS.
        unit: as of `blocks`.
        paths: as of `blocks`.

    Returns:
        list of (name, paths of all layers that are random by then).
    """
    units = blocks(network, unit, paths)
    all_layers = ("all", [path for _, paths in units for path in paths])
    if mode == "full":
        return [all_layers]
    if mode == "independent":
        return [*units, all_layers]
    steps = []
    for name, paths in reversed(units) if mode == "top_down" else units:
        steps.append((name, [*(steps[-1][1] if steps else []), *paths]))
    return steps


def randomize(subject, steps, seeds, *, way="own", statistics="estimate"):
    """Random networks, reached step by step. Each tensor is drawn once per seed.

    Args:
        subject: the `Subject`.
        steps: as of `stages`.
        seeds: list of int, one a network.
        way: str, a name of `initializations`.
        statistics: "estimate" BatchNormalization's on at most 16 of the inputs, so that signals neither vanish nor
            explode; or "reset" them.

    Returns:
        list over seeds of lists over steps of `Stage`.
    """
    network, inputs = subject.network, _first_rows(subject.inputs, STATISTICS_IMAGES)
    labels = None if subject.labels is None else subject.labels[:STATISTICS_IMAGES]
    before = _probabilities(routines.batch_statistics(network, inputs, ())[1])
    draws = draw(network, _layer_paths(steps[-1][1]), seeds, way)
    variable_changes = changes(network, [drawn_network.state for drawn_network in draws])

    def stage(name, drawn, change):
        state, ways, logits = reestimate_batchnorm(network, drawn, inputs, statistics)
        outputs = (before, _probabilities(logits))
        count = sum(value.size for value in state.values()) if drawn.count is None else drawn.count
        return Stage(name, state, _summarize_stage(network, state, ways, change, outputs, labels, count))

    return [
        [stage(name, _select(network, drawn_network, parts), change) for name, parts in steps]
        for drawn_network, change in zip(draws, variable_changes)
    ]


def _layer_paths(parts):
    """The layers that parts of a network belong to: list of str."""
    paths = [[part] if isinstance(part, str) else [path for path, _ in part.parts] for part in parts]
    return list(dict.fromkeys(path for layers in paths for path in layers))


def _select(network, drawn, parts):
    """What a draw holds of some layers, or of some heads: `Draw`."""
    if any(isinstance(part, str) for part in parts):
        return drawn.select(parts)
    return drawn.select_heads(parts, network.state(drawn.state))


def draw(network, paths, seeds, way="own"):
    """New values for all weights of some layers.

    Args:
        network: a `Network`.
        paths: the paths of the layers.
        seeds: list of int.
        way: str, a name of `initializations`.

    Returns:
        list of `Draw`, one per seed.
    """
    redraw = initializations.get(way)
    drawn = [({}, {}) for _ in seeds]
    for path in paths:
        for (state, ways), values in zip(drawn, redraw(network, path, seeds)):
            state.update({name: value for name, (value, _) in values.items()})
            ways.update({name: how for name, (_, how) in values.items()})
    return [Draw(state, ways) for state, ways in drawn]


def changes(network, states):
    """How far each variable is from the network's own, as the relative L2 norm of the difference.

    Args:
        network: a `Network`.
        states: list of dicts of variable name to array, the new values of the same variables.

    Returns:
        list over states of dict of variable name to float.
    """
    by_name = {
        name: _relative_changes(network.variables[name], [state[name] for state in states])
        for name in (states[0] if states else ())
    }
    return [{name: values[place] for name, values in by_name.items()} for place in range(len(states))]


def reestimate_batchnorm(network, drawn, inputs, statistics):
    """Estimate BatchNormalization statistics on inputs under a draw.

    Args:
        network: a `Network`.
        drawn: the `Draw`.
        inputs: one batch of arrays that the network takes.
        statistics: "estimate" statistics again of the layers that were drawn; any other word estimates none.

    Returns:
        state, ways, and the first output's logits.
    """
    state, ways = dict(drawn.state), dict(drawn.ways)
    with network.weights(state):
        touched = {name.rpartition("/")[0] for name in state} if statistics == "estimate" else set()
        moments, logits = routines.batch_statistics(network, inputs, touched)
    for path, pair in moments.items():
        for part, value in zip(("moving_mean", "moving_variance"), pair):
            name = f"{path}/{part}"
            state[name], ways[name] = value.astype(state[name].dtype), "re-estimated"
    return state, ways, logits


def _summarize_stage(network, state, ways, variable_changes, outputs, labels, count):
    """What a stage changed: share of the parameters, ways, unchanged tensors, and outputs before and after."""
    ways_used, (before, after) = list(ways.values()), outputs
    total = sum(int(np.prod(variable.shape)) for variable in network.variables.values())
    summary = {
        "parameters": count / total,
        "ways": {way: ways_used.count(way) for way in WAYS if way in ways_used},
        "unchanged": [name for name in state if variable_changes[name] == 0 and ways[name] in ("redrawn", "permuted")],
        "median_change": float(
            np.median([variable_changes[name] for name in state if np.isfinite(variable_changes[name])] or [0.0])
        ),
        "changes": {name: variable_changes[name] for name in state},
    }
    if before is not None:
        summary["same_top"] = float(np.mean(before.argmax(axis=1) == after.argmax(axis=1)))
        summary["kl"] = float(np.mean((before * (np.log(before + 1e-300) - np.log(after + 1e-300))).sum(axis=1)))
    if before is not None and labels is not None:
        summary["accuracy"] = float(np.mean(after.argmax(axis=1) == labels))
    return summary


def _probabilities(logits):
    """Softmax over classes: float64 [images, classes], or None for an output that is no row of scores."""
    if logits.ndim != 2 or logits.shape[1] < 2:
        return None
    return special.softmax(logits.astype("float64"), axis=1)


def _first_rows(inputs, count):
    return tf.nest.map_structure(lambda leaf: leaf[:count], inputs)


@initializations.register
def own(network, path, seeds):
    """Each weight by its layer's own initializer, re-seeded; shuffled where the initializer cannot be known.

    Args:
        network: a `Network`.
        path: the path of a layer.
        seeds: list of int, one a random network.

    Returns:
        list over seeds of dict of variable to its new value and the way it was drawn.
    """
    own_variables = _own_variables(network, path)
    layer_initializers = _initializers(network.tree[path])
    if layer_initializers is None or len(layer_initializers) != len(own_variables):
        return permutation(network, path, seeds)
    draws = {
        name: _draw_values(initializer, variable, [derive_seed(seed, path, position) for seed in seeds])
        for position, ((name, variable), initializer) in enumerate(zip(own_variables.items(), layer_initializers))
    }
    return [{name: values[place] for name, values in draws.items()} for place in range(len(seeds))]


@initializations.register
def normal(network, path, seeds):
    """Each weight from a normal distribution with the trained tensor's own mean and standard deviation.

    Args:
        network: a `Network`.
        path: the path of a layer.
        seeds: list of int, one a random network.

    Returns:
        list over seeds of dict of variable to its new value and the way it was drawn.
    """

    def redraw(rng, trained):
        return rng.normal(trained.mean(), trained.std(), trained.shape)

    return [_redraw_variables(network, path, seed, redraw, "redrawn") for seed in seeds]


@initializations.register
def permutation(network, path, seeds):
    """Each weight shuffled over its whole tensor, which keeps the distribution of its values.

    Args:
        network: a `Network`.
        path: the path of a layer.
        seeds: list of int, one a random network.

    Returns:
        list over seeds of dict of variable to its new value and the way it was drawn.
    """

    def shuffle(rng, trained):
        return rng.permutation(trained.ravel()).reshape(trained.shape)

    return [_redraw_variables(network, path, seed, shuffle, "permuted") for seed in seeds]


def _redraw_variables(network, path, seed, redraw, way):
    """Every variable of a layer by `redraw(rng, trained values)`; one whose values are all equal counts as reset."""
    values = {}
    for position, (name, variable) in enumerate(_own_variables(network, path).items()):
        trained = variable.numpy()
        constant = (trained == trained.flat[0]).all()
        value = redraw(np.random.default_rng(derive_seed(seed, path, position)), trained)
        values[name] = (_cast_like(variable, value), "reset" if constant else way)
    return values


def _own_variables(network, path):
    return variables({path: network.tree[path]})


@dataclass(frozen=True)
class _Blueprint:
    """What a layer is built from. Shapes do not count where initializers are asked for.

    Args:
        kind: the layer's class.
        config: str, its configuration as JSON.
        shapes: dict, what it was built with.
    """

    kind: type
    config: str
    shapes: dict = field(compare=False)


def _initializers(layer):
    """The initializer of each of a layer's own variables, in their order; None where the layer cannot be rebuilt.

    Layers of Keras that have one configuration have one answer.
    """
    blueprint = _blueprint(layer)
    known = blueprint and _initializers_of_blueprint(blueprint)
    # A user's own initializer may be another one under the same name.
    if known and all(map(_is_of_keras, map(type, known))):
        return known
    return _initializers_of(type(layer), layer.get_config, layer.get_build_config)


def _blueprint(layer):
    """The `_Blueprint` of a layer; None for one that is not of Keras, or whose configuration is no short JSON."""
    if not _is_of_keras(type(layer)):
        return None
    try:
        # With its own name each layer would be another one; without a name Keras would number those of the user anew.
        text = json.dumps({**layer.get_config(), "name": "layer"}, sort_keys=True)
        return _Blueprint(type(layer), text, layer.get_build_config()) if len(text) < LONG else None
    except Exception:
        # Any layer may refuse to tell its configuration, or have one that JSON does not hold.
        return None


def _is_of_keras(kind):
    return kind.__module__.startswith("keras.")


@functools.lru_cache(256)
def _initializers_of_blueprint(blueprint):
    return _initializers_of(blueprint.kind, lambda: json.loads(blueprint.config), lambda: blueprint.shapes)


def _initializers_of(kind, get_config, get_shapes):
    empty = taps.wrapped_function(keras.Variable, "_initialize_with_initializer", _leave_empty)
    # A layer may read or assign its variables while it is built, and then needs real ones.
    for memory in (empty, contextlib.nullcontext()):
        try:
            with memory:
                # Read anew each time: Keras takes parts out of a configuration that it builds from.
                return _initializers_of_replicate(kind.from_config(get_config()), get_shapes())
        except Exception:
            # Any layer may refuse to be rebuilt. The caller then shuffles, and records it.
            continue
    return None


def _initializers_of_replicate(replicate, shapes):
    watched = []
    add_weight = replicate.add_weight

    def watch(*args, **kwargs):
        initializer = kwargs.get("initializer", args[1] if len(args) > 1 else None)
        # Nobody asks for the values of the replicate, and drawing them takes as long as those of a network.
        variable = add_weight(*args, **(kwargs if len(args) > 1 else {**kwargs, "initializer": "zeros"}))
        watched.append((variable, initializer if initializer is not None else "glorot_uniform"))
        return variable

    replicate.__dict__["add_weight"] = watch
    replicate.build_from_config(shapes)
    by_id = {id(variable): keras.initializers.get(initializer) for variable, initializer in watched}
    in_order = [
        by_id.get(id(variable)) for variable in (*replicate._trainable_variables, *replicate._non_trainable_variables)
    ]
    return None if None in in_order else in_order


def _leave_empty(initialize, variable, initializer):
    """In place of a variable's memory, which nobody reads, zeros that take none."""
    del initialize, initializer
    variable._value = np.broadcast_to(np.zeros((), variable.dtype), variable.shape)


def _draw_values(initializer, variable, seeds):
    """`_draw_value` of each seed; a constant is computed once for all of them."""
    # Not those of a subclass, which may draw.
    if type(initializer) in _CONSTANTS:
        value, way = _draw_value(initializer, variable, None)
        return [(value.copy(), way) for _ in seeds]
    return [_draw_value(initializer, variable, seed) for seed in seeds]


_CONSTANTS = (keras.initializers.Zeros, keras.initializers.Ones, keras.initializers.Constant)


def _draw_value(initializer, variable, seed):
    """-> the new value, and whether it was drawn or reset to a constant."""
    if isinstance(initializer, keras.initializers.Initializer):
        config = initializer.get_config()
        if "seed" in config:
            initializer = type(initializer).from_config({**config, "seed": seed})
    value = _cast_like(variable, keras.ops.convert_to_numpy(initializer(tuple(variable.shape), dtype="float32")))
    return value, "reset" if value.size < 2 or (value == value.flat[0]).all() else "redrawn"


def _cast_like(variable, value):
    return np.asarray(value).astype(keras.backend.standardize_dtype(variable.dtype))


def _block_name(path):
    """The common name of a block's layers: their path up to a numbered block, or without its last word."""
    numbered = re.match(r"(.*?(?:block|stage|layer|mixed)_?\d+[a-z]?(?:_block\d+)?)(?=_|/|$)", path)
    return numbered.group(1) if numbered else re.sub(r"[_/](conv|bn|norm|dense|depthwise)\d*$", "", path)


def _relative_changes(variable, values):
    """The relative L2 norm of the difference of each of some values from a variable: list of float."""
    before = variable.numpy().astype("float64").ravel()
    size = np.sqrt(before @ before)
    differences = (value.astype("float64").ravel() - before for value in values)
    distances = [np.sqrt(difference @ difference) for difference in differences]
    return [float(distance / size if size else (np.inf if distance else 0.0)) for distance in distances]
