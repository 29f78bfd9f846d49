"""Planted: networks trained from the user's own on two cues in the user's own data, so that what they use is known."""

from pydantic import Field, model_validator

from lab.refusal import Refused
from recipes.fields import Table
from recipes.job import Job
from recipes.section import Deferred, Piece, Section
from recipes.sections import register

# How many samples the page shows, and the number by which colours behind them are made faint.
SHOWN, FAINT = 8, 2.0


class Planted(Table):
    """Two cues in the user's data, and how networks are trained on them; or the folder where `lab plant` has done so.

    Without a size, a contrast or a number of samples there are as many as is usual for the kind of data.
    """

    cues: list[str] = []
    folder: str | None = None
    size: float | None = Field(None, gt=0, le=0.5)
    contrast: float | None = Field(None, gt=0, le=255)
    layer: str | None = None
    replicates: int = Field(4, ge=4)
    samples: int | None = Field(None, ge=50)
    passes: int = Field(60, ge=5)
    rate: float | None = Field(None, gt=0, le=1)
    images: int = Field(48, ge=8)

    @model_validator(mode="after")
    def _refuse_other_numbers_of_cues(self):
        if self.cues and (len(set(self.cues)) != 2 or len(self.cues) != 2):
            raise Refused(
                f"Two different cues are planted, such as ruler and sticker. Received: {', '.join(self.cues)}"
            )
        return self

    @property
    def question(self):
        """How many networks and samples are asked about: dict, keyword arguments of `sanity.subject.world_subject`."""
        return {"replicates": self.replicates, "permuted_label_networks": 0, "images": self.images}


# Jobs ---------------------------------------------------------------------------------------------------------------------


def refuse(recipe):
    """Refuse tables that do not fit to planted cues.

    Args:
        recipe: `Recipe` with a [planted] table.

    Raises:
        Refused: for networks that are trained otherwise, and for tables other than [[check]].
    """
    from recipes.sections import in_order

    others = [section for section in in_order() if section.name not in ("planted", "check")]
    for section in others:
        if section.tables(recipe):
            raise Refused(f"a recipe with planted cues holds [[check]] tables beside them. Received: {section.header}")


def list_jobs(recipe, session):
    """The jobs that train networks, unless a folder holds them, and the one that proves what they use.

    Args:
        recipe: `Recipe`.
        session: `Session`.

    Returns:
        list of `Job`.

    Raises:
        Refused: for a network, data or cues that cannot be used.
    """
    table = recipe.planted
    # What cannot be planted is told before anything is written.
    scene = session.planted_scene
    if table.folder:
        # So are networks that were planted in something else.
        session.world_networks.read("replicate", 0)
        jobs = []
    else:
        _refuse_other_contents(recipe, session)
        passes = _training_passes(scene)
        jobs = [
            _network_job(kind, index, passes) for kind in ("replicate", "rival") for index in range(table.replicates)
        ]
    arguments = {"question": table.question, "seed": recipe.seed}
    needs, reads = tuple(job.key for job in jobs), ("world", "model", "planting")
    passes = _answers(table.replicates, scene)
    return [*jobs, Job("planted", "planted", arguments, needs, passes=passes, reads=reads)]


# What the files of a planting are, by the name of their hash.
CONTENTS = (("model", "another model"), ("planting", "other data, or a cue of other code,"))


def _refuse_other_contents(recipe, session):
    """Raise Refused where the files that an earlier planting of the folder read have other contents by now."""
    from recipes.planted import RECIPE, find_plantings

    for path, manifest in find_plantings(session.root) if recipe.name == RECIPE else ():
        different = [words for name, words in CONTENTS if manifest["hashes"].get(name) != session.hash_of(name)]
        if different:
            raise Refused(
                f"One folder holds what was planted in one model and its data. Received: {different[0]} than {path} has. Name another folder with --out."
            )


def _training_passes(scene):
    """Rough number of gradients of one sample that a network takes. What lies before a layer is computed once."""
    training = scene.planting.training
    return training.samples * (training.passes / 10 if scene.planting.layer is None else 1 + training.passes / 60)


def _answers(replicates, scene):
    """Rough number of gradients of one sample that the proof takes: swaps and filled windows, of all networks."""
    samples = 6 * 200 + 16 * 120
    return samples * replicates * 2 / (3 if scene.planting.layer is None else 12)


def _network_job(kind, index, passes):
    from recipes.planted import network_key

    arguments = {"kind": kind, "index": index}
    return Job(network_key(kind, index), "planted network", arguments, passes=passes, reads=("world", "model"))


# Lines --------------------------------------------------------------------------------------------------------------------


def _load(store):
    """What was measured of the planted networks: dict, or None where that job failed."""
    return store.values("planted", "planted.json") if store.exists("planted") else None


def lines(jobs, store):
    """How often networks answer as their cue says, what swaps show, and whether they can be used.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    about = _load(store)
    if about is None:
        return []
    return [f"planted  {gate['status'].upper():<8} {gate['name']}: {gate['words']}" for gate in about["gates"]]


def summarize(jobs, store):
    """Whether the planted networks can be used, in one line.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    about = _load(store)
    if about is None:
        return []
    return [about["sentence"]]


# Page ---------------------------------------------------------------------------------------------------------------------

