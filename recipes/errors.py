"""Errors: what goes wrong, told on the command line in one line, with the exit code that says what kind it was.

0 done; 1 a written verdict fell short of the gate that was asked for; 2 bad input, nothing written; 3 a job or the lab itself
failed, what was finished is kept; 130 and 143 stopped by Ctrl-C and by SIGTERM.
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
# Options by their former names, for one release.
FORMER_OPTIONS = {"--twins": "--replicates", "--misled": "--permuted-label-networks"}


class Failed(click.ClickException):
    """Some jobs failed; the others are kept."""

    exit_code = 3


class Gated(click.ClickException):
    """A verdict fell short of the gate that was asked for."""

    exit_code = 1


class Group(click.Group):
    """Commands whose every end has its own words and exit code: an interruption, and what nobody expected."""

    def parse_args(self, context, args):
        """Read the command's words, options by their former names among them."""
        return super().parse_args(context, [_renamed(word) for word in args])

    def invoke(self, context):
        """Run the command that was named."""
        with signals.heard(), _plain_warnings():
            try:
                return super().invoke(context)
            except KeyboardInterrupt as error:
                _stop(
                    f": {error}. Give the same command again to go on"
                    if str(error)
                    else ", before anything was written"
                )
            except (click.ClickException, click.exceptions.Exit, click.Abort):
                raise
            except Exception as error:
                if signals.arrived():
                    _stop("; what was finished is kept")
                # Exit code 1 belongs to verdicts: whatever nobody has thought of ends with 3, in one line.
                if os.environ.get("LAB_TRACEBACK"):
                    traceback.print_exc()
                raise Failed(
                    f"The lab itself failed: {describe(error)}. What was finished is kept; LAB_TRACEBACK=1 shows where."
                ) from error


def _renamed(word):
    name, equals, value = word.partition("=")
    if name not in FORMER_OPTIONS:
        return word
    click.echo(f"Warning: {name} is now called {FORMER_OPTIONS[name]}.", err=True)
    return FORMER_OPTIONS[name] + equals + value


def _stop(kept):
    click.echo(f"Stopped{kept}.", err=True)
    sys.exit(STOPPED[signals.arrived() or signal.SIGINT])


@contextlib.contextmanager
def _plain_warnings():
    """While open, a warning of the lab's is one line on the error stream, without the place in the code that nobody asked for."""

    def show(message, category, filename, lineno, file=None, line=None):
        click.echo(f"Warning: {as_options(' '.join(str(message).split()))}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.filterwarnings("default", ".* is now called ", DeprecationWarning)
        warnings.showwarning = show
        yield


@contextlib.contextmanager
def plain_errors():
    """What the lab refuses as one line and exit code 2, in the words of the command."""
    try:
        yield
    except Refused as error:
        raise click.UsageError(as_options(" ".join(str(error).split()))) from error


@contextlib.contextmanager
def own_output():
    """While open, what methods, libraries and their processes write to standard output, past Python too, goes to the error stream."""
    if sys.__stdout__ is None or sys.__stderr__ is None:
        # The process was started without them, and their numbers may be those of other files.
        yield
        return
    kept = os.dup(1)
    try:
        sys.__stdout__.flush()
        os.dup2(2, 1)
        yield
    finally:
        sys.__stdout__.flush()
        os.dup2(kept, 1)
        os.close(kept)


@contextlib.contextmanager
def full_disk():
    """An OSError while a run writes, a full disk above all, as one line and exit code 3: what was finished stays."""
    try:
        yield
    except OSError as error:
        raise Failed(
            f"The run could not be written: {error}. What was finished is kept: run it again to go on."
        ) from error


# Arguments of Python by the options that say the same on the command line; None: there is none.
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
    """An error's words as the command line has them: its options in the place of Python's arguments: str."""
    text = text.replace("--allow-code (allow_code=True)", "--allow-code").replace(
        " (modules= needs allow_code=True)", ""
    )
    text = re.sub(
        r"no preprocess= and no input_range=: give one of them to lab\.load", "no --input-range LOW HIGH", text
    )
    text = re.sub(r"(?:preprocess= or input_range=|input_range= or preprocess=)", "input_range=", text)
    text = re.sub(r"\blab\.load\(\.\.\., (\w+=)[^)]*\)", r"\1", text)
    text = re.sub(r"\b(" + "|".join(_OPTIONS) + r")=(?![\w\"'\[(])", lambda match: _OPTIONS[match[1]], text)
    return text.replace(" to lab.load", "")
