"""Randomization: what a network's weights would be had they been drawn and never trained.

Every tensor is drawn again by the initializer that its layer gave it, re-seeded from (seed, path, position). An
initializer is found by building the layer's twin from its config and watching `add_weight`. Where that cannot be done the
trained values are shuffled over the whole tensor. `ways` says which it was for every tensor.
"""
import re
import zlib
from dataclasses import dataclass

import numpy as np

from lab import routines
from lab.environment import keras
from lab.layers import variables
from lab.registry import Registry

WAYS = ("redrawn", "reset", "permuted", "re-estimated")
initializations = Registry("initialization")


@dataclass(frozen=True)
class Draw:
    """state: dict of variable name to array. ways: dict of variable name to one of WAYS ("reset": the initializer is a constant)."""

    state: dict
    ways: dict


def layers_in_order(network):
    """Paths of the layers that hold weights of their own, in the order in which the network runs them: list of str."""
    paths = [layer.path for layer in network.layers() if _own(network, layer.path)]
    return paths if not _own(network, "") else [*paths, ""]


def blocks(network, unit="block"):
    """Units of a cascade, input first: list of (name, paths). unit: "layer", or "block" for layers that share a block's name."""
    if unit not in ("block", "layer"):
        raise ValueError(f"A cascade goes by 'block' or by 'layer'. Received: {unit!r}.")
    grouped = {}
    for path in layers_in_order(network):
        grouped.setdefault(_block(path) if unit == "block" else path, []).append(path)
    return list(grouped.items())


def draw(network, paths, seed, way="own"):
    """New values for all weights of the layers at `paths` -> `Draw`. way: a name of `initializations`."""
    redraw = initializations.get(way)
    state, ways = {}, {}
    for path in paths:
        for name, (value, how) in redraw(network, path, seed).items():
            state[name], ways[name] = value, how
    return Draw(state, ways)


def enlivened(network, drawn, inputs):
    """The draw with BatchNormalization statistics estimated again on the inputs, so that signals neither die nor explode -> `Draw`."""
    touched = {name.rpartition("/")[0] for name in drawn.state}
    with network.weights(drawn.state):
        found = routines.batch_statistics(network, inputs, touched)
    state, ways = dict(drawn.state), dict(drawn.ways)
    for path, (mean, variance) in found.items():
        for name, value in ((f"{path}/moving_mean", mean), (f"{path}/moving_variance", variance)):
            state[name], ways[name] = value.astype(state[name].dtype), "re-estimated"
    return Draw(state, ways)


def changes(network, state):
    """How far each variable is from the network's own: dict of name to relative L2 norm of the difference."""
    own = network.state(state)
    return {name: _relative(own[name], value) for name, value in state.items()}


@initializations.register
def own(network, path, seed):
    """Each weight by its layer's own initializer, re-seeded; shuffled where the initializer cannot be known."""
    held = _own(network, path)
    found = _initializers(network.tree[path])
    if found is None or len(found) != len(held):
        return permutation(network, path, seed)
    return {name: _drawn(initializer, variable, _seed(seed, path, position)) for position, ((name, variable), initializer) in enumerate(zip(held.items(), found))}


@initializations.register
def normal(network, path, seed):
    """Each weight from a normal distribution with the trained tensor's own mean and standard deviation."""
    return {name: (_like(variable, _rng(seed, path, position).normal(np.mean(variable), np.std(variable), variable.shape)), "redrawn")
            for position, (name, variable) in enumerate(_own(network, path).items())}


@initializations.register
def permutation(network, path, seed):
    """Each weight shuffled over its whole tensor, which keeps the distribution of its values."""
    return {name: (_like(variable, _rng(seed, path, position).permutation(np.ravel(variable)).reshape(variable.shape)), "permuted")
            for position, (name, variable) in enumerate(_own(network, path).items())}


def _own(network, path):
    return variables({path: network.tree[path]})


def _initializers(layer):
    """The initializer of each of a layer's own variables, in their order; None where its twin cannot be built."""
    try:
        twin = type(layer).from_config(layer.get_config())
        watched = []
        plain = twin.add_weight

        def watch(*args, **kwargs):
            variable = plain(*args, **kwargs)
            initializer = kwargs.get("initializer", args[1] if len(args) > 1 else None)
            watched.append((variable, initializer if initializer is not None else "glorot_uniform"))
            return variable

        twin.__dict__["add_weight"] = watch
        twin.build_from_config(layer.get_build_config())
    except Exception:
        # Any layer may refuse to be rebuilt, for reasons of its own; the caller then shuffles, and says so.
        return None
    known = {id(variable): keras.initializers.get(initializer) for variable, initializer in watched}
    found = [known.get(id(variable)) for variable in (*twin._trainable_variables, *twin._non_trainable_variables)]
    return None if None in found else found


def _drawn(initializer, variable, seed):
    """-> the new value, and whether it was drawn or reset to a constant."""
    if isinstance(initializer, keras.initializers.Initializer):
        config = initializer.get_config()
        if "seed" in config:
            initializer = type(initializer).from_config({**config, "seed": seed})
    value = _like(variable, keras.ops.convert_to_numpy(initializer(tuple(variable.shape), dtype="float32")))
    return value, "reset" if value.size < 2 or (value == value.flat[0]).all() else "redrawn"


def _like(variable, value):
    return np.asarray(value).astype(keras.backend.standardize_dtype(variable.dtype))


def _seed(seed, path, position):
    return int(np.random.SeedSequence([seed, zlib.crc32(path.encode()), position]).generate_state(1)[0] >> 1)


def _rng(seed, path, position):
    return np.random.default_rng(_seed(seed, path, position))


def _block(path):
    """What layers of one block have in common: their path up to a numbered block, or the path without its last word."""
    numbered = re.match(r"(.*?(?:block|stage|layer|mixed)_?\d+[a-z]?(?:_block\d+)?)(?=_|/|$)", path)
    return numbered.group(1) if numbered else re.sub(r"[_/](conv|bn|norm|dense|depthwise)\d*$", "", path)


def _relative(before, after):
    size = float(np.linalg.norm(before.astype("float64")))
    change = float(np.linalg.norm(after.astype("float64") - before.astype("float64")))
    return change / size if size else (0.0 if change == 0 else float("inf"))
