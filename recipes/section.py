"""Section: a noun of a run: its table in a recipe, its jobs and their work, its pieces of the report, its printed lines."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Deferred:
    """A function that is imported when it is first called, since the file of a section is imported by every command.

    Args:
        address: "module:function".
    """

    address: str

    def __call__(self, *arguments):
        """The function's own value."""
        module, _, function = self.address.partition(":")
        return getattr(importlib.import_module(module), function)(*arguments)


@dataclass(frozen=True)
class Piece:
    """A part of the page of a run.

    Args:
        anchor: the id of its HTML section, which the navigation links to.
        heading: its words in the navigation.
        template: file name of a Jinja template of `recipes.report`, or the text of one. It sees the values, and recipe
            and manifest.
        values: (recipe, jobs that are done, store) -> dict, or None where there is nothing to show. The key "files" is
            kept for (name, bytes) that are written beside the page, "heading" for other words in the navigation, and
            "sentences" for a dict of heading to list of str, what it says in the summary of the page.
        place: int, where it stands in the story of the page; smaller comes first, the settings come last.
        script: file name of a script of `recipes.report` that it needs, or None.
    """

    anchor: str
    heading: str
    template: str
    values: Callable
    place: int = 100
    script: str | None = None


def _no_lines(jobs, store):
    return []


@dataclass(frozen=True)
class Section:
    """A noun of a run.

    Args:
        name: the key of its table in a recipe.
        table: subclass of `recipes.fields.Table`.
        list_jobs: (recipe, session) -> iterable of `Job`; called where the recipe has the table.
        work: dict of kind of job to (job, inputs, session) -> dict of file name to bytes, or `Outcome`. A job stands alone:
            its arguments, what it reads of the session, and the files of the jobs that it needs decide its bytes.
        many: whether a recipe may hold several of its tables, as [[name]], and not one, as [name].
        alone: whether a recipe may hold its table and no other.
        place: int, where its table stands among those of a recipe, and its jobs and lines among those of a run.
        refuse: (recipe) -> None; raises Refused where its table does not fit to the others.
        messages: (jobs, store) -> lines of a finished run that are printed first: faults, refusals and warnings.
        lines: (jobs, store) -> lines of its results.
        coloured: (jobs, store) -> lines that say something by their colours, for a terminal that shows them.
        rows: (jobs, store) -> dict of name to list of dict, tables of its results for JSON. Rows that have an outcome may fail a
            gate.
        summary: (jobs, store) -> up to three lines of what was found, which are printed last.
        judges: (recipe) -> whether its table leads to verdicts, that a gate may fail by.
        pieces: its pieces of the page, tuple of `Piece`.
    """

    name: str
    table: type
    list_jobs: Callable
    work: dict = field(default_factory=dict)
    many: bool = True
    alone: bool = True
    place: int = 100
    refuse: Callable = lambda recipe: None
    messages: Callable = _no_lines
    lines: Callable = _no_lines
    coloured: Callable = _no_lines
    rows: Callable = lambda jobs, store: {}
    summary: Callable = _no_lines
    judges: Callable = lambda recipe: False
    pieces: tuple = ()

    @property
    def header(self):
        """How its table begins in a recipe: str."""
        return f"[[{self.name}]]" if self.many else f"[{self.name}]"

    def tables(self, recipe):
        """Its tables in a recipe: list of `Table`."""
        value = getattr(recipe, self.name)
        return list(value) if self.many else [value] * (value is not None)
