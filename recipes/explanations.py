"""Explanations: the [explain] table of a recipe as jobs: maps by every method, and how far methods and seeds agree."""

import csv
import io
import traceback
import warnings

import numpy as np

from lab.attribution import explainers
from lab.attribution.calls import attribute, refuse_options, resolve_options
from lab.environment import tf
from lab.explanation import explain
from lab.maps import pooled
from lab.refusal import Refused, describe
from lab.registry import nearest
from lab.registry import options as known
from recipes.galleries import slug
from recipes.job import Job, Outcome
from recipes.store import encode, pack
from sanity.agreement import agreement, between_seeds
from sanity.overview import overview


def list_jobs(chosen, session):
    """Every job of an [explain] table, checked before anything runs: list of `Job`. Raises Refused for what does not exist."""
    refuse_unknown_options(chosen)
    network, images = session.network, len(session.images)
    session.subject(chosen.question)
    for each in [chosen.layer] if isinstance(chosen.layer, str) else chosen.layer or []:
        network.spatial(each)
    maps = [_maps(chosen, method, session, images) for method in chosen.methods]
    return [
        Job("photographs", "photographs", {}),
        *maps,
        Job("agreement", "agreement", {}, tuple(job.key for job in maps), gathers=True),
    ]


def refuse_unknown_options(table):
    """Raise Refused for options of a method that there is not, a misspelt one above all; warn of one that is not asked."""
    for name in table.options:
        if name not in table.methods and name not in explainers:
            raise Refused(
                f"Options are of a method that is asked. Received: options of {name!r}. {nearest(name, table.methods)}"
            )
        if name not in table.methods:
            warnings.warn(
                f"the options of {name} are not used: it is not among the methods that are asked", stacklevel=2
            )


def _maps(chosen, method, session, images):
    function, options = session.method(method), dict(chosen.options.get(method, {}))
    refuse_options(function, options)
    if chosen.layer is not None and "layer" in known(function):
        options.setdefault("layer", chosen.layer)
    given = {"method": method, "question": chosen.question, "options": options}
    draws = 2 if "seed" in known(function) else 1
    return Job(
        f"explain/{slug(method)}", "maps", given, passes=images * draws * passes(function, options, session.network)
    )


# Options that count how many gradients a method takes of each sample.
COUNTS = ("samples", "steps", "n_steps", "num_samples", "x_steps")


def passes(function, options, network):
    """About how many gradients a method takes of one sample: float."""
    counted = next((options.get(name, known(function)[name]) for name in COUNTS if name in known(function)), 1)
    if not isinstance(counted, (int, float)) or not np.isfinite(counted):
        # The method itself will refuse it.
        return 1
    cost = explainers.tag(function, "cost")
    return counted if cost is None else cost(network, {**known(function), **options})


def show_photographs(session, *_):
    """The photographs as the network saw them: uint8 [images, rows, columns, 3]."""
    network = session.network
    seen = network.deprocess(_leaves(network, session.subject(session.recipe.explain.question).inputs)[0])
    return {"photographs.npz": pack({"images": np.round(np.clip(seen, 0, 255)).astype("uint8")})}


def compute_maps(session, _, job):
    """One method's maps of all images; of one that draws, a second draw beside them; or the words of its refusal, or of its fault."""
    target = session.subject(job.arguments["question"])
    about = {"method": job.arguments["method"], "names": target.names, "options": job.arguments["options"]}
    about |= {"refused": None, "fault": None}
    try:
        record = _explained(session, target, job.arguments)
        again = _again(session, target, job.arguments)
    except Refused as error:
        return Outcome({"about.json": encode({**about, "refused": " ".join(str(error).split())})})
    except Exception as error:
        # Whatever a method raises costs its own maps, and is told there.
        fault = describe(error)
        return Outcome({"about.json": encode({**about, "fault": fault})}, fault, traceback.format_exc())
    arrays = {f"maps/{place}": leaf for place, leaf in enumerate(_leaves(session.network, record.maps))}
    arrays |= {f"again/{place}": leaf for place, leaf in enumerate(again)}
    arrays |= {"scores": record.scores, "targets": target.targets}
    arrays |= {} if record.gap is None else {"gap": record.gap}
    about |= {
        "columns": session.images.columns if "maps/1" in arrays else (),
        "target": record.target,
        "layer": record.layer,
        "head": record.head,
        "flags": record.flags,
        "options": record.options,
        "classes": [session.network.class_name(index, target.output) for index in arrays["targets"]],
        "correct": None if target.correct is None else target.correct.tolist(),
    }
    return Outcome({"maps.npz": pack(arrays), "about.json": encode(about)})


def _leaves(network, structure):
    """The arrays of maps or inputs, the picture's first: list."""
    leaves = tf.nest.flatten(structure)
    place = network.picture if len(leaves) > 1 else 0
    return [leaves[place], *(leaf for number, leaf in enumerate(leaves) if number != place)]


def _explained(session, target, given):
    options = {"seed": session.recipe.seed, **given["options"]}
    method = session.method(given["method"])
    return explain(session.network, target.inputs, target.objective, method=method, **options)


