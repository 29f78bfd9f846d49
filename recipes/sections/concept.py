"""Concept: whether a class is sensitive to concepts that are given by examples, and whether the network uses them."""

import pathlib
from typing import Any

import click
from pydantic import Field, field_validator

from lab.refusal import Refused
from recipes.errors import plain_errors
from recipes.fields import Table
from recipes.help import Choice, PlainCommand
from recipes.job import Job, slug
from recipes.launch import launch_tables
from recipes.options import (
    DATA_DETAILS,
    data_options,
    model_options,
    run_options,
    split_names,
    verdict_options,
)
from recipes.section import Deferred, Piece, Section
from recipes.sections import register
from recipes.sections.explain import source_tables
from recipes.words import count_noun

CHECKS = ("tcav", "erasure")
# Random directions beside an erasure, as of `sanity.checks.erasure`, which takes libraries that no command imports.
DIRECTIONS = 39


class Concept(Table):
    """Concepts by examples, or by a direction of a layer, asked of some classes in some layers.

    `pool` holds the inputs that random sets are drawn from, and `masks` the folders with masks of a concept's pictures. With
    `steps`, pictures are drawn that climb each concept's direction.
    """

    concepts: dict[str, list[str]]
    pool: list[str]
    classes: list[int | str]
    output: str | None = None
    layers: list[str] = []
    masks: dict[str, str] = {}
    checks: list[str] = list(CHECKS)
    sets: int = Field(30, ge=30)
    panel: int = Field(5, ge=5)
    size: int | None = Field(None, ge=10)
    fit: str = "ridge"
    directions: int = Field(DIRECTIONS, ge=19)
    untrained: int = Field(2, ge=0)
    steps: int = Field(0, ge=0)

    @field_validator("concepts", "pool", "masks", mode="before")
    @classmethod
    def _as_lists(cls, value: Any, info):
        if info.field_name == "pool":
            return [value] if isinstance(value, str) else value
        if info.field_name == "concepts" and isinstance(value, dict):
            return {name: [paths] if isinstance(paths, str) else paths for name, paths in value.items()}
        return value

    def settings(self, check):
        """The options of a check that the table holds: dict.

        Args:
            check: str, its name.
        """
        names = {"tcav": ("sets", "panel", "size", "fit"), "erasure": ("directions",)}[check]
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


# Jobs ---------------------------------------------------------------------------------------------------------------------


def list_jobs(recipe, session):
    """The jobs of the [concept] table: activations, evidence of every check, examples of every concept.

    Args:
        recipe: `Recipe`.
        session: `Session`.

    Returns:
        list of `Job`.

    Raises:
        Refused: for classes, layers and checks that do not exist, and for sets that are too small.
    """
    table = recipe.concept
    arguments, counts = _refuse_wrong(table, session)
    arguments |= {"seed": recipe.seed}
    reads = ("model", session.sources.read, *_set_reads(table))
    untrained = range(table.untrained if "tcav" in table.checks else 0)
    study, *others = [
        Job(key, "activations", {**arguments, "untrained": number}, passes=sum(counts.values()), reads=reads)
        for key, number in [("concept/network", None), *((f"concept/untrained-{place}", place) for place in untrained)]
    ]
    evidence = [
        _evidence_job(check, table, arguments, study, others, counts, reads) for check in dict.fromkeys(table.checks)
    ]
    examples = [
        Job(
            f"concept/examples/{place:03d}-{slug(name)}",
            "concept examples",
            {**arguments, "concept": name, "steps": table.steps},
            (study.key,),
            passes=table.steps * 2 + 8,
            reads=reads,
        )
        for place, name in enumerate(table.concepts)
    ]
    return [study, *others, *evidence, *examples]


def _refuse_wrong(table, session):
    """The arguments that all jobs share, and the number of inputs of every set, after all was checked."""
    from lab.concepts import default_layers
    from lab.concepts.activations import refuse_layers
    from recipes.claims import refuse_other_claims
    from recipes.concepts import goals

    for check in table.checks:
        refuse_other_claims(check, "concept")
    layers = table.layers or default_layers(session.network)
    refuse_layers(session.network, layers)
    arguments = {
        "concepts": [[name, paths] for name, paths in table.concepts.items()],
        "masks": [[name, folder] for name, folder in table.masks.items()],
        "pool": table.pool,
        "layers": layers,
        "targets": table.classes,
        "output": table.output,
    }
    _refuse_masks(table)
    goals(session, arguments)
    return arguments, _refuse_sets(table, session, layers)


def _refuse_sets(table, session, layers):
    """The number of inputs of every set, after equal ones and sets that are too small were refused: dict."""
    from recipes.concepts import is_vector, open_set, read_vector, refuse_equal

    concepts = {}
    for name, paths in table.concepts.items():
        if is_vector(paths):
            read_vector(paths, session.network, layers)
        else:
            concepts[name] = open_set(session, name, paths)
    pool = open_set(session, "the pool", table.pool)
    refuse_equal(concepts, pool)
    _refuse_small_concepts(concepts)
    _refuse_small_sets(table, [len(examples) for examples in concepts.values()], len(pool))
    counts = {name: len(examples) for name, examples in concepts.items()}
    return {"the inputs": len(session.images), **counts, "the pool": len(pool)}


