"""Results: what a command prints of a finished run: lines that end with what was found, or the whole of it as JSON."""

from collections import Counter

from recipes.predictions import COLUMNS
from recipes.sections import in_order


def verdict_rows(families):
    """Every verdict with the name of its family: list of (str, dict)."""
    return [(name, verdict) for name, family in families.items() for verdict in family["verdicts"]]


def as_values(result, changed, error):
    """The whole result as plain values for JSON.

    Args:
        result: `recipes.runs.Run`.
        changed: list of lines on verdicts that changed since a baseline, or None without one.
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
        "flags": list(result.flags),
        "maps": list(result.messages),
    }
    return report if changed is None else {**report, "changed": changed}


def photograph_rows(about):
    """The table of photographs: list of dict of name, true, predicted, probability, runner_up and so on."""
    if about is None:
        return []
    return [dict(zip(("name", *COLUMNS[1:]), row)) for row in zip(*(about[name] for name in COLUMNS))]


def as_lines(result, changed):
    """The result as lines of text; the last ones are what was found, and the path of the report: list of str.

    Args:
        result: `recipes.runs.Run`.
        changed: list of lines on verdicts that changed since a baseline, or None without one.

    Returns:
        list of str.
    """
    note = result.photographs["note"] if result.photographs else None
    lines = [*result.messages, *([note] if note else []), *_mistake_lines(result.photographs)]
    lines += [f"{flag['network']}  {flag['check']:<14} {flag['word']:<13} {flag['why']}" for flag in result.flags]
    lines += [
        f"{family}  {verdict['method']:<22} {verdict['outcome']:<13} {verdict['sentence']}"
        for family, verdict in verdict_rows(result.families)
    ]
    if changed is not None:
        lines += ["changed since the baseline:", *(changed or ["nothing"])]
    return [*lines, *result.summary, str(result.report)]


# Photographs that the command lists; the page and photographs.csv have all of them.
LISTED = 20


def _mistake_lines(about):
    """One line a photograph, where they were chosen by their answers: true class, prediction and runner-up."""
    if about is None or about["only"] == "all":
        return []
    rows = photograph_rows(about)
    lines = [
        f"{row['name']}  true {row['true']}, predicted {row['predicted']} ({row['probability']:.0%}), "
        f"then {row['runner_up']} ({row['runner_up_probability']:.0%})"
        for row in rows[:LISTED]
    ]
    return [*lines, *([f"and {len(rows) - LISTED} more, in photographs.csv"] if len(rows) > LISTED else [])]


def collect_messages(jobs, store):
    """Lines of text that are printed before the results of a run: faults, refusals and warnings.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    return [line for section in in_order() for line in section.messages(jobs, store)]


def summarize(maps, photographs, families, flags):
    """What was found, in up to three lines for each kind of result.

    Args:
        maps: list of dict, the about.json of each job of maps.
        photographs: dict, the about.json of the photographs, or None.
        families: verdicts by check, as plain values.
        flags: list of dict, the summaries of checks of pictures.

    Returns:
        list of str.
    """
    lines = [] if photographs is None else [_photograph_line(photographs)]
    lines += _map_lines(maps) if maps else []
    lines += _verdict_lines(families) if families else []
    return [*lines, *([_flag_line(flags)] if flags else [])]


def _photograph_line(about):
    if about["sentence"]:
        return about["sentence"]
    count = len(about["names"])
    words = count_noun(count, "photograph")
    if about["true"] and about["true"][0] is not None:
        wrong = about["correct"].count(False)
        words += f", {wrong or 'none'} of them answered wrongly"
    return words


def _map_lines(maps):
    """How many methods there are, and how many of their maps are flagged: two lines."""
    names = list(dict.fromkeys(about["method"].partition(" (")[0] for about in maps))
    troubles = {
        "refused": {about["method"].partition(" (")[0] for about in maps if about["refused"]},
        "failed": {about["method"].partition(" (")[0] for about in maps if about["fault"]},
    }
    words = [f"{len(methods)} {trouble}" for trouble, methods in troubles.items() if methods]
    flags = [words for about in maps for words in about.get("flags", ())]
    flagged = sum(map(bool, flags))
    return [
        f"{count_noun(len(names), 'method')}: {', '.join([*names[:6], *(['...'] if len(names) > 6 else [])])}"
        + "".join(f"; {word}" for word in words),
        f"{flagged or 'none'} of {count_noun(len(flags), 'map')} flagged as suspicious",
    ]


def _verdict_lines(families):
    """How many methods were checked, their verdicts by outcome, and whether the controls held: three lines."""
    blind = {method for family in families.values() for method in family["blind"]}
    verdicts = [verdict for _, verdict in verdict_rows(families) if verdict["method"] not in blind]
    methods = {verdict["method"] for verdict in verdicts}
    by_outcome = {}
    for verdict in verdicts:
        outcome = "NOT APPLICABLE" if verdict["finding"] == "NOT APPLICABLE" else verdict["outcome"]
        by_outcome.setdefault(outcome, []).append(verdict["method"])
    words = [f"{len(names)} {outcome} ({', '.join(dict.fromkeys(names))})" for outcome, names in by_outcome.items()]
    held = [control["held"] for family in families.values() for control in family["controls"]]
    return [
        f"{count_noun(len(methods), 'method')} checked by {count_noun(len(families), 'check')}",
        f"verdicts: {', '.join(words) or 'none'}",
        f"controls: {sum(map(bool, held))} of {len(held)} as they must be" if held else "no controls were run",
    ]


def _flag_line(flags):
    words = Counter(flag["word"] for flag in flags)
    return f"checks of pictures: {', '.join(f'{count} {word}' for word, count in words.items())}"


def count_noun(number, noun):
    """A number of things in words: str.

    Args:
        number: int.
        noun: str, in the singular.

    Returns:
        str.
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
