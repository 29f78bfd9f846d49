"""Explain: maps of every image by every method, and how far the methods agree."""

from typing import Any, Literal

import click
from pydantic import Field, model_validator

from lab.refusal import Refused
from recipes.errors import plain_errors
from recipes.fields import Methods, TargetTable
from recipes.help import Choice, PlainCommand
from recipes.identity import method_reads
from recipes.job import Job, slug
from recipes.launch import launch_tables
from recipes.options import (
    ANY_NUMBER,
    DATA_DETAILS,
    FUNCTION_METHODS,
    data_options,
    data_source,
    function_options,
    image_source,
    method_names,
    method_option,
    method_settings,
    model_options,
    model_table,
    refuse_details,
    run_options,
    split_names,
    target_options,
    typed_or,
)
from recipes.rows import photograph_rows
from recipes.section import Deferred, Piece, Section
from recipes.sections import register
from recipes.shards import SHOWN_MAPS, split
from recipes.words import count_noun, off_manifold_sentences


class Explain(TargetTable):
    """Maps of every image by every method, with options by method.

    With `only`, of the images that are answered wrong, or right. With `contrast`, of the predicted class against the true
    one, and of both. With `shard`, a job explains so many of the images, which are not in the memory together. With `graph`,
    relevance is followed through the channels of these layers, `width` of them from each.
    """

    methods: Methods = ["gradient", "gradcam"]
    layer: str | list[str] | None = None
    options: dict[str, dict[str, Any]] = {}
    only: Literal["wrong", "right", "all"] = "all"
    contrast: bool = False
    shard: int | None = Field(None, ge=1)
    graph: list[str] = []
    width: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _refuse_contradictions(self):
        if self.contrast and self.target != "top":
            raise Refused(
                f"contrast=True explains the predicted class against another: leave the target at top. Received: {self.target!r}"
            )
        if self.contrast and self.region is not None:
            raise Refused(
                f"contrast=True compares the scores of two classes, not of positions. Received: region={self.region!r}"
            )
        if self.graph and self.shard:
            raise Refused(
                f"graph= follows relevance of a few inputs. Received: shard={self.shard}. Leave one of them out."
            )
        if self.width and not self.graph:
            raise Refused(f"width= says how many channels graph= follows. Received: width={self.width} and no graph=.")
        return self


# Inputs of which graphs are drawn, since each needs a pass for every node, and channels that are followed from each.
MOST_GRAPHS, WIDTH = 12, 3

# Jobs ---------------------------------------------------------------------------------------------------------------------


def list_jobs(recipe, session):
    """The jobs of the [explain] table, checked before anything runs.

    Args:
        recipe: `Recipe`.
        session: `Session`.

    Returns:
        list of `Job`: photographs, maps of each method, agreement; in shards, those of `recipes.shards.split`.

    Raises:
        Refused: for a layer, class, method or option that does not exist.
    """
    from recipes.explanations import refuse_unknown_options
    from recipes.mistakes import PARTS, answers

    table = recipe.explain
    refuse_unknown_options(table)
    for layer in [table.layer] if isinstance(table.layer, str) else table.layer or []:
        session.network.check_positions(layer)
    graph_layers = _graph_layers(table, session)
    parts = PARTS if table.contrast else (None,)
    selection = {"question": table.question, "only": table.only, "contrast": table.contrast}
    # Of photographs in shards, the first shard alone is looked at before the jobs are done.
    size = table.shard and min(table.shard, len(session.photographs))
    subject = answers(session, **selection, places=[0, size] if size else None)
    count, shared = size or len(subject.names), {**selection, "seed": recipe.seed}
    map_jobs = [_map_job(table, method, part, shared, count, session) for method in table.methods for part in parts]
    if size:
        return split(map_jobs, selection, recipe.seed, len(session.photographs), size)
    photographs = Job("photographs", "photographs", selection, reads=("model", session.sources.read))
    if not count:
        # The methods are checked all the same: what is misspelt is refused whatever the photographs are.
        return [photographs]
    needs = tuple(job.key for job in map_jobs)
    agreement = Job("agreement", "agreement", {"seed": recipe.seed}, needs, gathers=True)
    return [photographs, *map_jobs, agreement, *_graph_jobs(table, graph_layers, selection, count, session)]


