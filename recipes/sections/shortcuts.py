"""Shortcuts: is the data itself suspicious? What tells the labels that should not, and whether the network uses it."""

from typing import Any

import click
from pydantic import Field, model_validator

from lab.refusal import Refused
from recipes.errors import plain_errors
from recipes.fields import Method, Table
from recipes.help import PlainCommand
from recipes.identity import method_reads
from recipes.job import Job
from recipes.launch import launch_tables
from recipes.options import ANY_NUMBER, image_source, model_options, run_options, split_names, verdict_options
from recipes.section import Deferred, Piece, Section
from recipes.sections import register
from recipes.words import count_noun

# What a check speaks of where it measured nothing.
DATA = "the data"
# Family of verdicts -> question.
QUESTIONS = {"0-shortcut_labels": "labels", "0-shortcut_swaps": "swap", "0-shortcut_maps": "maps"}


class Shortcuts(Table):
    """Candidates for shortcuts in labelled pictures, or in a table. A network, where one is named, is asked whether it uses them."""

    views: list[str] = []
    table: str | None = None
    target: str | None = None
    metadata: str | None = None
    group: str | None = None
    most: int = Field(1000, ge=12)
    permutations: int = Field(999, ge=199)
    margin: float = Field(0.1, ge=0, lt=1)
    network: bool | None = None
    swaps: list[str] = []
    swap_margin: float = Field(0.05, ge=0, lt=1)
    method: Method = "gradient_x_input"
    options: dict[str, Any] = {}
    map_margin: float = Field(0.05, ge=0, lt=1)

    @model_validator(mode="after")
    def _refuse_contradictions(self):
        if bool(self.table) != bool(self.target):
            raise Refused("shortcuts of a table need table and target, its column of labels. Received: one of them")
        if self.table and (self.network or self.metadata):
            raise Refused("shortcuts of a table have no metadata and no network. Received: one of them beside table")
        if self.group and not (self.table or self.metadata):
            raise Refused("group is a column of table, or of metadata. Received: group without either")
        return self

    @property
    def methods(self):
        """The method that explains, and views of the user: list of str."""
        return [self.method, *(name for name in self.views if ":" in name)]

    def asks_network(self, recipe):
        """Whether a network is asked: bool. Where the table does not say so, there is one if the recipe has a [model] table."""
        has_model = "model" in recipe.model_fields_set and not self.table
        return has_model if self.network is None else self.network


# Jobs ---------------------------------------------------------------------------------------------------------------------


def list_jobs(recipe, session):
    """The jobs of the [shortcuts] table, checked before anything runs.

    Args:
        recipe: `Recipe`.
        session: `Session`.

    Returns:
        list of `Job`: features of all views, what they tell of the labels, examples; with a network, swaps and maps.

    Raises:
        Refused: for labels that are missing or too few, and for views, swaps, columns and methods that do not exist.
    """
    table = recipe.shortcuts
    features = _table_job(table, session) if table.table else _pictures_job(recipe, session)
    judging = {"seed": recipe.seed, "permutations": table.permutations, "margin": table.margin}
    # A view of the user that fails costs its own row: the others are judged.
    labels = Job(
        "shortcuts/labels",
        "shortcut labels",
        {**judging, "check": "shortcut_labels", "method": DATA},
        (features.key,),
        gathers=True,
        # By what it names here, a baseline tells other data.
        reads=features.reads,
        judged_in="0-shortcut_labels",
    )
    if table.table:
        return [features, labels]
    pictures = f"pictures:{table.most}"
    needs = (features.key, labels.key)
    examples = Job(
        "shortcuts/examples", "shortcut examples", {"most": table.most}, needs, gathers=True, reads=(pictures,)
    )
    return [
        features,
        labels,
        examples,
        *(_network_jobs(recipe, features.key, session) if table.asks_network(recipe) else ()),
    ]


def _table_job(table, session):
    from recipes.shortcuts import read_table, refuse_labels, refuse_unknown_views

    _refuse_missing_file(table.table)
    arguments = {name: getattr(table, name) for name in ("table", "target", "group", "most", "views")}
    columns, labels, *_ = read_table(session, arguments)
    refuse_labels(labels)
    refuse_unknown_views(columns, table.views)
    return Job("shortcuts/features", "column features", arguments, reads=(f"file:{table.table}",))


def _pictures_job(recipe, session):
    from recipes.shortcuts import read_metadata, refuse_labels, view_functions
    from sanity.shortcuts import views

    table = recipe.shortcuts
    data = session.pictures(table.most)
    refuse_labels(data.labels)
    names = table.views or list(views)
    view_functions(session, names)
    arguments = {"views": names, "metadata": table.metadata, "group": table.group, "most": table.most}
    reads = [f"pictures:{table.most}", *(f"code:{name.partition(':')[0]}" for name in names if ":" in name)]
    if table.metadata:
        _refuse_missing_file(table.metadata)
        read_metadata(session, arguments, list(data.names))
        reads.append(f"file:{table.metadata}")
    # Where there is a network, its gradient is the measure of time.
    passes = len(data) / 4 if table.asks_network(recipe) else 0
    return Job("shortcuts/features", "picture features", arguments, passes=passes, reads=tuple(dict.fromkeys(reads)))


