"""Audit: may this network be used? What it does on the user's data, with error rates that hold."""

import click

from lab.refusal import Refused
from recipes.audit_table import Audit
from recipes.claims import home_of
from recipes.errors import plain_errors
from recipes.help import PlainCommand
from recipes.job import Job
from recipes.launch import launch_tables
from recipes.options import model_options, run_options, split_names, verdict_options
from recipes.section import Deferred, Piece, Section
from recipes.sections import register

# What a check speaks of where it measured nothing.
DATA = "the data"


# Jobs ---------------------------------------------------------------------------------------------------------------------


def list_jobs(recipe, session):
    """The jobs of the [audit] table, after all files were read and checked: answers, rows, evidence of every check.

    Args:
        recipe: `Recipe`.
        session: `Session`.

    Returns:
        list of `Job`.

    Raises:
        Refused: for data that cannot be read, and for questions and settings that do not exist.
    """
    from recipes.audits import parts_of, plan_questions

    table = recipe.audit
    parts, plan = parts_of(session), plan_questions(table, session)
    answers = [_answer_job(table, *part, plan["described"]) for part in parts]
    untrained = _untrained_jobs(recipe, plan["untrained"], parts)
    counterparts = _counterpart_jobs(plan["counterparts"], parts, session)
    pictures = [*_embedding_jobs(plan["pretrained"], parts, session), *_patch_jobs(table, plan["patches"], parts)]
    arguments = {name: plan[name] for name in ("questions", "lacking", "alpha", "untrained", "counterparts")}
    arguments |= {
        "strict": table.strict,
        "parts": [list(part) for part in parts],
        "untried": _untried(plan["pretrained"]),
    }
    needs = tuple(job.key for job in (*answers, *untrained, *counterparts, *pictures))
    rows = Job("audit/rows", "audit rows", arguments, needs, reads=_reads(table.current))
    return [*answers, *untrained, *counterparts, *pictures, rows, *_check_jobs(recipe, plan, rows)]


def _untried(reason):
    """Simple models that are not tried: dict of name to why."""
    from sanity.audit.descriptors import PRETRAINED

    return {f"linear model of {PRETRAINED}": reason} if reason else {}


def _reads(current):
    """What a job takes of the session: the files, and where it sees them those of the later time: tuple of str."""
    return ("model", "audit", *(["current"] if current else []))


def _answer_job(table, name, start, stop, described):
    """The job that asks the network about some rows of a set: `Job`."""
    # Which columns are read is said by the sheet and by the rows to test.
    reads = _reads(name == "current" and table.current)
    arguments = {"set": name, "start": start, "stop": stop}
    arguments |= {"described": True} if described and name != "current" else {}
    key = f"audit/answers/{name}-{start:08d}"
    return Job(key, "audit answers", arguments, passes=(stop - start) / 3, reads=reads)


def _untrained_jobs(recipe, count, parts):
    """The jobs that ask untrained networks about the rows to test, all parts of one network before the next: list of `Job`."""
    reads = _reads(False)
    return [
        Job(
            f"audit/untrained/{place}-{start:08d}",
            "audit untrained",
            {"untrained": place, "start": start, "stop": stop, "seed": recipe.seed},
            passes=(stop - start) / 3,
            reads=reads,
        )
        for place in range(count)
        for name, start, stop in parts
        if name == "test"
    ]


def _counterpart_jobs(columns, parts, session):
    """The jobs that ask the network about counterparts of the rows to test, all parts of a column before the next: list of `Job`."""
    from recipes.audits import read_sets

    reads, jobs = _reads(False), []
    for number, column in enumerate(columns):
        of_files = (f"counterparts:{column}",) if read_sets(session).signature.kind == "image" else ()
        for start, stop in [(start, stop) for name, start, stop in parts if name == "test"]:
            arguments = {"column": column, "start": start, "stop": stop}
            key = f"audit/counterparts/{number}-{start:08d}"
            passes = (stop - start) / 3
            jobs.append(Job(key, "audit counterparts", arguments, passes=passes, reads=(*reads, *of_files)))
    return jobs


def _embedding_jobs(reason, parts, session):
    """The jobs that ask the lab's own network about pictures that simple models learn from and are tested on: list of `Job`.

    Args:
        reason: str, why they are not needed, "" where they are; None where nothing needs them.
        parts: list of (set, start, stop).
        session: `Session`.
    """
    # The same for every network that takes as many channels.
    shared = {"channels": session.channels} if reason == "" else None
    return [
        Job(
            f"audit/pretrained/{name}-{start:08d}",
            "audit pretrained",
            {"set": name, "start": start, "stop": stop, **shared},
            passes=(stop - start) / 3,
            reads=("audit",),
            of_default=True,
        )
        for name, start, stop in (parts if shared else ())
        if name in ("test", "train")
    ]


