"""Probe: which labels each layer of a network holds, and whether the network uses them."""

from typing import Literal

import click
from pydantic import Field, model_validator

from lab.refusal import Refused
from recipes.errors import plain_errors
from recipes.fields import Table
from recipes.help import PlainCommand
from recipes.job import Job, slug
from recipes.launch import launch_tables
from recipes.options import DATA_DETAILS, data_options, model_options, run_options, split_names, verdict_options
from recipes.rows import UNJUDGED
from recipes.section import Deferred, Piece, Section
from recipes.sections import register
from recipes.sections.explain import source_tables
from recipes.words import count_noun

# Inputs that are read where no number is given, and untrained networks that are compared with.
MOST, NETWORKS = 1000, 3


class Probe(Table):
    """Probes of labels in every layer, beside control tasks, untrained networks and the inputs themselves.

    With `target`, the labels are erased as well, and the score of that target is asked. With `positions`, rows are so many
    positions of each input, and not its means.
    """

    labels: str | None = None
    columns: list[str] = []
    groups: str | None = None
    layers: list[str] = []
    most: int = Field(MOST, ge=12)
    networks: int = Field(NETWORKS, ge=1)
    exchanges: int = Field(199, ge=19)
    positions: int = Field(0, ge=0)
    target: str | int | None = None
    output: str | None = None
    region: Literal["all", "predicted"] | None = None

    @model_validator(mode="after")
    def _refuse_contradictions(self):
        if (self.groups or self.columns) and not self.labels:
            raise Refused("groups and columns are of labels, a CSV file. Received: no labels")
        if self.positions and self.target is not None:
            raise Refused("use is asked about means over positions. Received: target beside positions. Leave one out")
        if (self.output or self.region) and self.target is None:
            raise Refused("output and region say which score is asked. Received: no target. Add target=top")
        return self

    @property
    def question(self):
        """Target, output and region: dict, None where no score is asked about."""
        names = ("target", "output", "region")
        return None if self.target is None else {name: getattr(self, name) for name in names}

    @property
    def reading(self):
        """What decides which inputs and labels are read: dict."""
        return {name: getattr(self, name) for name in ("labels", "columns", "groups", "most")}


# Jobs ---------------------------------------------------------------------------------------------------------------------


def list_jobs(recipe, session):
    """The jobs of the [probe] table, checked before anything runs.

    Args:
        recipe: `Recipe`.
        session: `Session`.

    Returns:
        list of `Job`: labels and baselines, activations of each network, fits of each layer, verdicts, dissection.

    Raises:
        Refused: for labels that are missing or too few, and for layers, columns and targets that do not exist.
    """
    from recipes.probes import label_sets_of, layers_of, probed_subject, read_inputs, refuse_copies
    from recipes.store import digest

    table, shared = recipe.probe, {"seed": recipe.seed, "read": recipe.probe.reading}
    layers = layers_of(session, table.layers)
    data, columns, groups = read_inputs(session, table.reading)
    label_sets_of(columns, groups, table.columns)
    refuse_copies(session, table.reading, table.columns)
    if table.question:
        probed_subject(session, {**shared, "question": table.question})
    reads = ("model", session.sources.read, *([f"file:{table.labels}"] if table.labels else []))
    # Labels of a list of images are no part of what is read of the images.
    known = digest({"columns": columns, "groups": [str(group) for group in groups]})
    start = Job("probe/inputs", "probe inputs", {**shared, "digest": known}, reads=reads)
    readings = [
        _reading_job(table, place, layers, shared, reads, len(data)) for place in (None, *range(table.networks))
    ]
    keys = (start.key, *(job.key for job in readings))
    fits = [_fit_job(table, place, layer, shared, keys, reads) for place, layer in enumerate(layers)]
    jobs = [start, *readings, *fits, _comparison_job(table, recipe.seed, tuple(job.key for job in fits))]
    arguments = {"seed": recipe.seed, "layers": layers, "exchanges": table.exchanges}
    return jobs if table.positions else [*jobs, Job("probe/dissection", "dissection", arguments, keys)]


def _reading_job(table, place, layers, shared, reads, count):
    """The job that reads all layers of the network (None), or of an untrained one."""
    arguments = {**shared, "layers": layers, "untrained": place, "positions": table.positions}
    name = "trained" if place is None else f"untrained-{place}"
    return Job(f"probe/activations/{name}", "probe activations", arguments, passes=count / 2, reads=reads)


