"""Page: a finished run -> one self-contained HTML text that tells it as a story.

The summary comes first, then the pieces of the sections: photographs with maps, verdicts, pictures of units, numbers.
"""

import itertools
from dataclasses import replace

import markupsafe

from recipes.report import figures, summary
from recipes.report.policy import restrict_scripts
from recipes.report.templates import environment, template
from recipes.sections import in_order


def page(recipe, manifest, jobs, store):
    """The report of a run. Jobs that are not done are listed as missing.

    Args:
        recipe: `Recipe`.
        manifest: dict, as written to manifest.json.
        jobs: list of `Job`, all of the run.
        store: its `Store`.

    Returns:
        str of HTML, and an iterator of (name, bytes) of files beside it. Only a gallery of some hundreds of units and
        more has such files, its shards.
    """
    done = [job for job in jobs if store.exists(job.key)]
    pieces = _pieces(recipe, done, store)
    files = [values["files"] for _, values in pieces if values.get("files")]
    shared = {"recipe": recipe, "manifest": manifest}
    values = {
        **shared,
        "missing": [(job.key, store.fault(job.key)) for job in jobs if job not in done or store.fault(job.key)],
        "pieces": [(piece, _html(piece, {**shared, **values})) for piece, values in pieces],
        "scripts": [piece.script for piece, _ in pieces if piece.script],
        "file_source": " file: 'self'" if files else "",
        **_words(recipe, {piece.anchor: values for piece, values in pieces}),
    }
    return restrict_scripts(template().render(values)), itertools.chain(*files)


def _pieces(recipe, done, store):
    """The pieces of the page that have something to show, in their order, with their values: list of (`Piece`, dict)."""
    pieces = sorted((piece for section in in_order() for piece in section.pieces), key=lambda piece: piece.place)
    values = [(piece, piece.values(recipe, done, store)) for piece in pieces]
    return [
        (replace(piece, heading=content.get("heading", piece.heading)), content)
        for piece, content in values
        if content is not None
    ]


def _html(piece, values):
    """A piece as HTML: `markupsafe.Markup`."""
    is_file = piece.template.endswith(".html")
    source = template(piece.template) if is_file else environment().from_string(piece.template)
    return markupsafe.Markup(source.render(values))


def _words(recipe, values_by_anchor):
    """What the page says around its pieces: dict of title, subject, colour bars and summary.

    Args:
        recipe: `Recipe`.
        values_by_anchor: dict of anchor to the values of its piece.
    """

    def value(anchor, name, default):
        return values_by_anchor.get(anchor, {}).get(name, default)

    maps, families = value("maps", "maps", None), value("verdicts", "families", [])
    units = value("gallery", "index", [])
    return {
        "title": summary.title(recipe, maps),
        "subject": summary.subject_words(recipe, maps),
        "bars": {"signed": figures.colour_bar(figures.SIGNED), "unsigned": figures.colour_bar(figures.UNSIGNED)},
        "summary": summary.summarize(recipe, families, maps, units, _sentences(values_by_anchor)),
    }


def _sentences(values_by_anchor):
    """What the pieces themselves say in the summary: dict of heading to list of str."""
    by_heading = {}
    for values in values_by_anchor.values():
        for heading, sentences in dict(values.get("sentences", ())).items():
            by_heading.setdefault(heading, []).extend(sentences)
    return by_heading
