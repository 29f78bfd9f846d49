"""Runs: a recipe carried out job by job into its folder; killed at any moment, it goes on where it was."""

import contextlib
import json
import os
import time
import traceback
from dataclasses import dataclass

from lab.refusal import describe
from recipes import provenance, schema, signals
from recipes.explanations import lines
from recipes.jobs import list_jobs, refused_measurements, work
from recipes.report.page import page
from recipes.session import Session
from recipes.store import Store, digest, encode
from recipes.studies import flagged


@dataclass(frozen=True)
class Run:
    """What came of a run: its folder, its report, the jobs that failed (key, error), its verdicts as plain values, what was
    flagged, one dict a network and check of pictures, and what there is to say of its maps, in lines.
    """

    path: object
    report: object
    failed: tuple
    verdicts: dict
    flags: tuple = ()
    told: tuple = ()


class Stopped(KeyboardInterrupt):
    """A run was interrupted: `path`, its folder, and how many of its jobs are done."""

    def __init__(self, path, done, total):
        super().__init__(f"{path}: {done} of {total} jobs are done and kept")
        self.path, self.done, self.total = path, done, total


def carry_out(recipe, root, progress, *, fresh=False, allow_code=False):
    """Run a recipe under the folder `root` -> `Run`.

    progress: a `recipes.progress.Progress`. fresh: start over instead of resuming. Raises Refused, before anything is
    written, for whatever the recipe asks that cannot be had; Stopped when it is interrupted.
    """
    progress.say(f"{recipe.name}: loading {recipe.world.name if recipe.world else recipe.model.source}")
    session = Session(recipe, root, allow_code=allow_code)
    listed = list_jobs(recipe, session)
    manifest = _manifest(recipe, session)
    store = Store(root, recipe.name, manifest["digest"])
    with store.open(fresh=fresh, wait=progress.say):
        store.write("manifest.json", encode(manifest))
        try:
            failed = _work_through(listed, session, store, progress)
            _publish(store, *page(recipe, manifest, listed, store))
        except KeyboardInterrupt as error:
            raise Stopped(store.path, sum(store.done(job.key) for job in listed), len(listed)) from error
        finally:
            progress.end()
        return _result(listed, store, failed)


def _result(listed, store, failed):
    verdicts = store.values("verdicts", "verdicts.json") if store.there("verdicts") else {}
    return Run(
        store.path,
        store.path / "index.html",
        tuple(failed),
        verdicts,
        tuple(flagged(listed, store)),
        (*lines(listed, store), *refused_measurements(listed, store)),
    )


def _publish(store, text, beside):
    """Write the report: what lies beside it first, so that a page never asks for what is not there yet."""
    for name, content in beside:
        store.write(name, content)
    store.write("index.html", text.encode("utf-8", "backslashreplace"))


def _manifest(recipe, session):
    methods = schema.method_names(recipe)
    known = {
        "recipe": schema.plain_values(recipe),
        "hashes": session.hashes(),
        "code": {"lab": provenance.lab_hash(), **session.sources()},
        "versions": provenance.versions(methods),
        "seed": recipe.seed,
    }
    return {**known, "digest": digest(known)[:12]}


def _work_through(listed, session, store, progress):
    """Do what is not done; go on past a job that fails, and leave out those that cannot do without it. -> list of (key, error)."""
    waiting = _waiting(listed, store)
    progress.begin(waiting, len(listed) - len(waiting), session)
    failed, seconds = [], {}
    for job in waiting:
        if store.done(job.key):
            # What it was made from was done again and came out the same.
            continue
        missing = [] if job.gathers else [key for key in job.needs if not store.done(key)]
        start = time.perf_counter()
        with progress.doing(job):
            error = f"waits for {missing[0]}, which failed" if missing else _attempt(job, session, store)
        seconds[job.key] = round(time.perf_counter() - start, 3)
        if error:
            failed.append((job.key, error))
            progress.say(f"failed: {job.key}: {error}")
    _keep_times(store, seconds)
    return failed


def _waiting(listed, store):
    """The jobs that are not done, or are made from one that is not: list of `Job`."""
    waiting = {}
    for job in listed:
        if not store.done(job.key) or any(need in waiting for need in job.needs):
            waiting[job.key] = job
    return list(waiting.values())


def _attempt(job, session, store):
    """One job; the error in one line if it fails, its traceback beside the run."""
    try:
        outcome = work(job, session, store)
        signals.stop_if_arrived()
        store.put(job.key, outcome.files, fault=outcome.fault, needs=job.needs)
    except Exception as error:
        signals.stop_if_arrived()
        # One job's failure must not cost the others: it is told, kept, and turned into exit code 3. On a full disk the
        # traceback finds no room either; the line that is told remains.
        _keep_trace(job, store, traceback.format_exc())
        return describe(error)
    _keep_trace(job, store, outcome.trace)
    return outcome.fault


def _keep_trace(job, store, trace):
    name = f"failed-{job.key.replace('/', '+')}.txt"
    if trace is None:
        (store.path / name).unlink(missing_ok=True)
        return
    with contextlib.suppress(OSError):
        store.write(name, trace.encode("utf-8", "backslashreplace"))


def _keep_times(store, seconds):
    """The one file that may differ between two runs of the same recipe."""
    before = _times(store.path / "timings.json")
    finished = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    times = {"finished": finished, "host": os.uname().nodename, "seconds": {**before.get("seconds", {}), **seconds}}
    store.write("timings.json", encode({**before, **times}))


def _times(path):
    """What the last run noted; nothing where there was none or its note is damaged."""
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        return {**noted, "seconds": dict(noted["seconds"])}
    except (OSError, ValueError, TypeError, KeyError):
        return {}