def _fit_job(table, place, layer, shared, keys, reads):
    arguments = {**shared, "layer": layer, "place": place, "exchanges": table.exchanges, "question": table.question}
    arguments |= {"check": "probe", "method": layer}
    key = f"probe/layers/{place:03d}-{slug(layer)}"
    return Job(key, "probe fits", arguments, keys, reads=reads, judged_in="0-probe")


def _comparison_job(table, seed, keys):
    """The job that compares all layers with their baselines, and says where it may be asked whether a label is used."""
    arguments = {"seed": seed, "asks_use": table.question is not None, "check": "probe_use", "method": "all layers"}
    family = "0-probe_use" if table.question else ""
    return Job("probe/comparison", "probe comparison", arguments, keys, gathers=True, judged_in=family)


def _refuse_table(recipe):
    if recipe.has_world:
        raise Refused("Probes ask a [model]. Received: a [world] beside [probe]. Leave one of them out.")


# Lines --------------------------------------------------------------------------------------------------------------------


# What a row has of the verdict on a layer and a label set, and of that on the use of the label.
WORDS = ("outcome", "finding", "sentence", "cannot", "p", "also", "remedy")
WORDS_OF_USE = WORDS[:5]


def load_rows(store):
    """The verdicts on all layers and label sets, with the numbers that they are about.

    Args:
        store: `Store` of the run.

    Returns:
        list of dict, empty where nothing was judged.
    """
    if not (store.exists("probe/comparison") and store.exists("verdicts")):
        return []
    families = store.values("verdicts", "verdicts.json")
    encoded, used = (_by_view(families.get(name)) for name in ("0-probe", "0-probe_use"))
    return [
        {"view": view, **row, **_words(encoded[view], WORDS), "use": _use(used.get(view))}
        for view, row in store.values("probe/comparison", "numbers.json").items()
    ]


def _by_view(family):
    """The verdicts of a family by what they are on: dict."""
    return {verdict["method"]: verdict for verdict in (family["verdicts"] if family else ())}


def _words(verdict, names):
    return {name: verdict[name] for name in names}


def _use(verdict):
    """What is said of the use of a label: dict, None where it was not asked."""
    return None if verdict is None or verdict["finding"] in UNJUDGED else _words(verdict, WORDS_OF_USE)


def list_rows(jobs, store):
    """The table of verdicts for JSON, where the run has any.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        dict of "probes" to list of dict.
    """
    rows = load_rows(store)
    return {"probes": rows} if rows else {}


def messages(jobs, store):
    """What a reader has to know of the labels: copies that were joined, and columns and classes that were left out.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    if not store.exists("probe/inputs"):
        return []
    about = store.values("probe/inputs", "inputs.json")
    copies = about["copies"]
    lines = [f"left out: {reason}" for reason in about["left_out"].values()]
    if copies["groups"]:
        listed = "; ".join(" = ".join(names) for names in copies["listed"])
        lines.append(f"{count_noun(copies['groups'], 'group')} of inputs that are the same stay on one side: {listed}")
    for row in about["label_sets"]:
        if row["left_out"]:
            lines.append(f"{row['name']}: left out, in fewer than six sources: {', '.join(row['left_out'])}")
        if row["unlabelled"]:
            lines.append(f"{row['name']}: {count_noun(row['unlabelled'], 'input')} without a label")
    return lines


def summarize(jobs, store):
    """How many layers and labels there are, where each label is encoded, and where it is used.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    rows = load_rows(store)
    if not rows:
        return []
    layers, labels = ({row[name] for row in rows} for name in ("layer", "label"))
    lines = [f"{count_noun(len(labels), 'label')} in {count_noun(len(layers), 'layer')}"]
    lines.append(f"encoded: {_places(rows, lambda row: row['finding'] == 'ENCODED')}")
    of_use = [row for row in rows if row["use"]]
    used = _places(of_use, lambda row: row["use"]["finding"] == "USED")
    return [*lines, f"used: {used}"] if of_use else lines


def _places(rows, holds):
    """Labels with the layers for which something holds, in words: str."""
    by_label = {}
    for row in filter(holds, rows):
        by_label.setdefault(row["label"], []).append(row["layer"])
    return "; ".join(f"{label} in {_names(layers)}" for label, layers in by_label.items()) or "none that is shown"


def _names(names):
    return f"{', '.join(names[:3])} and {len(names) - 3} more" if len(names) > 4 else ", ".join(names)


# Page ---------------------------------------------------------------------------------------------------------------------


def _show_probes(recipe, jobs, store):
    """Curves over layers, verdicts and single units, or None."""
    from recipes.report.probes import collect_probes

    return collect_probes(load_rows(store), store, messages(jobs, store), summarize(jobs, store))


