"""Tiles: a run's pictures as an index in the page and shards that it loads, thumbnails first and details on demand.

Up to INLINE units everything lies inside the page. Beyond, shards are scripts beside it, because a page that is opened
from disk may load scripts but not fetch files.
"""

import base64
import io
import json

import numpy as np
from PIL import Image

from recipes.galleries import as_image, picture_name

# Number of units up to which everything lies inside the page; side of a thumbnail in pixels; bins of a histogram.
INLINE = 400
THUMBNAIL, BINS = 200, 24
# How many natural images stand beside a picture, and their side in pixels.
NATURAL, BESIDE = 4, 72


def tiles(store, jobs, verdicts):
    """The pictures of a run for its page. One survey is in memory at a time.

    Args:
        store: `Store` of the run.
        jobs: list of `Job` that are done.
        verdicts: dict of (number of the gallery, layer, unit) to list of [check, outcome, finding, words].

    Returns:
        index: list of dict, one for each unit.
        inline: bool, whether all pictures lie inside the page.
        shards: iterator of (number, kind, dict of unit id to values), kind "thumbs" or "more".
    """
    done = [job for job in jobs if job.kind == "pictures"]
    surveys = Surveys(store, jobs)
    index = [
        entry
        for shard, job in enumerate(done)
        for entry in _entries(store, job, shard, surveys.survey_of(job), verdicts)
    ]
    inline = len(index) <= INLINE
    return index, inline, _shards(store, done, surveys, inline)


def as_script_json(values):
    """Plain values as JSON that may stand inside a script element: str."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"), default=_plain).replace("<", "\\u003c")


def shard_file(number, kind, values):
    """A shard as a script beside the page.

    Args:
        number: int, of the job whose pictures it holds.
        kind: "thumbs" or "more".
        values: dict of unit id to values.

    Returns:
        str, bytes: its name and its content.
    """
    content = f"gallery.take({as_script_json(kind)},{as_script_json(values)});\n"
    return f"tiles/{number:05d}-{kind}.js", content.encode()


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value.tolist()


class Surveys:
    """The surveys of a run, of which one is in memory.

    A survey is (arrays, about, dict of unit to its place), or None where a layer has none.
    """

    def __init__(self, store, jobs):
        self.store, self.keys = store, {job.key for job in jobs if job.kind == "survey"}
        self.key, self.survey = None, None

    def survey_of(self, job):
        """The survey of the units whose pictures a job drew."""
        key = "survey/" + job.key.split("/")[1]
        if key != self.key:
            self.key, self.survey = key, self._read(key) if key in self.keys else None
        return self.survey

    def _read(self, key):
        arrays, about = self.store.arrays(key, "survey.npz"), self.store.values(key, "about.json")
        return arrays, about, {int(unit): place for place, unit in enumerate(arrays["units"])}


def _entries(store, job, shard, survey, verdicts):
    arrays, about = store.arrays(job.key, "pictures.npz"), store.values(job.key, "about.json")
    scores = arrays["scores"].reshape(len(arrays["units"]), -1)
    gallery = int(_id(job).partition("-")[0])
    for place, unit in enumerate(arrays["units"]):
        yield {
            "id": f"unit-{_id(job)}-{unit}",
            "shard": shard,
            "layer": about["layer"] or "logits",
            "unit": int(unit),
            "name": about["names"][place],
            "score": _round(scores[place, 0]),
            **_natural_comparison(survey, int(unit), scores[place, 0]),
            "verdicts": verdicts.get((gallery, about["layer"], int(unit)), []),
        }


def _id(job):
    """The gallery and the layer in a unit's id, so that a link to a unit is valid as long as the recipe is."""
    return job.key.split("/")[1]


def _natural_comparison(survey, unit, score):
    """A picture's score relative to natural images: its ratio to the highest score, and its percentile."""
    if survey is None:
        return {"ratio": None, "percentile": None, "dead": False}
    arrays, about, places = survey
    place = places[unit]
    best = float(arrays["top_scores"][place, 0])
    return {
        "ratio": _round(score / best) if best > 0 else None,
        "percentile": _round(100 * float((arrays["kept_scores"][place] < score).mean())),
        # Logits may all be negative. A unit of a layer that nothing activates is dead.
        "dead": about["layer"] is not None and best <= 0,
    }


