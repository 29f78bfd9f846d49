"""Templates: the HTML of this package, filled in by Jinja. Nothing heavy is imported here."""

import functools

import jinja2
import markupsafe


def template(name="page.html"):
    """A template of this package. Everything that is put into it is escaped."""
    return environment().get_template(name)


@functools.cache
def environment():
    """The environment of all templates: `jinja2.Environment`."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("recipes.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["breakable"] = breakable
    return environment


def breakable(name):
    """A name of code that may wrap after an underscore or a dot and nowhere else.

    Returns:
        `markupsafe.Markup`, with the name escaped.
    """
    escaped = str(markupsafe.escape(name))
    return markupsafe.Markup(escaped.replace("_", "_<wbr>").replace(".", ".<wbr>"))
