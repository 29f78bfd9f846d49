"""Shown: the photographs of shards that the page of a run shows, with their maps, in the form of a run without shards."""

from collections import Counter

import numpy as np

from lab.refusal import Refused
from recipes.explanations import load_outcome, table
from recipes.mistakes import count_sentence
from recipes.predictions import COLUMNS, table_rows
from recipes.store import encode, pack


def choose_photographs(job, inputs, _):
    """Choose the first photographs of shards that lie evenly among all, and in which every method has maps.

    Args:
        job: `Job`. It needs the statistics of every shard, and then the predictions of every shard.
        inputs: `recipes.inputs.Inputs`.
        _: the session, not used.

    Returns:
        dict of file name to bytes. about.json has `shown`, pairs of a shard and how many of its photographs.

    Raises:
        Refused: where no shard has statistics.
    """
    half = len(job.needs) // 2
    keys = {shard: key for shard, key in enumerate(job.needs[:half]) if inputs.exists(key)}
    if not keys:
        raise Refused(f"A run shows photographs of shards. Received: {half} shards, all of which failed.")
    statistics = {shard: _summarize(inputs.values(key, "statistics.json")) for shard, key in keys.items()}
    counts = _spread_out(_complete_shards(statistics), job.arguments["most"], job.arguments["per_shard"])
    parts = [(job.needs[half + shard], count) for shard, count in counts]
    abouts = [(inputs.values(key, "about.json"), count) for key, count in parts]
    images = [inputs.arrays(key, "photographs.npz")["images"][:count] for key, count in parts]
    columns = {name: [value for about, count in abouts for value in about[name][:count]] for name in COLUMNS}
    about = inputs.values(job.needs[half + min(keys)], "about.json")
    return {
        "photographs.npz": pack({"images": np.concatenate(images) if images else np.zeros((0, 1, 1, 3), "uint8")}),
        "about.json": encode({**about, **columns, **_whole(statistics, counts, about["only"]), "shown": counts}),
        "photographs.csv": table(table_rows(columns)),
    }


def _summarize(values):
    """Of the statistics of a shard, how many photographs it has, and the methods that have maps of them: (dict, set)."""
    return values["photographs"], {sums["method"] for sums in values["methods"] if sums["maps"]}


def _complete_shards(statistics):
    """The shards in which all methods have maps that have any anywhere: dict of shard to how many photographs it explains."""
    every = set().union(*(methods for _, methods in statistics.values()))
    return {
        shard: photographs["explained"]
        for shard, (photographs, methods) in statistics.items()
        if every and methods == every
    }


def _spread_out(counts, most, per_shard):
    """At most so many photographs of all, and of each shard, from shards at equal distances: list of (shard, count)."""
    shards, parts = list(counts), []
    places = np.linspace(0, len(shards) - 1, min(len(shards), most)).round().astype(int)
    for place in places.tolist():
        left = most - sum(count for _, count in parts)
        parts.append((shards[place], min(counts[shards[place]], per_shard, left)))
    return [pair for pair in parts if pair[1]]


def _whole(statistics, counts, only):
    """What is said of all photographs, of which so many of some shards are shown: dict of total, explained and sentence."""
    sums = Counter()
    for photographs, _ in statistics.values():
        sums.update(photographs)
    if only == "all":
        wrong = sums["known"] - sums["right"]
        answers = f", {wrong or 'none'} of them answered wrongly" if sums["known"] else ""
        sentence = f"{sums['explained']:,} photographs{answers}"
    else:
        sentence = count_sentence(sums["explained"], sums["total"], only)
    words = f"; {sum(count for _, count in counts)} of them are shown" if sums["explained"] else ""
    return {"total": sums["total"], "explained": sums["explained"], "sentence": sentence + words}


def take_maps(job, inputs, _):
    """Take a method's maps of the photographs that are shown from those of the shards.

    Args:
        job: `Job`. It needs the photographs that are shown, and then the method's maps of every shard.
        inputs: `recipes.inputs.Inputs`.
        _: the session, not used.

    Returns:
        dict of file name to bytes. Where no shown photograph has a map, about.json says why.

    Raises:
        Refused: where the maps of all shards are missing.
    """
    photographs, *shards = job.needs
    counts = inputs.values(photographs, "about.json")["shown"]
    parts = [_first_maps(inputs, shards[shard], count) for shard, count in counts if inputs.exists(shards[shard])]
    parts = [(about, arrays) for about, arrays in parts if arrays]
    if not parts:
        return {"about.json": encode(_about_nothing(shards, inputs))}
    about = {**parts[0][0], **{name: [row for part, _ in parts for row in part[name]] for name in _lists(parts[0][0])}}
    joined = {name: np.concatenate([arrays[name] for _, arrays in parts]) for name in parts[0][1]}
    return {"maps.npz": pack(joined), "about.json": encode(about)}


def _first_maps(inputs, key, count):
    """The first maps of a shard: (about, arrays), the arrays empty after a refusal or a fault."""
    outcome = load_outcome(inputs, key)
    about = {**outcome["about"], **{name: outcome["about"][name][:count] for name in _lists(outcome["about"])}}
    # Copied, so that the arrays of the whole shard are given up.
    return about, {name: array[:count].copy() for name, array in outcome["arrays"].items()}


def _lists(about):
    """What is said of each map in turn: list of the names of such lists."""
    return [name for name in ("names", "flags", "classes", "correct", "errors", "fits") if about.get(name) is not None]


def _about_nothing(shards, inputs):
    """What is said of a method without a map to show: its refusal or fault in the first shard that has one."""
    abouts = [inputs.values(key, "about.json") for key in shards if inputs.exists(key)]
    if not abouts:
        raise Refused(f"Maps are shown that a shard has. Received: {len(shards)} shards, all of which failed.")
    about = next((about for about in abouts if about["refused"] or about["fault"]), abouts[0])
    return about if about["refused"] or about["fault"] else {**about, "refused": "no photograph of it is shown"}
