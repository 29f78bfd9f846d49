"""Errors: every failure is one line on the error stream, with an exit code that tells its kind.

0: done. 1: a verdict fell short of the gate. 2: bad input, nothing was written. 3: a job or the lab itself failed, and
finished jobs are kept. 130 and 143: stopped by Ctrl-C and by SIGTERM.
"""

import contextlib
import os
import re
import signal
import sys
import traceback
import warnings

import click

from lab.refusal import Refused, describe
from recipes import signals

STOPPED = {signal.SIGINT: 130, signal.SIGTERM: 143}
# Former names of options, which work for one release.
FORMER_OPTIONS = {"--twins": "--replicates", "--misled": "--permuted-label-networks"}


class Failed(click.ClickException):
    """Some jobs failed; the others are kept."""

    exit_code = 3


class Gated(click.ClickException):
    """A verdict fell short of the gate."""

    exit_code = 1


class Group(click.Group):
    """Commands that end in one line and an exit code, also when they are interrupted or meet an unexpected error."""

    def parse_args(self, context, args):
        """Read the command's words. Options by their former names are accepted with a warning."""
        return super().parse_args(context, [_current_option(word) for word in args])

    def invoke(self, context):
        """Run the command that was named."""
        with signals.handle_signals(), _plain_warnings():
            try:
                return super().invoke(context)
            except KeyboardInterrupt as error:
                state = (
                    f": {error}. Give the same command again to go on"
                    if str(error)
                    else ", before anything was written"
                )
                _stop(state)
            except (click.ClickException, click.exceptions.Exit, click.Abort):
                raise
            except Exception as error:
                if signals.last_signal():
                    _stop("; finished jobs are kept")
                # Exit code 1 belongs to verdicts: an unexpected error ends with 3, in one line.
                if os.environ.get("LAB_TRACEBACK"):
                    traceback.print_exc()
                raise Failed(
                    f"The lab itself failed: {describe(error)}. Finished jobs are kept; LAB_TRACEBACK=1 prints the traceback."
                ) from error


def _current_option(word):
    name, equals, value = word.partition("=")
    if name not in FORMER_OPTIONS:
        return word
    click.echo(f"Warning: {name} is now called {FORMER_OPTIONS[name]}.", err=True)
    return FORMER_OPTIONS[name] + equals + value


def _stop(state):
    click.echo(f"Stopped{state}.", err=True)
    sys.exit(STOPPED[signals.last_signal() or signal.SIGINT])


@contextlib.contextmanager
def _plain_warnings():
    """While open, a warning is one line on the error stream, without its place in the code."""

    def show(message, category, filename, lineno, file=None, line=None):
        click.echo(f"Warning: {as_options(' '.join(str(message).split()))}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.filterwarnings("default", ".* is now called ", DeprecationWarning)
        warnings.showwarning = show
        yield


@contextlib.contextmanager
def plain_errors():
    """Turn what the lab refuses into one line and exit code 2, in the words of the command."""
    try:
        yield
    except Refused as error:
        raise click.UsageError(as_options(" ".join(str(error).split()))) from error


@contextlib.contextmanager
def redirect_output():
    """While open, standard output goes to the error stream: what methods, libraries and their processes print."""
    if sys.__stdout__ is None or sys.__stderr__ is None:
        # The process was started without them, and their file numbers may belong to other files.
        yield
        return
    standard_output = os.dup(1)
    try:
        sys.__stdout__.flush()
        os.dup2(2, 1)
        yield
    finally:
        sys.__stdout__.flush()
        os.dup2(standard_output, 1)
        os.close(standard_output)


@contextlib.contextmanager
def report_full_disk():
    """Turn an OSError while a run writes, such as a full disk, into one line and exit code 3."""
    try:
        yield
    except OSError as error:
        raise Failed(
            f"The run could not be written: {error}. Finished jobs are kept: run it again to go on."
        ) from error


# Arguments of Python functions, and the options of the command line in their place.
_OPTIONS = {
    "input_range": "--input-range LOW HIGH",
    "classes": "--classes FILE",
    "size": "--model-size",
    "output": "--output",
    "region": "--region",
    "layer": "--layer",
    "levels": "--levels",
    "table": "--table FILE",
    "modules": "--import",
    "weights": "--weights",
    "method": "--method",
}


def as_options(text):
    """An error's text with options of the command line in the place of Python's arguments: str."""
    text = text.replace("--allow-code (allow_code=True)", "--allow-code").replace(
        " (modules= needs allow_code=True)", ""
    )
    text = re.sub(
        r"no preprocess= and no input_range=: give one of them to lab\.load", "no --input-range LOW HIGH", text
    )
    text = re.sub(r"(?:preprocess= or input_range=|input_range= or preprocess=)", "input_range=", text)
    text = re.sub(r"\b(labels|only)=(folders|none|wrong|right)\b", r"--\1 \2", text)
    text = text.replace("contrast=True", "--contrast")
    text = re.sub(r"\blab\.load\(\.\.\., (\w+=)[^)]*\)", r"\1", text)
    text = re.sub(r"\b(" + "|".join(_OPTIONS) + r")=(?![\w\"'\[(])", lambda match: _OPTIONS[match[1]], text)
    return text.replace(" to lab.load", "")
