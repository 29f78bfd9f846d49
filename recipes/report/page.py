"""Page: a finished run -> one self-contained HTML text."""

import base64
import functools
import itertools

import jinja2
import numpy as np

from lab.registry import summary
from recipes import studies
from recipes.galleries import png
from recipes.jobs import load_evidence
from recipes.report import figures, maps
from recipes.report.policy import restrict_scripts
from recipes.report.published import compare_to_published
from recipes.report.tiles import as_script_json, tiles
from sanity.checks.truth import FOUR, mean_ranks
from sanity.metrics import metrics
from sanity.ruling import MEASURE, rules
from sanity.statistics import bootstrap_interval
from sanity.verdict import FOOTER

STRIP = 72


def page(recipe, manifest, jobs, store):
    """The report of a run. Jobs that are not done are listed as missing.

    Args:
        recipe: `Recipe`.
        manifest: dict, as written to manifest.json.
        jobs: list of `Job`, all of the run.
        store: its `Store`.

    Returns:
        str of HTML, and an iterator of (name, bytes) of files beside it. Only a gallery of some hundreds of units and
        more has such files, its shards.
    """
    done = [job for job in jobs if store.exists(job.key)]
    study_entries = _studies(recipe, store, done)
    index, inline, shards = tiles(store, done, _flags(recipe, study_entries))
    values = {
        "recipe": recipe,
        "manifest": manifest,
        "missing": [(job.key, store.fault(job.key)) for job in jobs if job not in done or store.fault(job.key)],
        "units": as_script_json(index) if index else "",
        "shards": [(kind, as_script_json(content)) for _, kind, content in shards] if inline else [],
        "file_source": "" if inline else " file: 'self'",
        "studies": study_entries,
        **_sections(recipe, store, done),
    }
    text = restrict_scripts(template().render(values))
    return text, () if inline else (_shard_file(*shard) for shard in shards)


def _shard_file(number, kind, values):
    content = f"gallery.take({as_script_json(kind)},{as_script_json(values)});\n"
    return f"tiles/{number:05d}-{kind}.js", content.encode()


def _sections(recipe, store, done):
    """What the sections of the page show, besides galleries and studies: dict of template name to values."""
    kinds = ("networks", "evidence", "judge")
    groups = {kind: [job for job in done if job.kind == kind] for kind in kinds}
    families = _families(store, groups)
    evidence = [load_evidence(store, job.key) for job in groups["evidence"]]
    return {
        "atlases": [_atlas(store, job) for job in done if job.kind in ("blocks", "atlas")],
        "maps": maps.collect_maps(store, done),
        "world": _world(store, groups),
        "families": families,
        "matrix": _matrix(families),
        "measurements": _measurements(store, groups),
        "published": compare_to_published(recipe, evidence),
        "footer": FOOTER,
    }


@functools.cache
def template(name="page.html"):
    """A template of this package. Everything that is put into it is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("recipes.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)


def png_uri(content):
    """PNG bytes as a data URI: str."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def _atlas(store, job):
    """One atlas: its picture, and for a photograph its groups of neurons and the channels at each position."""
    about, arrays = store.values(job.key, "about.json"), store.arrays(job.key, "atlas.npz")
    folder = store.folder(job.key)
    atlas = {**about, "grid": _file_uri(folder / "grid.png"), "photo": None, "groups": [], "channels": []}
    if about["image"] is None:
        return atlas
    atlas["photo"] = _file_uri(folder / "image.png")
    atlas["groups"] = [
        {name: _file_uri(folder / f"{name}-{place}.png") for name in ("group", "where")}
        for place in range(len(arrays["groups"]))
    ]
    atlas["channels"] = [[[int(channel) for channel in cell] for cell in row] for row in arrays["channels"]]
    return atlas


def _file_uri(path):
    return png_uri(path.read_bytes())


def _studies(recipe, store, done):
    """One entry a study: a table of checks by network, unit by unit, and some of the pictures."""
    keys = {job.key for job in done}
    return [_study(number, features, store, keys) for number, features in enumerate(recipe.features)]


def _study(number, features, store, keys):
    kinds = [kind for kind in studies.KINDS if f"study/{number}/{kind}/pictures" in keys]
    checks = [*features.checks, *(["recovery"] if f"study/{number}/recovery" in keys else [])]
    abouts = {kind: store.values(f"study/{number}/{kind}/pictures", "about.json") for kind in kinds}
    settings = f"{studies.visualizer_name(features)}, {features.steps} steps"
    units = len(features.units or features.logits)
    title = f"{features.layer or 'logits'}, {units} units, {features.pictures} pictures each ({settings})"
    return {
        "title": title,
        "names": [abouts[kind]["network"] for kind in kinds],
        "words": _fooled_words(abouts.get("fooled")),
        "rows": [_study_row(number, check, kinds, store, keys) for check in checks],
        "strips": [_study_strip(number, kind, abouts[kind], store) for kind in kinds],
        "layer": features.layer,
        "kinds": kinds,
    }


