"""Network run: the maps of one random network along its stages, which may be measured apart from those of other networks."""

from dataclasses import dataclass

import numpy as np

from sanity.similarity import PooledMap

# What a pooled map consists of.
PARTS = ("signed", "unsigned", "input")


@dataclass(frozen=True)
class NetworkRun:
    """The maps of one random network along its stages.

    Args:
        stages: list of (name, dict of what the stage changed), as of `sanity.randomization.Stage`.
        similarities: list over stages of dict of measure to float64 [samples], similarity to the trained network's maps.
        maps: list over samples of `PooledMap`, of the last stage; None where a map is unusable.
        first_sample: list over stages of the first sample's `PooledMap`, or None.
    """

    stages: list
    similarities: list
    maps: list
    first_sample: list


def to_arrays(run):
    """The numbers of a run.

    Args:
        run: `NetworkRun`.

    Returns:
        dict of name to array.
    """
    names = run.similarities[0]
    similarities = {f"similarities/{name}": np.array([row[name] for row in run.similarities]) for name in names}
    return {**similarities, **_map_arrays("maps", run.maps), **_map_arrays("first_sample", run.first_sample)}


def from_arrays(stages, arrays):
    """A run from its stages and numbers.

    Args:
        stages: list of (name, dict), as of `NetworkRun`; None in the place of a number that is not finite.
        arrays: dict, as of `to_arrays`.

    Returns:
        `NetworkRun`.
    """
    names = [name.partition("/")[2] for name in arrays if name.startswith("similarities/")]
    count = len(arrays["maps/usable"]), len(arrays["first_sample/usable"])
    similarities = [{name: arrays[f"similarities/{name}"][stage] for name in names} for stage in range(count[1])]
    stages = [(name, _fill_none(done)) for name, done in stages]
    return NetworkRun(stages, similarities, _read_maps("maps", arrays), _read_maps("first_sample", arrays))


def _map_arrays(name, maps):
    """Pooled maps as arrays: which are usable, and the parts of those that are."""
    usable = [pooled_map for pooled_map in maps if pooled_map is not None]
    arrays = {f"{name}/usable": np.array([pooled_map is not None for pooled_map in maps])}
    for part in PARTS:
        if usable and getattr(usable[0], part) is not None:
            arrays[f"{name}/{part}"] = np.stack([getattr(pooled_map, part) for pooled_map in usable])
    return arrays


def _read_maps(name, arrays):
    parts = [arrays.get(f"{name}/{part}") for part in PARTS]
    rows = iter(range(int(arrays[f"{name}/usable"].sum())))
    return [_read_map(parts, next(rows)) if usable else None for usable in arrays[f"{name}/usable"]]


def _read_map(parts, row):
    return PooledMap(*(None if part is None else part[row] for part in parts))


def _fill_none(value):
    """Plain values with nan in the place of None."""
    if isinstance(value, dict):
        return {key: _fill_none(entry) for key, entry in value.items()}
    return np.nan if value is None else value