def _refuse_missing_file(path):
    from lab.remote import as_path, is_file

    if not is_file(as_path(path)):
        raise Refused(f"A table is a CSV file. Received: {path!r}, which is no file.")


def _network_jobs(recipe, features, session):
    """The jobs that ask the network."""
    from recipes.shortcuts import class_numbers

    table, shared = recipe.shortcuts, {"seed": recipe.seed, "most": recipe.shortcuts.most, "method": DATA}
    jobs = [make_job(table, shared, features, session) for make_job in (_swaps_job, _maps_job)]
    class_numbers(session, session.pictures(table.most).labels)
    return jobs


def _swaps_job(table, shared, features, session):
    """The job that puts parts of pictures over from others."""
    from sanity.shortcuts.swaps import DONORS, swaps

    names = table.swaps or list(swaps)
    for name in names:
        swaps.get(name)
    return Job(
        "shortcuts/swaps",
        "shortcut swaps",
        {**shared, "swaps": names, "margin": table.swap_margin, "check": "shortcut_swaps"},
        (features,),
        gathers=True,
        judged_in="0-shortcut_swaps",
        # An answer costs about a third of a gradient.
        passes=len(session.pictures(table.most)) * 2 * DONORS * (len(names) + 1) / 3,
        reads=("model", f"pictures:{table.most}"),
    )


def _maps_job(table, shared, features, session):
    """The job that looks where maps lie."""
    from lab.attribution.calls import refuse_options
    from recipes.explanations import passes

    explainer = session.method(table.method)
    refuse_options(explainer, table.options)
    settings = {"explained_by": table.method, "options": table.options, "margin": table.map_margin}
    return Job(
        "shortcuts/maps",
        "shortcut maps",
        {**shared, **settings, "check": "shortcut_maps"},
        (features,),
        2 * len(session.pictures(table.most)) * passes(explainer, table.options, session.network),
        gathers=True,
        reads=("model", f"pictures:{table.most}", *method_reads(table.method, table.options)),
        judged_in="0-shortcut_maps",
    )


# Lines --------------------------------------------------------------------------------------------------------------------


def collect_answers(store):
    """What is said under each question, the strongest evidence first; controls are left out.

    Args:
        store: `Store` of the run.

    Returns:
        list of dict: question, view, finding, outcome, effect, p, sentence, numbers, cannot.
    """
    return [
        _row(question, verdict)
        for question, family in _load_families(store).items()
        for verdict in family["verdicts"]
        if verdict["method"] not in family["blind"]
    ]


def _load_families(store):
    """Families of verdicts by question: dict, empty where nothing was judged."""
    families = store.values("verdicts", "verdicts.json") if store.exists("verdicts") else {}
    return {question: families[name] for name, question in QUESTIONS.items() if name in families}


def _row(question, verdict):
    words = {name: verdict[name] for name in ("finding", "outcome", "effect", "p", "sentence", "cannot")}
    numbers = verdict["settings"].get("numbers", {})
    return {"question": question, "view": verdict["method"], **words, "numbers": numbers}


def list_rows(jobs, store):
    """The table of answers for JSON, where the run has any.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        dict of "shortcuts" to list of dict.
    """
    rows = collect_answers(store)
    return {"shortcuts": rows} if rows else {}