def _graph_layers(table, session):
    """The layers of an attribution graph, the last one first; () where none are named."""
    if not table.graph:
        return ()
    from lab.attribution_graph import from_the_score

    return from_the_score(session.network, table.graph)


def _graph_jobs(table, layers, selection, count, session):
    """The job that draws attribution graphs, where layers are named for them, the last one first."""
    if not layers:
        return []
    options = {"composite": "epsilon_plus", "low": None, "high": None, **table.options.get("lrp", {})}
    width = table.width or WIDTH
    arguments = {**selection, **options, "layers": list(layers), "width": width}
    channels = [session.network.shapes[layer][-1] for layer in layers]
    nodes = sum(min(most, width ** (depth + 1)) for depth, most in enumerate(channels))
    passes = min(count, MOST_GRAPHS) * (1 + nodes)
    return [Job("graph", "attribution graphs", arguments, passes=passes, reads=("model", session.sources.read))]


def _map_job(table, method, part, shared, count, session):
    """The job of one method's maps of some images; of a contrast, of one of its `PARTS`."""
    from lab.attribution.calls import refuse_options
    from lab.registry import options as known_options
    from recipes.explanations import passes

    explainer, options = session.method(method), dict(table.options.get(method, {}))
    refuse_options(explainer, options)
    if table.layer is not None and "layer" in known_options(explainer):
        options.setdefault("layer", table.layer)
    arguments = {**shared, "method": method, "part": part, "options": options}
    draws = 2 if "seed" in known_options(explainer) else 1
    cost = count * draws * passes(explainer, options, session.network)
    suffix = "" if part in (None, "contrast") else f"-{part}"
    reads = ("model", session.sources.read, *method_reads(method, options))
    return Job(f"explain/{slug(method)}{suffix}", "maps", arguments, passes=cost, reads=reads)


def _refuse_table(recipe):
    if recipe.explain.shard and recipe.data:
        raise Refused(
            f"shard explains photographs in jobs of some of them. Received: shard={recipe.explain.shard} and {recipe.data.source!r}. Leave it out, and give most= to explain fewer."
        )
    if recipe.explain.shard and recipe.images.table:
        raise Refused(
            f"shard explains networks of images alone. Received: shard={recipe.explain.shard} and table={recipe.images.table!r}. Leave one of them out."
        )


# Lines --------------------------------------------------------------------------------------------------------------------