def _refuse_small_concepts(concepts):
    from sanity.concepts.sets import FEWEST_INPUTS

    for name, examples in concepts.items():
        if len(examples) < FEWEST_INPUTS:
            raise Refused(
                f"A concept needs {FEWEST_INPUTS} inputs of different sources or more, and equal inputs count once. Received: {len(examples)} of {name!r}. Add inputs that differ."
            )


def _refuse_small_sets(table, sizes, pool):
    from sanity.concepts.sets import FEWEST_INPUTS, draw_sets, refuse_few

    if "tcav" in table.checks:
        counts = {name: value for name, value in table.settings("tcav").items() if name != "fit"}
        draw_sets(pool, table.concepts, min(sizes, default=pool), seed=0, **counts)
        return
    refuse_few(min(sizes, default=FEWEST_INPUTS))
    if pool < FEWEST_INPUTS:
        raise Refused(
            f"A pool needs {FEWEST_INPUTS} inputs of different sources or more. Received: {pool}. Name a larger pool."
        )


def _refuse_masks(table):
    from lab.remote import as_path, is_folder

    for name, folder in table.masks.items():
        if name not in table.concepts:
            raise Refused(
                f"Masks belong to a concept. Received: masks of {name!r}; the concepts are {', '.join(table.concepts)}."
            )
        if not is_folder(as_path(folder)):
            raise Refused(f"Masks are the files of a folder. Received: {folder!r}, which is no folder.")


def _set_reads(table):
    """What jobs read of the sets: tuple of str."""
    from recipes.concepts import is_vector

    paths = [path for addresses in table.concepts.values() if not is_vector(addresses) for path in addresses]
    vectors = [addresses[0] for addresses in table.concepts.values() if is_vector(addresses)]
    sets = [f"set:{path}" for path in dict.fromkeys([*paths, *table.pool, *table.masks.values()])]
    return (*sets, *(f"file:{path}" for path in vectors))


def _evidence_job(check, table, arguments, study, others, counts, reads):
    """The job of one check of all concepts."""
    from sanity.concepts.study import ALL

    needs = (study.key, *(job.key for job in others)) if check == "tcav" else (study.key,)
    fits = len(table.concepts) * len(arguments["layers"]) * table.sets * table.panel
    edits = len(table.concepts) * len(arguments["layers"]) * table.directions
    return Job(
        f"concept/{check}",
        "evidence of concepts",
        {**arguments, "check": check, "method": ALL, "settings": table.settings(check)},
        needs,
        # A forward pass is about a third of a gradient, and half of the layers lie behind the change. A fit takes some milliseconds.
        passes=counts["the inputs"] * edits / 6 if check == "erasure" else fits / 10,
        reads=reads,
        judged_in=f"0-{check}",
    )


# Lines --------------------------------------------------------------------------------------------------------------------


def concept_families(store):
    """The verdicts on concepts by check.

    Args:
        store: `Store` of the run.

    Returns:
        dict of check to list of verdicts as plain values.
    """
    families = store.values("verdicts", "verdicts.json") if store.exists("verdicts") else {}
    return {family["check"]: family["verdicts"] for family in families.values() if family.get("claim") == "concepts"}


