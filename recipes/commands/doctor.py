"""Doctor: what can be used on this machine."""

import dataclasses

import click

from recipes.errors import Failed, error_values, redirect_output
from recipes.help import PlainCommand
from recipes.launch import print_json
from recipes.options import json_option


@click.command(
    "doctor",
    cls=PlainCommand,
    headings={"Machine": ("with_tensorflow",)},
    examples=(
        ("lab doctor", "what can be used here"),
        ("lab doctor --tensorflow", "does TensorFlow compute here, and on which devices?"),
        ("lab --deterministic doctor --json", "as JSON, with options of `lab` itself before the command"),
    ),
)
@click.option(
    "--tensorflow",
    "with_tensorflow",
    is_flag=True,
    help="Import TensorFlow, which takes seconds: list its devices, and compute a gradient.",
)
@json_option
def command(with_tensorflow, as_json):
    """List versions, cores, memory and artifacts, and whether each part of the lab is installed here."""
    from recipes.doctor import findings

    with redirect_output():
        rows = findings(with_tensorflow)
    missing = [row.name for row in rows if row.state == "missing" and not row.optional]
    error = Failed(f"The lab needs parts that are missing: {', '.join(missing)}.") if missing else None
    if as_json:
        print_json({"error": error_values(error), "parts": [dataclasses.asdict(row) for row in rows]})
    else:
        click.echo("\n".join(f"{row.state:<8} {row.name:<22} {row.words}" for row in rows))
    if error is not None:
        error.is_printed = True
        raise error
