"""Check: whether maps respond to what a network learned: evidence of every method, and verdicts beside controls."""

from typing import Any

from pydantic import ConfigDict

from recipes.fields import Methods, TargetTable
from recipes.job import Job, slug
from recipes.section import Deferred, Piece, Section
from recipes.sections import register
from recipes.words import count_noun


class Check(TargetTable):
    """One check of some methods, beside its controls. Any other key is an option of the check itself."""

    model_config = ConfigDict(extra="allow", frozen=True)

    check: str = "parameters"
    methods: Methods = ["gradient", "gradcam"]
    controls: bool = True
    options: dict[str, dict[str, Any]] = {}

    @property
    def settings(self):
        """The options of the check itself: dict of name to value."""
        return dict(self.model_extra)


# Jobs ---------------------------------------------------------------------------------------------------------------------


def list_jobs(recipe, session):
    """The jobs that measure every method and control under every check, and the one that judges them all.

    Args:
        recipe: `Recipe`.
        session: `Session`.

    Returns:
        list of `Job`, the judging one last.

    Raises:
        Refused: for a class, method, check or setting that does not exist.
    """
    jobs = [job for number, check in enumerate(recipe.check) for job in _evidence_jobs(number, check, session)]
    return [*jobs, _verdict_job(jobs)]


def _evidence_jobs(number, check, session):
    """The jobs that measure one check, of its methods and its controls: iterator of `Job`."""
    from recipes.explanations import refuse_unknown_options
    from sanity.examination import refuse_settings

    refuse_settings(check.check, check.settings)
    refuse_unknown_options(check)
    if session.recipe.world is None:
        session.subject(check.question)
    for method in [*check.methods, *_controls(check)]:
        yield _evidence_job(number, check, method, session)


def _controls(check):
    """Names of the explainers that are blind on purpose, those among the methods left out: list of str."""
    from lab.attribution import explainers

    return [name for name in explainers.names(control=True) if name not in check.methods] if check.controls else []


def _evidence_job(number, check, method, session):
    from lab.attribution.calls import refuse_options
    from recipes.explanations import passes

    explainer, options = session.method(method), check.options.get(method, {})
    refuse_options(explainer, options)
    world = session.recipe.world
    images = world.images if world else len(session.images)
    cost = images * passes(explainer, options, None if world else session.network)
    arguments = {"check": check.check, "method": method, "question": check.question, "settings": check.settings}
    return Job(
        f"check/{number}-{check.check}/{slug(method)}",
        "evidence",
        {**arguments, "options": options},
        ("networks",) if world else (),
        passes=cost * _explanations_of_an_image(check),
    )


def _verdict_job(evidence_jobs):
    """The job that judges all evidence, also where some of it failed."""
    rows = [[job.key, job.arguments["check"], job.arguments["method"]] for job in evidence_jobs]
    return Job("verdicts", "judge", {"rows": rows}, tuple(job.key for job in evidence_jobs), gathers=True)


def _explanations_of_an_image(check):
    """How often a check explains each image, roughly: int."""
    seeds = check.settings.get("seeds") or 3
    return 3 + seeds * (1 if check.settings.get("mode", "full") == "full" else 20)


# Lines --------------------------------------------------------------------------------------------------------------------


def _load_families(store):
    """The verdicts of a run by check: dict, empty where nothing was judged."""
    return store.values("verdicts", "verdicts.json") if store.exists("verdicts") else {}


def verdict_rows(families):
    """Every verdict with the name of its family: list of (str, dict)."""
    return [(name, verdict) for name, family in families.items() for verdict in family["verdicts"]]


def verdict_lines(jobs, store):
    """One line a verdict.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    return [
        f"{family}  {verdict['method']:<22} {verdict['outcome']:<13} {verdict['sentence']}"
        for family, verdict in verdict_rows(_load_families(store))
    ]


def summarize(jobs, store):
    """How many methods were checked, their verdicts by outcome, and whether the controls held.

    Args:
        jobs: list of `Job`, all of the run.
        store: `Store` of the run.

    Returns:
        list of str.
    """
    families = _load_families(store)
    return _summary_lines(families) if families else []


def _summary_lines(families):
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


# Page ---------------------------------------------------------------------------------------------------------------------


def _show_verdicts(recipe, jobs, store):
    """All verdicts, or None."""
    from recipes.report.cards import collect_families, report_card
    from recipes.report.findings import FINDINGS
    from sanity.verdict import FOOTER

    families = collect_families(store, jobs)
    if not families:
        return None
    return {"families": families, "matrix": report_card(families), "findings": FINDINGS, "footer": FOOTER}


def _show_measurements(recipe, jobs, store):
    """Numbers without a verdict, or None."""
    from recipes.report.measurements import collect_measurements

    tables = collect_measurements(store)
    return {"measurements": tables} if tables else None


def _show_published(recipe, jobs, store):
    """Figures of papers beside those of the run, or None."""
    from recipes.evidence import load_evidence
    from recipes.report.published import compare_to_published

    published = compare_to_published(recipe, [load_evidence(store, job.key) for job in jobs if job.kind == "evidence"])
    return published and {"published": published}


register(
    Section(
        name="check",
        table=Check,
        list_jobs=list_jobs,
        work={
            "evidence": Deferred("recipes.evidence:measure_evidence"),
            "judge": Deferred("recipes.evidence:judge_family"),
        },
        place=60,
        messages=Deferred("recipes.evidence:refused_measurements"),
        lines=verdict_lines,
        summary=summarize,
        pieces=(
            Piece("verdicts", "Verdicts", "verdicts.html", _show_verdicts, place=30),
            Piece("measured", "Measurements", "measurements.html", _show_measurements, place=70),
            Piece("published", "Published figures", "published.html", _show_published, place=80),
        ),
    )
)
