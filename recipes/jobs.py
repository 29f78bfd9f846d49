"""Jobs: a recipe expanded to small, picklable descriptions, each turned into files by a pure function of its section.

list_jobs(recipe, session)  -> [Job]     what there is to do, gathering steps last
work(job, inputs, session)  -> Outcome   its files, and the fault that they report
"""

from recipes.artifacts import find_report
from recipes.identity import identified
from recipes.job import Job, Outcome
from recipes.sections import in_order


def list_jobs(recipe, session):
    """List all jobs of a recipe, checked against the network before anything runs.

    Args:
        recipe: `Recipe`.
        session: `Session`.

    Returns:
        list of `Job`, the judging one last.

    Raises:
        Refused: for a layer, unit, class, method, check or baseline that does not exist.
    """
    if recipe.baseline:
        # Before the network is loaded, which takes seconds.
        find_report(recipe.baseline, session.root)
    jobs = [job for section in in_order() if section.tables(recipe) for job in section.list_jobs(recipe, session)]
    return identified([*jobs, *_judging_jobs(recipe, jobs, session)], session)


def _judging_jobs(recipe, jobs, session):
    """The job that judges all evidence, also where some of it failed, and the one that compares with a baseline: list."""
    evidence = [job for job in jobs if job.judged_in]
    if not evidence:
        return []
    rows = [[job.key, job.judged_in, job.arguments["check"], job.arguments["method"]] for job in evidence]
    arguments = {"rows": rows, "name": recipe.name, "seed": recipe.seed}
    verdicts = Job("verdicts", "judge", arguments, tuple(job.key for job in evidence), gathers=True)
    judging = [verdicts, *_record_jobs(recipe, jobs)]
    if not recipe.baseline:
        return judging
    from recipes.baseline import changes_job

    return [*judging, changes_job(recipe, [*evidence, verdicts], session)]


def _record_jobs(recipe, jobs):
    """The job that puts an audit on record, where it was asked for: list."""
    rows = next((job for job in jobs if job.kind == "audit rows"), None)
    if rows is None or "record" not in rows.arguments["questions"]:
        return []
    arguments = {"alpha": rows.arguments["alpha"], "seed": recipe.seed}
    return [Job("audit/record", "audit record", arguments, (rows.key, "verdicts"), reads=rows.reads)]


def work(job, inputs, session):
    """Do a job -> `Outcome`.

    Args:
        job: `Job`. It stands alone: with what it names of the session it decides the bytes of its files.
        inputs: `recipes.inputs.Inputs`, the files of the jobs that it needs.
        session: `Session`.

    Returns:
        `Outcome`.
    """
    kinds = {kind: function for section in in_order() for kind, function in section.work.items()}
    result = kinds[job.kind](job, inputs, session)
    return result if isinstance(result, Outcome) else Outcome(result)