TEMPLATE = """<section id="planted"><h2>Planted cues: {{ planted.cues[0] }} and {{ planted.cues[1] }}</h2>
<p>{{ planted.sentence }}</p>
<p class="soft">Both cues stand in every {{ planted.noun }}, in variants that are drawn independently. {{ planted.words }} {{ planted.heading }}: {% for row in planted.matched %}{{ row.cue }} {{ row.words }}{{ "; " if not loop.last }}{% endfor %}.</p>
{% if pictures %}<div class="strip">{% for sample in pictures %}<figure><img src="{{ sample.image }}" alt="picture {{ loop.index }} with both cues"><img src="{{ sample.first }}" alt="where the first cue lies in picture {{ loop.index }}"><img src="{{ sample.second }}" alt="where the second cue lies in picture {{ loop.index }}"></figure>{% endfor %}</div>{% endif %}
{% if drawings %}<p class="soft">Red: {{ planted.cues[0] }}. Blue: {{ planted.cues[1] }}.</p>{% for drawing in drawings %}<div>{{ drawing }}</div>{% endfor %}{% endif %}
{% if rows %}<div class="wide" role="region" aria-label="Planted values"><table><tr><th scope="col">{{ planted.noun }}</th>{% for name in planted.cues %}<th scope="col">{{ name }}</th><th scope="col">variant</th>{% endfor %}</tr>
{% for row in rows %}<tr><td>{{ loop.index }}</td>{% for cell in row %}<td>{{ "%.4g"|format(cell.value) }}</td><td>{{ cell.variant }}</td>{% endfor %}</tr>
{% endfor %}</table></div>{% endif %}
<p class="soft">Swaps between {{ planted.nouns }}: the share of answers that follow the network's own cue, and the share that stay when something else is swapped. Moves says how far the other cue moves the score, as a share of how far the cue does.</p>
<div class="wide" role="region" aria-label="Swaps"><table><tr><th scope="col">network</th><th scope="col">learned</th><th scope="col">right on {{ planted.nouns }} held out</th>{% for name in planted.swaps %}<th scope="col">{{ name }}</th>{% endfor %}</tr>
{% for row in planted.networks %}<tr><td>{{ row.name }}</td><td>{{ row.cue }}</td><td>{{ "%.0f%%"|format(100 * row.right) }}</td>{% for name in planted.swaps %}<td>{{ "%.0f%%"|format(100 * row.swaps[name]) if row.swaps[name] is not none else "" }}</td>{% endfor %}</tr>
{% endfor %}</table></div>
<ul>{% for gate in planted.gates %}<li>{{ gate.name }}: {{ gate.status }}. {{ gate.words }}</li>{% endfor %}</ul></section>"""


def _show_planted(recipe, jobs, store):
    """Samples with their cues, accuracies and swaps of every network; None where that job failed."""
    about = _load(store)
    if about is None:
        return None
    arrays = store.arrays("planted", "samples.npz")
    show = {"image": _show_pictures, "table": _show_rows}.get(about["kind"], _show_drawings)
    return {"planted": about, "pictures": [], "rows": [], "drawings": [], **show(about, arrays)}


def _show_pictures(about, arrays):
    """Pictures with both cues, and where each lies."""
    from recipes.galleries import png
    from recipes.report.data_uri import png_uri

    rows = zip(arrays["images"], *arrays["masks"])
    keys = ("image", "first", "second")
    return {"pictures": [dict(zip(keys, (png_uri(png(plane)) for plane in row))) for row in rows]}


def _show_rows(about, arrays):
    """The planted values of rows, and of which variant they are."""
    inputs, masks, labels = arrays["inputs"], arrays["masks"], arrays["labels"]
    variants = ("lower", "upper")
    return {
        "rows": [
            [{"value": row[mask[place]][0], "variant": variants[label[place]]} for label, mask in zip(labels, masks)]
            for place, row in enumerate(inputs)
        ]
    }


def _show_drawings(about, arrays):
    """Series and texts, with the one cue on red and the other on blue."""
    from markupsafe import Markup

    from lab.words import Word, as_html
    from recipes.report.samples import draw_map

    inputs, (first, second) = arrays["inputs"], arrays["masks"].astype("float32")
    if about["tokens"]:
        rows = zip(about["tokens"], first - second)
        return {"drawings": [Markup(as_html([Word(*pair) for pair in zip(*row) if pair[0]], FAINT)) for row in rows]}
    rows = zip(inputs, first - second)
    return {"drawings": [draw_map(about["kind"], row, plane, FAINT, about["columns"]) for row, plane in rows]}


# Folder -------------------------------------------------------------------------------------------------------------------


def planted_tables(folder, samples=None, allow_code=False):
    """A recipe's tables that the networks of a folder were planted by.

    Args:
        folder: str, the folder that `lab plant` wrote.
        samples: int, how many inputs to explain; None: as the folder says.
        allow_code: whether the cues of the folder may be functions of a module, which is then imported and run.

    Returns:
        dict of seed, threads, model, images, data and planted.

    Raises:
        Refused: where the folder holds no planted networks, and where it names code that may not be run.
    """
    from recipes.planted import PlantedFolder

    recipe = PlantedFolder(folder).recipe
    code = [name for name in recipe["planted"]["cues"] if ":" in name]
    if code and not allow_code:
        raise Refused(f"This folder names code: add --allow-code if you trust it. Received: {code[0]!r}.")
    planted = {**recipe["planted"], "folder": folder} | ({"images": samples} if samples else {})
    tables = {name: recipe.get(name) for name in ("seed", "threads", "model", "images", "data")} | {"planted": planted}
    return {name: _without_none(table) for name, table in tables.items() if table is not None}


def _without_none(table):
    return {key: value for key, value in table.items() if value is not None} if isinstance(table, dict) else table


register(
    Section(
        name="planted",
        table=Planted,
        list_jobs=list_jobs,
        work={
            "planted network": Deferred("recipes.planted_networks:train_network"),
            "planted": Deferred("recipes.planted_networks:prove_use"),
        },
        many=False,
        place=12,
        refuse=refuse,
        lines=lines,
        summary=summarize,
        pieces=(Piece("planted", "Planted cues", TEMPLATE, _show_planted, place=22),),
    )
)