def _again(session, target, given):
    """The maps under another seed than those shown, flattened; none of a method that does not draw."""
    method = session.method(given["method"])
    chosen = resolve_options(method, session.network, session.recipe.seed, given["options"])
    if "seed" not in chosen:
        return []
    chosen["seed"] += 1
    return _leaves(session.network, attribute(method, session.network, target.inputs, target.objective, **chosen))


def measure_agreement(session, store, job):
    """Rank agreement of every two methods with its null, of every drawing method with itself, overviews, and all of it as tables."""
    asked = [_made(store, key) for key in job.needs if store.there(key)]
    made = [each for each in asked if each["arrays"]]
    if not made:
        raise Refused(f"Every method was refused or failed. Received: {_none_made(asked)}")
    pooled_maps = {
        each["about"]["method"]: each["arrays"]["maps/0"] for each in made if _is_picture(each["arrays"]["maps/0"])
    }
    seed = session.recipe.seed
    found = agreement(pooled_maps, seed=seed) if len(pooled_maps) > 1 else None
    drawn = [each for each in made if "again/0" in each["arrays"]]
    seeds = {
        each["about"]["method"]: between_seeds(*(each["arrays"][name] for name in ("maps/0", "again/0")))
        for each in drawn
    }
    views = [row for each in made for row in _views(each, seed)]
    plain = {
        "methods": found.methods if found else [],
        "rank": found.rank if found else [],
        "null": found.null if found else [],
        "side": found.side if found else None,
        "seeds": seeds,
        "views": views,
    }
    return {
        "agreement.json": encode(plain),
        "maps.csv": _table(_map_rows(made, seeds)),
        "agreement.csv": _table(_agreement_rows(found)),
        "overview.csv": _table([("method", "class", "feature", "mean", "low", "high"), *views]),
        "columns.csv": _table(_column_rows(made)),
    }


def _none_made(asked):
    """Why there are no maps: the words of the first method."""
    about = asked[0]["about"] if asked else {"refused": "none was asked", "fault": None}
    return about["refused"] or about["fault"]


def _made(store, key):
    about = store.values(key, "about.json")
    return {"about": about, "arrays": {} if about["refused"] or about["fault"] else store.arrays(key, "maps.npz")}


def _is_picture(maps):
    return maps.ndim in (3, 4)


def _views(made, seed):
    """Mean absolute attribution by channel, over all images and by class: rows of (method, class, feature, mean, low, high).

    Maps without channels have one feature. A layer has too many channels to list: it counts as one.
    """
    maps, about = made["arrays"]["maps/0"], made["about"]
    wide = maps.ndim == 4 and maps.shape[-1] <= 4
    shown = maps if wide else np.abs(pooled(maps, "l2"))[..., None]
    if not np.isfinite(shown).all():
        return []
    names = (
        (["red", "green", "blue"] if maps.shape[-1] == 3 else [f"channel {n}" for n in range(maps.shape[-1])])
        if wide
        else ["all"]
    )
    found = overview(shown, about["classes"], seed=seed)
    return [
        (about["method"], label or "all classes", name, span.mean, span.low, span.high)
        for label, spans in found.items()
        for name, span in zip(names, spans)
    ]


def _map_rows(made, seeds):
    yield ("image", "class", "score", "method", "layer", "sum", "lowest", "highest", "gap", "flags", "seed_agreement")
    for each in made:
        about, arrays = each["about"], each["arrays"]
        for place, name in enumerate(about["names"]):
            values = arrays["maps/0"][place].astype("float64")
            gap = f"{arrays['gap'][place]:.6g}" if "gap" in arrays else ""
            numbers = [f"{number:.6g}" for number in (values.sum(), values.min(), values.max())]
            layer = about["layer"] if isinstance(about["layer"], str) else " ".join(about["layer"] or [])
            told = "; ".join(about["flags"][place])
            again = seeds.get(about["method"])
            seen = "" if again is None else f"{again:.4f}"
            yield (
                name,
                about["classes"][place],
                f"{arrays['scores'][place]:.6g}",
                about["method"],
                layer,
                *numbers,
                gap,
                told,
                seen,
            )


def _column_rows(made):
    """What each method gives to every column that lies beside an image."""
    yield ("image", "method", "column", "attribution")
    for each in made:
        for name, row in zip(each["about"]["names"], each["arrays"].get("maps/1", ())):
            for column, value in zip(each["about"]["columns"], row):
                yield (name, each["about"]["method"], column, f"{value:.6g}")


def _agreement_rows(found):
    yield ("method", "other", "rank_correlation", "turned_95")
    for one, name in enumerate(found.methods if found else []):
        for other in range(one):
            yield (name, found.methods[other], f"{found.rank[one, other]:.4f}", f"{found.null[one, other]:.4f}")


def _table(rows):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def lines(listed, store):
    """What a user should hear of the maps of a run: lines of text, faults and refusals first, then maps that are suspicious."""
    abouts = [store.values(job.key, "about.json") for job in listed if job.kind == "maps" and store.there(job.key)]
    faults = [f"{about['method']}  failed: {about['fault']}" for about in abouts if about["fault"]]
    refused = [f"{about['method']}  refused: {about['refused']}" for about in abouts if about["refused"]]
    flagged = [
        f"{about['method']}  {name}: {', '.join(words)}"
        for about in abouts
        for name, words in zip(about["names"], about.get("flags", ()))
        if words
    ]
    return [*faults, *refused, *flagged]
