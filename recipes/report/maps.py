"""Maps: the explanations of a run as what the page shows: a table of images and methods, agreement, and overviews."""

import base64

import numpy as np

from lab.maps import pooled
from recipes.galleries import png
from recipes.report import figures

SIDE = 192


def shown(store, done):
    """Everything the page says of a run's maps: dict, or None where it made none."""
    jobs = [job for job in done if job.kind == "maps"]
    if not jobs or not store.there("photographs"):
        return None
    agreed = store.values("agreement", "agreement.json") if store.there("agreement") else None
    seeds = agreed["seeds"] if agreed else {}
    abouts = [(job, store.values(job.key, "about.json")) for job in jobs]
    given = [(job, about) for job, about in abouts if not about["refused"] and not about["fault"]]
    return {
        "photographs": _photographs(store, given),
        "rows": [_row(about, store.arrays(job.key, "maps.npz"), seeds.get(about["method"])) for job, about in given],
        "refused": [(about["method"], about["refused"]) for _, about in abouts if about["refused"]],
        "faults": [(about["method"], about["fault"]) for _, about in abouts if about["fault"]],
        "agreement": _matrix(agreed) if agreed and agreed["methods"] else None,
        "views": _views(agreed["views"]) if agreed else [],
    }


def _photographs(store, given):
    """One entry a photograph: the picture, its class, its score and what was taken off the output."""
    images = store.arrays("photographs", "photographs.npz")["images"]
    if not given:
        return []
    job, about = given[0]
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
    content, top, signed = figures.painted(pooled(arrays["maps/0"])[place], SIDE)
    return {
        "image": None if content is None else _uri(content),
        "top": top,
        "signed": signed,
        "gap": float(arrays["gap"][place]) if "gap" in arrays else None,
        "flags": about["flags"][place],
        "columns": _strongest(arrays, about, place),
    }


def _strongest(arrays, about, place, count=3):
    """The columns beside an image to which a method gives most, in either direction: list of (name, value)."""
    if "maps/1" not in arrays:
        return []
    values = arrays["maps/1"][place]
    order = np.argsort(-np.abs(values), kind="stable")[:count]
    return [(about["columns"][column], float(values[column])) for column in order]


def _matrix(agreed):
    """Cells of the table of methods by methods: rank correlation, what turned maps reach, and how dark to paint it."""
    rows = []
    for one, name in enumerate(agreed["methods"]):
        pairs = zip(agreed["rank"][one], agreed["null"][one])
        cells = [
            None if rank is None else {"rank": rank, "null": null, "above": null is not None and rank > null}
            for rank, null in pairs
        ]
        rows.append((name, cells[: one + 1]))
    return {"methods": agreed["methods"], "rows": rows, "side": agreed["side"]}


def _views(views):
    """One entry a method: its classes, and the mean absolute attribution of each feature with its interval."""
    found = {}
    for method, label, feature, mean, low, high in views:
        found.setdefault(method, {}).setdefault(label, []).append(
            {"feature": feature, "mean": mean, "low": low, "high": high}
        )
    return [
        {"method": method, "features": [each["feature"] for each in next(iter(rows.values()))], "rows": rows.items()}
        for method, rows in found.items()
    ]


def _uri(content):
    return "data:image/png;base64," + base64.b64encode(content).decode()
