"""Shard statistics: what the maps of a shard add to the statistics of all photographs, and the sum of these.

measure(job, inputs, session)  -> files    of one shard
add(job, inputs, session)      -> files    agreement of methods, means by channel and class, flags and gaps of all
"""

import math
from collections import Counter

import numpy as np

from lab.maps import pooled
from lab.refusal import Refused
from recipes.explanations import (
    agreement_rows,
    agreement_values,
    comparable_maps,
    feature_values,
    first_problem,
    load_outcome,
    map_rows,
    table,
)
from recipes.store import encode, pack
from sanity.agreement import Totals, seed_correlations, totals

# So many standard deviations from the mean of a normal distribution hold 95% of it.
NORMAL_95 = 1.96
# What is kept of the `Totals` of a shard as arrays.
ARRAYS = ("counts", "rank", "turned")


def measure(job, inputs, _):
    """Measure one shard, and write a table of its maps.

    Args:
        job: `Job`. It needs the predictions of the shard, and its maps by each method.
        inputs: `recipes.inputs.Inputs`.
        _: the session, not used.

    Returns:
        dict of file name to bytes.

    Raises:
        Refused: where there are no predictions.
    """
    predictions, *maps = job.needs
    if not inputs.exists(predictions):
        raise Refused(f"Statistics need the predictions of their photographs. Received: {predictions}, which failed.")
    about = inputs.values(predictions, "about.json")
    methods, problems, magnitudes, rows = {}, [], {}, []
    # The maps of one method at a time are in the memory, and then one number a position.
    for outcome in (load_outcome(inputs, key) for key in maps if inputs.exists(key)):
        name = outcome["about"]["method"]
        _refuse_other_inputs(about, outcome["about"])
        methods[name] = _method_sums(outcome)
        problems += [] if outcome["arrays"] else [outcome]
        records = [outcome] if outcome["arrays"] else []
        magnitudes |= {method: pooled(values, "l2") for method, values in comparable_maps(records).items()}
        rows += list(map_rows(records, _seeds(methods)))[1 if rows else 0 :]
    compared = totals(magnitudes, seed=job.arguments["seed"]) if len(magnitudes) > 1 else None
    values = {
        "photographs": _count_photographs(about),
        "methods": [{"method": name, **sums} for name, sums in methods.items()],
        "problem": first_problem(problems) if len(problems) == len(methods) and about["names"] else None,
        "compared": compared and {"methods": compared.methods, "side": compared.side},
    }
    arrays = {name: getattr(compared, name) for name in ARRAYS} if compared else {}
    return {"statistics.json": encode(values), "totals.npz": pack(arrays), "maps.csv": table(rows)}


def _refuse_other_inputs(predictions, maps):
    if predictions["inputs"] != maps["inputs"]:
        raise Refused(
            f"All methods explain the same photographs. Received: photographs for {maps['method']} that are others than for the predictions, though their files have the same size and time. Give the command again with --fresh."
        )


def _seeds(methods):
    """Mean agreement of the maps under two seeds: dict of method to float, without methods that draw nothing."""
    return {name: _mean(sums["seeds"]) for name, sums in methods.items() if sums["seeds"][0]}


def _count_photographs(about):
    known = [correct for correct in about["correct"] if correct is not None]
    return {"total": about["total"], "explained": len(about["names"]), "known": len(known), "right": sum(known)}


def _method_sums(outcome):
    """What a method's maps of a shard add to its statistics: dict of counts and spreads."""
    about, arrays = outcome["about"], outcome["arrays"]
    sums = {"maps": 0, "refused": about["refused"], "fault": about["fault"], "flagged": 0, "flags": {}}
    sums |= {"seeds": _spread([]), "gap": None, "largest_gap": 0.0, "features": [], "means": {}}
    if not arrays:
        return sums
    if "again/0" in arrays:
        sums["seeds"] = _spread(seed_correlations(arrays["maps/0"], arrays["again/0"]))
    if "gap" in arrays:
        gaps = np.abs(arrays["gap"])[np.isfinite(arrays["gap"])]
        sums |= {"gap": _spread(gaps), "largest_gap": float(gaps.max(initial=0.0))}
    features, means = _means(arrays["maps/0"], about["classes"])
    flags = Counter(flag for words in about["flags"] for flag in words)
    flagged = sum(map(bool, about["flags"]))
    return {
        **sums,
        "maps": len(about["names"]),
        "flagged": flagged,
        "flags": flags,
        "features": features,
        "means": means,
    }


def _means(maps, classes):
    """Names of the features, and by class, "" for all, the spread of each one's mean magnitude; maps with holes are left out."""
    features, values = feature_values(maps)
    sizes = np.abs(values.astype("float64")).reshape(len(values), -1, len(features)).mean(axis=1)
    finite = np.isfinite(sizes).all(axis=1)
    of_class = np.array(classes, object)
    masks = {"": finite, **{label: finite & (of_class == label) for label in dict.fromkeys(classes)}}
    return features, {label: [_spread(column) for column in sizes[mask].T] for label, mask in masks.items()}