def map_messages(jobs, store):
    """Lines of text on the maps of a run: faults first, then refusals, then maps that look suspicious.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    abouts = _abouts_of_maps(jobs, store)
    whole = _load_whole(store)
    if whole:
        return _messages_of_shards(whole)
    faults = [f"{about['method']}  failed: {about['fault']}" for about in abouts if about["fault"]]
    refused = [f"{about['method']}  refused: {about['refused']}" for about in abouts if about["refused"]]
    flagged = [
        f"{about['method']}  {name}: {', '.join(words)}"
        for about in abouts
        for name, words in zip(about["names"], about.get("flags", ()))
        if words
    ]
    return [*faults, *refused, *_refused_graphs(store), *off_manifold_sentences(abouts), *flagged]


def _refused_graphs(store):
    """One line for each reason why inputs have no attribution graph."""
    about = store.values("graph", "graphs.json") if store.exists("graph") else {"names": (), "graphs": ()}
    names = {}
    for name, graph in zip(about["names"], about["graphs"]):
        names.setdefault(graph["refused"], []).append(name)
    return [f"graph of {', '.join(listed)}  refused: {words}" for words, listed in names.items() if words]


def _messages_of_shards(whole):
    """Lines of text on the maps of all shards: shards that are missing, refusals, faults, and how many maps are flagged."""
    (done, shards), methods = whole["shards"], whole["methods"]
    return [
        *([f"{shards - done} of {shards} shards have no statistics"] if done < shards else []),
        *(f"{sums['method']}  failed: {sums['fault']}" for sums in methods if sums["fault"]),
        *(f"{sums['method']}  refused: {sums['refused']}" for sums in methods if sums["refused"]),
        *(
            f"{sums['method']}  {flag}: {count:,} of {sums['maps']:,} maps"
            for sums in methods
            for flag, count in sums["flags"].items()
        ),
    ]


def _load_whole(store):
    """The statistics of all photographs of a run in shards: dict, or None for another run."""
    values = store.values("agreement", "agreement.json") if store.exists("agreement") else {}
    return values.get("whole")


def _abouts_of_maps(jobs, store):
    """What is said about the maps of each method: list of dict."""
    return [store.values(job.key, "about.json") for job in jobs if job.kind in SHOWN_MAPS and store.exists(job.key)]


def _load_photographs(store):
    """The table of photographs: dict, or None where there is none."""
    return store.values("photographs", "about.json") if store.exists("photographs") else None


def photograph_lines(jobs, store):
    """What a reader has to know of a contrast, and the photographs that were chosen by their answers.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    about = _load_photographs(store)
    if about is None:
        return []
    return [*([about["note"]] if about["note"] else []), *_mistake_lines(about)]


def coloured_texts(jobs, store):
    """The first texts by every method, with the colours of the attributions behind their words.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str, with ANSI codes; empty for a run of other inputs.
    """
    from recipes.texts import coloured_lines

    abouts = {
        job.key: store.values(job.key, "about.json") for job in jobs if job.kind == "maps" and store.exists(job.key)
    }
    texts = {key: about for key, about in abouts.items() if about.get("kind") == "tokens" and "target" in about}
    return [
        line for key, about in texts.items() for line in coloured_lines(about, store.arrays(key, "maps.npz")["maps/0"])
    ]


# Photographs that the command lists; the page and photographs.csv have all of them.
LISTED = 20


def _mistake_lines(about):
    """One line a photograph, where they were chosen by their answers: true class, prediction and runner-up."""
    if about["only"] == "all":
        return []
    rows = photograph_rows(about)
    lines = [
        f"{row['name']}  true {row['true']}, predicted {row['predicted']} ({row['probability']:.0%}), "
        f"then {row['runner_up']} ({row['runner_up_probability']:.0%})"
        for row in rows[:LISTED]
    ]
    more = about.get("explained", len(rows)) - len(lines)
    table = "jobs/predictions" if "explained" in about else "photographs.csv"
    return [*lines, *([f"and {more} more, in {table}"] if more else [])]