def summarize(jobs, store):
    """How many views there are, which of them are candidates, and what the network uses.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    rows = collect_answers(store)
    if not rows:
        return []
    views = [row for row in rows if row["question"] == "labels"]
    swaps = [row for row in rows if row["question"] == "swap"]
    lines = [f"{count_noun(len(views), 'view')}; candidates for shortcuts: {_names(views, 'CANDIDATE') or 'none'}"]
    if swaps:
        lines.append(
            f"the network uses: {_names(swaps, 'USED') or 'none that is shown'}; not: {_names(swaps, 'NOT USED') or 'none that is shown'}"
        )
    return lines


def _names(rows, finding):
    return ", ".join(row["view"] for row in rows if row["finding"] == finding)


# Page ---------------------------------------------------------------------------------------------------------------------


def _show_shortcuts(recipe, jobs, store):
    """All answers with examples and a plot, or None."""
    from recipes.report.shortcuts import collect_shortcuts

    return collect_shortcuts(collect_answers(store), _load_families(store), store)


# Command ------------------------------------------------------------------------------------------------------------------


@click.command(
    "shortcuts",
    cls=PlainCommand,
    headings={
        "Data": ("table", "target", "metadata", "group", "most"),
        "Views": ("views", "margin", "permutations"),
        "Network": ("swaps", "method"),
    },
    examples=(
        ("lab shortcuts pets/ --view border,resolution", "pictures with a subfolder for each class"),
        (
            "lab shortcuts pets/ --model my.keras --input-range -1 1 --classes names.txt",
            "does the network use them?",
        ),
        ("lab shortcuts --table applicants.csv --target default --json", "columns of a table, as JSON"),
    ),
)
@click.argument("images", nargs=-1, type=click.Path())
@model_options
@run_options
@click.option("--table", type=click.Path(), help="CSV file of a table, in the place of images.")
@click.option("--target", metavar="COLUMN", help="With --table: the column of labels.")
@click.option(
    "--metadata",
    type=click.Path(),
    help="CSV file with a row for each image, whose first column, or path, is its name. Its other columns are a view.",
)
@click.option(
    "--group",
    metavar="COLUMN",
    help="Column of the table, or of --metadata: rows with one value belong together, such as of one day or patient.  [default: copies and near copies]",
)
@click.option(
    "--most", type=click.IntRange(12), default=1000, show_default=True, help="Rows that are drawn at most, by the seed."
)
@click.option(
    "--view",
    "views",
    metavar="NAMES",
    help="Names of `lab list views`, or module:function, which is imported and run; of a table its columns, missing cells, row order and equal rows. Separated by commas.  [default: all]",
)
@click.option(
    "--margin",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.1,
    show_default=True,
    help="How far from chance (0) to certainty (1) a view may tell labels without being a candidate.",
)
@click.option(
    "--permutations",
    type=click.IntRange(199),
    default=999,
    show_default=True,
    help="How often labels are exchanged between groups.",
)
@click.option(
    "--swap",
    "swaps",
    metavar="NAMES",
    help="Names of `lab list swaps`, separated by commas, with --model.  [default: all]",
)
@click.option(
    "--method",
    default="gradient_x_input",
    show_default=True,
    help="With --model: the method whose maps are looked at, a name of `lab list methods` or module:function.",
)
@verdict_options
@click.pass_context
def command(context, images, table, target, views, swaps, fail_on, baseline, **options):
    """Look for shortcuts: are labels told from borders, colours, files or single columns alone?

    IMAGES are a folder with a subfolder for each class, or CSV lists with the columns path and label. With --model, the
    network is asked too: do its maps lie there, and what does it cost to swap the region between classes?
    """
    settings = {name: options.pop(name) for name in ("metadata", "group", "most", "margin", "permutations", "method")}
    asks_network = context.get_parameter_source("source") == click.core.ParameterSource.COMMANDLINE
    _refuse_source(context, images, table, target, asks_network)
    with plain_errors():
        source = {} if table else {**image_source(images), "most": ANY_NUMBER}
        settings |= {"views": split_names(views or ""), "swaps": split_names(swaps or "")}
    tables = {"shortcuts": {**settings, "table": table, "target": target, "network": asks_network}, "images": source}
    tables |= {"baseline": baseline}
    launch_tables(context, "shortcuts", options, tables, fail_on)


def _refuse_source(context, images, table, target, asks_network):
    """Raise UsageError for other than one source, and for options that would do nothing."""
    if bool(images) == bool(table):
        raise click.UsageError(
            f"Shortcuts are looked for in IMAGES, or in a --table. Received: {'both' if images else 'neither'}."
        )
    if table and not target:
        raise click.UsageError("--table needs --target, its column of labels. Received: no --target.")
    if target and not table:
        raise click.UsageError("--target is the column of labels of a --table. Received: no --table.")
    idle = {"metadata": "--metadata", "source": "--model"} if table else {}
    idle |= (
        {}
        if asks_network
        else {"swaps": "--swap", "method": "--method", "classes": "--classes", "input_range": "--input-range"}
    )
    for name, option in idle.items():
        if context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE:
            reason = "a table has no pictures" if table else "it is about a network: add --model"
            raise click.UsageError(f"{option} does nothing here: {reason}. Received: {option}.")


register(
    Section(
        name="shortcuts",
        table=Shortcuts,
        list_jobs=list_jobs,
        work={
            "picture features": Deferred("recipes.shortcuts:measure_pictures"),
            "column features": Deferred("recipes.shortcuts:measure_columns"),
            "shortcut labels": Deferred("recipes.shortcuts:measure_labels"),
            "shortcut examples": Deferred("recipes.shortcuts:show_examples"),
            "shortcut swaps": Deferred("recipes.shortcuts:swap_regions"),
            "shortcut maps": Deferred("recipes.shortcuts:share_maps"),
        },
        many=False,
        place=70,
        rows=list_rows,
        summary=summarize,
        judges=lambda recipe: True,
        pieces=(Piece("shortcuts", "Shortcuts", "shortcuts.html", _show_shortcuts, place=25),),
    )
)
