"""Tiles: a run's pictures as an index that the page holds and shards that it loads: thumbnails first, the rest when a unit is opened.

Up to INLINE units everything lies inside the page; beyond, shards are scripts beside it, because a page that is opened from
disk may load scripts but not fetch files.
"""

import base64
import io
import json

import numpy as np
from PIL import Image

from recipes.galleries import as_image, picture_name

INLINE = 400
THUMB, BINS = 148, 24


def tiles(store, jobs, flags):
    """(index, whole, shards) of the pictures that `jobs` drew: index, a list of one dict a unit; whole, whether all fits into the
    page; shards, an iterator of (number, kind, dict of unit id to values), kind "thumbs" or "more". flags: dict of (number of the
    gallery, layer, unit) to a list of [check, word, why]. One survey is in memory at a time.
    """
    done = [job for job in jobs if job.kind == "pictures"]
    surveys = Surveys(store, jobs)
    index = [entry for shard, job in enumerate(done) for entry in _entries(store, job, shard, surveys.of(job), flags)]
    whole = len(index) <= INLINE
    return index, whole, _shards(store, done, surveys, whole)


def as_text(values):
    """Plain values as JSON that may stand inside a script element: str."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"), default=_plain).replace("<", "\\u003c")


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value.tolist()


class Surveys:
    """What the surveys found: (arrays, about, place of each unit) of the one asked for last, or None where there is none."""

    def __init__(self, store, jobs):
        self.store, self.keys = store, {job.key for job in jobs if job.kind == "survey"}
        self.key, self.found = None, None

    def of(self, job):
        """The survey beside a job's pictures."""
        key = "survey/" + job.key.split("/")[1]
        if key != self.key:
            self.key, self.found = key, self._read(key) if key in self.keys else None
        return self.found

    def _read(self, key):
        arrays, about = self.store.arrays(key, "survey.npz"), self.store.values(key, "about.json")
        return arrays, about, {int(unit): place for place, unit in enumerate(arrays["units"])}


def _entries(store, job, shard, survey, flags):
    arrays, about = store.arrays(job.key, "pictures.npz"), store.values(job.key, "about.json")
    scores = arrays["scores"].reshape(len(arrays["units"]), -1)
    for place, unit in enumerate(arrays["units"]):
        said = flags.get((job.arguments["gallery"], about["layer"], int(unit)), [])
        yield {
            "id": f"unit-{_id(job)}-{unit}",
            "shard": shard,
            "layer": about["layer"] or "logits",
            "unit": int(unit),
            "name": about["names"][place],
            "score": _rounded(scores[place, 0]),
            **_against(survey, int(unit), scores[place, 0]),
            "flags": said,
        }


def _id(job):
    """The gallery and the layer, so that a link to a unit holds as long as the recipe does."""
    return job.key.split("/")[1]


def _against(survey, unit, score):
    """A picture's score against the natural ones: ratio to the highest, and percentile."""
    if survey is None:
        return {"ratio": None, "percentile": None}
    arrays, _, places = survey
    place = places[unit]
    best = float(arrays["top_scores"][place, 0])
    return {
        "ratio": _rounded(score / best) if best > 0 else None,
        "percentile": _rounded(100 * float((arrays["kept_scores"][place] < score).mean())),
    }


def _shards(store, done, surveys, whole):
    for number, job in enumerate(done):
        thumbs, more = {}, {}
        arrays, about = store.arrays(job.key, "pictures.npz"), store.values(job.key, "about.json")
        survey = surveys.of(job)
        for place, unit in enumerate(arrays["units"]):
            key = f"unit-{_id(job)}-{unit}"
            thumbs[key] = jpeg(Image.open(store.folder(job.key) / picture_name(unit)), THUMB)
            more[key] = _more(store, job, arrays, about, survey, place, int(unit), whole)
        yield number, "thumbs", thumbs
        yield number, "more", more


def _more(store, job, arrays, about, survey, place, unit, whole):
    """All that is shown of a unit when it is opened."""
    names = [picture_name(unit, facet) for facet in range(about["facets"])]
    folder, moving = store.folder(job.key), f"{unit:05d}.anim.png"
    curve = arrays["curves"].reshape(len(arrays["units"]), about["facets"], -1)[place, 0]
    found = {
        "pictures": [_picture(store, folder / name, whole) for name in names],
        "modes": about["modes"][place],
        "animation": _picture(store, folder / moving, whole, lossless=True) if (folder / moving).is_file() else None,
        "file": (folder / names[0]).relative_to(store.path.resolve()).as_posix(),
        "curve": [_rounded(value) for value in curve[np.linspace(0, len(curve) - 1, min(len(curve), 80)).astype(int)]],
    }
    return found if survey is None else {**found, **_natural(survey, unit)}


def _natural(survey, unit):
    arrays, about, places = survey
    place = places[unit]
    counts, edges = np.histogram(arrays["kept_scores"][place], BINS)
    return {
        "top": _strip(arrays["top"][place], arrays["top_scores"][place], about["top"][place]),
        "bottom": _strip(arrays["bottom"][place], arrays["bottom_scores"][place], about["bottom"][place]),
        "strip": _strip(arrays["strip"][place], arrays["strip_scores"][place], ["5%", "25%", "50%", "75%", "95%"]),
        "histogram": {"counts": counts, "low": _rounded(edges[0]), "high": _rounded(edges[-1])},
        "images": about["count"],
        "field": about["field"],
        "links": about["links"].get(str(unit), [[], []]),
        "classes": about["classes"].get(str(unit), []),
    }


def _strip(images, scores, names):
    return [
        {"image": jpeg(as_image(image)), "score": _rounded(score), "name": name}
        for image, score, name in zip(images, scores, names)
    ]


def _picture(store, path, whole, lossless=False):
    """A picture inside the page, or the path of its file beside it."""
    if not whole:
        return path.relative_to(store.path.resolve()).as_posix()
    if lossless:
        return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    return jpeg(Image.open(path), quality=92)


def jpeg(image, side=None, quality=82):
    """An image as a data URI, opacity laid on grey: JPEG, which is for the eye; the PNG beside it is the array."""
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, (128, 128, 128, 255)), image)
    image = image.convert("L" if image.mode == "L" else "RGB")
    if side and max(image.size) > side:
        image = image.resize((side, round(side * image.height / image.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _rounded(value):
    value = float(value)
    return float(f"{value:.4g}") if np.isfinite(value) else None
