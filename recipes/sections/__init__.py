"""Sections: the nouns of a run, one file each, found by being there.

A file holds a table of the recipe, its jobs and their work, its pieces of the page, its printed lines, and mostly a command:
a function `command` under `@click.command`. All files are imported by every command, so that what is heavy waits inside
functions, or in other modules behind a `Deferred`.
"""

import importlib
import pkgutil

from lab.refusal import Refused
from lab.registry import Registry

sections = Registry("section")


def register(section):
    """Add a section.

    Args:
        section: `recipes.section.Section`.

    Raises:
        Refused: for a name that is taken, and for a kind of job of another section.
    """
    for other in map(sections.get, sections):
        shared = sorted(set(section.work) & set(other.work))
        if shared and other.name != section.name:
            raise Refused(
                f"A kind of job belongs to one section. Received: {shared[0]!r} in {other.name} and in {section.name}. Rename one of them."
            )
    sections.register(section, name=section.name)


def in_order():
    """All sections in the order of their tables in a recipe: list of `recipes.section.Section`."""
    return sorted(map(sections.get, sections), key=lambda section: (section.place, section.name))


def in_story_order():
    """All sections in the order in which the page of a run tells of them: list of `recipes.section.Section`."""
    return sorted(in_order(), key=lambda section: min((piece.place for piece in section.pieces), default=100))


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"recipes.sections.{_module.name}")
