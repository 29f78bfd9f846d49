"""Watch: the questions of an audit asked again of a later window, beside the answers of the earlier run."""

import click

from recipes.errors import plain_errors
from recipes.help import PlainCommand
from recipes.launch import launch
from recipes.options import run_options


@click.command(
    "watch",
    cls=PlainCommand,
    headings={
        "Audit": ("run_folder", "current", "questions"),
        "Verdict": ("fail_on",),
        "Output": ("out", "resume", "plan", "quiet", "as_json"),
    },
    examples=(
        (
            "lab watch --audit audit --current march.csv --out lending",
            "the same audit of a later window: what changed?",
        ),
        ("lab watch --audit audit --current march.csv --out lending --questions shift", "the later window alone"),
        ("lab watch --audit audit --current march.csv --out lending --quiet --json", "as JSON, for a scheduled job"),
    ),
)
@click.option(
    "--audit",
    "run_folder",
    required=True,
    type=click.Path(),
    metavar="RUN",
    help="The earlier audit: its folder or page, or the name of its recipe.",
)
@click.option("--current", required=True, type=click.Path(), metavar="PATH", help="Rows of the later window.")
@click.option(
    "--questions",
    metavar="NAMES",
    help="Questions, shift among them, separated by commas.  [default: those of the audit, and shift]",
)
@click.option("--allow-code", is_flag=True, help="Allow model files to run Python code of their own.")
@click.option(
    "--fail-on",
    type=click.Choice(["fail", "inconclusive", "worse"]),
    help="Exit with 1 if a verdict is so or worse; worse: worse than in the audit.",
)
@run_options
@click.pass_context
def command(context, run_folder, current, questions, allow_code, fail_on, **options):
    """Ask the questions of an earlier audit again with another later window, and say what changed since.

    Its network, rows to test and sheet are read again from where they were. Only the question shift looks at the later window,
    and is always asked. A look at data costs: state the looks of a year in the sheet.
    """
    with plain_errors():
        recipe = _watched(run_folder, current, questions, options["out"])
    launch(context, recipe, options, allow_code, fail_on)


def _watched(run_folder, current, questions, root):
    """The recipe of the earlier run, of another window, with that run as its baseline."""
    import json

    from lab.refusal import Refused
    from recipes import schema
    from recipes.artifacts import find_file, find_report
    from recipes.options import split_names

    values = json.loads(find_file(run_folder, "manifest.json", root).read_text(encoding="utf-8"))["recipe"]
    if not values.get("audit"):
        raise Refused(
            f"A later window is watched with a run of `lab audit`. Received: {run_folder}, which has no audit."
        )
    if not values["audit"].get("test"):
        raise Refused(
            f"A later window is watched with an audit of files. Received: {run_folder}, an audit of a dataset."
        )
    audit = {name: value for name, value in values["audit"].items() if value not in (None, [], {})}
    audit |= {"current": str(current)} | _questions(split_names(questions or ""), audit.get("questions", []))
    audit = _without_idle(audit)
    known = ("seed", "threads", "model", "images")
    shared = {name: values[name] for name in known if values.get(name) is not None}
    shared["model"] = {name: value for name, value in values["model"].items() if value is not None}
    baseline = str(find_report(run_folder, root))
    return schema.recipe({"name": "watch", **shared, "audit": audit, "baseline": baseline})


def _without_idle(audit):
    """The values of an audit without those that only questions ask for which are not asked now: dict."""
    questions = audit.get("questions") or ["proxies", "reasons"]
    idle = [key for key, question in (("layer", "proxies"), ("replicates", "reasons")) if question not in questions]
    return {name: value for name, value in audit.items() if name not in idle}


def _questions(stated, earlier):
    """The questions that are asked, shift among them: dict, empty for all that data and sheet leave room for."""
    from lab.refusal import Refused

    if stated and "shift" not in stated:
        raise Refused(
            f"Only the question shift looks at the later window. Received: --questions {','.join(stated)}. Add shift."
        )
    questions = stated or [*earlier, *(["shift"] if earlier and "shift" not in earlier else [])]
    return {"questions": questions} if questions else {}
