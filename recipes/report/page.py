"""Page: a finished run -> one self-contained HTML text."""

import base64
import functools

import jinja2
import numpy as np

from lab.maps import pooled
from recipes.jobs import evidence, png
from recipes.report import figures
from sanity.statistics import two_way
from sanity.verdict import MEASURE

SIDE = 224
STRIP = 72


def page(recipe, manifest, jobs, store):
    """The report of a run: str of HTML that needs nothing beside itself. Jobs that are not done are named as missing."""
    done = [job for job in jobs if store.done(job.key)]
    groups = {kind: [job for job in done if job.kind == kind] for kind in ("pictures", "maps", "evidence", "judge")}
    return _template().render(
        recipe=recipe,
        manifest=manifest,
        missing=[job.key for job in jobs if job not in done],
        tiles=[tile for job in groups["pictures"] for tile in _tiles(store, job)],
        photographs=_photographs(store, groups["maps"]),
        families=_families(store, groups),
    )


@functools.cache
def _template():
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("recipes.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("page.html")


def uri(content):
    """PNG bytes as a data URI: str."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def _tiles(store, job):
    arrays, about = store.arrays(job.key, "pictures.npz"), store.values(job.key, "about.json")
    for place, unit in enumerate(arrays["units"]):
        natural = (
            [
                {"image": uri(png(image)), "name": name, "score": float(score)}
                for image, name, score in zip(
                    arrays["natural"][place], about["natural"][place], arrays["natural_scores"][place]
                )
            ]
            if about["natural"]
            else []
        )
        yield {
            "id": f"unit-{job.given['gallery']}-{unit}",
            "name": about["names"][place],
            "short": f"unit {unit}" if about["layer"] else about["names"][place],
            "group": about["layer"] or "logits",
            "unit": int(unit),
            "image": uri((store.folder(job.key) / f"{unit:05d}.png").read_bytes()),
            "score": float(arrays["scores"][place]),
            "natural": natural,
            "spark": figures.spark(arrays["curves"][place]),
        }


def _photographs(store, jobs):
    """One entry a photograph, with the maps of all methods over it."""
    found = {}
    for job in jobs:
        arrays, about = store.arrays(job.key, "maps.npz"), store.values(job.key, "about.json")
        for place, name in enumerate(about["names"]):
            entry = found.setdefault(
                name,
                {
                    "name": name,
                    "target": about["classes"][place],
                    "score": float(arrays["scores"][place]),
                    "head": about["head"],
                    "maps": [],
                },
            )
            entry["maps"].append(_map(arrays, about, place))
    if found:
        shown = store.arrays("photographs", "photographs.npz")["images"]
        for entry, image in zip(found.values(), shown):
            entry["image"] = uri(png(image))
    return list(found.values())


def _map(arrays, about, place):
    plane = pooled(arrays["maps/0"])[place]
    image = figures.coloured(plane, SIDE) if plane.ndim == 2 else figures.coloured(plane.reshape(1, -1))
    gap = float(arrays["gap"][place]) if "gap" in arrays else None
    return {
        "method": about["method"],
        "image": uri(png(image[0])),
        "top": image[1],
        "signed": image[2],
        "layer": about["layer"],
        "gap": gap,
        "flags": about["flags"][place],
        "options": about["options"],
    }


def _families(store, groups):
    """One entry a check of the recipe: verdict cards, with curves and maps."""
    if not groups["judge"]:
        return []
    judged = store.values("verdicts", "verdicts.json")
    by_method = {(job.key.split("/")[1], job.given["method"]): evidence(store, job.key) for job in groups["evidence"]}
    return [
        {
            "name": _spoken(name),
            "controls": family["controls"],
            "cards": [
                _card(verdict, by_method[name, verdict["method"]], {each["control"] for each in family["controls"]})
                for verdict in family["verdicts"]
            ],
        }
        for name, family in judged.items()
    ]


def _spoken(family):
    """ "0-parameters-full" as a heading."""
    _, check, mode = family.split("-", 2)
    return f"{check}: {'all weights replaced at once' if mode == 'full' else 'weights replaced from the output down'}"


def _card(verdict, found, controls):
    return {
        **verdict,
        "is_control": verdict["method"] in controls,
        "curve": _curve(found, verdict),
        "strip": _strip(found),
        "stages": found.stages,
    }


def _curve(found, verdict):
    """Similarity to the trained network by share of parameters randomized, with the ceiling and the null as bands."""
    shares = [0.0, *(stage["parameters"] for stage in found.stages)]
    labels = ["trained", *(f"{stage['stage']} random" for stage in found.stages)]
    lines = {}
    for name, measure in (("absolute", MEASURE), ("signed", "signed_spearman"), ("SSIM", "ssim")):
        rows = found.samples[f"cascade/{measure}"]
        spans = [two_way(rows[:, stage], seed=0, draws=200) for stage in range(rows.shape[1])]
        lines[name] = (
            [*shares],
            [1.0, *(each.mean for each in spans)],
            [1.0, *(each.low for each in spans)],
            [1.0, *(each.high for each in spans)],
        )
    bands = [("ceiling", verdict["ceiling"], True), ("random-random", verdict["null"], False)]
    return figures.curves(
        lines,
        labels,
        [(name, each["low"], each["high"], right) for name, each, right in bands if each["low"] is not None],
    )


def _strip(found):
    """Small maps of the first photograph: trained, at most eight stages, and another random network."""
    stages = found.maps["stages"]
    chosen = np.unique(np.linspace(0, len(stages) - 1, min(len(stages), 8)).astype(int))
    shown = [
        ("trained", found.maps["trained"][0]),
        *((found.stages[index]["stage"] + " random", stages[index]) for index in chosen),
        ("another random network", found.maps["random"][-1][0]),
    ]
    return [
        {"name": name, "image": uri(png(figures.shape_of(plane, STRIP)))}
        for name, plane in shown
        if plane.ndim == 2 and np.isfinite(plane).all()
    ]