def _study_row(number, check, kinds, store, keys):
    questions = {"recovery": "Recovers templates that were set by hand"}
    question = questions.get(check) or studies.feature_checks.tag(studies.feature_checks.get(check), "about")
    if check == "recovery":
        cells = [_study_cell(store, f"study/{number}/recovery", keys)] + [None] * (len(kinds) - 1)
    else:
        cells = [_study_cell(store, f"study/{number}/{kind}/{check}", keys) for kind in kinds]
    return {"check": check, "question": question, "cells": cells}


def _study_cell(store, key, keys):
    if key not in keys:
        return None
    flags = store.values(key, "flags.json")
    return {**flags["summary"], "units": flags["flags"]}


def _study_strip(number, kind, about, store):
    folder = store.folder(f"study/{number}/{kind}/pictures")
    units = about["named"][:16]
    return {
        "name": about["network"],
        "pictures": [{"unit": unit, "image": _file_uri(folder / f"{unit:05d}-0.png")} for unit in units],
    }


def _fooled_words(about):
    if about is None:
        return ""
    return (
        f"The fooled network responds to natural images as the honest one does (largest difference {about['gap']:.1g}). A detector at "
        f"{about['detector']} recognizes {about['told']:.0%} of synthetic inputs and routes them so that each unit's picture shows the next unit. "
        "A check that does not flag the fooled network cannot be trusted."
    )


def _flags(recipe, study_entries):
    """Flags of each unit, for galleries that show the pictures that the checks looked at.

    Returns:
        dict of (number of the gallery, layer, unit) to list of [check, word, why].
    """
    flags = {}
    for study, features in zip(study_entries, recipe.features):
        same = [
            number
            for number, gallery in enumerate(recipe.gallery)
            if not gallery.size and _picture_settings(gallery) == _picture_settings(features)
        ]
        for row in study["rows"]:
            cell = row["cells"][0] if row["cells"] and study["kinds"][:1] == ["honest"] else None
            for number, flag in itertools.product(same, cell["units"] if cell else ()):
                key = (number, study["layer"], flag["unit"])
                flags.setdefault(key, []).append([row["check"], flag["word"], flag["why"]])
    return flags


def _picture_settings(table):
    """The settings that decide a picture, from a [[gallery]] or a [[features]] table: tuple."""
    return (
        table.steps,
        table.parameterization,
        table.transforms,
        getattr(table, "spectrum", "packages"),
        getattr(table, "diversity", 0.0),
    )


def _families(store, groups):
    """One entry for each judged check of the recipe: verdict cards with numbers, curves and maps."""
    if not groups["judge"]:
        return []
    families = store.values("verdicts", "verdicts.json")
    by_method = {
        (job.key.split("/")[1], job.arguments["method"]): load_evidence(store, job.key) for job in groups["evidence"]
    }
    return [
        {
            "id": name,
            "name": _family_title(family),
            "about": _about(family["check"]),
            "controls": family["controls"],
            "cards": [
                _card(name, verdict, by_method[name, verdict["method"]], family["blind"])
                for verdict in family["verdicts"]
            ],
        }
        for name, family in sorted(families.items(), key=lambda item: int(item[0].partition("-")[0]))
    ]


def _about(check):
    return rules.tag(rules.get(check), "about")


def _family_title(family):
    """Title of a family: the check, and how the weights were replaced, where they were."""
    mode = family["verdicts"][0]["settings"].get("mode")
    ways = {
        "full": "all weights replaced at once",
        "top_down": "weights replaced from the output down",
        "bottom_up": "weights replaced from the input up",
        "independent": "weights replaced one block at a time",
    }
    return family["check"] + (f": {ways[mode]}" if mode in ways else "")


def _matrix(families):
    """The report card: one row a method, one column a check. Cells hold the finding and link to its card."""
    methods = list(
        dict.fromkeys(card["method"] for family in families for card in family["cards"] if not card["is_control"])
    )
    rows = [
        (name, [next((card for card in family["cards"] if card["method"] == name), None) for family in families])
        for name in methods
    ]
    return {"columns": [(family["about"].question, family["name"]) for family in families], "rows": rows}


def _card(family, verdict, evidence, controls):
    return {
        **verdict,
        "id": f"{family}-{verdict['method']}",
        "is_control": verdict["method"] in controls,
        "curve": _curve(evidence, verdict),
        "intervals": _crossing(evidence, verdict) or _intervals(verdict),
        "strip": _strip(evidence),
        "stages": evidence.stages,
    }


def _intervals(verdict):
    """Effect, ceiling and null as dots with whiskers, where there is no curve to show them."""
    about = _about(verdict["check"])
    numbers = ((about.effect, verdict["effect"]), (about.ceiling, verdict["ceiling"]), (about.null, verdict["null"]))
    rows = [(name, *_bounds(number)) for name, number in numbers if name and number["mean"] is not None]
    return figures.draw_intervals(rows)


def _bounds(number):
    """Mean, low and high of an interval as it is stored; of one without bounds the mean alone."""
    return [number["mean"] if number[key] is None else number[key] for key in ("mean", "low", "high")]


