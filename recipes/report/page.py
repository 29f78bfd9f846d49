"""Page: a finished run -> one self-contained HTML text."""

import base64
import functools
import itertools

import jinja2
import numpy as np

from lab.registry import summary
from recipes import studies
from recipes.galleries import png
from recipes.jobs import evidence
from recipes.report import figures, maps
from recipes.report.policy import restricted
from recipes.report.published import comparison
from recipes.report.tiles import as_text, tiles
from sanity.checks.truth import FOUR, mean_ranks
from sanity.metrics import metrics
from sanity.ruling import MEASURE, rules
from sanity.statistics import bootstrap_interval
from sanity.verdict import FOOTER

STRIP = 72


def page(recipe, manifest, jobs, store):
    """The report of a run as (str of HTML, iterator of (name, bytes) of files beside it). Jobs that are not done are named as missing.

    Nothing lies beside the page but the shards of a gallery of more than some hundreds of units.
    """
    done = [job for job in jobs if store.there(job.key)]
    studied = _studies(recipe, store, done)
    index, whole, shards = tiles(store, done, _flags(recipe, studied))
    text = restricted(_rendered(recipe, manifest, jobs, store, done, studied, index, shards if whole else None))
    return text, () if whole else (_file(*shard) for shard in shards)


def _file(number, kind, values):
    return f"tiles/{number:05d}-{kind}.js", f"gallery.take({as_text(kind)},{as_text(values)});\n".encode()


def _rendered(recipe, manifest, jobs, store, done, studied, index, shards):
    kinds = ("networks", "evidence", "judge")
    groups = {kind: [job for job in done if job.kind == kind] for kind in kinds}
    families = _families(store, groups)
    return template().render(
        recipe=recipe,
        manifest=manifest,
        missing=[(job.key, store.fault(job.key)) for job in jobs if job not in done or store.fault(job.key)],
        units=as_text(index) if index else "",
        shards=[] if shards is None else [(kind, as_text(values)) for _, kind, values in shards],
        beside="" if shards is not None else " file: 'self'",
        studies=studied,
        atlases=[_atlas(store, job) for job in done if job.kind in ("blocks", "atlas")],
        maps=maps.shown(store, done),
        world=_world(store, groups),
        families=families,
        matrix=_matrix(families),
        measured=_measured(store, groups),
        published=comparison(recipe, [evidence(store, job.key) for job in groups["evidence"]]),
        footer=FOOTER,
    )


@functools.cache
def template(name="page.html"):
    """A page's template, everything that is put into it escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("recipes.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)


def uri(content):
    """PNG bytes as a data URI: str."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def _atlas(store, job):
    """One atlas: its picture, and for a photograph its groups of neurons and the channels at each position."""
    about, arrays = store.values(job.key, "about.json"), store.arrays(job.key, "atlas.npz")
    folder = store.folder(job.key)
    found = {**about, "grid": uri((folder / "grid.png").read_bytes()), "photo": None, "groups": [], "channels": []}
    if about["image"] is None:
        return found
    found["photo"] = uri((folder / "image.png").read_bytes())
    found["groups"] = [
        {name: uri((folder / f"{name}-{place}.png").read_bytes()) for name in ("group", "where")}
        for place in range(len(arrays["groups"]))
    ]
    found["channels"] = [[[int(each) for each in cell] for cell in row] for row in arrays["channels"]]
    return found


def _studies(recipe, store, done):
    """One entry a study: a table of checks by network, unit by unit, and some of the pictures."""
    keys = {job.key for job in done}
    return [_study(number, asked, store, keys) for number, asked in enumerate(recipe.features)]


def _study(number, asked, store, keys):
    kinds = [kind for kind in studies.KINDS if f"study/{number}/{kind}/pictures" in keys]
    checks = [*asked.checks, *(["recovery"] if f"study/{number}/recovery" in keys else [])]
    abouts = {kind: store.values(f"study/{number}/{kind}/pictures", "about.json") for kind in kinds}
    place = asked.layer or "logits"
    title = f"{place}, {len(asked.units or asked.logits)} units, {asked.pictures} pictures each ({studies.name_of(asked)}, {asked.steps} steps)"
    return {
        "title": title,
        "names": [abouts[kind]["network"] for kind in kinds],
        "words": _fooled_words(abouts.get("fooled")),
        "rows": [_study_row(number, check, kinds, store, keys) for check in checks],
        "strips": [_study_strip(number, kind, abouts[kind], store) for kind in kinds],
        "layer": asked.layer,
        "kinds": kinds,
    }


def _study_row(number, check, kinds, store, keys):
    questions = {"recovery": "Templates set by hand are found"}
    question = questions.get(check) or studies.features.tag(studies.features.get(check), "about")
    if check == "recovery":
        cells = [_study_cell(store, f"study/{number}/recovery", keys)] + [None] * (len(kinds) - 1)
    else:
        cells = [_study_cell(store, f"study/{number}/{kind}/{check}", keys) for kind in kinds]
    return {"check": check, "question": question, "cells": cells}