def _spread(values):
    """Count, sum and sum of squares of what is finite: list of numbers, which can be added."""
    values = np.asarray(values, "float64")
    values = values[np.isfinite(values)]
    return [len(values), float(values.sum()), float((values**2).sum())]


def _add_spreads(first, second):
    return [sum(pair) for pair in zip(first, second)]


def _mean(spread):
    return spread[1] / spread[0] if spread[0] else math.nan


def _interval(spread):
    """Mean and the two ends of its normal 95% interval; one value alone has none."""
    count, total, squares = spread
    mean = _mean(spread)
    variance = max(0.0, squares - total * mean) / (count - 1) if count > 1 else 0.0
    half = NORMAL_95 * math.sqrt(variance / count) if count else math.nan
    return mean, mean - half, mean + half


# All shards ---------------------------------------------------------------------------------------------------------------


def add(job, inputs, _):
    """Add the statistics of all shards, one shard in the memory at a time.

    Args:
        job: `Job`. It needs the statistics of every shard.
        inputs: `recipes.inputs.Inputs`.
        _: the session, not used.

    Returns:
        dict of file name to bytes.

    Raises:
        Refused: where no method has maps of any photograph that was to be explained.
    """
    photographs, methods, compared, problem, count = Counter(), {}, {}, None, 0
    for key in filter(inputs.exists, job.needs):
        values = inputs.values(key, "statistics.json")
        count, problem = count + 1, problem or values["problem"]
        photographs.update(values["photographs"])
        for sums in values["methods"]:
            name = sums["method"]
            methods[name] = _add_methods(methods[name], sums) if name in methods else sums
        _add_totals(compared, values["compared"], inputs, key)
    if photographs["explained"] and not any(sums["maps"] for sums in methods.values()):
        raise Refused(f"Every method was refused or failed. Received: {problem}")
    agreement, shards_compared = _most_methods(compared)
    views = [row for name, sums in methods.items() for row in _views(name, sums)]
    whole = {"photographs": photographs, "shards": [count, len(job.needs)], "compared": shards_compared}
    whole["methods"] = [_describe(sums) for sums in methods.values()]
    values = {**agreement_values(agreement), "seeds": _seeds(methods), "views": views, "whole": whole}
    return {
        "agreement.json": encode(values),
        "agreement.csv": table(agreement_rows(agreement)),
        "overview.csv": table([("method", "class", "feature", "mean", "low", "high"), *views]),
    }


def _add_methods(first, second):
    """The sums of two shards by one method."""
    means = {
        label: _add_all(first["means"].get(label), second["means"].get(label))
        for label in dict.fromkeys([*first["means"], *second["means"]])
    }
    return {
        **{name: first[name] + second[name] for name in ("maps", "flagged")},
        **{name: first[name] or second[name] for name in ("method", "refused", "fault", "features")},
        "flags": Counter(first["flags"]) + Counter(second["flags"]),
        "seeds": _add_spreads(first["seeds"], second["seeds"]),
        "gap": _add_all([first["gap"]], [second["gap"]])[0]
        if first["gap"] and second["gap"]
        else first["gap"] or second["gap"],
        "largest_gap": max(first["largest_gap"], second["largest_gap"]),
        "means": means,
    }


def _add_all(first, second):
    """Two lists of spreads added, or the one that there is."""
    return [_add_spreads(*pair) for pair in zip(first, second)] if first and second else first or second


def _add_totals(sums, compared, inputs, key):
    """Add what a shard says of the agreement of methods, beside shards with maps by the same methods.

    Args:
        sums: dict of (methods, side) to (`Totals`, number of shards), which is changed.
        compared: dict of methods and side, or None.
        inputs: `recipes.inputs.Inputs`.
        key: str, of the shard's statistics.
    """
    if compared is None:
        return
    part = Totals(compared["methods"], compared["side"], **inputs.arrays(key, "totals.npz"))
    place = (*part.methods, part.side)
    total, shards = sums.get(place, (None, 0))
    sums[place] = (part if total is None else total + part, shards + 1)


def _most_methods(sums):
    """The agreement of most methods, over the shards in which all of them have maps; and how many shards these are."""
    if not sums:
        return None, 0
    total, shards = max(sums.values(), key=lambda pair: (len(pair[0].methods), pair[1]))
    return total.agreement(), shards


def _views(method, sums):
    """Mean absolute attribution by channel, over all photographs and by class: list of rows of the overview."""
    return [
        (method, label or "all classes", feature, *_interval(spread))
        for label, spreads in sums["means"].items()
        for feature, spread in zip(sums["features"], spreads)
        if spread[0]
    ]


def _describe(sums):
    """What is said of a method's maps of all photographs: dict."""
    gap = sums["gap"] and {"mean": _mean(sums["gap"]), "largest": sums["largest_gap"]}
    return {"gap": gap, **{name: sums[name] for name in ("method", "maps", "flagged", "flags", "refused", "fault")}}
