"""Progress: what a run reports while it works: an estimate, then a bar with rate and remaining time, or plain lines."""

import json
import sys
import time

import click
from tqdm import tqdm

from lab.model_names import DEFAULT
from recipes.estimate import compiled_with, expected_seconds, measure_speeds
from recipes.events import Started


class Progress:
    """How a run reports to its user, on the error stream. A terminal gets a bar, anything else one line a job.

    Args:
        quiet: report nothing.
        stream: in the place of the error stream.
    """

    def __init__(self, quiet=False, stream=None):
        self.stream = stream or sys.stderr
        # A process may have no error stream. What is printed nowhere else would stand among the results.
        self.quiet = quiet or self.stream is None
        self.bar = None
        self.expected, self.compiled, self.start = {}, set(), 0.0
        # Of each kind of job, what is expected of those that wait; and what was expected of those done, with what they took.
        self.waiting, self.measured = {}, {}

    def say(self, text):
        """Print one line, above the bar if there is one."""
        if self.quiet:
            return
        if self.bar is not None:
            self.bar.write(text, file=self.stream)
        else:
            click.echo(text, file=self.stream)

    def begin(self, waiting, done, session):
        """Report how many jobs there are and about how long they will take, compiling included.

        Args:
            waiting: list of `Job`.
            done: number of jobs that are done already.
            session: `Session`, whose gradient is measured for the estimate.
        """
        self.start, self.compiled, self.waiting, self.measured = time.perf_counter(), set(), {}, {}
        if self.quiet or not waiting:
            self.expected = {}
            return
        speeds = measure_speeds(waiting, session)
        self.expected = expected_seconds(waiting, speeds)
        for job in waiting:
            self.waiting[job.kind] = self.waiting.get(job.kind, 0.0) + self.expected[job.key]
        # The time of measuring is no part of the work.
        self.start = time.perf_counter()
        self.say(
            f"{len(waiting)} jobs to do, {done} done before{_estimate(waiting, self.expected, speeds[False].gradient)}"
        )
        if self.stream.isatty():
            self.bar = tqdm(total=len(waiting), unit="job", file=self.stream, dynamic_ncols=True)

    def take(self, event):
        """Report that a job has begun or ended.

        Args:
            event: `Started` or `Finished`.
        """
        if isinstance(event, Started):
            self._begin_job(event.job)
        else:
            self._end_job(event)

    def _begin_job(self, job):
        if self.bar is not None:
            compiles = job.passes and compiled_with(job) not in self.compiled
            self.bar.set_description(f"{job.key}{' (compiling)' if compiles else ''}")
        self.compiled.add(compiled_with(job))

    def _end_job(self, event):
        self._measure(event)
        if self.bar is not None:
            self.bar.update()
            self.bar.set_postfix_str(self._time_left())
        else:
            self.say(f"{event.job.key}  {event.seconds:.1f} s  {self._time_left()}".rstrip())
        if event.error:
            self.say(f"failed: {event.job.key}: {event.error}")

    def _measure(self, event):
        kind, expected = event.job.kind, self.expected.get(event.job.key, 0.0)
        self.waiting[kind] = self.waiting.get(kind, 0.0) - expected
        before = self.measured.get(kind, (0.0, 0.0))
        self.measured[kind] = (before[0] + expected, before[1] + event.seconds)

    def _time_left(self):
        """About how long the other jobs will take: the expected time, scaled by how far off it was for jobs of their kind.

        A network that takes a minute in place of a second says nothing of how long maps take.
        """
        taken = sum(seconds for _, seconds in self.measured.values())
        if not taken or max(self.waiting.values(), default=0) <= 0:
            return ""
        ratios = {kind: seconds / expected for kind, (expected, seconds) in self.measured.items() if expected}
        seconds = sum(max(0.0, expected) * ratios.get(kind, 1.0) for kind, expected in self.waiting.items())
        # Several processes take less time than their jobs together.
        seconds *= (time.perf_counter() - self.start) / taken
        return f"about {seconds / 60:.0f} min left" if seconds >= 60 else "under a minute left"

    def end(self):
        """Remove the bar."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class JsonProgress(Progress):
    """How a run reports to a program: one line of JSON on the error stream for each event."""

    def say(self, text):
        """Write a message."""
        self._write({"event": "message", "text": text})

    def begin(self, waiting, done, session):
        """Write how many jobs there are. Nothing is measured for an estimate; `--plan` gives one.

        Args:
            waiting: list of `Job`.
            done: number of jobs that are done already.
            session: `Session`, not used.
        """
        self._write({"event": "begun", "jobs": len(waiting), "done": done})

    def take(self, event):
        """Write that a job has begun or ended.

        Args:
            event: `Started` or `Finished`.
        """
        line = {"event": type(event).__name__.lower(), "job": event.job.key, "process": event.process}
        if not isinstance(event, Started):
            line |= {"seconds": round(event.seconds, 3), "error": event.error}
        self._write(line)

    def _write(self, values):
        if not self.quiet:
            click.echo(json.dumps(values, ensure_ascii=False), file=self.stream)


def _estimate(waiting, expected, gradient):
    if gradient is None:
        return ""
    seconds, passes = sum(expected.values()), sum(job.passes for job in waiting)
    of_default = sum(job.passes for job in waiting if job.of_default)
    beside = f", {of_default:,.0f} of them of {DEFAULT}," if of_default else ""
    work = f"; about {passes:,.0f} gradients{beside} and compiling"
    return f"{work}, roughly {seconds / 60:.0f} min" if seconds >= 60 else f"{work}, under a minute or so"
