"""Check: whether maps respond to what a network learned: evidence of every method, and verdicts beside controls."""

from typing import Any

from pydantic import ConfigDict

from recipes.fields import Methods, TargetTable
from recipes.job import Job, slug
from recipes.section import Deferred, Section
from recipes.sections import register


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
    )
)
