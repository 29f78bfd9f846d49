"""Comparison: two runs side by side: settings, jobs and verdicts, and maps and units by how much they changed."""

import json

import numpy as np
from scipy.stats import spearmanr

from lab.maps import pooled
from lab.refusal import Refused
from recipes.changes import load_families, refuse_damaged, verdict_changes
from recipes.galleries import picture_name
from recipes.report import figures
from recipes.report.data_uri import png_uri
from recipes.report.policy import restrict_scripts
from recipes.report.templates import template
from recipes.report.tiles import jpeg, open_picture
from recipes.store import Store, encode, replace
from recipes.words import model_words
from sanity.bound_explainer import pooled_maps
from sanity.similarity import measures


def compare_runs(first, second):
    """What two runs have in common, and where they differ.

    Args:
        first, second: folders of the runs, Path.

    Returns:
        dict. runs: their folders. names: the model and digest of each. settings: values that differ. jobs: every job of
            either, and whether its files are the same. verdicts: as of `recipes.changes.verdict_changes`. maps and
            units: those that both have, the least similar first. same: whether the natural images are the same.

    Raises:
        Refused: where the runs share no unit, map or verdict, or where one of them is damaged.
    """
    folders = (first, second)
    with refuse_damaged(f"{first} or {second}"):
        runs = [json.loads((folder / "manifest.json").read_text(encoding="utf-8")) for folder in folders]
        comparison = {
            "runs": [str(folder) for folder in folders],
            "names": [f"{_subject(run['recipe'])} (run {run['digest']})" for run in runs],
            "settings": _settings(*runs),
            "jobs": _jobs(*(_store(folder).seals() for folder in folders)),
            "verdicts": verdict_changes(
                *(
                    {"run": str(folder), "manifest": run, "families": _families(folder)}
                    for folder, run in zip(folders, runs)
                )
            ),
            "maps": _maps(first, second),
            "units": _units(first, second),
            "same": _same_natural_images(runs),
        }
    shared = [row for row in comparison["verdicts"] if row["first"] and row["second"]]
    if not comparison["units"] and not comparison["maps"] and not shared:
        raise Refused(
            f"Two runs are compared by units, maps or verdicts that both have. Received: {first} and {second}, which share none."
        )
    return comparison


def write_comparison(comparison, path):
    """Write the page of a comparison.

    Args:
        comparison: dict, as of `compare_runs`.
        path: of the page, Path.

    Returns:
        path.
    """
    html = template("compare.html").render(**comparison)
    replace(path, restrict_scripts(html).encode())
    return path


def as_values(comparison):
    """A comparison as plain values for JSON, without the pictures.

    Args:
        comparison: dict, as of `compare_runs`.

    Returns:
        dict; a number that is not finite is None.
    """
    pictures = ("pictures", "images", "known")
    rows = {
        name: [{key: value for key, value in row.items() if key not in pictures} for row in comparison[name]]
        for name in ("maps", "units")
    }
    return json.loads(encode({**comparison, **rows}))


def _subject(recipe):
    return f"world {recipe['world']['name']}" if recipe.get("world") else model_words(recipe)


def _settings(*manifests):
    """Values of the recipes, images, code and versions that differ: list of dict of name, first and second."""
    first, second = (dict(_leaves({**manifest, "digest": None})) for manifest in manifests)
    return [
        {"name": name, "first": first.get(name), "second": second.get(name)}
        for name in dict.fromkeys([*first, *second])
        if first.get(name) != second.get(name)
    ]


