"""Network: what all runs say about methods for one network."""

import click

from lab.remote import as_path
from recipes.errors import plain_errors, report_full_disk
from recipes.help import PlainCommand
from recipes.launch import print_json
from recipes.options import json_option
from recipes.words import count_noun


@click.command(
    "network",
    cls=PlainCommand,
    headings={"Output": ("out", "page", "as_json")},
    examples=(
        ("lab network", "the networks that runs are about"),
        ("lab network my.keras", "what is known about which method for this one"),
        ("lab network my.keras --json", "as JSON"),
    ),
)
@click.argument("model", required=False, type=click.Path())
@click.option(
    "--out", type=click.Path(), default="artifacts", show_default=True, help="Folder of all runs, or its address."
)
@click.option(
    "--page", type=click.Path(), help="Path of the page.  [default: network/HASH.html in the folder of all runs]"
)
@json_option
def command(model, out, page, as_json):
    """Say what is known about which method for a MODEL: a file, a model's name, or digits of a network's hash.

    The verdicts of all runs stand side by side, the newest first, with their data and the networks that they are about.
    Verdicts that contradict each other are shown as such. A file with other weights is another network.
    """
    from recipes import knowledge

    if model is None:
        _list(knowledge.list_networks, out, as_json)
        return
    with plain_errors(), report_full_disk():
        known = knowledge.describe_network(out, model)
        report = _write(known, page or as_path(out) / "network" / f"{known['network']}.html")
    if as_json:
        print_json({"error": None, **known, "report": report})
    else:
        click.echo("\n".join([*knowledge.as_lines(known), *([report] if report else [])]))


def _write(known, path):
    """Write the page: str, its path, or None where nothing is known."""
    from recipes.report.knowledge import write_network_page

    return str(write_network_page(known, path)) if known["cells"] else None


def _list(list_networks, out, as_json):
    with plain_errors():
        rows = list_networks(out)
    if as_json:
        print_json({"error": None, "networks": rows})
        return
    lines = [
        f"{row['network']}  {row['finished'][:10]}  {count_noun(row['runs'], 'run'):>9}  {', '.join(row['names'])}"
        for row in rows
    ]
    click.echo("\n".join(lines or [f"No run in {out} says which network it is about. Type: lab check --help"]))
