"""Progress: what a run says while it works: an estimate, then a bar with rate and remaining time, or plain lines."""

import contextlib
import sys
import time

import click
from tqdm import tqdm

# Seconds that compiling the first job of a kind takes at the least: a trace of even a small network.
COMPILING = 2.0


class Progress:
    """How a run talks to its user, on the error stream. quiet: not at all. A terminal gets a bar, anything else a line a job."""

    def __init__(self, quiet=False, stream=None):
        self.stream = stream or sys.stderr
        self.quiet = quiet
        self.bar = None
        self.expected, self.compiled, self.done, self.began = {}, set(), 0.0, 0.0

    def say(self, text):
        """One line, above the bar if there is one."""
        if self.quiet:
            return
        if self.bar is not None:
            self.bar.write(text, file=self.stream)
        else:
            click.echo(text, file=self.stream)

    def begin(self, waiting, done, session):
        """Say what there is to do and about how long it will take, compiling included."""
        self.began, self.done, self.compiled = time.perf_counter(), 0.0, set()
        if self.quiet or not waiting:
            self.expected = {}
            return
        gradient, compiling = _measured(sum(job.passes for job in waiting), session)
        self.expected = _expected(waiting, gradient, compiling)
        # What was measured is no part of the work.
        self.began = time.perf_counter()
        self.say(f"{len(waiting)} jobs to do, {done} done before{_estimate(waiting, self.expected, gradient)}")
        if self.stream.isatty():
            self.bar = tqdm(total=len(waiting), unit="job", file=self.stream, dynamic_ncols=True)

    @contextlib.contextmanager
    def doing(self, job):
        """While a job runs."""
        start = time.perf_counter()
        if self.bar is not None:
            first = job.kind not in self.compiled
            self.bar.set_description(f"{job.key}{' (compiling)' if first else ''}")
        self.compiled.add(job.kind)
        yield
        self.done += self.expected.get(job.key, 0.0)
        if self.bar is not None:
            self.bar.update()
            self.bar.set_postfix_str(self._left())
        else:
            self.say(f"{job.key}  {time.perf_counter() - start:.1f} s  {self._left()}".rstrip())

    def _left(self):
        """About how long the rest will take: what was expected of it, times how far off expectation has been so far."""
        rest = sum(self.expected.values()) - self.done
        if not self.done or rest <= 0:
            return ""
        seconds = rest * (time.perf_counter() - self.began) / self.done
        return f"about {seconds / 60:.0f} min left" if seconds >= 60 else ""

    def end(self):
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def _measured(passes, session):
    """Seconds of one sample's gradient and of compiling it: float, float; the first is None where it is not worth measuring."""
    if passes < 200 or session.recipe.world or session.network.size is None or len(session.network.places()) > 1:
        return None, COMPILING
    gradient, compiling = session.seconds_per_gradient()
    return gradient, max(COMPILING, compiling)


def _expected(waiting, gradient, compiling):
    """Seconds, or in a world parts of the whole, that each job is expected to take: dict of key to float."""
    seen, expected = set(), {}
    for job in waiting:
        # A method, a layer or a check is compiled once: the first job of its folder pays.
        family = (job.kind, job.key.rpartition("/")[0] if job.kind == "pictures" else job.key)
        expected[job.key] = job.passes * (gradient or 0.002) + (0.0 if family in seen else compiling) + 0.05
        seen.add(family)
    return expected


def _estimate(waiting, expected, gradient):
    if gradient is None:
        return ""
    seconds, passes = sum(expected.values()), sum(job.passes for job in waiting)
    about = f"; about {passes:,.0f} gradients and compiling"
    return f"{about}, roughly {seconds / 60:.0f} min" if seconds >= 60 else f"{about}, under a minute or so"
