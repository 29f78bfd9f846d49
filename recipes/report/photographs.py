"""Photographs: what the report shows of each: what the network says of it, and one figure a method with its map."""

import markupsafe
import numpy as np

from lab.maps import pooled
from lab.words import as_html, strongest, words_of
from recipes.galleries import png
from recipes.report import figures, samples
from recipes.report.data_uri import png_uri
from recipes.texts import tokens_of

# Side of a map in pixels. A figure is about 224 pixels wide.
SIDE = 224
# What is shown of the answer to a photograph.
PREDICTION = ("true", "predicted", "probability", "runner_up", "runner_up_probability", "correct")


def collect_photographs(store, explained):
    """All photographs of a run with their maps.

    Args:
        store: `Store` of the run.
        explained: list of (job, its about.json) of the methods that made maps.

    Returns:
        list of dict, one a photograph: its name, picture, target, score, the network's answer by `PREDICTION`, and
        `figures`, a list of dict, one a method.
    """
    if not explained:
        return []
    photographs = _photographs(store, *explained[0])
    for job, about in explained:
        arrays = store.arrays(job.key, "maps.npz")
        planes = arrays["maps/0"] if "kind" in about else pooled(arrays["maps/0"])
        for place, photograph in enumerate(photographs):
            photograph["figures"].append(_figure(about, arrays, planes[place], place, photograph))
    return photographs


def _photographs(store, job, about):
    if "kind" in about:
        images = store.arrays("photographs", "inputs.npz")["inputs"]
        pictures = [
            {"image": None, "values": values, **_drawing(about, values, place)} for place, values in enumerate(images)
        ]
    else:
        images = store.arrays("photographs", "photographs.npz")["images"]
        pictures = [{"image": png_uri(png(image)), "drawing": None} for image in images]
    scores = store.arrays(job.key, "maps.npz")["scores"]
    return [
        {
            "name": name,
            "target": target,
            "score": float(score),
            "head": about["head"],
            "figures": [],
            **picture,
            **prediction,
        }
        for name, target, score, picture, prediction in zip(
            about["names"], about["classes"], scores, pictures, _predictions(store, len(images))
        )
    ]


def _drawing(about, values, place):
    if about["kind"] == "tokens":
        return {"drawing": markupsafe.Markup(as_html(words_of(tokens_of(about, place), np.zeros(len(values)))))}
    return {"drawing": samples.draw(about["kind"], values, about["columns"])}


def _predictions(store, count):
    """What the network answers to every photograph. Runs of an earlier release did not write it.

    Returns:
        list of dict by `PREDICTION`, an entry None where it is not known.
    """
    if not (store.folder("photographs") / "about.json").is_file():
        return [dict.fromkeys(PREDICTION)] * count
    table = store.values("photographs", "about.json")
    return [dict(zip(PREDICTION, row)) for row in zip(*(table[name] for name in PREDICTION))]


def _figure(about, arrays, plane, place, photograph):
    """One map: its picture, its scale, what is suspicious about it, and words for those who do not see it."""
    errors = arrays["errors/0"][place] if "errors/0" in arrays else None
    picture = _draw_map(about, plane, errors, place, photograph) if "kind" in about else _overlay(plane)
    return {
        "method": about["method"],
        **picture,
        "gap": float(arrays["gap"][place]) if "gap" in arrays else None,
        "error": about["errors"][place] if about.get("errors") else None,
        "fit": about["fits"][place] if about.get("fits") else None,
        "flags": about["flags"][place],
        "columns": _strongest_columns(arrays, about, place),
        "alt": _describe(about["method"], photograph, plane),
    }


def _overlay(plane):
    content, top, signed = figures.overlay_map(plane, SIDE)
    return {"image": None if content is None else png_uri(content), "drawing": None, "top": top, "signed": signed}


def _draw_map(about, plane, errors, place, photograph):
    """A map of an input that is no photograph: its drawing and its scale. Over channels, as they are drawn, they are summed."""
    if about["kind"] == "tokens":
        return _draw_text(tokens_of(about, place), plane)
    plane = samples.per_step(plane) if about["kind"] == "series" else plane
    finite = np.nan_to_num(plane.astype("float64"))
    top = float(np.abs(finite).max(initial=0))
    drawing = None
    if np.isfinite(plane).all():
        beside = {"columns": about["columns"], "errors": errors}
        drawing = samples.draw_map(about["kind"], photograph["values"], finite, top, **beside)
    return {"image": None, "drawing": drawing, "top": top, "signed": True}


def _draw_text(tokens, plane):
    """A map of a text by word: its drawing and its scale."""
    words = words_of(tokens, plane.astype("float64"))
    drawing = markupsafe.Markup(as_html(words, strongest(words))) if np.isfinite(plane).all() else None
    return {"image": None, "drawing": drawing, "top": strongest(words), "signed": True}


def _describe(method, photograph, plane):
    """The text in the place of a map: what it is of, and where it is strongest."""
    words = f"Map of {photograph['name']} by {method} for {photograph['target']}"
    where = strongest_part(plane) if plane.ndim == 2 and min(plane.shape) > 2 else ""
    return f"{words}, strongest {where}" if where else words


def strongest_part(plane):
    """Where a map is strongest, in words: the ninth of the image with the largest sum of magnitudes.

    Args:
        plane: float [rows, columns].

    Returns:
        str, such as "at the top left"; "" for a map of zeros or one that is not finite.
    """
    magnitudes = np.abs(plane.astype("float64"))
    if not np.isfinite(magnitudes).all() or not magnitudes.any():
        return ""
    means = [part.mean() for band in np.array_split(magnitudes, 3) for part in np.array_split(band, 3, axis=1)]
    row, column = divmod(int(np.argmax(means)), 3)
    if (row, column) == (1, 1):
        return "in the centre"
    vertical, horizontal = ("top", "", "bottom")[row], ("left", "", "right")[column]
    return "at the " + " ".join(filter(None, (vertical, horizontal)))


def _strongest_columns(arrays, about, place, count=3):
    """The columns beside an image with the largest attribution, of either sign: list of (name, value)."""
    if "maps/1" not in arrays or "kind" in about:
        return []
    values = arrays["maps/1"][place]
    order = np.argsort(-np.abs(values), kind="stable")[:count]
    return [(about["columns"][column], float(values[column])) for column in order]
