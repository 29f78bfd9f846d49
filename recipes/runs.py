"""Runs: a recipe carried out job by job into its folder. A run that was killed at any moment can be resumed."""

import contextlib

from recipes import finished
from recipes.engines.attempt import trace_path
from recipes.engines.local import Local
from recipes.events import Finished
from recipes.jobs import list_jobs
from recipes.journal import Journal
from recipes.loaded import Loaded
from recipes.manifest import describe_run
from recipes.report.summary import loaded_words
from recipes.run import Run
from recipes.store import Store, encode
from recipes.times import keep_times
from recipes.words import count_noun


class Stopped(KeyboardInterrupt):
    """A run was interrupted. It carries `path`, its folder, and the numbers of jobs, `done` of `total`."""

    def __init__(self, path, done, total):
        super().__init__(f"{path}: {done} of {total} jobs are done and kept")
        self.path, self.done, self.total = path, done, total


def carry_out(
    recipe, root, progress, *, fresh=False, allow_code=False, engine=Local(), loaded=Loaded(), after_imports=None
):
    """Run a recipe; one that is done already is answered from its files.

    Args:
        recipe: `Recipe`.
        root: folder of all runs.
        progress: `recipes.progress.Progress`.
        fresh: start over instead of resuming.
        allow_code: whether model files may run Python code of their own.
        engine: what does the jobs, see `recipes.engines`.
        loaded: `recipes.loaded.Loaded`, what is in memory already; for the engine of one process.
        after_imports: `() -> None`, called when TensorFlow was imported; None: nothing is. A finished run imports nothing.

    Returns:
        `Run`.

    Raises:
        Refused: before anything is written, for whatever the recipe names that does not exist.
        Stopped: when the run is interrupted.
    """
    progress.say(f"{recipe.name}: loading {loaded_words(recipe)}")
    is_answerable = not fresh and loaded == Loaded()
    result = finished.answer(recipe, root, progress, allow_code, engine) if is_answerable else None
    if result is not None:
        return result
    # TensorFlow is imported here and not before.
    import recipes.session  # noqa: F401

    if after_imports is not None:
        after_imports()
    choices = {"fresh": fresh, "allow_code": allow_code, "engine": engine, "loaded": loaded}
    return _carry_out_jobs(recipe, root, progress, **choices)


def _carry_out_jobs(recipe, root, progress, *, fresh, allow_code, engine, loaded):
    """Load what a recipe names, do the jobs that are not done, and write the page: `Run`."""
    from recipes.session import Session
    from recipes.sources import Sources

    _limit_threads(recipe, engine)
    record = finished.Record(recipe, root, allow_code)
    with record.note_reads():
        session = Session(Sources.of(recipe), root, allow_code=allow_code, loaded=loaded)
        jobs = list_jobs(recipe, session)
        manifest = describe_run(recipe, jobs, session)
    store = Store(root, recipe.name, manifest["digest"])
    with store.open(fresh=fresh, wait=progress.say):
        store.write("manifest.json", encode(manifest))
        try:
            failed = _do_jobs(jobs, session, store, progress, engine, fresh)
            with record.note_warnings():
                _publish(recipe, manifest, jobs, store)
        except KeyboardInterrupt as error:
            raise Stopped(store.path, sum(store.is_done(job.key) for job in jobs), len(jobs)) from error
        finally:
            progress.end()
        result = _result(jobs, store, failed)
        if loaded == Loaded():
            record.write(store, jobs, manifest, result)
        return result


def _limit_threads(recipe, engine):
    from lab.environment import limit_threads

    if recipe.threads and isinstance(engine, Local):
        limit_threads(recipe.threads)


def _titled(recipe, store):
    """The recipe with a title for its report: where no photograph is answered as it wants, the title says so."""
    photographs = _photographs(store)
    if photographs is None or photographs["names"]:
        return recipe
    return recipe.model_copy(update={"title": photographs["sentence"].capitalize()})


def _photographs(store):
    """The table of photographs, or None where there is none: dict."""
    return store.values("photographs", "about.json") if store.exists("photographs") else None


def _result(jobs, store, failed):
    from recipes.baseline import load_changes
    from recipes.results import collect_coloured, collect_lines, collect_messages, collect_rows, summarize

    families = store.values("verdicts", "verdicts.json") if store.exists("verdicts") else {}
    photographs = _photographs(store)
    return Run(
        store.path,
        store.path / "index.html",
        tuple(failed),
        families,
        tuple(collect_messages(jobs, store)),
        tuple(summarize(jobs, store)),
        photographs,
        tuple((job.key, store.is_done(job.key)) for job in jobs),
        tuple(collect_lines(jobs, store)),
        collect_rows(jobs, store),
        load_changes(store),
        tuple(collect_coloured(jobs, store)),
    )


def _publish(recipe, manifest, jobs, store):
    """Write the files beside the report, then the report, which never asks for a file that is not there yet."""
    from recipes.report.page import page

    text, files = page(_titled(recipe, store), manifest, jobs, store)
    for name, content in files:
        store.write(name, content)
    store.write("index.html", text.encode("utf-8", "backslashreplace"))


def _do_jobs(jobs, session, store, progress, engine, fresh):
    """Do the jobs that are not done, here or in an earlier run. One that fails stops only those that need it.

    Returns:
        list of (key, error).
    """
    waiting, kept = waiting_jobs(jobs, store, keep=not fresh)
    if kept:
        progress.say(f"{count_noun(len(kept), 'job')} of earlier runs, the same as here, kept")
    progress.begin(waiting, len(jobs) - len(waiting), session)
    ended, journal = [], Journal(store, len(jobs), len(jobs) - len(waiting))
    try:
        with contextlib.closing(engine.carry_out(waiting, session, store)) as events:
            for event in events:
                journal.write(event)
                progress.take(event)
                ended += [event] if isinstance(event, Finished) else []
    finally:
        keep_times(store, ended, engine)
    return [(event.job.key, event.error) for event in ended if event.error]


def waiting_jobs(jobs, store, keep=True):
    """The jobs that are not done, or that need one that is not done; what earlier runs have done is taken over.

    Args:
        jobs: list of `Job`, each after those that it needs.
        store: `Store` of the run.
        keep: bool, whether to take over the same jobs of earlier runs.

    Returns:
        (list of `Job` that wait, list of `Job` that were taken over).
    """
    waiting, kept = {}, []
    for job in jobs:
        if not any(need in waiting for need in job.needs):
            if store.is_done(job.key):
                continue
            if keep and store.keep(job):
                trace_path(job, store).unlink(missing_ok=True)
                kept.append(job)
                continue
        waiting[job.key] = job
    return list(waiting.values()), kept
