"""Maps: the explanations of a run as the page shows them: a table of images and methods, agreement, and overviews."""

import base64

import numpy as np

from lab.maps import pooled
from recipes.galleries import png
from recipes.report import figures

SIDE = 192


def collect_maps(store, done):
    """All values that the page shows of a run's maps.

    Args:
        store: `Store` of the run.
        done: list of its jobs that are done.

    Returns:
        dict, or None where the run has no maps.
    """
    jobs = [job for job in done if job.kind == "maps"]
    if not jobs or not store.exists("photographs"):
        return None
    agreement = store.values("agreement", "agreement.json") if store.exists("agreement") else None
    seeds = agreement["seeds"] if agreement else {}
    abouts = [(job, store.values(job.key, "about.json")) for job in jobs]
    explained = [(job, about) for job, about in abouts if not about["refused"] and not about["fault"]]
    return {
        "photographs": _photographs(store, explained),
        "rows": [
            _row(about, store.arrays(job.key, "maps.npz"), seeds.get(about["method"])) for job, about in explained
        ],
        "refused": [(about["method"], about["refused"]) for _, about in abouts if about["refused"]],
        "faults": [(about["method"], about["fault"]) for _, about in abouts if about["fault"]],
        "agreement": _matrix(agreement) if agreement and agreement["methods"] else None,
        "views": _views(agreement["views"]) if agreement else [],
    }


def _photographs(store, explained):
    """One entry a photograph: the picture, its class, its score, and the activation removed from the output."""
    images = store.arrays("photographs", "photographs.npz")["images"]
    if not explained:
        return []
    job, about = explained[0]
    scores = store.arrays(job.key, "maps.npz")["scores"]
    return [
        {"name": name, "target": target, "score": float(score), "head": about["head"], "image": _uri(png(image))}
        for name, target, score, image in zip(about["names"], about["classes"], scores, images)
    ]


def _row(about, arrays, seeds):
    return {
        "method": about["method"],
        "layer": about["layer"] if isinstance(about["layer"], str) else ", ".join(about["layer"] or []),
        "options": {name: value for name, value in about["options"].items() if name != "layer"},
        "seeds": seeds,
        "maps": [_map(arrays, about, place) for place in range(len(about["names"]))],
    }


def _map(arrays, about, place):
    content, top, signed = figures.encode_map(pooled(arrays["maps/0"])[place], SIDE)
    return {
        "image": None if content is None else _uri(content),
        "top": top,
        "signed": signed,
        "gap": float(arrays["gap"][place]) if "gap" in arrays else None,
        "flags": about["flags"][place],
        "columns": _strongest_columns(arrays, about, place),
    }


def _strongest_columns(arrays, about, place, count=3):
    """The columns beside an image with the largest attribution, of either sign: list of (name, value)."""
    if "maps/1" not in arrays:
        return []
    values = arrays["maps/1"][place]
    order = np.argsort(-np.abs(values), kind="stable")[:count]
    return [(about["columns"][column], float(values[column])) for column in order]


def _matrix(agreement):
    """Table of methods by methods: rank correlations, and the null of flipped or turned maps."""
    rows = []
    for number, name in enumerate(agreement["methods"]):
        pairs = zip(agreement["rank"][number], agreement["null"][number])
        cells = [
            None if rank is None else {"rank": rank, "null": null, "above": null is not None and rank > null}
            for rank, null in pairs
        ]
        rows.append((name, cells[: number + 1]))
    return {"methods": agreement["methods"], "rows": rows, "side": agreement["side"]}


def _views(views):
    """One entry a method: its classes, and the mean absolute attribution of each feature with its interval."""
    by_method = {}
    for method, label, feature, mean, low, high in views:
        by_method.setdefault(method, {}).setdefault(label, []).append(
            {"feature": feature, "mean": mean, "low": low, "high": high}
        )
    return [
        {"method": method, "features": [cell["feature"] for cell in next(iter(rows.values()))], "rows": rows.items()}
        for method, rows in by_method.items()
    ]


def _uri(content):
    return "data:image/png;base64," + base64.b64encode(content).decode()
