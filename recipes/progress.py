"""Progress: what a run says while it works: an estimate, then a bar with rate and remaining time, or plain lines."""

import contextlib
import sys
import time

import click
from tqdm import tqdm


class Progress:
    """How a run talks to its user, on the error stream. quiet: not at all. A terminal gets a bar, anything else a line a job."""

    def __init__(self, quiet=False, stream=None):
        self.stream = stream or sys.stderr
        self.quiet = quiet
        self.bar = None
        self.total = 0

    def say(self, text):
        """One line, above the bar if there is one."""
        if self.quiet:
            return
        if self.bar is not None:
            self.bar.write(text, file=self.stream)
        else:
            click.echo(text, file=self.stream)

    def begin(self, waiting, done, workshop):
        """Say what there is to do and about how long it will take."""
        self.total = sum(job.passes for job in waiting)
        if self.quiet or not waiting:
            return
        self.say(f"{len(waiting)} jobs to do, {done} done before{_estimate(self.total, workshop)}")
        if self.stream.isatty():
            self.bar = tqdm(total=len(waiting), unit="job", file=self.stream, dynamic_ncols=True)

    @contextlib.contextmanager
    def doing(self, job):
        """While a job runs."""
        start = time.perf_counter()
        if self.bar is not None:
            self.bar.set_description(job.key)
        yield
        if self.bar is not None:
            self.bar.update()
        else:
            self.say(f"{job.key}  {time.perf_counter() - start:.1f} s")

    def end(self):
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def _estimate(passes, workshop):
    if passes < 200 or workshop.recipe.world or workshop.network.size is None:
        return ""
    seconds = passes * workshop.seconds_per_gradient()
    return (
        f"; about {passes:,.0f} gradients, roughly {seconds / 60:.0f} min"
        if seconds >= 60
        else f"; about {passes:,.0f} gradients, under a minute or so"
    )