def _study_cell(store, key, keys):
    if key not in keys:
        return None
    said = store.values(key, "flags.json")
    return {**said["summary"], "units": said["flags"]}


def _study_strip(number, kind, about, store):
    folder = store.folder(f"study/{number}/{kind}/pictures")
    shown = about["named"][:16]
    return {
        "name": about["network"],
        "pictures": [{"unit": unit, "image": uri((folder / f"{unit:05d}-0.png").read_bytes())} for unit in shown],
    }


def _fooled_words(about):
    if about is None:
        return ""
    return (
        f"The fooled network answers to natural images as the honest one does (largest difference {about['gap']:.1g}); a detector at "
        f"{about['detector']} tells {about['told']:.0%} of synthetic inputs and sends them another way, so that each unit's picture shows the "
        "next unit. A check of pictures that does not tell the two apart says nothing."
    )


def _flags(recipe, studied):
    """What the checks say of each unit of the network itself, where the pictures that they looked at are those that a gallery shows:
    dict of (number of the gallery, layer, unit) to a list of [check, word, why].
    """
    flags = {}
    for study, asked in zip(studied, recipe.features):
        same = [place for place, each in enumerate(recipe.gallery) if not each.size and _climb(each) == _climb(asked)]
        for row in study["rows"]:
            cell = row["cells"][0] if row["cells"] and study["kinds"][:1] == ["honest"] else None
            for place, flag in itertools.product(same, cell["units"] if cell else ()):
                key = (place, study["layer"], flag["unit"])
                flags.setdefault(key, []).append([row["check"], flag["word"], flag["why"]])
    return flags


def _climb(table):
    """What makes a picture what it is, of a gallery's table or of a study's."""
    return (
        table.steps,
        table.parameterization,
        table.transforms,
        getattr(table, "spectrum", "packages"),
        getattr(table, "diversity", 0.0),
    )


def _families(store, groups):
    """One entry a check of the recipe: verdict cards, with their numbers, curves and maps."""
    if not groups["judge"]:
        return []
    judged = store.values("verdicts", "verdicts.json")
    by_method = {(job.key.split("/")[1], job.given["method"]): evidence(store, job.key) for job in groups["evidence"]}
    return [
        {
            "id": name,
            "name": _spoken(family),
            "about": _about(family["check"]),
            "controls": family["controls"],
            "cards": [
                _card(name, verdict, by_method[name, verdict["method"]], family["blind"])
                for verdict in family["verdicts"]
            ],
        }
        for name, family in sorted(judged.items(), key=lambda each: int(each[0].partition("-")[0]))
    ]


def _about(check):
    return rules.tag(rules.get(check), "about")


def _spoken(family):
    """A family as a heading: the check, and how the weights were replaced where they were."""
    mode = family["verdicts"][0]["settings"].get("mode")
    ways = {
        "full": "all weights replaced at once",
        "top_down": "weights replaced from the output down",
        "bottom_up": "weights replaced from the input up",
        "independent": "weights replaced one block at a time",
    }
    return family["check"] + (f": {ways[mode]}" if mode in ways else "")


def _matrix(families):
    """The report card: one row a method, one column a check; cells hold the finding and lead to its card."""
    methods = list(
        dict.fromkeys(card["method"] for family in families for card in family["cards"] if not card["is_control"])
    )
    rows = [
        (name, [next((card for card in family["cards"] if card["method"] == name), None) for family in families])
        for name in methods
    ]
    return {"columns": [(family["about"].question, family["name"]) for family in families], "rows": rows}


def _card(family, verdict, found, controls):
    return {
        **verdict,
        "id": f"{family}-{verdict['method']}",
        "is_control": verdict["method"] in controls,
        "curve": _curve(found, verdict),
        "spans": _crossing(found, verdict) or _spans(verdict),
        "strip": _strip(found),
        "stages": found.stages,
    }


def _spans(verdict):
    """Effect, ceiling and null as dots with whiskers, where there is no curve to show them."""
    about = _about(verdict["check"])
    named = ((about.effect, verdict["effect"]), (about.ceiling, verdict["ceiling"]), (about.null, verdict["null"]))
    return figures.spans([(name, *_bounds(number)) for name, number in named if name and number["mean"] is not None])


def _bounds(number):
    """Mean, low and high of an interval as it is stored; of one without bounds the mean alone."""
    return [number["mean"] if number[key] is None else number[key] for key in ("mean", "low", "high")]