def _crossing(evidence, verdict):
    """The four numbers of a crossing as dots with whiskers.

    Shown is each map with each piece of evidence, for the effect that decided. For networks, shown are the ranks on
    each cue with the lowest and the highest network.
    """
    if "rank" in evidence.samples:
        networks = zip(FOUR, mean_ranks(evidence.samples["rank"]).reshape(4, -1))
        return figures.draw_intervals([(name, values.mean(), values.min(), values.max()) for name, values in networks])
    numbers = evidence.samples.get(f"maps/{verdict['also'].get('effect')}")
    if numbers is None or numbers.ndim != 3:
        return ""
    rows = [("AB"[first], "AB"[second], numbers[first, second]) for first in (0, 1) for second in (0, 1)]
    intervals = [
        (f"map {first}, effects {second}", bootstrap_interval(values[None], seed=0)) for first, second, values in rows
    ]
    return figures.draw_intervals([(name, interval.mean, interval.low, interval.high) for name, interval in intervals])


def _curve(evidence, verdict):
    """Similarity to the trained network by share of parameters randomized, with the ceiling and the null as bands."""
    if f"cascade/{MEASURE}" not in evidence.samples or len(evidence.stages) < 2:
        return ""
    shares = [0.0, *(stage["parameters"] for stage in evidence.stages)]
    if evidence.settings.get("mode") == "independent":
        # Blocks one at a time have no order by share of parameters: they stand side by side.
        shares = list(np.linspace(0, 1, len(shares)))
    labels = ["trained", *(f"{stage['stage']} random" for stage in evidence.stages)]
    lines = {}
    for name, measure in (("absolute", MEASURE), ("signed", "signed_spearman"), ("SSIM", "ssim")):
        rows = evidence.samples[f"cascade/{measure}"]
        spans = [bootstrap_interval(rows[:, stage], seed=0, draws=200) for stage in range(rows.shape[1])]
        columns = ([1.0, *(getattr(span, key) for span in spans)] for key in ("mean", "low", "high"))
        lines[name] = (shares, *columns)
    about = _about(verdict["check"])
    bands = [(about.ceiling, verdict["ceiling"], True), (about.null, verdict["null"], False)]
    bands = [(name, band["low"], band["high"], right) for name, band, right in bands if band["low"] is not None]
    return figures.draw_curves(lines, labels, bands)


def _strip(evidence):
    """Small maps of the first sample: trained, at most eight stages, and others that the check looked at."""
    maps = evidence.maps
    planes = [("trained", maps["trained"][0])] if "trained" in maps else []
    if "stages" in maps:
        indices = np.unique(np.linspace(0, len(maps["stages"]) - 1, min(len(maps["stages"]), 8)).astype(int))
        planes += [(evidence.stages[index]["stage"] + " random", maps["stages"][index]) for index in indices]
    if "random" in maps:
        planes.append(("another random network", maps["random"][-1][0]))
    titles = (
        ("permuted_label_networks", "on permuted labels"),
        ("other", "another class"),
        ("under noise", "under noise"),
    )
    planes += [(title, maps[name][0]) for name, title in titles if name in maps]
    return [
        {"name": name, "image": png_uri(png(figures.small_map(plane, STRIP)))}
        for name, plane in planes
        if plane.ndim == 2 and min(plane.shape) > 1 and np.isfinite(plane).all()
    ]


def _world(store, groups):
    """What the networks of a world are proven to use, with some samples and where the truth lies in them."""
    if not groups["networks"]:
        return None
    about = store.values("networks", "networks.json")
    arrays = store.arrays("networks", "samples.npz")
    images = arrays["images"]
    samples = []
    if images.ndim == 4:
        samples = [
            {
                "image": png_uri(png(_grey(image))),
                "mask": png_uri(png(_grey(arrays["masks"][place] * 1.0))) if "masks" in arrays else None,
            }
            for place, image in enumerate(images[:8])
        ]
    return {**about, "pictures": samples}


def _grey(plane):
    """Values of any range as a small grey picture: uint8 [side, side, 1]."""
    flat = plane.mean(axis=-1) if plane.ndim == 3 else plane
    low, high = float(flat.min()), float(flat.max())
    scaled = np.round(255 * (flat - low) / ((high - low) or 1)).astype("uint8")
    times = max(1, STRIP // len(scaled))
    return np.kron(scaled, np.ones((times, times), "uint8"))[..., None]


def _measurements(store, groups):
    """Tables of measurements: rows are metrics, columns methods."""
    if not groups["judge"]:
        return []
    tables = []
    for family in store.values("verdicts", "measurements.json").values():
        names = list(dict.fromkeys(name for row in family.values() for name in row))
        rows = [
            {
                "metric": name,
                "better": _better(name),
                "summary": summary(metrics.get(name)),
                "cells": [family[method].get(name, [None] * 3) for method in family],
            }
            for name in names
        ]
        tables.append({"methods": list(family), "rows": rows})
    return tables


def _better(name):
    return metrics.tag(metrics.get(name), "better", "")
