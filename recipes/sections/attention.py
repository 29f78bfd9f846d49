"""Attention: what every head attends to in each input, as numbers and as pictures."""

import click

from lab.refusal import Refused
from recipes.errors import plain_errors
from recipes.fields import TargetTable
from recipes.help import PlainCommand
from recipes.job import Job
from recipes.launch import launch_tables
from recipes.options import DATA_DETAILS, data_options, model_options, run_options, split_names, target_options
from recipes.section import Piece, Section
from recipes.sections import register
from recipes.sections.explain import source_tables
from recipes.words import count_noun


class Attention(TargetTable):
    """The weights of every head for every input, and how much the score of the target depends on each head.

    With `layers`, of those layers alone, by the addresses of `lab list attention`.
    """

    layers: list[str] | None = None


# Jobs ---------------------------------------------------------------------------------------------------------------------


def list_jobs(recipe, session):
    """The one job of the [attention] table.

    Args:
        recipe: `Recipe`.
        session: `Session`.

    Returns:
        list of `Job`.

    Raises:
        Refused: for a network without attention, and for a layer that has none.
    """
    from lab.attention import all_heads, select

    wanted = recipe.attention.layers
    for layer in wanted or ():
        select(session.network, layer)
    heads = [address for address, _ in all_heads(session.network) if wanted is None or address in wanted]
    count = len(session.photographs)
    arguments = {"question": recipe.attention.question, "layers": wanted}
    return [Job("attention", "attention", arguments, passes=count * len(heads), reads=("model", session.sources.read))]


# Numbers of a head, and the columns of heads.csv that hold them.
NUMBERS = {"entropy": "entropy", "distance": "distance", "change": "change without it"}


# Work ---------------------------------------------------------------------------------------------------------------------


def read_attention(job, _, session):
    """Write the weights of every head, and entropy, mean distance and exact knock-out of each.

    Args:
        job: `Job`.
        _: the inputs, not used.
        session: `Session`.

    Returns:
        dict of file name to bytes.
    """
    from lab import attention
    from lab.environment import tf
    from recipes.explanations import as_pictures, describe_kind, table
    from recipes.store import encode, pack

    network, subject = session.network, _subject(session, job.arguments["question"])
    addresses = job.arguments["layers"] or list(network.attentions)
    goal, kind = subject.objective, describe_kind(session, subject)
    changes = attention.knock_out(network, subject.inputs, goal, addresses) if goal else dict.fromkeys(addresses)
    files, rows = {}, [("input", "layer", "head", *NUMBERS.values())]
    for number, (address, weights) in enumerate(attention.read(network, subject.inputs, addresses)):
        files[f"weights-{number}.npz"] = pack({"weights": weights})
        rows += _head_rows(subject.names, address, weights, changes[address], _queries(kind, weights))
    about = {**kind, **_describe_patches(network, addresses), "names": subject.names}
    about["layers"] = [{"address": address, "heads": network.attentions[address].heads} for address in addresses]
    about["target"] = goal and str(goal)
    if "kind" not in about:
        image = tf.nest.flatten(subject.inputs)[network.image_place]
        files["photographs.npz"] = pack({"images": as_pictures(network, image)})
    return {"about.json": encode(about), "heads.csv": table(rows), **files}


def _subject(session, question):
    """The network with its inputs, and with no objective where it has several outputs and none of them was named."""
    from sanity.subject import Subject

    network = session.network
    if len(network.outputs) == 1 or question["output"]:
        return session.subject(question)
    data = session.images
    return Subject(network, data.inputs_of(network, session.sources.images.fit), None, tuple(data.names))


def _queries(kind, weights):
    """The queries that are no padding: bool [inputs, queries], or None for all."""
    import numpy as np

    words = kind.get("words")
    return np.array(words) != "" if words and len(words[0]) == weights.shape[2] else None


def _head_rows(names, address, weights, changes, queries):
    """One row a head and input: entropy, mean distance where queries and keys are the same positions, and change of the score."""
    from lab.attention import entropy, mean_distance

    distances = mean_distance(weights, queries) if weights.shape[2] == weights.shape[3] else None
    columns = (entropy(weights, queries), distances, changes)
    return [
        (name, address, head, *("" if column is None else column[row, head] for column in columns))
        for row, name in enumerate(names)
        for head in range(weights.shape[1])
    ]


def _describe_patches(network, addresses):
    """The grids of patches that tokens hold, by the number of tokens: dict."""
    counts = {network.attentions[address].keys for address in addresses}
    grids = {network.shapes[address][1]: grid for address, grid in network.grids.items()}
    return {
        "grids": {
            str(count): [grid.first, grid.rows, grid.columns, grid.columns_first]
            for count, grid in grids.items()
            if count in counts
        }
    }


# Lines --------------------------------------------------------------------------------------------------------------------


