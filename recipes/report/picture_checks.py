"""Picture checks: the [[features]] tables of a run as the page shows them: checks by network, unit by unit, and pictures."""

import itertools

from recipes.fields import STUDIED
from recipes.report.data_uri import file_uri
from recipes.studies import feature_checks, visualizer_name


def collect_studies(recipe, store, done):
    """One entry a study: a table of checks by network, unit by unit, and some of the pictures.

    Args:
        recipe: `Recipe`.
        store: `Store` of the run.
        done: list of its jobs that are done.

    Returns:
        list of dict: title, names, words, rows, strips, layer, kinds.
    """
    keys = {job.key for job in done}
    return [_study(number, features, store, keys) for number, features in enumerate(recipe.features)]


def _study(number, features, store, keys):
    kinds = [kind for kind in STUDIED if f"study/{number}/{kind}/pictures" in keys]
    checks = [*features.checks, *(["recovery"] if f"study/{number}/recovery" in keys else [])]
    abouts = {kind: store.values(f"study/{number}/{kind}/pictures", "about.json") for kind in kinds}
    settings = f"{visualizer_name(features)}, {features.steps} steps"
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
    question = questions.get(check) or feature_checks.tag(feature_checks.get(check), "about")
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
        "pictures": [{"unit": unit, "image": file_uri(folder / f"{unit:05d}-0.png")} for unit in units],
    }


def _fooled_words(about):
    if about is None:
        return ""
    return (
        f"The fooled network responds to natural images as the honest one does (largest difference {about['gap']:.1g}). A detector at "
        f"{about['detector']} recognizes {about['told']:.0%} of synthetic inputs and routes them so that each unit's picture shows the next unit. "
        "A check that does not flag the fooled network cannot be trusted."
    )


def flags_by_unit(recipe, study_entries):
    """Flags of each unit, for galleries that show the pictures that the checks looked at.

    Args:
        recipe: `Recipe`.
        study_entries: list of dict, as of `collect_studies`.

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