def summarize(jobs, store):
    """How many photographs and methods there are, and how many maps are suspicious.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    photographs, abouts = _load_photographs(store), _abouts_of_maps(jobs, store)
    lines = [] if photographs is None else [_photograph_line(photographs)]
    return lines + (_map_lines(abouts, _load_whole(store)) if abouts else [])


def _photograph_line(about):
    from lab.kinds import KINDS

    if about["sentence"]:
        return about["sentence"]
    count = len(about["names"])
    words = count_noun(count, KINDS[about.get("kind", "image")].noun)
    if about["true"] and about["true"][0] is not None:
        wrong = about["correct"].count(False)
        words += f", {wrong or 'none'} of them answered wrongly"
    return words


def _map_lines(maps, whole):
    """How many methods there are, and how many of their maps are flagged: two lines."""
    names = list(dict.fromkeys(about["method"].partition(" (")[0] for about in maps))
    troubles = {
        "refused": {about["method"].partition(" (")[0] for about in maps if about["refused"]},
        "failed": {about["method"].partition(" (")[0] for about in maps if about["fault"]},
    }
    words = [f"{len(methods)} {trouble}" for trouble, methods in troubles.items() if methods]
    flags = [words for about in maps for words in about.get("flags", ())]
    flagged, count = sum(map(bool, flags)), len(flags)
    if whole:
        flagged, count = (sum(sums[name] for sums in whole["methods"]) for name in ("flagged", "maps"))
    return [
        f"{count_noun(len(names), 'method')}: {', '.join([*names[:6], *(['...'] if len(names) > 6 else [])])}"
        + "".join(f"; {word}" for word in words),
        f"{flagged or 'none'} of {count_noun(count, 'map')} flagged as suspicious",
    ]


# Page ---------------------------------------------------------------------------------------------------------------------


def _show_columns(recipe, jobs, store):
    """The columns of a table over all rows, or None."""
    from recipes.report.columns import collect_columns

    columns = collect_columns(recipe, store, jobs)
    return columns and {"columns": columns, "heading": "Columns over all rows" if columns["rows"] > 1 else "Columns"}


def _show_maps(recipe, jobs, store):
    """All photographs and maps, or None."""
    from recipes.report.maps import collect_maps

    maps = collect_maps(store, jobs)
    return maps and {"maps": maps, "heading": f"{maps['nouns'].capitalize()} and maps"}


def _show_graphs(recipe, jobs, store):
    """The attribution graphs, or None."""
    from recipes.report.data_uri import file_uri

    if not any(job.key == "graph" for job in jobs):
        return None
    about = store.values("graph", "graphs.json")
    files = [store.folder("graph") / f"graph-{row:03d}.png" for row in range(len(about["graphs"]))]
    rows = [
        {**graph, "name": name, "image": None if graph["refused"] else file_uri(path)}
        for name, graph, path in zip(about["names"], about["graphs"], files)
    ]
    photographs = _load_photographs(store) or {}
    return {"graphs": {**about, "rows": rows, "are_pictures": photographs.get("kind", "image") == "image"}}


# Command -----------------------------------------------------------------------------------------------------------------


@click.command(
    "explain",
    cls=PlainCommand,
    headings={
        "Images": ("labels", "only", "most", "shard"),
        "Data": ("data_path", "table", "text", *DATA_DETAILS),
        "Target": ("contrast",),
        "Method": ("method_options", "layer", "graph", "width"),
        "Decision": ("reasons", "row", "sheet", "replicate"),
    },
    examples=(
        ("lab explain photo.jpg --method gradcam --model my.keras --input-range -1 1", "one photograph"),
        (
            "lab explain photos/ --labels folders --only wrong --contrast --model my.keras --input-range -1 1 --classes names.txt",
            "mistakes: the predicted class against the true one",
        ),
        (
            "lab explain --table test.csv --row 3 --reasons --sheet lending.toml --model lender.keras",
            "why was this row of a table refused?",
        ),
    ),
)
@click.argument("images", nargs=-1, type=click.Path())
@model_options
@function_options
@run_options
@data_options
@click.option(
    "--text", type=click.Path(), metavar="FILE", help="Text file with one text a line, for a network of words."
)
@click.option(
    "--method",
    default="gradcam,smoothgrad",
    show_default=True,
    help="Names of `lab list methods`, separated by commas, or all. A module:function is imported and run. For a --function the default is kernel_shap,lime.",
)
@target_options
@click.option(
    "--labels",
    type=Choice(["folders", "none"]),
    help="folders: the names of subfolders, or the labels in lists and shards, are the true classes; none: they are not.  [default: folders where they are classes]",
)
@click.option(
    "--only",
    type=Choice(["wrong", "right", "all"]),
    default="all",
    show_default=True,
    help="Explain only photographs that are answered wrong, or right, the most confident answer first.",
)
@click.option(
    "--contrast",
    is_flag=True,
    help="Explain the predicted class against the true one, and both; against the runner-up where the answer is right.",
)
@click.option(
    "--most",
    type=click.IntRange(1),
    metavar="N",
    help="Explain so many photographs, rows or texts at most.  [default: all photographs; 48 of other data, from places at equal distances]",
)
@click.option(
    "--shard",
    type=click.IntRange(1),
    metavar="N",
    help="Photographs that one job explains, so that their number is not limited by the memory.  [default: all in one]",
)
@click.option(
    "--table",
    type=click.Path(),
    metavar="FILE",
    help="CSV table whose rows are explained. Beside IMAGES: the other inputs of the network, one row an image.",
)
@click.option(
    "--layer",
    help="Layer of the CAM methods; several, separated by commas, are fused.  [default: the last with rows and columns]",
)
@method_option
@click.option(
    "--graph",
    metavar="LAYERS",
    help="Follow relevance from the score back through the strongest channels of these layers, separated by commas, and draw it, by lrp's composite.",
)
@click.option(
    "--width",
    type=click.IntRange(1),
    metavar="N",
    help="Channels that --graph follows from each channel.  [default: 3]",
)
@click.option(
    "--reasons",
    is_flag=True,
    help="Write the reasons of the decision on one row of --table: those that stay when compared rows are drawn again. No maps are computed.",
)
@click.option("--row", type=click.IntRange(1), metavar="N", help="The row below the header, counted from 1.")
@click.option(
    "--sheet",
    type=click.Path(),
    metavar="FILE",
    help="TOML file that says what columns are and how scores become decisions. `lab init-sheet` writes one to fill in.",
)
@click.option(
    "--replicate",
    multiple=True,
    type=click.Path(),
    metavar="FILE",
    help="For --reasons: a network trained like the model from another seed, on which reasons and changes must hold too. May be repeated.",
)
@click.pass_context
def command(
    context,
    images,
    method,
    method_options,
    layer,
    graph,
    width,
    labels,
    data_path,
    table,
    text,
    levels,
    most,
    reasons,
    row,
    sheet,
    replicate,
    **options,
):
    """Explain photographs, rows of a table, series or texts: one map for each and every method, and how far methods agree.

    IMAGES are files, folders, CSV lists with the columns path and label, and shards (.tar, .tfrecord) or patterns of
    them. Everything else is named by --data, --table or --text. A method that cannot explain this model is listed as refused, with the reason.
    """
    if reasons or row or sheet or replicate:
        others = [*images, *filter(None, (data_path, text))]
        _record_reasons(reasons, row, sheet, table, others, list(replicate), options)
        return
    explain_table = {name: options.pop(name) for name in ("target", "output", "region", "only", "contrast", "shard")}
    with plain_errors():
        method = typed_or(context, "method", method, options["function"], FUNCTION_METHODS)
        explain_table["methods"] = method_names(method)
        explain_table["options"] = method_settings(method_options)
        details = {name: options.pop(name) for name in DATA_DETAILS}
        tables = source_tables(
            images, data_path, table, text, details, explain_table["target"], options["classes"], labels
        )
        if "images" in tables:
            tables["images"] |= {"levels": levels, "table": table if images else None}
        if most:
            next(iter(tables.values()))["most"] = most
    layers = split_names(layer or "")
    explain_table["layer"] = layers[0] if len(layers) == 1 else layers or None
    explain_table |= {"graph": split_names(graph or ""), "width": width}
    launch_tables(context, "explain", options, {"explain": explain_table, **tables})


def _record_reasons(reasons, row, sheet, table, others, replicates, options):
    """Write the record of one decision, and print it."""
    from recipes.errors import redirect_output, report_full_disk
    from recipes.launch import print_json

    with plain_errors():
        if not (reasons and row and sheet and table) or others:
            raise Refused(
                f"The reasons of a decision need --reasons, --row, --sheet and --table, and no other inputs. Received: {_named(reasons=reasons, row=row, sheet=sheet, table=table, replicate=replicates)}{' and ' + str(others[0]) if others else ''}."
            )
    with plain_errors(), report_full_disk(), redirect_output():
        from recipes import schema

        values = {"name": "reasons", "seed": options["seed"], "model": model_table(options)}
        recipe = schema.recipe({**values, "audit": {"test": table, "sheet": sheet, "replicates": replicates}})
        record_decision = Deferred("recipes.reason_records:record_decision")
        record, path = record_decision(recipe, row, options["out"], options["allow_code"])
    if options["as_json"]:
        print_json({"error": None, **record, "file": path})
    else:
        start = f"Row {row} of {table}: {record['decision']}"
        click.echo("\n".join([start, *record["sentences"], record["cannot"], path]))


def _named(**options):
    """The options that were given, in words: str."""
    return ", ".join(f"--{name}" for name, value in options.items() if value) or "none"


def source_tables(images, data_path, table, text, details, target, classes, labels):
    """The one source of inputs that a command named, as a recipe's table.

    Args:
        images: tuple of str, the IMAGES of the command.
        data_path: str, its --data, or None.
        table: str, its --table, or None.
        text: str, its --text, or None.
        details: dict of the options of data.
        target: the class that is explained, as of `TargetTable`.
        classes: the path of class names, or None.
        labels: str, its --labels, or None.

    Returns:
        dict of one table, "images" or "data".

    Raises:
        Refused: for none or several of them, and for options that do not belong to the one.
    """
    inputs = {"IMAGES": images, "--data": data_path, "--table": None if images else table, "--text": text}
    sources = [name for name, value in inputs.items() if value]
    if len(sources) != 1:
        raise Refused(
            f"Name what to explain: photographs, or one of --data, --table and --text. Received: {' and '.join(sources) or 'none'}."
        )
    if images:
        refuse_details(details, images[0])
        return {"images": _images_table(images, labels)}
    path, kind = inputs[sources[0]], {"--table": "table", "--text": "text"}.get(sources[0])
    data = data_source(path, kind, details, target, classes)
    if data is not None and labels:
        raise Refused(f"--labels is an option of photographs. Received: {path}. Name a column with --label.")
    return {"images": _images_table([path], labels)} if data is None else {"data": data}


def _images_table(paths, labels):
    """Folders, files, lists and shards as a recipe's table of images, with as many of them as there are."""
    from lab.sources import is_stream

    source = image_source(paths)
    if "folder" in source or all(map(is_stream, paths)):
        return {**source, "most": ANY_NUMBER, "labels": labels or "where known"}
    if labels == "folders":
        raise Refused(
            f"Labels are the subfolders of one folder of photographs, or stand in lists and shards. Received: --labels folders with {', '.join(paths[:3])}. Give the folder that holds them."
        )
    return {**source, "most": ANY_NUMBER}