def _leaves(value, name=""):
    """Every value inside dicts and lists with its dotted name, as `lab run --set` takes it: pairs."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not entries or not value:
        yield name.removeprefix("recipe."), value
    for key, entry in entries:
        yield from _leaves(entry, f"{name}.{key}" if name else str(key))


def _jobs(first, second):
    """Every job of either run: list of dict of key, first and second ("done", its fault, or None) and same."""
    keys = dict.fromkeys([*first, *second])
    return [
        {
            "key": key,
            **{name: _state(seals.get(key)) for name, seals in (("first", first), ("second", second))},
            "same": key in first and key in second and first[key]["files"] == second[key]["files"],
        }
        for key in keys
    ]


def _state(seal):
    return None if seal is None else seal.get("fault") or "done"


def _families(folder):
    """The verdicts of a run, or none: dict."""
    return load_families(folder / "index.html") if (folder / "jobs/verdicts/verdicts.json").is_file() else {}


def _units(first, second):
    units, others = _load_units(first), _load_units(second)
    rows = [_unit_row(key, units[key], others[key]) for key in units if key in others]
    return sorted(rows, key=lambda row: (not row["known"], row["agree"] or 0))


def _maps(first, second):
    """Every image and method that both runs explained: one row each, the least similar first."""
    maps, others = _load_maps(first), _load_maps(second)
    rows = [_map_row(key, maps[key], others[key]) for key in maps if key in others]
    return sorted(rows, key=lambda row: (row["rank"] is None, row["rank"] or 0))


def _load_maps(folder):
    """Every map of a run, of one in shards those that are shown: dict of (method, image) to the array and the class explained."""
    store, maps = _store(folder), {}
    jobs = store.path / "jobs"
    for path in sorted([*jobs.glob("explain/*/maps.npz"), *jobs.glob("shown/*/maps.npz")]):
        key = path.parent.relative_to(jobs).as_posix()
        about, arrays = store.values(key, "about.json"), store.arrays(key, "maps.npz")
        if about.get("refused") or about.get("fault"):
            continue
        for number, name in enumerate(about["names"]):
            maps[about["method"], name] = (arrays["maps/0"][number : number + 1], about["classes"][number])
    return maps


def _map_row(key, first, second):
    planes = [pooled_maps(maps)[0] for maps, _ in (first, second)]
    comparable = first[0].shape == second[0].shape and None not in planes
    rank = measures.get("joint_abs_spearman")(*planes) if comparable else float("nan")
    return {
        "method": key[0],
        "image": key[1],
        "classes": [first[1], second[1]],
        "pictures": [_picture(maps) for maps, _ in (first, second)],
        "rank": float(rank) if np.isfinite(rank) else None,
    }


def _picture(maps):
    content = figures.encode_map(pooled(maps)[0], 160)[0]
    return None if content is None else png_uri(content)


def _store(folder):
    return Store(folder.parent.parent, folder.parent.name, folder.name)


def _load_units(folder):
    """Every unit that a run drew: dict of (layer, unit) to its picture, its score and its natural scores."""
    store = _store(folder)
    units, natural = {}, {}
    for path in sorted((store.path / "jobs" / "survey").glob("*")):
        key = f"survey/{path.name}"
        arrays, about = store.arrays(key, "survey.npz"), store.values(key, "about.json")
        natural |= {(about["layer"], int(unit)): row for unit, row in zip(arrays["units"], arrays["kept_scores"])}
    for path in sorted((store.path / "jobs" / "gallery").glob("*/*/pictures.npz")):
        key = path.parent.relative_to(store.path / "jobs").as_posix()
        arrays, about = store.arrays(key, "pictures.npz"), store.values(key, "about.json")
        for place, unit in enumerate(arrays["units"]):
            address = (about["layer"], int(unit))
            units[address] = {
                "image": path.parent / picture_name(unit),
                "name": about["names"][place],
                "score": float(arrays["scores"].reshape(len(arrays["units"]), -1)[place, 0]),
                "natural": natural.get(address),
            }
    return units


def _unit_row(key, first, second):
    """One unit in both runs. agree: rank correlation of its scores over the same natural images."""
    scores = [first["natural"], second["natural"]]
    comparable = all(values is not None for values in scores) and len(scores[0]) == len(scores[1])
    varied = comparable and all(np.ptp(values) > 0 for values in scores)
    agree = float(spearmanr(*scores)[0]) if varied else None
    return {
        "layer": key[0] or "logits",
        "unit": key[1],
        "name": first["name"],
        "images": [jpeg(open_picture(unit["image"]), 160) for unit in (first, second)],
        "scores": [first["score"], second["score"]],
        "agree": agree,
        "known": agree is not None,
    }


def _same_natural_images(runs):
    first, second = (run["hashes"].get("natural images", run["hashes"].get("images")) for run in runs)
    return first == second
