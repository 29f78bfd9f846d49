"""Commands: a file here or in recipes/sections/ with a function `command` is a command of `lab`, under the file's name
with hyphens.

Files are read for the names and summaries of all commands, and one is imported when its command is named.
"""

import ast
import functools
import importlib
import importlib.util
import pathlib
import pkgutil

import click

from lab.refusal import Refused
from recipes.errors import Group

PACKAGES = ("recipes.commands", "recipes.sections")


def find_commands():
    """The commands that there are, read from their files.

    Returns:
        dict of name to (module, help text), sorted by name.

    Raises:
        Refused: for two commands of one name.
    """
    commands = {}
    for package in PACKAGES:
        for path in _files(package):
            text, name = _help_text(path), path.stem.replace("_", "-")
            if text is not None and name in commands:
                raise Refused(f"Each command has a name of its own. Received: {name!r} twice. Rename one of the files.")
            if text is not None:
                commands[name] = (f"{package}.{path.stem}", text)
    return dict(sorted(commands.items()))


def _files(package):
    """The modules of a package, which is not imported for it: iterator of Path."""
    folders = importlib.util.find_spec(package).submodule_search_locations
    for module in pkgutil.iter_modules(folders):
        yield pathlib.Path(module.module_finder.path) / f"{module.name}.py"


def _help_text(path):
    """The docstring of a file's function `command`: str, or None where there is no such function."""
    return _docstring(path.read_text(encoding="utf-8"))


@functools.cache
def _docstring(source):
    if "\ndef command(" not in source:
        return None
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    return next(ast.get_docstring(node) or "" for node in functions if node.name == "command")


class Commands(Group):
    """The commands of the files, imported when they are named."""

    def list_commands(self, context):
        """Names of all commands: list of str."""
        return [*find_commands()]

    def get_command(self, context, name):
        """A command by its name.

        Args:
            context: `click.Context`, not used.
            name: str.

        Returns:
            `click.Command`, or None where there is none of that name.
        """
        module, _ = find_commands().get(name, (None, ""))
        return module and importlib.import_module(module).command

    def format_commands(self, context, formatter):
        """Write the names of the commands, each with a line on it.

        Args:
            context: `click.Context`, not used.
            formatter: `click.HelpFormatter` that is written to.
        """
        commands = find_commands()
        width = formatter.width - 6 - max(map(len, commands))
        rows = [
            (name, click.Command(name, help=text).get_short_help_str(width)) for name, (_, text) in commands.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