def _shards(store, done, surveys, inline):
    for number, job in enumerate(done):
        thumbs, more = {}, {}
        arrays, about = store.arrays(job.key, "pictures.npz"), store.values(job.key, "about.json")
        survey = surveys.survey_of(job)
        for place, unit in enumerate(arrays["units"]):
            key = f"unit-{_id(job)}-{unit}"
            picture = jpeg(open_picture(store.folder(job.key) / picture_name(unit)), THUMBNAIL)
            thumbs[key] = [picture, *_beside(survey, int(unit))]
            more[key] = _unit_details(store, job, arrays, about, survey, place, int(unit), inline)
        yield number, "thumbs", thumbs
        yield number, "more", more


def _beside(survey, unit):
    """The natural images that excite a unit most, small, to stand beside its picture: list of data URI."""
    if survey is None:
        return []
    arrays, _, places = survey
    return [jpeg(as_image(image), BESIDE) for image in arrays["top"][places[unit]][:NATURAL]]


def _unit_details(store, job, arrays, about, survey, place, unit, inline):
    """Everything that is shown of a unit when it is opened."""
    names = [picture_name(unit, facet) for facet in range(about["facets"])]
    folder = store.folder(job.key)
    animation = folder / f"{unit:05d}.anim.png"
    curve = arrays["curves"].reshape(len(arrays["units"]), about["facets"], -1)[place, 0]
    details = {
        "pictures": [_picture(store, folder / name, inline) for name in names],
        "modes": about["modes"][place],
        "animation": _picture(store, animation, inline, lossless=True) if animation.is_file() else None,
        "file": (folder / names[0]).relative_to(store.path).as_posix(),
        "curve": [_round(value) for value in curve[np.linspace(0, len(curve) - 1, min(len(curve), 80)).astype(int)]],
    }
    return details if survey is None else {**details, **_natural_images(survey, unit)}


def _natural_images(survey, unit):
    arrays, about, places = survey
    place = places[unit]
    counts, edges = np.histogram(arrays["kept_scores"][place], BINS)
    return {
        "top": _strip(arrays["top"][place], arrays["top_scores"][place], about["top"][place]),
        **_relevant_images(arrays, about, place),
        "bottom": _strip(arrays["bottom"][place], arrays["bottom_scores"][place], about["bottom"][place]),
        "strip": _strip(arrays["strip"][place], arrays["strip_scores"][place], ["5%", "25%", "50%", "75%", "95%"]),
        "histogram": {"counts": counts, "low": _round(edges[0]), "high": _round(edges[-1])},
        "images": about["count"],
        "field": about["field"],
        "links": about["links"].get(str(unit), [[], []]),
        "classes": about["classes"].get(str(unit), []),
    }


def _relevant_images(arrays, about, place):
    """The natural images with relevance through a unit, and why there are none where they were wanted: dict."""
    if "relevant" not in about:
        return {"relevant": [], "without_relevance": about.get("relevant_refused")}
    scores = arrays["relevant_scores"][place]
    strip = _strip(arrays["relevant"][place], scores, about["relevant"][place])
    relevant = [image for image, score in zip(strip, scores) if score > 0]
    words = "In no natural image does relevance for the answer go through it."
    return {"relevant": relevant, "without_relevance": None if relevant else words}


def _strip(images, scores, names):
    return [
        {"image": jpeg(as_image(image)), "score": _round(score), "name": name}
        for image, score, name in zip(images, scores, names)
    ]


def _picture(store, path, inline, lossless=False):
    """A picture inside the page, or the path of its file beside it."""
    if not inline:
        return path.relative_to(store.path).as_posix()
    if lossless:
        return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    return jpeg(open_picture(path), quality=92)


def open_picture(path):
    """The picture in a file of a run: Pillow image."""
    return Image.open(io.BytesIO(path.read_bytes()))


def jpeg(image, side=None, quality=82):
    """An image as a JPEG data URI, for the eye. The lossless picture is the PNG in the job's folder.

    Args:
        image: Pillow image. Opacity is laid on grey.
        side: width in pixels to which a larger image is reduced, or None.
        quality: of JPEG, 1 to 95.

    Returns:
        str.
    """
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, (128, 128, 128, 255)), image)
    image = image.convert("L" if image.mode == "L" else "RGB")
    if side and max(image.size) > side:
        image = image.resize((side, round(side * image.height / image.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _round(value):
    value = float(value)
    return float(f"{value:.4g}") if np.isfinite(value) else None
