"""Init: a recipe to start from."""

import pathlib

import click

from lab.refusal import Refused
from recipes.errors import plain_errors
from recipes.help import PlainCommand


@click.command(
    "init",
    cls=PlainCommand,
    examples=(
        ("lab init first.toml", "a recipe to start from"),
        ("lab init second.toml", "its name is that of the file"),
        ("lab init third_recipe.toml", "never over a file that exists"),
    ),
)
@click.argument("path", type=click.Path())
def command(path):
    """Write a commented RECIPE.toml to start from. An existing file is never overwritten."""
    from recipes import schema

    file = pathlib.Path(path)
    with plain_errors():
        if file.suffix != ".toml":
            raise Refused(f"A recipe is a .toml file. Received: {path!r}.")
        if file.exists():
            raise Refused(f"init only writes new files. Received: {path!r}, which exists.")
        template = (schema.HERE / "report" / "start.toml.txt").read_text(encoding="utf-8")
        try:
            file.write_text(template.replace("NAME", _recipe_name(file.stem)), encoding="utf-8")
        except OSError as error:
            raise Refused(f"The folder of a recipe must be writable. Received: {path!r}: {error.strerror}.") from error
    click.echo(file)


def _recipe_name(text):
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in text).strip("-_") or "my-recipe"
