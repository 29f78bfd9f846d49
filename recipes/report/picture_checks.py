"""Picture checks: the [[features]] tables of a run as the page shows them: checks by network, unit by unit, and pictures."""

import itertools

from recipes.fields import STUDIED
from recipes.report.cards import card_id
from recipes.report.data_uri import file_uri
from recipes.studies import visualizer_name
from sanity.pictures.units import unit_name
from sanity.ruling import rules
from sanity.verdict import Verdict


def collect_studies(recipe, store, done):
    """One entry a study: a table of checks by network, unit by unit, and some of the pictures.

    Args:
        recipe: `Recipe`.
        store: `Store` of the run.
        done: list of its jobs that are done.

    Returns:
        list of dict: title, names, words, rows, strips, layer, kinds.
    """
    families = store.values("verdicts", "verdicts.json") if store.exists("verdicts") else {}
    return [_study(number, features, store, done, families) for number, features in enumerate(recipe.features)]


def _study(number, features, store, done, families):
    keys = {job.key for job in done}
    kinds = [kind for kind in STUDIED if f"study/{number}/{kind}/pictures" in keys]
    abouts = {kind: store.values(f"study/{number}/{kind}/pictures", "about.json") for kind in kinds}
    settings = f"{visualizer_name(features)}, {features.steps} steps"
    units = len(features.units or features.logits)
    title = f"{features.layer or 'logits'}, {units} units, {features.pictures} pictures each ({settings})"
    methods = {job.key: job.arguments["method"] for job in done if job.judged_in}
    return {
        "title": title,
        "names": [abouts[kind]["network"] for kind in kinds],
        "words": _fooled_words(abouts.get("fooled")),
        "rows": [_study_row(number, check, abouts, methods, families) for check in features.check_names],
        "strips": [_study_strip(number, kind, abouts[kind], store) for kind in kinds],
        "layer": features.layer,
        "kinds": kinds,
    }


def _study_row(number, check, abouts, methods, families):
    """One check of the pictures of every network: dict of check, question and cells."""
    family, about = families.get(f"{number}-{check}"), rules.tag(rules.get(check), "about")
    names = [methods.get(f"study/{number}/{kind}/{check}") for kind in abouts]
    cells = [
        _study_cell(f"{number}-{check}", family, name, abouts[kind]["named"], about) if family and name else None
        for kind, name in zip(abouts, names)
    ]
    return {"check": check, "question": about.question, "cells": cells}


def _study_cell(name, family, method, units, about):
    """The verdict on all units, and those on each."""
    (overall,) = [verdict for verdict in family["verdicts"] if verdict["method"] == method]
    parts = {verdict["scope"]: verdict for verdict in family["parts"] if verdict["method"] == method}
    rows = [{"unit": unit, **_words(parts[unit_name(unit)], about)} for unit in units if unit_name(unit) in parts]
    return {**_words(overall, about), "card": card_id(name, method), "units": rows}


def _words(values, about):
    """Outcome and finding of a verdict, and its number with the clause that decided: dict of str."""
    verdict = Verdict.from_dict(values)
    number = (
        f"{about.effect_name(verdict.scope)} {verdict.effect}" if verdict.effect.mean == verdict.effect.mean else ""
    )
    p = "" if verdict.p is None else f"p = {verdict.p:.2g}"
    words = "; ".join(filter(None, (number, p, verdict.why)))
    return {"outcome": verdict.outcome, "finding": verdict.finding, "words": words}


def _study_strip(number, kind, about, store):
    folder = store.folder(f"study/{number}/{kind}/pictures")
    units = about["named"][:16]
    return {
        "name": about["network"],
        "pictures": [{"unit": unit, "image": file_uri(folder / f"{unit:05d}-0.png")} for unit in units],
    }


def _fooled_words(about):
    if about is None:
        return ""
    return (
        f"The fooled network responds to natural images as the honest one does (largest difference {about['gap']:.1g}). A detector at "
        f"{about['detector']} recognizes {about['told']:.0%} of synthetic inputs and routes them so that each unit's picture shows the next unit. "
        "A check that does not fail the fooled network says nothing of others."
    )


def verdicts_by_unit(recipe, study_entries):
    """Verdicts on each unit, for galleries that show the pictures that the checks looked at.

    Args:
        recipe: `Recipe`.
        study_entries: list of dict, as of `collect_studies`.

    Returns:
        dict of (number of the gallery, layer, unit) to list of [check, outcome, finding, words].
    """
    verdicts = {}
    for study, features in zip(study_entries, recipe.features):
        same = [
            number
            for number, gallery in enumerate(recipe.gallery)
            if not gallery.size and _picture_settings(gallery) == _picture_settings(features)
        ]
        for row in study["rows"]:
            cell = row["cells"][0] if study["kinds"][:1] == ["honest"] else None
            for number, unit in itertools.product(same, cell["units"] if cell else ()):
                entry = [row["check"], unit["outcome"], unit["finding"], unit["words"]]
                verdicts.setdefault((number, study["layer"], unit["unit"]), []).append(entry)
    return verdicts


def _picture_settings(table):
    """The settings that decide a picture, from a [[gallery]] or a [[features]] table: tuple."""
    return (
        table.steps,
        table.parameterization,
        table.transforms,
        getattr(table, "spectrum", "packages"),
        getattr(table, "diversity", 0.0),
    )
