"""Page: a finished run -> one self-contained HTML text that tells it as a story.

The summary comes first, then photographs with maps, verdicts, pictures of units, and the numbers.
"""

import functools

import jinja2
import markupsafe

from recipes.evidence import load_evidence
from recipes.report import figures, summary
from recipes.report.atlases import collect_atlas
from recipes.report.cards import collect_families, report_card
from recipes.report.findings import FINDINGS
from recipes.report.maps import collect_maps
from recipes.report.measurements import collect_measurements
from recipes.report.picture_checks import collect_studies, flags_by_unit
from recipes.report.policy import restrict_scripts
from recipes.report.published import compare_to_published
from recipes.report.tiles import as_script_json, tiles
from recipes.report.world import describe_world
from sanity.verdict import FOOTER


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
    studies = collect_studies(recipe, store, done)
    index, inline, shards = tiles(store, done, flags_by_unit(recipe, studies))
    sections = _sections(recipe, store, done)
    values = {
        "recipe": recipe,
        "manifest": manifest,
        "missing": [(job.key, store.fault(job.key)) for job in jobs if job not in done or store.fault(job.key)],
        "units": as_script_json(index) if index else "",
        "shards": [(kind, as_script_json(content)) for _, kind, content in shards] if inline else [],
        "file_source": "" if inline else " file: 'self'",
        "studies": studies,
        **sections,
        **_words(recipe, sections["maps"]),
        "summary": summary.summarize(recipe, sections["families"], sections["maps"], index, studies),
    }
    text = restrict_scripts(template().render(values))
    return text, () if inline else (_shard_file(*shard) for shard in shards)


def _shard_file(number, kind, values):
    content = f"gallery.take({as_script_json(kind)},{as_script_json(values)});\n"
    return f"tiles/{number:05d}-{kind}.js", content.encode()


def _words(recipe, maps):
    """What the page says whatever was found: dict of title, subject, colour bars and the table of findings."""
    return {
        "title": summary.title(recipe, maps),
        "subject": summary.subject_words(recipe, maps),
        "bars": {"signed": figures.colour_bar(figures.SIGNED), "unsigned": figures.colour_bar(figures.UNSIGNED)},
        "findings": FINDINGS,
    }


def _sections(recipe, store, done):
    """What the sections of the page show, besides galleries and studies: dict of template name to values."""
    kinds = ("networks", "evidence", "judge")
    groups = {kind: [job for job in done if job.kind == kind] for kind in kinds}
    families = collect_families(store, groups)
    evidence = [load_evidence(store, job.key) for job in groups["evidence"]]
    return {
        "atlases": [collect_atlas(store, job) for job in done if job.kind in ("blocks", "atlas")],
        "maps": collect_maps(store, done),
        "world": describe_world(store, groups),
        "families": families,
        "matrix": report_card(families),
        "measurements": collect_measurements(store, groups),
        "published": compare_to_published(recipe, evidence),
        "footer": FOOTER,
    }


@functools.cache
def template(name="page.html"):
    """A template of this package. Everything that is put into it is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("recipes.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["breakable"] = breakable
    return environment.get_template(name)


def breakable(name):
    """A name of code that may wrap after an underscore or a dot and nowhere else.

    Returns:
        `markupsafe.Markup`, with the name escaped.
    """
    escaped = str(markupsafe.escape(name))
    return markupsafe.Markup(escaped.replace("_", "_<wbr>").replace(".", ".<wbr>"))