def summarize(jobs, store):
    """How many heads were read, and which of them the score depends on most.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    if not store.exists("attention"):
        return []
    about, heads = store.values("attention", "about.json"), head_means(store)
    counted = f"{count_noun(len(heads), 'head')} of {count_noun(len(about['layers']), 'layer')}, {count_noun(len(about['names']), 'input')}"
    if about["target"] is None:
        return [
            counted,
            "the network has several outputs: name one with --output for the change of its score without a head",
        ]
    strongest = sorted(heads, key=lambda place: -abs(heads[place]["change"]))[:3]
    names = ", ".join(f"{address} head {head} ({heads[address, head]['change']:+.2g})" for address, head in strongest)
    return [counted, f"mean change of the score without a head, the largest: {names}"]


def head_means(store):
    """The means over inputs of the numbers of every head.

    Args:
        store: `Store` of the run.

    Returns:
        dict of (address, head) to dict of entropy, distance (None where queries and keys differ) and change.
    """
    import csv
    import io

    import numpy as np

    by_head = {}
    text = (store.folder("attention") / "heads.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(io.StringIO(text)):
        by_head.setdefault((row["layer"], int(row["head"])), []).append(row)
    return {
        place: {
            name: float(np.mean([float(row[column]) for row in rows])) if rows[0][column] else None
            for name, column in NUMBERS.items()
        }
        for place, rows in by_head.items()
    }


# Page ---------------------------------------------------------------------------------------------------------------------


def _show_attention(recipe, jobs, store):
    """The heads of every input, or None."""
    from recipes.report.heads import collect_heads

    if not store.exists("attention"):
        return None
    lines = [f"{line[:1].upper()}{line[1:]}." for line in summarize(jobs, store)]
    open_question = "Attention says where values are taken from, not whether the network uses them."
    sentences = {"What was looked at": lines, "What cannot be said": [open_question]}
    return {"attention": collect_heads(store, head_means(store), _unused_heads(store)), "sentences": sentences}


def _unused_heads(store):
    """The heads that the check attention_use of this run calls UNUSED: set of (address, head)."""
    if not store.exists("verdicts"):
        return set()
    families = store.values("verdicts", "verdicts.json").values()
    unused = [
        verdict["method"].rpartition(" head ")
        for family in families
        if family["check"] == "attention_use"
        for verdict in family["verdicts"]
        if verdict["finding"] == "UNUSED"
    ]
    return {(address, int(head)) for address, _, head in unused if head.isdecimal()}


# Command -----------------------------------------------------------------------------------------------------------------

# Inputs that are read where no number is given: those that the page shows, or enough for a check of heads.
MOST = {False: 4, True: 16}


@click.command(
    "attention",
    cls=PlainCommand,
    headings={
        "Images": ("most",),
        "Data": ("data_path", "table", "text", *DATA_DETAILS),
        "Attention": ("layers", "checked"),
    },
    examples=(
        ("lab attention photo.jpg --model vit.keras --input-range -1 1", "every head over a photograph"),
        ("lab attention --text reviews.txt --model transformer.keras", "every head over each text"),
        ("lab attention --text reviews.txt --check --model transformer.keras", "which heads the network uses, too"),
    ),
)
@click.argument("images", nargs=-1, type=click.Path())
@model_options
@run_options
@data_options
@click.option("--text", type=click.Path(), metavar="FILE", help="Text file with one text a line.")
@click.option("--table", type=click.Path(), metavar="FILE", help="CSV table whose rows are read.")
@target_options
@click.option("--layers", help="Addresses of `lab list attention`, separated by commas.  [default: all]")
@click.option(
    "--most",
    type=click.IntRange(1),
    metavar="N",
    help="Read so many inputs at most, from places at equal distances.  [default: 4; 16 with --check]",
)
@click.option("--check", "checked", is_flag=True, help="Check which heads the network uses: attention_use.")
@click.pass_context
def command(context, images, layers, data_path, table, text, most, levels, checked, **options):
    """Show what every head attends to: all heads of all layers, token by token or over the photograph.

    Attention weights say where values are taken from. They do not say whether the network uses them: each head has
    beside it the change of the score without it, and --check asks the network.
    """
    question = {name: options.pop(name) for name in ("target", "output", "region")}
    attention = {**question, "layers": split_names(layers or "") or None}
    with plain_errors():
        details = {name: options.pop(name) for name in DATA_DETAILS}
        sources = source_tables(images, data_path, table, text, details, attention["target"], options["classes"], None)
        if "images" in sources:
            sources["images"]["levels"] = levels
        next(iter(sources.values()))["most"] = most or MOST[checked]
    checks = {"check": [{"check": "attention_use", **question}]} if checked else {}
    launch_tables(context, "attention", options, {"attention": attention, **checks, **sources})


def _refuse_table(recipe):
    if recipe.world:
        raise Refused("Attention is read of a [model]. Received: a [world] beside [attention]. Leave one of them out.")


register(
    Section(
        name="attention",
        table=Attention,
        list_jobs=list_jobs,
        work={"attention": read_attention},
        many=False,
        place=15,
        refuse=_refuse_table,
        summary=summarize,
        pieces=(Piece("attention", "Attention", "attention.html", _show_attention, place=25, script="attention.js"),),
    )
)
