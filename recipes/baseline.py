"""Baseline: an earlier run, whose verdicts those of a run are compared with, as a job of the run."""

from lab.refusal import Refused
from recipes.artifacts import find_report
from recipes.changes import compare_verdicts, load_run
from recipes.evidence import is_judged
from recipes.job import Job
from recipes.manifest import describe_run
from recipes.store import encode


def changes_job(recipe, jobs, session):
    """The job that compares the verdicts with those of the baseline, which is read at once: what it holds decides the job.

    Args:
        recipe: `Recipe` with a baseline.
        jobs: list of `Job`, those of its checks.
        session: `Session`.

    Returns:
        `Job`.

    Raises:
        Refused: for checks without verdicts, and for a baseline without verdicts or with damaged ones.
    """
    checks = dict.fromkeys(job.arguments["check"] for job in jobs if job.judged_in)
    if not any(map(is_judged, checks)):
        raise Refused(
            f"A baseline is compared with verdicts. Received: {', '.join(checks)}, of which there is no verdict."
        )
    before = load_run(find_report(recipe.baseline, session.root))
    arguments = {"before": before, "manifest": describe_run(recipe, jobs, session)}
    return Job("changes", "changes", arguments, ("verdicts",))


def compare_with_baseline(job, inputs, _):
    """Compare the verdicts of a run with those of its baseline.

    Args:
        job: `Job`. It needs the verdicts.
        inputs: `recipes.inputs.Inputs` with them.
        _: the session, not used.

    Returns:
        dict of file name to bytes.
    """
    families = inputs.values("verdicts", "verdicts.json")
    after = {"run": "", "manifest": job.arguments["manifest"], "families": families}
    return {"changes.json": encode(compare_verdicts(job.arguments["before"], after))}


def load_changes(store):
    """What became of the verdicts since the baseline.

    Args:
        store: `Store` of the run.

    Returns:
        dict, as of `recipes.changes.compare_verdicts`; None without a baseline.
    """
    return store.values("changes", "changes.json") if store.exists("changes") else None
