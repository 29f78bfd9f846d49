"""Run: what a command prints of a run."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Run:
    """The result of a run.

    Args:
        path: its folder.
        report: path of its index.html.
        failed: (key, error) of each job that failed.
        families: verdicts by check, as plain values.
        messages: lines of text on maps: faults, refusals, and maps that look suspicious.
        summary: lines of text, what was found.
        photographs: the table of photographs, as plain values, or None.
        jobs: (key, whether it is done) of each job.
        lines: lines of text with the results: mistakes and verdicts.
        coloured: lines that say something by their colours.
        rows: dict of name to list of dict, tables of sections that bring their own.
        changes: dict, what became of the verdicts since the baseline (`recipes.changes.compare_verdicts`), or None.
    """

    path: object
    report: object
    failed: tuple
    families: dict
    messages: tuple = ()
    summary: tuple = ()
    photographs: dict | None = None
    jobs: tuple = ()
    lines: tuple = ()
    rows: dict = field(default_factory=dict)
    changes: dict | None = None
    coloured: tuple = ()
