"""Runs: a recipe carried out job by job into its folder; killed at any moment, it goes on where it was."""

import contextlib
import hashlib
import json
import os
import time
import traceback
from dataclasses import dataclass

import lab
from recipes import schema
from recipes.explanations import told
from recipes.jobs import jobs, work
from recipes.report.page import page
from recipes.store import Store, encode
from recipes.studies import flagged
from recipes.workshop import Workshop


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


def carry_out(recipe, root, progress, *, fresh=False, allow_code=False):
    """Run a recipe under the folder `root` -> `Run`.

    progress: a `recipes.progress.Progress`. fresh: start over instead of resuming. Raises Refused, before anything is
    written, for whatever the recipe asks that cannot be had.
    """
    progress.say(f"{recipe.name}: loading {recipe.world.name if recipe.world else recipe.model.source}")
    workshop = Workshop(recipe, root, allow_code=allow_code)
    listed = jobs(recipe, workshop)
    manifest = _manifest(recipe, workshop)
    store = Store(root, recipe.name, manifest["digest"])
    if fresh:
        store.clear()
    store.open()
    store.write("manifest.json", encode(manifest))
    failed = _work_through(listed, workshop, store, progress)
    _publish(store, *page(recipe, manifest, listed, store))
    judged = store.values("verdicts", "verdicts.json") if store.done("verdicts") else {}
    return Run(
        store.path,
        store.path / "index.html",
        tuple(failed),
        judged,
        tuple(flagged(listed, store)),
        tuple(told(listed, store)),
    )


def _publish(store, text, beside):
    """Write the report: what lies beside it first, so that a page never asks for what is not there yet."""
    for name, content in beside:
        store.write(name, content)
    store.write("index.html", text.encode())


def _manifest(recipe, workshop):
    known = {
        "recipe": schema.canonical(recipe),
        "hashes": workshop.hashes(),
        "seed": recipe.seed,
        "lab": lab.__version__,
    }
    return {**known, "digest": hashlib.sha256(encode(known)).hexdigest()[:12]}


def _work_through(listed, workshop, store, progress):
    """Do what is not done; go on past a job that fails, and leave out those that wait for it. -> list of (key, error)."""
    waiting = [job for job in listed if not store.done(job.key)]
    progress.begin(waiting, len(listed) - len(waiting), workshop)
    failed, seconds = [], {}
    for job in waiting:
        missing = [key for key in job.needs if not store.done(key)]
        start = time.perf_counter()
        with progress.doing(job):
            error = f"waits for {missing[0]}, which failed" if missing else _attempt(job, workshop, store)
        seconds[job.key] = round(time.perf_counter() - start, 3)
        if error:
            failed.append((job.key, error))
            progress.say(f"failed: {job.key}: {error}")
    progress.end()
    _keep_times(store, seconds)
    return failed


def _attempt(job, workshop, store):
    """One job; the error in one line if it fails, its traceback beside the run."""
    try:
        store.put(job.key, work(job, workshop, store))
    except Exception as error:
        # One job's failure must not cost the others: it is told, kept, and turned into exit code 3. On a full disk the
        # traceback finds no room either; the line that is told remains.
        with contextlib.suppress(OSError):
            store.write(f"failed-{job.key.replace('/', '+')}.txt", traceback.format_exc().encode())
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"
    (store.path / f"failed-{job.key.replace('/', '+')}.txt").unlink(missing_ok=True)
    return None


def _keep_times(store, seconds):
    """The one file that may differ between two runs of the same recipe."""
    path = store.path / "timings.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    store.write(
        "timings.json",
        encode(
            {
                **before,
                "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "host": os.uname().nodename,
                "seconds": {**before.get("seconds", {}), **seconds},
            }
        ),
    )