def _patch_jobs(table, are_needed, parts):
    """The jobs that take means of the patches of pictures of both times: list of `Job`."""
    return [
        Job(
            f"audit/patches/{name}-{start:08d}",
            "audit patches",
            {"set": name, "start": start, "stop": stop},
            reads=_reads(name == "current" and table.current),
        )
        for name, start, stop in (parts if are_needed else ())
        if name in ("test", "current")
    ]


def _check_jobs(recipe, plan, rows):
    """The jobs that measure the evidence of each check: list of `Job`."""
    shared = {"alpha": plan["alpha"], "seed": recipe.seed, "method": DATA}
    from sanity.audit.questions import checks_of

    on_all_networks = checks_of("reasons") if plan["replicates"] else []
    return [
        Job(
            f"audit/checks/{check}",
            "evidence of data",
            {**shared, "check": check, "settings": settings},
            (rows.key,),
            reads=(*rows.reads, *(["replicates"] if check in on_all_networks else [])),
            judged_in=f"0-{check}",
        )
        for check, settings in plan["checks"]
    ]


def _refuse_table(recipe):
    if recipe.has_world or recipe.data:
        raise Refused(
            "An audit asks a [model] about the files of [audit]. Received: another table of inputs beside it."
        )


# Lines --------------------------------------------------------------------------------------------------------------------


def audit_families(store):
    """The verdicts of an audit by family.

    Args:
        store: `Store` of the run.

    Returns:
        dict of family to dict, as in verdicts.json.
    """
    families = store.values("verdicts", "verdicts.json") if store.exists("verdicts") else {}
    return {name: family for name, family in families.items() if home_of(name, family) == "audit"}


def load_about(store):
    """What is known of the rows of an audit: dict, or None where they were not gathered.

    Args:
        store: `Store` of the run.
    """
    return store.values("audit/rows", "about.json") if store.exists("audit/rows") else None


def load_problems(store):
    """What is wrong with the record of an audit: list of str, empty where none was written.

    Args:
        store: `Store` of the run.
    """
    return store.values("audit/record", "problems.json") if store.exists("audit/record") else []


def messages(jobs, store):
    """What a reader has to know first: of the columns, which questions were not asked, and what is wrong with the record.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    about = load_about(store)
    if about is None:
        return []
    lacking = (f"not asked: {name}, which needs {words}" for name, words in about["lacking"].items())
    return [*about["notes"], *lacking, *(f"the record must be mended: {line}" for line in load_problems(store))]


def summarize(jobs, store):
    """How many rows there are, and how many verdicts of each outcome.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    about, families = load_about(store), audit_families(store)
    if about is None:
        return []
    known = [(name, about["sets"][name]) for name in ("test", "train", "current") if name in about["sets"]]
    sizes = ", ".join(f"{size['rows']:,} {name} rows of {size['units']:,} units" for name, size in known)
    outcomes = [verdict["outcome"] for family in families.values() for verdict in family["verdicts"]]
    counts = {outcome: outcomes.count(outcome) for outcome in ("FAIL", "INVALID", "INCONCLUSIVE", "PASS")}
    words = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    level = f"questions asked: {', '.join(about['questions'])}; each check at the level {about['alpha']:.3g}"
    return [sizes, level, f"verdicts: {words or 'none'}"]


# Page ---------------------------------------------------------------------------------------------------------------------


def _show_audit(recipe, jobs, store):
    """The answers to all questions, or None."""
    about, families = load_about(store), audit_families(store)
    if about is None or not families:
        return None
    from recipes.report.audit import collect_audit

    return collect_audit(families, about, load_problems(store), jobs, store)


# Command ------------------------------------------------------------------------------------------------------------------