def _crossing(evidence, verdict):
    """The four numbers of a crossing as dots with whiskers: each map with each piece of evidence, of the effect that decided; of
    networks, the ranks on each cue with their lowest and highest network. Nothing is drawn of what could not be measured.
    """
    if "rank" in evidence.samples:
        networks = [
            (name, values[np.isfinite(values)])
            for name, values in zip(FOUR, mean_ranks(evidence.samples["rank"]).reshape(4, -1))
        ]
        return figures.spans(
            [(name, values.mean(), values.min(), values.max()) for name, values in networks if values.size]
        )
    numbers = evidence.samples.get(f"maps/{verdict['also'].get('effect')}")
    if numbers is None or numbers.ndim != 3:
        return ""
    rows = [("AB"[first], "AB"[second], numbers[first, second]) for first in (0, 1) for second in (0, 1)]
    intervals = [
        (f"map {first}, effects {second}", bootstrap_interval(values[None], seed=0)) for first, second, values in rows
    ]
    return figures.spans([(name, each.mean, each.low, each.high) for name, each in intervals if np.isfinite(each.mean)])


def _curve(found, verdict):
    """Similarity to the trained network by share of parameters randomized, with the ceiling and the null as bands."""
    if f"cascade/{MEASURE}" not in found.samples or len(found.stages) < 2:
        return ""
    shares = [0.0, *(stage["parameters"] for stage in found.stages)]
    labels = ["trained", *(f"{stage['stage']} random" for stage in found.stages)]
    lines = {}
    for name, measure in (("absolute", MEASURE), ("signed", "signed_spearman"), ("SSIM", "ssim")):
        rows = found.samples[f"cascade/{measure}"]
        spans = [bootstrap_interval(rows[:, stage], seed=0, draws=200) for stage in range(rows.shape[1])]
        lines[name] = (
            [*shares],
            [1.0, *(each.mean for each in spans)],
            [1.0, *(each.low for each in spans)],
            [1.0, *(each.high for each in spans)],
        )
    if found.settings.get("mode") == "independent":
        # Blocks one at a time lie on no line: they stand side by side in the order of the network.
        shares = list(np.linspace(0, 1, len(shares)))
        lines = {name: (shares, *rest) for name, (_, *rest) in lines.items()}
    about = _about(verdict["check"])
    bands = [(about.ceiling, verdict["ceiling"], True), (about.null, verdict["null"], False)]
    return figures.curves(
        lines,
        labels,
        [(name, each["low"], each["high"], right) for name, each, right in bands if each["low"] is not None],
    )


def _strip(found):
    """Small maps of the first sample: trained, at most eight stages, and others that the check looked at."""
    maps = found.maps
    shown = [("trained", maps["trained"][0])] if "trained" in maps else []
    if "stages" in maps:
        chosen = np.unique(np.linspace(0, len(maps["stages"]) - 1, min(len(maps["stages"]), 8)).astype(int))
        shown += [(found.stages[index]["stage"] + " random", maps["stages"][index]) for index in chosen]
    if "random" in maps:
        shown.append(("another random network", maps["random"][-1][0]))
    named = (
        ("permuted_label_networks", "on permuted labels"),
        ("other", "another class"),
        ("under noise", "under noise"),
    )
    shown += [(words, maps[name][0]) for name, words in named if name in maps]
    return [
        {"name": name, "image": uri(png(figures.shape_of(plane, STRIP)))}
        for name, plane in shown
        if plane.ndim == 2 and min(plane.shape) > 1 and np.isfinite(plane).all()
    ]


def _world(store, groups):
    """What a world's networks are proven to use, with some samples and where the truth lies in them."""
    if not groups["networks"]:
        return None
    about = store.values("networks", "networks.json")
    arrays = store.arrays("networks", "samples.npz")
    images = arrays["images"]
    shown = []
    if images.ndim == 4:
        shown = [
            {
                "image": uri(png(_grey(image))),
                "mask": uri(png(_grey(arrays["masks"][place] * 1.0))) if "masks" in arrays else None,
            }
            for place, image in enumerate(images[:8])
        ]
    return {**about, "shown": shown}


def _grey(plane):
    """Values of any range as a small grey picture: uint8 [side, side, 1]."""
    flat = plane.mean(axis=-1) if plane.ndim == 3 else plane
    low, high = float(flat.min()), float(flat.max())
    scaled = np.round(255 * (flat - low) / ((high - low) or 1)).astype("uint8")
    times = max(1, STRIP // len(scaled))
    return np.kron(scaled, np.ones((times, times), "uint8"))[..., None]


def _measured(store, groups):
    """Tables of measurements: rows are metrics, columns methods."""
    if not groups["judge"]:
        return []
    found = store.values("verdicts", "measurements.json")
    tables = []
    for family in found.values():
        names = list(dict.fromkeys(name for row in family.values() for name in row))
        rows = [
            {
                "metric": name,
                "better": _better(name),
                "said": summary(metrics.get(name)),
                "cells": [family[method].get(name, [None] * 3) for method in family],
            }
            for name in names
        ]
        tables.append({"methods": list(family), "rows": rows})
    return tables


def _better(name):
    return metrics.tag(metrics.get(name), "better", "")