def summarize(jobs, store):
    """Which concepts classes are sensitive to, and which of them are used.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    families = concept_families(store)
    words = {"tcav": ("SUPPORTED", "sensitive to"), "erasure": ("USED", "uses")}
    lines = []
    for check, (finding, phrase) in words.items():
        if check in families:
            names = [verdict["method"] for verdict in families[check] if verdict["finding"] == finding]
            lines.append(
                f"{phrase}: {', '.join(names) or 'nothing that is shown'} ({len(names)} of {count_noun(len(families[check]), 'question')})"
            )
    return lines


# Page ---------------------------------------------------------------------------------------------------------------------


def _show_concepts(recipe, jobs, store):
    """The concepts with their numbers and examples, or None."""
    from recipes.report.concepts import collect_concepts

    examples = [job for job in jobs if job.kind == "concept examples" and store.exists(job.key)]
    return collect_concepts(examples, store, concept_families(store)) if examples else None


# Command ------------------------------------------------------------------------------------------------------------------


@click.command(
    "concept",
    cls=PlainCommand,
    headings={
        "Concepts": ("concepts", "masks", "pool", "class_names", "output", "layers"),
        "Data": ("data_path", "table", "text", "images", "most", *DATA_DETAILS),
        "Test": ("checks", "sets", "size", "fit", "directions", "untrained", "steps"),
    },
    examples=(
        (
            "lab concept --model my.keras --input-range -1 1 --concept stripes/ --pool random/ --class 0 --images pets/",
            "is class 0 sensitive to stripes?",
        ),
        (
            "lab concept --model sentiment.keras --concept praise.txt --pool sentences.txt --class 0 --text reviews.txt --check tcav",
            "a concept of sentences",
        ),
        (
            "lab concept --model my.keras --input-range -1 1 --concept direction.npy --layers conv2 --pool random/ --class 0 --images pets/",
            "a direction of one's own",
        ),
    ),
)
@model_options
@run_options
@data_options
@click.option(
    "--concept",
    "concepts",
    multiple=True,
    required=True,
    metavar="[NAME=]PATH",
    help="Examples of a concept: a folder of pictures, a file of texts or rows, or a direction in an .npy file. May be repeated.",
)
@click.option(
    "--masks",
    multiple=True,
    metavar="NAME=FOLDER",
    help="White where the concept NAME lies in its pictures, a file of the same name for each. May be repeated.",
)
@click.option(
    "--pool",
    multiple=True,
    required=True,
    type=click.Path(),
    help="Other inputs, that random sets are drawn from: at least 35 times as many as a set has. May be repeated.",
)
@click.option(
    "--class", "class_names", required=True, metavar="NAMES", help="Classes by name or index, separated by commas."
)
@click.option("--output", metavar="NAME", help="Name of an output, for models with several.")
@click.option(
    "--images", multiple=True, type=click.Path(), help="Photographs whose score is explained. May be repeated."
)
@click.option("--text", type=click.Path(), metavar="FILE", help="Text file with one text a line, in their place.")
@click.option("--table", type=click.Path(), metavar="FILE", help="CSV table, in their place.")
@click.option(
    "--most", type=click.IntRange(1), default=48, show_default=True, help="Inputs that are explained at most."
)
@click.option(
    "--layers", help="Addresses of `lab list layers`, separated by commas.  [default: five at equal distances]"
)
@click.option(
    "--check", "checks", default=",".join(CHECKS), show_default=True, help="Checks of concepts, separated by commas."
)
@click.option(
    "--sets", type=click.IntRange(30), default=30, show_default=True, help="Random sets beside every concept."
)
@click.option("--size", type=click.IntRange(10), help="Inputs of a set.  [default: as many as concepts and pool allow]")
@click.option(
    "--fit",
    type=Choice(["ridge", "logistic", "mean_difference"]),
    default="ridge",
    show_default=True,
    help="How vectors are fitted.",
)
@click.option(
    "--directions",
    type=click.IntRange(19),
    default=DIRECTIONS,
    show_default=True,
    help="Random directions beside every erasure.",
)
@click.option(
    "--untrained",
    type=click.IntRange(0),
    default=2,
    show_default=True,
    help="Networks with random weights that are asked too.",
)
@click.option(
    "--steps",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Steps of pictures that climb each concept; 0: none.",
)
@verdict_options
@click.pass_context
def command(
    context,
    concepts,
    masks,
    pool,
    class_names,
    output,
    images,
    text,
    table,
    data_path,
    most,
    layers,
    checks,
    fail_on,
    baseline,
    **options,
):
    """Ask whether classes are sensitive to a concept, and whether the network uses it.

    A concept is ten pictures or more that show it, or texts or rows. Its score stands among those of random sets of other
    inputs. Then its direction is erased, beside random directions of the same size.
    """
    names = ("sets", "size", "fit", "directions", "untrained", "steps")
    settings = {name: options.pop(name) for name in names}
    with plain_errors():
        details = {name: options.pop(name) for name in DATA_DETAILS}
        sources = source_tables(images, data_path, table, text, details, "top", options["classes"], None)
        next(iter(sources.values()))["most"] = most
        concept = {
            **settings,
            "concepts": _named_paths(concepts),
            "masks": {name: paths[0] for name, paths in _named_paths(masks).items()},
            "pool": list(pool),
            "classes": [int(name) if name.isdecimal() else name for name in split_names(class_names)],
            "output": output,
            "layers": split_names(layers or ""),
            "checks": split_names(checks),
        }
    launch_tables(context, "concept", options, {"concept": concept, **sources, "baseline": baseline}, fail_on)


def _named_paths(texts):
    """NAME=PATH, or PATH with the name of its folder or file: dict of name to list of one path."""
    paths_by_name = {}
    for text in texts:
        name, equals, path = text.partition("=")
        path = path if equals else text
        name = name if equals else _name_of(path)
        if name in paths_by_name:
            raise Refused(f"Each concept has a name of its own. Received: {name!r} twice. Write NAME=PATH.")
        paths_by_name[name] = [path]
    return paths_by_name


def _name_of(path):
    """What a concept is called where it was not named: its folder, file or texture."""
    return path.split(":")[1] if path.startswith("texture:") and ":" in path[8:] else pathlib.PurePath(path).stem


register(
    Section(
        name="concept",
        table=Concept,
        list_jobs=list_jobs,
        work={
            "activations": Deferred("recipes.concepts:read_study"),
            "evidence of concepts": Deferred("recipes.concepts:measure_concepts"),
            "concept examples": Deferred("recipes.concepts:show_concept"),
        },
        many=False,
        place=75,
        summary=summarize,
        judges=lambda recipe: True,
        pieces=(Piece("concepts", "Concepts", "concepts.html", _show_concepts, place=27),),
    )
)
