"""Results: what a command prints of a finished run: lines that end with what was found, or the whole of it as JSON."""

from recipes import changes
from recipes.rows import part_rows, photograph_rows, verdict_rows
from recipes.sections import in_order, in_story_order


def as_values(result, error):
    """The whole result as plain values for JSON.

    Args:
        result: `recipes.run.Run`.
        error: dict of code and message, or None.

    Returns:
        dict.
    """
    report = {
        "error": error,
        "recipe": result.path.parent.name,
        "run": str(result.path),
        "report": str(result.report),
        "summary": list(result.summary),
        "jobs": [{"key": key, "folder": str(result.path / "jobs" / key), "done": done} for key, done in result.jobs],
        "failed": list(result.failed),
        "photographs": photograph_rows(result.photographs),
        "note": result.photographs["note"] if result.photographs else None,
        "verdicts": [{"family": family, **verdict} for family, verdict in verdict_rows(result.families)],
        "controls": [
            {"family": name, **control} for name, family in result.families.items() for control in family["controls"]
        ],
        "parts": [{"family": family, **verdict} for family, verdict in part_rows(result.families)],
        "maps": list(result.messages),
        **result.rows,
    }
    if result.changes is None:
        return report
    return {**report, "baseline": result.changes, "changed": changes.as_lines(result.changes)}


def as_lines(result, coloured=False):
    """The result as lines of text; the last ones are what was found, and the path of the report: list of str.

    Args:
        result: `recipes.run.Run`.
        coloured: whether the lines are for a terminal that shows colours.

    Returns:
        list of str.
    """
    lines = [*result.messages, *result.lines, *(result.coloured if coloured else ())]
    if result.changes is not None:
        lines += changes.as_lines(result.changes)
    return [*lines, *result.summary, str(result.report)]


def collect_messages(jobs, store):
    """Lines of text that are printed before the results of a run: faults, refusals and warnings.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    return [line for section in in_order() for line in section.messages(jobs, store)]


def collect_lines(jobs, store):
    """Lines of text with the results of a run: its mistakes and verdicts.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    return [line for section in in_order() for line in section.lines(jobs, store)]


def collect_coloured(jobs, store):
    """Lines that say something by their colours, for a terminal that shows them.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str, with ANSI codes.
    """
    return [line for section in in_order() for line in section.coloured(jobs, store)]


def collect_rows(jobs, store):
    """Tables of the results of sections that bring their own.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        dict of name to list of dict.
    """
    return {name: rows for section in in_order() for name, rows in section.rows(jobs, store).items()}


def summarize(jobs, store):
    """What was found, in up to three lines for each section.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    return [line for section in in_story_order() for line in section.summary(jobs, store)]
