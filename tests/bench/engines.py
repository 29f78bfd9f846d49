"""Engines: what a plan and a job cost beside their work, and how much faster two processes are than one."""

import itertools
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from lab.environment import keras
from recipes.engines.local import Local
from recipes.engines.waiting import Waiting
from recipes.job import Job
from recipes.runs import waiting_jobs
from recipes.section import Section
from recipes.sections import sections
from recipes.store import Store
from tests.bench.table import Figure, Row, benchmarks
from tests.processes import start_run

PLANNED, DONE = 100_000, 2_000
PLAN, PLAN_MEMORY = Row(f"plan of {PLANNED:,} jobs", "5 s", 1.0), Row(f"memory of {PLANNED:,} jobs", "500 MB", 1.0)
LOCAL = Row("a job without work, in one process", "5 ms", 1.0)
# Words of a run with one worker, and what its engine needs.
ONE_WORKER = {
    "local": ((), None),
    "processes": (("--engine", "processes", "--workers", "1"), None),
    "ray": (("--engine", "ray", "--workers", "1"), "ray"),
}
MORE = {
    name: Row(f"a job under {name}, more than in one process", "15 ms", 1.0, needs)
    for name, (_, needs) in ONE_WORKER.items()
    if name != "local"
}
# What two processes are compared on: a gallery, a cascade of random weights, and the networks of a world.
COMMANDS = {
    "gallery": ("gallery", "--layer", "block_6_add", "--units", "0-31", "--steps", "64"),
    "cascade": ("check", "--method", "gradient,gradcam,integrated_gradients", "--mode", "top_down", "--seeds", "2"),
    "world": ("check", "--world", "patch", "--check", "truth", "--method", "gradient,gradcam"),
}
FASTER = tuple(Row(f"lab {' '.join(words)}, two processes", "one process", 0.77) for words in COMMANDS.values())


@benchmarks.register(rows=(PLAN, PLAN_MEMORY, LOCAL, *MORE.values()))
def engines(network, repeats):
    """Engines: plans and jobs without work, beside budgets; under other engines the median between the ends of two jobs."""
    return {**plan(), **overhead(), **overhead_of_engines()}


@benchmarks.register(rows=FASTER, by_name=True)
def engines_two(network, repeats):
    """Two processes: whole commands, the start of the processes included."""
    figures = {}
    for row, words in zip(FASTER, COMMANDS.values()):
        one, two = (_seconds(words, workers) for workers in (1, 2))
        figures[row.name] = Figure(two / one, f"{two:.0f} s in place of {one:.0f}")
    return figures


def no_operation(job, inputs, session):
    return {"nothing.txt": b""}


def plan():
    """Seconds and MB that it takes to plan jobs and to put them in order: dict of a row's name to `Figure`."""
    before, start = _megabytes(), time.perf_counter()
    jobs = [Job(f"{place % 100}/{place}", "nothing", {"number": place}) for place in range(PLANNED)]
    jobs.append(Job("gather", "nothing", {}, needs=tuple(job.key for job in jobs), gathers=True))
    with tempfile.TemporaryDirectory() as root:
        store = Store(root, "plan", "0")
        waiting = Waiting(waiting_jobs(jobs, store)[0], store)
        while not waiting.is_over:
            waiting.end(waiting.next(None, set()))
    seconds, megabytes = time.perf_counter() - start, _megabytes() - before
    return {
        PLAN.name: Figure(seconds / 5, f"{seconds:.1f} s"),
        PLAN_MEMORY.name: Figure(megabytes / 500, f"{megabytes:.0f} MB"),
    }


def _megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def overhead():
    """Milliseconds that a job without work takes in one process, its file written and sealed: dict."""
    if "nothing" not in sections:
        sections.register(Section("nothing", None, None, {"nothing": no_operation}), name="nothing")
    jobs = [Job(f"{place % 20}/{place}", "nothing", {}) for place in range(DONE)]
    with tempfile.TemporaryDirectory() as root:
        store = Store(root, "plan", "0")
        with store.open():
            start = time.perf_counter()
            events = list(Local().carry_out(jobs, None, store))
            milliseconds = 1e3 * (time.perf_counter() - start) / DONE
    assert len(events) == 2 * DONE
    return {LOCAL.name: Figure(milliseconds / 5, f"{milliseconds:.2f} ms")}


def overhead_of_engines():
    """Milliseconds that a job costs under other engines more than in this process, one worker each: dict.

    Compared are the medians of the times between the ends of two jobs.
    """
    engines = {name: words for name, (words, _) in ONE_WORKER.items() if name == "local" or not MORE[name].missing}
    with tempfile.TemporaryDirectory() as root:
        model = pathlib.Path(root) / "small.keras"
        small_network().save(model)
        recipe = pathlib.Path(root) / "units.toml"
        recipe.write_text(UNITS.format(model=model))
        medians = {name: _median_of_run(recipe, root, name, words) for name, words in engines.items()}
    more = {name: 1e3 * (median - medians["local"]) for name, median in medians.items() if name != "local"}
    return {MORE[name].name: Figure(value / 15, f"{value:.1f} ms") for name, value in more.items()}


def small_network():
    """A network whose pictures cost little: a Keras model."""
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, activation="relu")(inputs)
    x = keras.layers.Dense(5, name="last")(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, keras.layers.Activation("softmax")(x), name="small")


def _median_of_run(recipe, root, engine, words):
    run = start_run(recipe, f"{root}/{engine}", *words)
    _, errors = run.communicate()
    if run.returncode:
        raise RuntimeError(f"the run under {engine} failed: {errors[-2000:]}")
    return _median_gap(pathlib.Path(root, engine))


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
