"""Engines: what a plan and a job cost beside their work, and how much faster two processes are than one.

`python -m tests.bench.engines`: minutes, on a quiet machine.
"""

import itertools
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from recipes.engines.local import Local
from recipes.engines.waiting import Waiting
from recipes.job import Job
from recipes.runs import waiting_jobs
from recipes.section import Section
from recipes.sections import sections
from recipes.store import Store
from tests import networks
from tests.processes import start_run

PLANNED, DONE = 100_000, 2_000
# What two processes are compared on: a gallery, a cascade of random weights, and the networks of a world.
COMMANDS = {
    "gallery": ("gallery", "--layer", "block_6_add", "--units", "0-31", "--steps", "64"),
    "cascade": ("check", "--method", "gradient,gradcam,integrated_gradients", "--mode", "top_down", "--seeds", "2"),
    "world": ("check", "--world", "patch", "--check", "truth", "--method", "gradient,gradcam"),
}


def no_operation(job, inputs, session):
    return {"nothing.txt": b""}


def plan():
    """Seconds and MB that it takes to plan jobs and to put them in order."""
    before, start = _megabytes(), time.perf_counter()
    jobs = [Job(f"{place % 100}/{place}", "nothing", {"number": place}) for place in range(PLANNED)]
    jobs.append(Job("gather", "nothing", {}, needs=tuple(job.key for job in jobs), gathers=True))
    with tempfile.TemporaryDirectory() as root:
        store = Store(root, "plan", "0")
        waiting = Waiting(waiting_jobs(jobs, store)[0], store)
        while not waiting.is_over:
            waiting.end(waiting.next(None, set()))
    print(
        f"plan of {PLANNED:,} jobs: {time.perf_counter() - start:.1f} s, {_megabytes() - before:.0f} MB (goals 5 s, 500 MB)"
    )


def _megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def overhead():
    """Milliseconds that a job without work takes in one process, its file written and sealed."""
    sections.register(Section("nothing", None, None, {"nothing": no_operation}), name="nothing")
    jobs = [Job(f"{place % 20}/{place}", "nothing", {}) for place in range(DONE)]
    with tempfile.TemporaryDirectory() as root:
        store = Store(root, "plan", "0")
        with store.open():
            start = time.perf_counter()
            events = list(Local().carry_out(jobs, None, store))
            seconds = time.perf_counter() - start
    assert len(events) == 2 * DONE
    print(f"a job without work, local: {1e3 * seconds / DONE:.2f} ms (goal 5)")


ONE_WORKER = {
    "local": (),
    "processes": ("--engine", "processes", "--workers", "1"),
    "ray": ("--engine", "ray", "--workers", "1"),
}


def overhead_of_processes():
    """Milliseconds that a job costs under other engines more than in this process, one worker each.

    Compared are the medians of the times between the ends of two jobs.
    """
    with tempfile.TemporaryDirectory() as root:
        model = pathlib.Path(root) / "small.keras"
        networks.flat(head="softmax").save(model)
        recipe = pathlib.Path(root) / "units.toml"
        recipe.write_text(UNITS.format(model=model))
        medians = {}
        for engine, words in ONE_WORKER.items():
            run = start_run(recipe, f"{root}/{engine}", *words)
            run.communicate()
            if run.returncode:
                raise RuntimeError(f"the run under {engine} failed")
            medians[engine] = _median_gap(pathlib.Path(root, engine))
        for engine in ("processes", "ray"):
            more = 1e3 * (medians[engine] - medians["local"])
            print(f"a job, {engine}: {more:.1f} ms more than local, {1e3 * medians['local']:.1f} ms (goal 15)")


# One picture of one step a job.
UNITS = """
name = "units"
threads = 1
[model]
source = "{model}"
input_range = [-1, 1]
[[gallery]]
layer = "last"
units = "0-4"
steps = 1
natural = 0
batch = 1
""" + "".join(
    f'[[gallery]]\nlayer = "last"\nunits = "0-4"\nsteps = {steps}\nnatural = 0\nbatch = 1\n' for steps in (2, 3) * 20
)


def _median_gap(out):
    """The median of the seconds between the ends of two jobs of the one run in a folder: float."""
    lines = next(out.glob("units/.*.journal")).read_text().splitlines()
    ends = [line["time"] for line in map(json.loads, lines) if "seconds" in line]
    return statistics.median(after - before for before, after in itertools.pairwise(ends))


def speed_up(name):
    """How much faster two processes are than one, start of the processes included."""
    seconds = {workers: _seconds(COMMANDS[name], workers) for workers in (1, 2)}
    ratio = seconds[1] / seconds[2]
    print(
        f"{name}: one process {seconds[1]:.0f} s, two {seconds[2]:.0f} s: {ratio:.2f} times as fast (goal 1.3)",
        flush=True,
    )


def _seconds(words, workers):
    code = "import sys; from recipes.cli import main; main(sys.argv[1:])"
    with tempfile.TemporaryDirectory() as root:
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code, *words, "--workers", str(workers), "--out", root, "--json"],
            capture_output=True,
            text=True,
            cwd=pathlib.Path(__file__).parents[2],
        )
        seconds = time.perf_counter() - start
    if json.loads(done.stdout)["error"]:
        raise RuntimeError(done.stdout)
    return seconds


if __name__ == "__main__":
    plan()
    overhead()
    overhead_of_processes()
    for command in sys.argv[1:] or COMMANDS:
        speed_up(command)
