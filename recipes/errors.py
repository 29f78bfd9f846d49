"""Errors: every failure is one line on the error stream, with an exit code that tells its kind.

0: done. 1: a verdict fell short of the gate. 2: bad input, nothing was written. 3: a job or the lab itself failed, and
finished jobs are kept. 130 and 143: stopped by Ctrl-C and by SIGTERM.
"""

import contextlib
import json
import os
import re
import signal
import sys
import traceback
import warnings

import click

from lab.refusal import Refused, describe
from recipes import help, signals

STOPPED = {signal.SIGINT: 130, signal.SIGTERM: 143}
# Former names of options, which work for one release.
FORMER_OPTIONS = {"--twins": "--replicates", "--misled": "--permuted-label-networks"}


class Failed(click.ClickException):
    """Some jobs failed; the others are kept."""

    exit_code = 3


class Gated(click.ClickException):
    """A verdict fell short of the gate."""

    exit_code = 1


class Interrupted(click.ClickException):
    """The command was stopped by a signal."""

    def __init__(self, message):
        super().__init__(message)
        self.exit_code = STOPPED[signals.last_signal() or signal.SIGINT]

    def show(self, file=None):
        """Say so on the error stream."""
        click.echo(self.format_message(), err=True)


class Group(click.Group):
    """Commands that end in one line and an exit code, also when they are interrupted or meet an unexpected error.

    With --json, the error is printed as JSON on standard output too.

    Args:
        settings: as of `click.Group`.
        examples: (words, what they do) of each, which the tests run.
    """

    headings = {}

    def __init__(self, *settings, examples=(), **named_settings):
        super().__init__(*settings, **named_settings)
        self.examples = examples

    def main(self, args=None, **settings):
        """Run the command of the process, or of a list of words.

        Args:
            args: list of str; None: the words of the process.
            settings: as of `click.Group.main`, such as `standalone_mode`.

        Returns:
            what the command returns, where `standalone_mode` is off; else the process ends.
        """
        words = sys.argv[1:] if args is None else list(args)
        if "--json" not in words or not settings.get("standalone_mode", True):
            return super().main(args, **settings)
        try:
            code = super().main(args, **{**settings, "standalone_mode": False})
        except click.ClickException as error:
            _print_error(error)
            sys.exit(error.exit_code)
        sys.exit(code if isinstance(code, int) else 0)

    def parse_args(self, context, args):
        """Read the command's words. Options by their former names are accepted with a warning.

        Args:
            context: `click.Context`.
            args: list of str, the words after the command.

        Returns:
            list of str, the words that are left for a subcommand.

        Raises:
            click.UsageError: for an option that does not exist; the nearest is named.
        """
        try:
            return super().parse_args(context, [_current_option(word) for word in args])
        except click.NoSuchOption as error:
            raise help.unknown_option(error, self, context) from error

    def resolve_command(self, context, args):
        """The command that was named; a misspelt one is answered with the nearest.

        Args:
            context: `click.Context`.
            args: list of str, the subcommand's name first.

        Returns:
            (name, `click.Command`, the other words).

        Raises:
            click.UsageError: for a subcommand that does not exist; the nearest is named.
        """
        try:
            return super().resolve_command(context, args)
        except click.UsageError as error:
            if self.get_command(context, args[0]) is None and not args[0].startswith("-"):
                raise help.unknown_command(args[0], self, context) from error
            raise

    def format_options(self, context, formatter):
        """Write the options under their headings, then the commands.

        Args:
            context: `click.Context`.
            formatter: `click.HelpFormatter` that is written to.
        """
        help.write_options(self, context, formatter)
        self.format_commands(context, formatter)

    def format_epilog(self, context, formatter):
        """Write the examples.

        Args:
            context: `click.Context`.
            formatter: `click.HelpFormatter` that is written to.
        """
        help.write_examples(self, formatter)

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


def _print_error(error):
    """Print an error as JSON, unless the printed result holds it already, and in words on the error stream."""
    if not getattr(error, "is_printed", False):
        click.echo(json.dumps({"error": error_values(error)}, indent=1))
    error.show()


def error_values(error):
    """An error as plain values.

    Args:
        error: ClickException, or None.

    Returns:
        dict of code and message, or None.
    """
    return None if error is None else {"code": error.exit_code, "message": error.format_message()}


def _stop(state):
    raise Interrupted(f"Stopped{state}.")


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
    "label": "--label COLUMN",
    "group": "--group COLUMN",
    "columns": "--columns NAMES",
    "vocabulary": "--vocabulary FILE",
    "tokenizer": "--tokenizer FILE",
    "most": "--most N",
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
