"""Scale: how much faster many workers are, by a simulation of a plan with times that were measured here.

`python -m tests.bench.scale RUN`: seconds. RUN is the folder of a finished run, whose timings.json has the seconds of each job;
or a recipe, whose jobs are estimated from one measured gradient, as `--plan` does. The order is that of the engines (`recipes.engines.waiting`). A worker begins once it has loaded its model; the one process that
hands out jobs spends some time on each.
"""

import heapq
import json
import pathlib

import click

from recipes.engines.waiting import Waiting
from recipes.job import Job
from recipes.jobs import list_jobs
from recipes.plan import plan
from recipes.schema import read, recipe
from recipes.session import Session
from recipes.sources import Sources

WORKERS = (1, 2, 10, 100, 1000)


class Nothing:
    """A store of a run that has not begun."""

    def is_done(self, key):
        return False


def simulate(jobs, seconds, workers, start, dispatch):
    """Seconds that jobs take on some workers.

    Args:
        jobs: list of `Job`.
        seconds: dict of key to float.
        workers: int.
        start: float, seconds that a worker needs before its first job.
        dispatch: float, seconds that the one process that hands out jobs needs for each.

    Returns:
        float.
    """
    waiting, running, idle, clock = Waiting(jobs, Nothing()), [], workers, start
    while not waiting.is_over:
        job = waiting.next(None, set()) if idle else None
        if job is None:
            end, _, done = heapq.heappop(running)
            clock, idle = max(clock, end), idle + 1
            waiting.end(done)
        else:
            clock, idle = clock + dispatch, idle - 1
            heapq.heappush(running, (clock + seconds[job.key], job.key, job))
    return clock


@click.command()
@click.argument("source", type=click.Path(exists=True, path_type=pathlib.Path))
@click.option("--start", default=12.0, show_default=True, help="Seconds that a worker needs before its first job.")
@click.option("--dispatch", default=0.005, show_default=True, help="Seconds that handing out a job takes.")
def main(source, start, dispatch):
    """Print the speed-up of a run that has been done here, or of a recipe."""
    rows = measured_rows(source) if source.is_dir() else plan(read(str(source)), "artifacts")["jobs"]
    seconds = {row["key"]: row["seconds"] for row in rows}
    jobs = [Job(row["key"], row["kind"], {}, tuple(need for need in row["needs"] if need in seconds)) for row in rows]
    total, longest = sum(seconds.values()), max(seconds, key=seconds.get)
    print(f"{len(jobs)} jobs of {total:.0f} s, the longest {longest} with {seconds[longest]:.1f} s")
    for workers in WORKERS:
        needed = simulate(jobs, seconds, workers, start, dispatch)
        print(f"{workers:>5} workers: {needed:8.1f} s, {(total + start) / needed:6.1f} times as fast")


def measured_rows(folder):
    """The jobs of a finished run that have a time: list of dict of key, kind, needs and seconds."""
    planned = recipe(json.loads((folder / "manifest.json").read_text())["recipe"])
    seconds = json.loads((folder / "timings.json").read_text())["seconds"]
    jobs = list_jobs(planned, Session(Sources.of(planned), folder.parent.parent))
    return [
        {"key": job.key, "kind": job.kind, "needs": job.needs, "seconds": seconds[job.key]}
        for job in jobs
        if job.key in seconds
    ]


if __name__ == "__main__":
    main()
