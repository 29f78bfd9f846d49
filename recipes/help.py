"""Help: options under headings, three examples under every `--help`, and "Nearest:" for every misspelt word.

Nothing heavy is imported here, so that `lab --help` is quick.
"""

import click

from lab.registry import nearest

# Heading -> names of parameters that mean the same in every command, in the order in which the headings are shown.
HEADINGS = {
    "Model": ("source", "weights", "input_range", "classes", "model_size", "modules", "allow_code"),
    "Images": ("image", "images", "top_for", "labels", "only", "table", "levels"),
    "World": ("world", "samples", "replicates", "permuted_label_networks"),
    "Target": ("target", "output", "region", "contrast"),
    "Method": ("method", "method_options"),
    "Check": ("subject", "check_names", "mode", "seeds", "fooled", "detector", "others"),
    "Pictures": (
        "layer",
        "units",
        "all_layers",
        "layers",
        "steps",
        "size",
        "facets",
        "parameterization",
        "transforms",
        "animate",
    ),
    "Layout": ("side", "groups", "layout"),
    "Recipe": ("settings",),
    "Verdict": ("fail_on", "baseline"),
    "Output": ("out", "seed", "resume", "workers", "plan", "quiet", "as_json", "print_only", "follow", "kinds", "days"),
    "Other": ("deterministic", "version", "help"),
}
# Parameters that stand under another heading in one command.
SPECIAL = {("explain", "layer"): "Method"}

# What the tests run, and `--help` shows: name of a command, or "lab" -> (words, what it does).
EXAMPLES = {
    "lab": (
        ("lab explain photos/ --model my.keras --input-range -1 1", "maps over photographs"),
        (
            "lab check --images photos/ --model my.keras --input-range -1 1 --classes names.txt",
            "do maps respond to the weights?",
        ),
        (
            "lab gallery --layer conv2 --units 0-3 --steps 32 --model my.keras --input-range -1 1",
            "draw what units respond to",
        ),
    ),
    "list": (
        ("lab list layers --model my.keras", "layers of your own model"),
        ("lab list methods", "methods that explain"),
        ("lab list checks --json", "checks, as JSON"),
    ),
    "gallery": (
        ("lab gallery --layer conv2 --units 0-3 --steps 16 --model my.keras --input-range -1 1", "four units"),
        (
            "lab gallery --layer logits --units cat,cup --steps 16 --model my.keras --input-range -1 1 --classes names.txt",
            "two classes",
        ),
        (
            "lab gallery --layers 'conv*' --images photos/ --steps 16 --model my.keras --input-range -1 1",
            "whole layers, beside your own photographs",
        ),
    ),
    "explain": (
        ("lab explain photo.jpg --method gradcam --model my.keras --input-range -1 1", "one photograph"),
        (
            "lab explain photos/ --labels folders --only wrong --contrast --model my.keras --input-range -1 1 --classes names.txt",
            "mistakes: the predicted class against the true one",
        ),
        (
            "lab explain photos/ --method smoothgrad --option smoothgrad.samples=8 --target cat --model my.keras --input-range -1 1 --classes names.txt",
            "one class, with an option of the method",
        ),
    ),
    "atlas": (
        (
            "lab atlas --layer conv2 --image photo.jpg --steps 8 --model my.keras --input-range -1 1",
            "over one photograph",
        ),
        (
            "lab atlas --layer conv2 --side 4 --steps 8 --model my.keras --input-range -1 1",
            "over the photographs that come with the lab",
        ),
        (
            "lab atlas --layer conv1 --image photo.jpg --groups 2 --steps 8 --model my.keras --input-range -1 1",
            "two groups of neurons",
        ),
    ),
    "check": (
        (
            "lab check --images photos/ --method gradient,gradcam --model my.keras --input-range -1 1 --classes names.txt",
            "do maps respond to the weights?",
        ),
        (
            "lab check --images photos/ --method gradcam --check classes --model my.keras --input-range -1 1 --classes names.txt",
            "do maps differ between classes?",
        ),
        (
            "lab check --images photos/ --method gradient --seeds 2 --json --model my.keras --input-range -1 1 --classes names.txt",
            "as JSON",
        ),
    ),
    "compare": (
        ("lab compare before after", "the latest runs of two recipes"),
        ("lab compare before after --out changes.html", "on a page of your choice"),
        ("lab compare before after --json", "as JSON"),
    ),
    "run": (
        ("lab run before.toml", "a recipe of your own"),
        ("lab run after.toml --set explain.target=cat", "with another value"),
        ("lab run after.toml --fresh --json", "from the start, as JSON"),
    ),
    "gc": (
        ("lab gc", "what lies in artifacts/, by size and age"),
        ("lab gc --remove runs --older-than 30", "runs of more than a month ago"),
        ("lab gc --remove networks,surveys --json", "the caches, as JSON"),
    ),
    "show": (
        ("lab show before", "open the latest report of a recipe"),
        ("lab show before --print", "its path alone"),
        ("lab show after --follow", "what is running where, from another terminal"),
    ),
    "doctor": (
        ("lab doctor", "what can be used here"),
        ("lab doctor --json", "as JSON"),
        ("lab --deterministic doctor", "with options of `lab` itself before the command"),
    ),
    "init": (
        ("lab init first.toml", "a recipe to start from"),
        ("lab init second.toml", "its name is that of the file"),
        ("lab init third_recipe.toml", "never over a file that exists"),
    ),
}


def heading_of(command, parameter):
    """The heading that an option of a command stands under: str.

    Args:
        command: the command's name.
        parameter: the parameter's name in Python.

    Returns:
        str, a key of `HEADINGS` or "Other".
    """
    if (command, parameter) in SPECIAL:
        return SPECIAL[command, parameter]
    return next((heading for heading, names in HEADINGS.items() if parameter in names), "Other")


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


class PlainCommand(click.Command):
    """A command whose options stand under headings, with examples below them."""

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
        write_examples(self.name, formatter)


def write_options(command, ctx, formatter):
    """Write the options of a command under their headings.

    Args:
        command: `click.Command`.
        ctx: `click.Context`.
        formatter: `click.HelpFormatter` that is written to.
    """
    records = {heading: [] for heading in HEADINGS}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None and not isinstance(parameter, click.Argument):
            records[heading_of(ctx.info_name, parameter.name)].append(record)
    for heading, rows in records.items():
        if rows:
            with formatter.section(heading):
                formatter.write_dl(rows)


def write_examples(name, formatter):
    """Write the examples of a command, each below what it does.

    Args:
        name: str, the command's name, a key of `EXAMPLES`; other names have no examples.
        formatter: `click.HelpFormatter` that is written to.
    """
    if name not in EXAMPLES:
        return
    with formatter.section("Examples"):
        for words, purpose in EXAMPLES[name]:
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