@click.command(
    "audit",
    cls=PlainCommand,
    headings={
        "Data": ("test", "train", "current", "metadata"),
        "Columns": ("sheet", "label", "no_protected"),
        "Text": ("vocabulary", "tokenizer"),
        "Networks": ("replicate",),
        "Questions": ("questions", "layer", "strict", "draws", "tries"),
    },
    examples=(
        (
            "lab audit --model credit.keras --test loans.csv --label default --questions failures --draws 199",
            "where does it fail more than elsewhere?",
        ),
        (
            "lab audit --model lender.keras --test test.csv --train train.csv --current march.csv --sheet lending.toml --draws 199",
            "all questions that the data and the sheet leave room for",
        ),
        (
            "lab audit --model my.keras --input-range -1 1 --classes names.txt --test photos/ --questions failures --strict",
            "photographs, whose subfolders are the labels",
        ),
    ),
)
@model_options
@run_options
@click.option(
    "--test",
    required=True,
    type=click.Path(),
    metavar="PATH",
    help="Labelled rows that the network was never trained on: a CSV table, a folder of photographs, a .txt file with one text a line, or series in an .npz file.",
)
@click.option("--train", type=click.Path(), metavar="PATH", help="The same of its training rows.  [default: not known]")
@click.option(
    "--current",
    type=click.Path(),
    metavar="PATH",
    help="The same of a later time, with or without labels.  [default: none]",
)
@click.option(
    "--metadata",
    type=click.Path(),
    metavar="FILE",
    help="CSV file with a row for each photograph, text or series: its name under path, name or the first column.",
)
@click.option(
    "--sheet",
    type=click.Path(),
    metavar="FILE",
    help="TOML file that says what columns are: label, units, inputs, protected and others. `lab init-sheet` writes one to fill in.",
)
@click.option("--label", metavar="COLUMN", help="Column of the true classes or numbers, where no sheet says so.")
@click.option(
    "--no-protected",
    is_flag=True,
    help="Look at no protected column, so that nothing is asked of groups.  [default: they are read for questions about groups]",
)
@click.option(
    "--vocabulary", type=click.Path(), metavar="FILE", help="Words of a network that takes token ids, one a line."
)
@click.option("--tokenizer", type=click.Path(), metavar="FILE", help="The tokenizer.json of such a network.")
@click.option(
    "--replicate",
    multiple=True,
    type=click.Path(),
    metavar="FILE",
    help="A network trained like the model from another seed. May be repeated; reasons and changes of decisions must then hold on all.",
)
@click.option(
    "--questions",
    metavar="NAMES",
    help="Of reasons, failures, shift, proxies, groups, simpler and record, separated by commas.  [default: all that data and sheet leave room for]",
)
@click.option(
    "--layer",
    metavar="NAME",
    help="Layer of a table's network that a protected column is erased from, as proxies ask.  [default: the first whose weights join inputs]",
)
@click.option("--strict", is_flag=True, help="All checks share one level of .05.  [default: each has its own]")
@click.option(
    "--draws",
    type=click.IntRange(99),
    help="Exchanges of units under the null.  [default: as each check says, mostly 999]",
)
@click.option(
    "--tries",
    type=click.IntRange(4),
    help="Copies of the data, with nothing in them and with planted effects.  [default: 20]",
)
@verdict_options
@click.pass_context
def command(context, test, replicate, questions, fail_on, baseline, **options):
    """Audit a network on your data: reasons, failures, shift, proxies, groups, simpler models, and a record.

    Each finding rests on an adjusted p and on a margin. Every question is asked again of copies of your data with nothing in
    them, and with planted effects, so that the report says what would have been found.
    """
    names = ("train", "current", "metadata", "sheet", "label", "vocabulary", "tokenizer", "strict", "draws", "tries")
    names += ("no_protected", "layer")
    audit = {"test": test, **{name: options.pop(name) for name in names}, "replicates": list(replicate) or None}
    with plain_errors():
        audit["questions"] = split_names(questions or "")
    tables = {"audit": {name: value for name, value in audit.items() if value is not None}}
    launch_tables(context, "audit", options, tables | ({"baseline": baseline} if baseline else {}), fail_on)


register(
    Section(
        name="audit",
        table=Audit,
        list_jobs=list_jobs,
        work={
            "audit answers": Deferred("recipes.audits:answer_part"),
            "audit untrained": Deferred("recipes.audits:answer_untrained"),
            "audit counterparts": Deferred("recipes.audits:answer_counterparts"),
            "audit pretrained": Deferred("recipes.audits:embed_part"),
            "audit patches": Deferred("recipes.audits:patch_part"),
            "audit rows": Deferred("recipes.audits:gather_rows"),
            "evidence of data": Deferred("recipes.audits:measure_check"),
            "audit record": Deferred("recipes.audits:write_record"),
        },
        many=False,
        place=80,
        refuse=_refuse_table,
        messages=messages,
        summary=summarize,
        judges=lambda recipe: True,
        pieces=(Piece("audit", "Audit", "audit.html", _show_audit, place=24),),
    )
)
