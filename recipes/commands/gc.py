"""Gc: what lies in the folder of runs, and the removal of what is asked for."""

import click

from recipes.errors import plain_errors, redirect_output
from recipes.help import PlainCommand
from recipes.launch import print_json
from recipes.options import json_option, split_names


@click.command(
    "gc",
    cls=PlainCommand,
    headings={"Storage": ("kinds", "days")},
    examples=(
        ("lab gc", "what lies in artifacts/, by size and age"),
        ("lab gc --remove runs --older-than 30", "runs of more than a month ago"),
        ("lab gc --remove networks,surveys --json", "the caches, as JSON"),
    ),
)
@click.option(
    "--out", type=click.Path(), default="artifacts", show_default=True, help="Folder of all runs, or its address."
)
@click.option(
    "--remove", "kinds", metavar="KINDS", help="What to remove: networks, surveys, runs, separated by commas."
)
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(0),
    default=0.0,
    metavar="DAYS",
    help="Remove only what was last written so long ago.",
)
@json_option
def command(out, kinds, days, as_json):
    """List runs, trained networks and surveys by size and age, and remove those that are asked for.

    Trained networks and surveys are computed again when a run needs them. A run that is being written is never removed.
    """
    from recipes import storage

    if days and not kinds:
        raise click.UsageError(
            f"--older-than narrows what --remove removes: add --remove. Received: --older-than {days:g}."
        )
    with plain_errors(), redirect_output():
        everything = storage.items(out)
        selected = storage.choose(everything, tuple(split_names(kinds or "")), days)
        removed = storage.remove(selected)
    if as_json:
        print_json({"error": None, "items": storage.as_values(everything), "removed": storage.as_values(removed)})
        return
    click.echo("\n".join(storage.as_lines(everything)))
    if kinds:
        megabytes = sum(item.bytes for item in removed) / 1e6
        click.echo(f"removed {len(removed)} of {len(selected)} selected, {megabytes:,.1f} MB")
