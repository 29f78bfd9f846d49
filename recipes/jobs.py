"""Jobs: a recipe expanded to small, picklable descriptions, each turned into files by a pure function of its section.

list_jobs(recipe, session)  -> [Job]     what there is to do, gathering steps last
work(job, session, store)  -> Outcome    its files, and the fault that they report
"""

from recipes.job import Outcome
from recipes.sections import in_order


def list_jobs(recipe, session):
    """List all jobs of a recipe, checked against the network before anything runs.

    Args:
        recipe: `Recipe`.
        session: `Session`.

    Returns:
        list of `Job`, the judging one last.

    Raises:
        Refused: for a layer, unit, class, method or check that does not exist.
    """
    return [job for section in in_order() if section.tables(recipe) for job in section.list_jobs(recipe, session)]


def work(job, session, store):
    """Do a job -> `Outcome`.

    Args:
        job: `Job`.
        session: `Session`.
        store: `Store` of the run.

    Returns:
        `Outcome`.
    """
    kinds = {kind: function for section in in_order() for kind, function in section.work.items()}
    result = kinds[job.kind](session, store, job)
    return result if isinstance(result, Outcome) else Outcome(result)
