"""Help: options under headings, three examples under every `--help`, and "Nearest:" for every misspelt word.

Nothing heavy is imported here, so that `lab --help` is quick.
"""

import click

from lab.registry import nearest

# Heading -> names of parameters that several commands share, in the order in which the headings are shown. A heading that a
# command brings itself stands before "Verdict".
HEADINGS = {
    "Model": (
        "source",
        "function",
        "timeout",
        "weights",
        "input_range",
        "classes",
        "model_size",
        "modules",
        "allow_code",
    ),
    "Images": ("images", "levels"),
    "Data": (),
    "World": (),
    "Target": ("target", "output", "region"),
    "Method": ("method",),
    "Check": (),
    "Pictures": ("layer", "units", "steps", "parameterization", "transforms"),
    "Verdict": ("fail_on", "baseline"),
    "Output": ("out", "seed", "resume", "plan", "quiet", "as_json", "print_only", "follow"),
    "Engine": ("workers", "engine_name", "address"),
    "Other": ("deterministic", "version", "help"),
}


def heading_of(command, parameter):
    """The heading that an option of a command stands under: str.

    Args:
        command: `click.Command`, with `headings` of its own or without.
        parameter: the parameter's name in Python.

    Returns:
        str, a heading of the command, a key of `HEADINGS`, or "Other".
    """
    pairs = [*command.headings.items(), *HEADINGS.items()]
    return next((heading for heading, names in pairs if parameter in names), "Other")


def _headings(command):
    """The headings of a command in their order: list of str."""
    shared = list(HEADINGS)
    place = shared.index("Verdict")
    return [*shared[:place], *(heading for heading in command.headings if heading not in HEADINGS), *shared[place:]]


class Choice(click.Choice):
    """One of some words. A misspelt one is answered with the nearest."""

    def convert(self, value, param, ctx):
        """The word, if it is one of the choices.

        Args:
            value: str, the word.
            param: `click.Parameter` that takes it.
            ctx: `click.Context`, or None.

        Returns:
            str.

        Raises:
            click.UsageError: for another word; the nearest is named.
        """
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            name = param.opts[-1] if isinstance(param, click.Option) else param.metavar
            raise click.UsageError(
                f"{name} is one of {', '.join(self.choices)}. Received: {value!r}. {nearest(value, self.choices)}", ctx
            ) from error


# Options that hold several names, separated by commas. Of a repeated option the last one alone would count.
LISTS = ("--check", "--method", "--units", "--columns", "--others")


def refuse_repeated(words):
    """Raise UsageError where an option that holds a list of names is typed twice.

    Args:
        words: list of str, the words after a command.
    """
    typed = [word.partition("=")[0] for word in words]
    for option in LISTS:
        if typed.count(option) > 1:
            raise click.UsageError(
                f"{option} is given once, with its names separated by commas. Received: {typed.count(option)} times."
            )


class PlainCommand(click.Command):
    """A command whose options stand under headings, with examples below them.

    Args:
        settings: as of `click.Command`.
        examples: (words, what they do) of each, which the tests run.
        headings: dict of heading to names of the command's own parameters under it.
    """

    def __init__(self, *settings, examples=(), headings=None, **named_settings):
        super().__init__(*settings, **named_settings)
        self.examples, self.headings = examples, headings or {}

    def parse_args(self, ctx, args):
        """Read the command's words; an option that it does not have is answered with the nearest.

        Args:
            ctx: `click.Context`.
            args: list of str, the words after the command.

        Returns:
            list of str, the words that are left.

        Raises:
            click.UsageError: for an option that does not exist; the nearest is named.
        """
        refuse_repeated(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise unknown_option(error, self, ctx) from error

    def format_options(self, ctx, formatter):
        """Write the options, each under its heading.

        Args:
            ctx: `click.Context`.
            formatter: `click.HelpFormatter` that is written to.
        """
        write_options(self, ctx, formatter)

    def format_epilog(self, ctx, formatter):
        """Write the examples.

        Args:
            ctx: `click.Context`.
            formatter: `click.HelpFormatter` that is written to.
        """
        super().format_epilog(ctx, formatter)
        write_examples(self, formatter)


def write_options(command, ctx, formatter):
    """Write the options of a command under their headings.

    Args:
        command: `click.Command`.
        ctx: `click.Context`.
        formatter: `click.HelpFormatter` that is written to.
    """
    records = {heading: [] for heading in _headings(command)}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None and not isinstance(parameter, click.Argument):
            records[heading_of(command, parameter.name)].append(record)
    for heading, rows in records.items():
        if rows:
            with formatter.section(heading):
                formatter.write_dl(rows)


def write_examples(command, formatter):
    """Write the examples of a command, each below what it does.

    Args:
        command: `click.Command`, with `examples`.
        formatter: `click.HelpFormatter` that is written to.
    """
    if not command.examples:
        return
    with formatter.section("Examples"):
        for words, purpose in command.examples:
            formatter.write(f"{'':>{formatter.current_indent}}# {purpose}\n{'':>{formatter.current_indent}}{words}\n")


def unknown_command(name, group, ctx):
    """The error for a command that does not exist: UsageError.

    Args:
        name: str, the name that was typed.
        group: `click.Group` whose commands are known.
        ctx: `click.Context`.

    Returns:
        `click.UsageError`, which names the nearest commands.
    """
    return _unknown("command", name, group.list_commands(ctx), ctx)


def unknown_option(error, command, ctx):
    """The error for an option that a command does not have: UsageError.

    Args:
        error: `click.NoSuchOption`.
        command: `click.Command` whose options are known.
        ctx: `click.Context`.

    Returns:
        `click.UsageError`, which names the nearest options.
    """
    return _unknown("option", error.option_name, _option_names(command, ctx), ctx)


def _unknown(noun, name, names, ctx):
    return click.UsageError(f"Unknown {noun}. Received: {name!r}. {nearest(name, names)}", ctx)


def _option_names(command, ctx):
    return [name for parameter in command.get_params(ctx) for name in parameter.opts if name.startswith("--")]
