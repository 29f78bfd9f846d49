"""Comparison: two runs side by side, unit by unit and map by map, what changed most first."""

import json

import numpy as np
from PIL import Image
from scipy.stats import spearmanr

from lab.maps import pooled
from lab.refusal import Refused
from recipes.changes import refuse_damaged
from recipes.galleries import picture_name
from recipes.report import figures
from recipes.report.page import template, uri
from recipes.report.policy import restricted
from recipes.report.tiles import jpeg
from recipes.store import Store, write_durably
from sanity.bound_explainer import pooled_maps
from sanity.similarity import measures


def written(first, second, path):
    """Write the page that compares the galleries and maps of two run folders to `path` -> path. Raises Refused where they share none."""
    with refuse_damaged(f"{first} or {second}"):
        rows, maps = _units(first, second), _maps(first, second)
        runs = [json.loads((folder / "manifest.json").read_text(encoding="utf-8")) for folder in (first, second)]
        names = [f"{run['recipe']['model']['source']} (run {run['digest']})" for run in runs]
    if not rows and not maps:
        raise Refused(
            f"Runs are compared by the units or the maps that both made. Received: {first} and {second}, which share none."
        )
    text = restricted(
        template("compare.html").render(rows=rows, maps=maps, names=names, same=_same_natural_images(runs))
    )
    write_durably(path, text.encode())
    return path


def _units(first, second):
    drawn = [_drawn(folder) for folder in (first, second)]
    shared = [key for key in drawn[0] if key in drawn[1]]
    return sorted(
        (_row(key, *(each[key] for each in drawn)) for key in shared),
        key=lambda row: (not row["known"], row["agree"] or 0),
    )


def _maps(first, second):
    """Every image and method that both runs explained: a row each, the least alike first."""
    made = [_explained(folder) for folder in (first, second)]
    rows = [_pair(key, *(each[key] for each in made)) for key in made[0] if key in made[1]]
    return sorted(rows, key=lambda row: (row["rank"] is None, row["rank"] or 0))


def _explained(folder):
    """Every map of a run: dict of (method, image) to the array and the class explained."""
    store, found = _store(folder), {}
    for place in sorted((store.path / "jobs" / "explain").glob("*/maps.npz")):
        key = f"explain/{place.parent.name}"
        about, arrays = store.values(key, "about.json"), store.arrays(key, "maps.npz")
        if about.get("refused") or about.get("fault"):
            continue
        for number, name in enumerate(about["names"]):
            found[about["method"], name] = (arrays["maps/0"][number : number + 1], about["classes"][number])
    return found


def _pair(key, first, second):
    alike = first[0].shape == second[0].shape
    planes_of = [pooled_maps(maps)[0] for maps, _ in (first, second)]
    rank = measures.get("joint_abs_spearman")(*planes_of) if alike and None not in planes_of else float("nan")
    return {
        "method": key[0],
        "image": key[1],
        "classes": [first[1], second[1]],
        "pictures": [_picture(maps) for maps, _ in (first, second)],
        "rank": float(rank) if np.isfinite(rank) else None,
    }


def _picture(maps):
    content = figures.painted(pooled(maps)[0], 160)[0]
    return None if content is None else uri(content)


def _store(folder):
    return Store(folder.parent.parent, folder.parent.name, folder.name)


def _drawn(folder):
    """Every unit that a run drew: dict of (layer, unit) to its picture, score and natural scores."""
    store = _store(folder)
    found, natural = {}, {}
    for path in sorted((store.path / "jobs" / "survey").glob("*")):
        arrays, about = (
            store.arrays(f"survey/{path.name}", "survey.npz"),
            store.values(f"survey/{path.name}", "about.json"),
        )
        natural |= {(about["layer"], int(unit)): row for unit, row in zip(arrays["units"], arrays["kept_scores"])}
    for path in sorted((store.path / "jobs" / "gallery").glob("*/*/pictures.npz")):
        key = path.parent.relative_to(store.path / "jobs").as_posix()
        arrays, about = store.arrays(key, "pictures.npz"), store.values(key, "about.json")
        for place, unit in enumerate(arrays["units"]):
            where = (about["layer"], int(unit))
            found[where] = {
                "image": path.parent / picture_name(unit),
                "name": about["names"][place],
                "score": float(arrays["scores"].reshape(len(arrays["units"]), -1)[place, 0]),
                "natural": natural.get(where),
            }
    return found


def _row(key, first, second):
    """One unit in both runs; agree: rank correlation of its scores over the same natural images, the lower the more it changed."""
    scores = [each["natural"] for each in (first, second)]
    alike = all(each is not None for each in scores) and len(scores[0]) == len(scores[1])
    varied = alike and all(np.ptp(each) > 0 for each in scores)
    agree = float(spearmanr(*scores)[0]) if varied else None
    return {
        "layer": key[0] or "logits",
        "unit": key[1],
        "name": first["name"],
        "images": [jpeg(Image.open(each["image"]), 160) for each in (first, second)],
        "scores": [first["score"], second["score"]],
        "agree": agree,
        "known": agree is not None,
    }


def _same_natural_images(runs):
    return runs[0]["hashes"]["images"] == runs[1]["hashes"]["images"]