# Command ------------------------------------------------------------------------------------------------------------------


@click.command(
    "probe",
    cls=PlainCommand,
    headings={
        "Labels": ("labels", "label_columns", "groups"),
        "Data": ("images", "data_path", "table", "text", *DATA_DETAILS, "most"),
        "Probe": ("layers", "networks", "exchanges", "positions"),
        "Use": ("target", "output", "region"),
    },
    examples=(
        (
            "lab probe --model my.keras --input-range -1 1 --images pets/",
            "which layers hold the names of the subfolders?",
        ),
        (
            "lab probe --model my.keras --input-range -1 1 --images pets/ --labels pets.csv --groups day --target top",
            "columns of a file, no day on both sides, and are they used?",
        ),
        ("lab probe --model ecg.keras --data beats.npz --json", "series with their labels, as JSON"),
    ),
)
@model_options
@run_options
@data_options
@click.option("--images", multiple=True, type=click.Path(), help="Folder of photographs, or a file. May be repeated.")
@click.option("--text", type=click.Path(), metavar="FILE", help="Text file with one text a line.")
@click.option("--table", type=click.Path(), metavar="FILE", help="CSV table whose rows are read.")
@click.option(
    "--labels",
    type=click.Path(),
    metavar="FILE",
    help="CSV file with a row for each input: its name under path, name or the first column, and columns of labels.  [default: names of subfolders, or --label]",
)
@click.option(
    "--label-columns", metavar="NAMES", help="Columns of --labels, separated by commas.  [default: all that are labels]"
)
@click.option(
    "--groups",
    metavar="COLUMN",
    help="Column of --labels with the source of each input, such as a patient: no source is on both sides of a split.  [default: copies are one source]",
)
@click.option(
    "--most",
    type=click.IntRange(12),
    default=MOST,
    show_default=True,
    help="Inputs that are drawn at most, by the seed.",
)
@click.option(
    "--layers", help="Addresses of `lab list layers`, separated by commas, or all.  [default: 8 at equal distances]"
)
@click.option(
    "--networks",
    type=click.IntRange(1),
    default=NETWORKS,
    show_default=True,
    help="Untrained networks that are compared with.",
)
@click.option(
    "--exchanges",
    type=click.IntRange(19),
    default=199,
    show_default=True,
    help="How often labels are exchanged between sources.",
)
@click.option(
    "--positions",
    type=click.IntRange(1),
    metavar="N",
    help="Probe so many positions or tokens of each input.  [default: means over all positions]",
)
@click.option(
    "--target", help="Ask whether labels are used for the score of this class, or of top.  [default: not asked]"
)
@click.option("--output", metavar="NAME", help="Name of an output, for models with several.")
@click.option("--region", type=click.Choice(["all", "predicted"]), help="For a segmentation: positions of the score.")
@verdict_options
@click.pass_context
def command(context, images, data_path, table, text, layers, label_columns, positions, fail_on, baseline, **options):
    """Probe layers for labels: what does each layer hold, beyond control tasks, untrained networks and the inputs?

    Encoded is said where a linear probe tells a label from a layer, and less so from all of these. Used is said where the
    score moves when the label is erased.
    """
    names = ("labels", "groups", "networks", "exchanges", "most", "target", "output", "region")
    probe = {name: options.pop(name) for name in names}
    probe |= {"layers": split_names(layers or ""), "columns": split_names(label_columns or "")}
    with plain_errors():
        details = {name: options.pop(name) for name in DATA_DETAILS}
        sources = source_tables(images, data_path, table, text, details, "top", options["classes"], None)
        if "images" in sources:
            sources["images"]["labels"] = "none"
    tables = {"probe": {**probe, "positions": positions or 0}, **sources, "baseline": baseline}
    launch_tables(context, "probe", options, tables, fail_on)


register(
    Section(
        name="probe",
        table=Probe,
        list_jobs=list_jobs,
        work={
            "probe inputs": Deferred("recipes.probes:measure_inputs"),
            "probe activations": Deferred("recipes.probes:read_layers"),
            "probe fits": Deferred("recipes.probes:fit_layer"),
            "probe comparison": Deferred("recipes.probes:compare_layers"),
            "dissection": Deferred("recipes.probes:dissect_layers"),
        },
        many=False,
        place=18,
        refuse=_refuse_table,
        messages=messages,
        rows=list_rows,
        summary=summarize,
        judges=lambda recipe: True,
        pieces=(Piece("probes", "Probes", "probes.html", _show_probes, place=26),),
    )
)
