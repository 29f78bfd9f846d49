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
    statistics = {shard: inputs.values(key, "statistics.json") for shard, key in keys.items()}
    shown = _spread_out(_complete_shards(statistics), job.arguments["most"], job.arguments["per_shard"])
    parts = [(job.needs[half + shard], count) for shard, count in shown]
    abouts = [(inputs.values(key, "about.json"), count) for key, count in parts]
    images = [inputs.arrays(key, "photographs.npz")["images"][:count] for key, count in parts]
    columns = {name: [value for about, count in abouts for value in about[name][:count]] for name in COLUMNS}
    about = inputs.values(job.needs[half + min(keys)], "about.json")
    return {
        "photographs.npz": pack({"images": np.concatenate(images) if images else np.zeros((0, 1, 1, 3), "uint8")}),
        "about.json": encode({**about, **columns, **_whole(statistics, shown, about["only"]), "shown": shown}),
        "photographs.csv": table(table_rows(columns)),
    }


def _complete_shards(statistics):
    """The shards in which all methods have maps that have any anywhere: dict of shard to how many photographs it explains."""
    methods = {
        shard: {name for name, sums in values["methods"].items() if sums["maps"]}
        for shard, values in statistics.items()
    }
    every = set().union(*methods.values())
    return {
        shard: values["photographs"]["explained"]
        for shard, values in statistics.items()
        if every and methods[shard] == every
    }


def _spread_out(counts, most, per_shard):
    """At most so many photographs of all, and of each shard, from shards at equal distances: list of (shard, count)."""
    shards, shown = list(counts), []
    places = np.linspace(0, len(shards) - 1, min(len(shards), most)).round().astype(int)
    for place in places.tolist():
        left = most - sum(count for _, count in shown)
        shown.append((shards[place], min(counts[shards[place]], per_shard, left)))
    return [pair for pair in shown if pair[1]]


def _whole(statistics, shown, only):
    """What is said of all photographs: dict of total and sentence."""
    sums = Counter()
    for values in statistics.values():
        sums.update(values["photographs"])
    if only == "all":
        wrong = sums["known"] - sums["right"]
        answers = f", {wrong or 'none'} of them answered wrongly" if sums["known"] else ""
        sentence = f"{sums['explained']:,} photographs{answers}"
    else:
        sentence = count_sentence(sums["explained"], sums["total"], only)
    words = f"; {sum(count for _, count in shown)} of them are shown" if sums["explained"] else ""
    return {"total": sums["total"], "sentence": sentence + words}


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
    shown = inputs.values(photographs, "about.json")["shown"]
    parts = [(load_outcome(inputs, shards[shard]), count) for shard, count in shown if inputs.exists(shards[shard])]
    parts = [(outcome, count) for outcome, count in parts if outcome["arrays"]]
    if not parts:
        return {"about.json": encode(_about_nothing(shards, inputs))}
    about, arrays = parts[0][0]["about"], parts[0][0]["arrays"]
    rows = {
        name: [value for outcome, count in parts for value in outcome["about"][name][:count]]
        for name in ("names", "flags", "classes", "correct")
        if about[name] is not None
    }
    joined = {name: np.concatenate([outcome["arrays"][name][:count] for outcome, count in parts]) for name in arrays}
    return {"maps.npz": pack(joined), "about.json": encode({**about, **rows})}


def _about_nothing(shards, inputs):
    """What is said of a method without a map to show: its refusal or fault in the first shard that has one."""
    abouts = [inputs.values(key, "about.json") for key in shards if inputs.exists(key)]
    if not abouts:
        raise Refused(f"Maps are shown that a shard has. Received: {len(shards)} shards, all of which failed.")
    about = next((about for about in abouts if about["refused"] or about["fault"]), abouts[0])
    return about if about["refused"] or about["fault"] else {**about, "refused": "no photograph of it is shown"}
