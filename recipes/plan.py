"""Plan: the jobs of a recipe, what they need and about what they cost, before anything runs."""

from collections import Counter

from recipes.engines.attempt import trace_path
from recipes.estimate import expected_seconds, measure_speeds
from recipes.jobs import list_jobs
from recipes.manifest import describe_run
from recipes.session import Session
from recipes.sources import Sources
from recipes.store import Store
from recipes.words import count_noun

# States of jobs that are not to be done, in words.
FINISHED = {"done": "done", "kept": "kept from earlier runs"}


def plan(recipe, root, *, allow_code=False, workers=1, fresh=False):
    """List what a run would do. Nothing is written.

    Args:
        recipe: `Recipe`.
        root: folder of all runs.
        allow_code: whether model files may run Python code of their own.
        workers: int, how many processes would do the jobs.
        fresh: whether finished jobs would be done again.

    Returns:
        dict of run, workers, threads, seconds in one process (None where they cannot be told), passes, bytes (of finished jobs), and
        jobs: list of dict of key, kind, needs, passes, seconds, state and bytes. A state is "done", "kept" (an earlier run has
            done the same job), "failed" or "waiting".

    Raises:
        Refused: for whatever the recipe names that does not exist.
    """
    session = Session(Sources.of(recipe), root, allow_code=allow_code)
    jobs = list_jobs(recipe, session)
    store = Store(root, recipe.name, describe_run(recipe, jobs, session)["digest"])
    rows = _rows(jobs, store, session, {} if fresh else _states(jobs, store))
    seconds = [row["seconds"] for row in rows]
    return {
        "run": str(store.path),
        "workers": workers,
        "threads": recipe.threads,
        "passes": sum(row["passes"] for row in rows if row["state"] not in FINISHED),
        "seconds": None if None in seconds else round(sum(seconds), 1),
        "bytes": sum(row["bytes"] for row in rows),
        "jobs": rows,
    }


def _states(jobs, store):
    """The state of each job that is done here, or was done by an earlier run: dict of key to str."""
    states = {}
    for job in jobs:
        # A job whose needs are done again is done again.
        if all(need in states for need in job.needs):
            if store.is_done(job.key):
                states[job.key] = "done"
            elif store.earlier(job.identity) is not None:
                states[job.key] = "kept"
    return states


def _rows(jobs, store, session, states):
    waiting = [job for job in jobs if job.key not in states]
    speeds = measure_speeds(waiting, session)
    seconds, gradient = expected_seconds(waiting, speeds), speeds[False].gradient
    return [
        {
            "key": job.key,
            "kind": job.kind,
            "needs": list(job.needs),
            "passes": job.passes,
            "seconds": 0.0 if job.key in states else None if gradient is None else round(seconds[job.key], 2),
            "state": states.get(job.key) or ("failed" if trace_path(job, store).is_file() else "waiting"),
            "bytes": store.bytes(job.key),
        }
        for job in jobs
    ]


def as_lines(planned):
    """A plan as lines of text, one for the jobs of each folder.

    Args:
        planned: dict, as of `plan`.

    Returns:
        list of str.
    """
    families = {}
    for row in planned["jobs"]:
        families.setdefault(row["key"].rpartition("/")[0] or row["key"], []).append(row)
    width = max(map(len, families), default=0)
    return [*(f"{name:<{width}}  {_describe(rows)}" for name, rows in families.items()), _total(planned)]


def _describe(rows):
    states = Counter(row["state"] for row in rows)
    keys = {row["key"] for row in rows}
    needs = sorted({need for row in rows for need in row["needs"]} - keys)
    passes = sum(row["passes"] for row in rows)
    words = [
        count_noun(len(rows), "job"),
        *(f"{states[state]} {words}" for state, words in FINISHED.items() if states[state]),
        *([f"about {passes:,.0f} gradients"] if passes else []),
        *([f"needs {', '.join(needs[:3])}{' and more' if len(needs) > 3 else ''}"] if needs else []),
    ]
    return ", ".join(words)


def _total(planned):
    waiting = sum(row["state"] not in FINISHED for row in planned["jobs"])
    words = [f"{waiting} of {count_noun(len(planned['jobs']), 'job')} to do"]
    words += [f"about {planned['passes']:,.0f} gradients"] if planned["passes"] else []
    if waiting and planned["seconds"] is not None:
        words.append(f"roughly {_duration(planned['seconds'])} here")
    words += [f"{planned['bytes'] / 1e6:.1f} MB kept"] if planned["bytes"] else []
    return f"{planned['run']}: {', '.join(words)}"


def _duration(seconds):
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