register(
    Section(
        name="explain",
        table=Explain,
        list_jobs=list_jobs,
        work={
            "photographs": Deferred("recipes.explanations:show_photographs"),
            "maps": Deferred("recipes.explanations:compute_maps"),
            "agreement": Deferred("recipes.explanations:measure_agreement"),
            "shard predictions": Deferred("recipes.explanations:show_photographs"),
            "shard maps": Deferred("recipes.explanations:compute_maps"),
            "shard statistics": Deferred("recipes.shard_statistics:measure"),
            "sum of statistics": Deferred("recipes.shard_statistics:add"),
            "shown photographs": Deferred("recipes.shown:choose_photographs"),
            "shown maps": Deferred("recipes.shown:take_maps"),
            "attribution graphs": Deferred("recipes.attribution_graphs:draw_graphs"),
        },
        many=False,
        refuse=_refuse_table,
        place=50,
        messages=map_messages,
        lines=photograph_lines,
        coloured=coloured_texts,
        summary=summarize,
        pieces=(
            Piece("columns", "Columns over all rows", "columns.html", _show_columns, place=5),
            Piece("maps", "Photographs and maps", "photographs.html", _show_maps, place=10),
            Piece("graphs", "Paths of relevance", "graphs.html", _show_graphs, place=12),
        ),
    )
)
