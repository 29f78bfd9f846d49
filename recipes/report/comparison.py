"""Comparison: the galleries of two runs side by side, the units that changed most first."""

import json

import numpy as np
from scipy.stats import spearmanr

from recipes.galleries import picture_name
from recipes.report.page import template, uri
from recipes.store import Store, durable


def written(first, second, path):
    """Write the page that compares the galleries of two run folders to `path` -> path. Raises ValueError where they share no unit."""
    drawn = [_drawn(folder) for folder in (first, second)]
    shared = [key for key in drawn[0] if key in drawn[1]]
    if not shared:
        raise ValueError(f"Two galleries are compared unit by unit. Received: {first} and {second}, which share none.")
    rows = sorted((_row(key, *(each[key] for each in drawn)) for key in shared), key=lambda row: row["agree"])
    runs = [json.loads((folder / "manifest.json").read_text()) for folder in (first, second)]
    names = [f"{run['recipe']['model']['source']} (run {run['digest']})" for run in runs]
    durable(path, template("compare.html").render(rows=rows, names=names, same=_same_stock(runs)).encode())
    return path


def _drawn(folder):
    """Every unit that a run drew: dict of (layer, unit) to its picture, score and natural scores."""
    store = Store(folder.parent.parent, folder.parent.name, folder.name)
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
        "images": [uri(each["image"].read_bytes()) for each in (first, second)],
        "scores": [first["score"], second["score"]],
        "agree": 2.0 if agree is None else agree,
        "known": agree is not None,
    }


def _same_stock(runs):
    return runs[0]["hashes"]["images"] == runs[1]["hashes"]["images"]
