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
        self.total, self.made, self.began = 0, 0, 0.0

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
        self.total, self.made, self.began = sum(job.passes for job in waiting), 0, time.perf_counter()
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
        self.made += job.passes
        if self.bar is not None:
            self.bar.update()
            self.bar.set_postfix_str(self._left())
        else:
            self.say(f"{job.key}  {time.perf_counter() - start:.1f} s  {self._left()}".rstrip())

    def _left(self):
        """About how long the rest will take, by the gradients it counts; nothing where that is no minute or not known yet."""
        if not self.made:
            return ""
        seconds = (time.perf_counter() - self.began) * (self.total - self.made) / self.made
        return f"about {seconds / 60:.0f} min left" if seconds >= 60 else ""

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
