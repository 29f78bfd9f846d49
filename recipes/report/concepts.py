"""Concepts as the page shows them: a table of questions, how well each is told along the layers, examples, maps and pictures."""

import numpy as np

from lab.thumbnails import uri
from recipes.report.figures import colour_map, draw_intervals
from sanity.statistics import Interval

# Pixels of a map's side, and the maps of an input.
SIDE, PARTS = 96, {"map": "maps", "gradient": "gradients"}


def collect_concepts(jobs, store, families):
    """All values that the page shows of concepts.

    Args:
        jobs: list of `Job` of kind "concept examples".
        store: `Store` of the run.
        families: dict of check to list of verdicts as plain values.

    Returns:
        dict with concepts and sentences.
    """
    concepts = [_concept(store.values(job.key, "about.json"), store.arrays(job.key, "examples.npz")) for job in jobs]
    return {
        "concepts": concepts,
        "rows": _rows(families),
        "counts": store.values("concept/network", "about.json")["counts"],
    }


def _rows(families):
    """One row a question, with the verdict of every check: list of dict."""
    rows = {}
    for check, verdicts in families.items():
        for verdict in verdicts:
            settings = verdict["settings"]
            place = tuple(settings.get(name, "") for name in ("concept", "layer", "target"))
            rows.setdefault(place, {})[check] = verdict
    return [
        {
            "names": place,
            "cells": [_cells(checks[check]) if check in checks else None for check in CHECKS],
        }
        for place, checks in rows.items()
    ]


# The checks of a row, in the order of the columns.
CHECKS = ("tcav", "erasure")


def _cells(verdict):
    """What a row says of a verdict: dict of word, outcome, sentence and numbers."""
    effect, null = (_interval(verdict[name]) for name in ("effect", "null"))
    p = "" if verdict["p"] is None else f"{verdict['p']:.2g}"
    return {**{name: verdict[name] for name in ("finding", "outcome", "sentence")}, "numbers": (effect, null, p)}


def _interval(numbers):
    return (
        ""
        if numbers["mean"] is None
        else str(Interval(**{name: np.nan if value is None else value for name, value in numbers.items()}))
    )


def _concept(about, arrays):
    known = {layer: value for layer, value in about["accuracies"].items() if value is not None}
    pictures = {
        name: [uri(image) for image in arrays[name]]
        for name in ("examples", "top", "bottom", "drawn")
        if name in arrays
    }
    return {
        **about,
        "pictures": pictures,
        "curve": _curve(known) if len(known) > 1 else None,
        "maps": [_map_row(arrays, place) for place in range(len(arrays["inputs"]))] if "inputs" in arrays else [],
    }


def _curve(accuracies):
    """How well a concept is told from the pool in each layer, as SVG."""
    rows = [(layer, value, value, value) for layer, value in accuracies.items()]
    return draw_intervals(rows, "accuracy on inputs that were not fitted", marks=[("chance", 0.5)])


def _map_row(arrays, place):
    """An input with the concept's map, red along the vector and blue against it, and the gradient through the vector."""
    row = {name: uri(colour_map(arrays[part][place], SIDE)[0]) for name, part in PARTS.items() if part in arrays}
    return {"input": uri(arrays["inputs"][place]), **row}
