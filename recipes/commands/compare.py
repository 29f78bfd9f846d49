"""Compare: two runs side by side."""

import click

from lab.remote import as_path
from recipes.artifacts import find_report
from recipes.errors import plain_errors, redirect_output, report_full_disk
from recipes.help import PlainCommand
from recipes.launch import print_json
from recipes.options import json_option


@click.command(
    "compare",
    cls=PlainCommand,
    examples=(
        ("lab compare before after", "the latest runs of two recipes"),
        ("lab compare before after --out changes.html", "on a page of your choice"),
        ("lab compare before after --json", "as JSON"),
    ),
)
@click.argument("first", metavar="RUN", type=click.Path())
@click.argument("second", metavar="RUN", type=click.Path())
@click.option(
    "--out", type=click.Path(), help="Path of the page.  [default: compare.html in the folder of the second run]"
)
@json_option
def command(first, second, out, as_json):
    """Compare two RUNs, of two networks or two checkpoints: settings, jobs, verdicts, maps and units."""
    from recipes.report.comparison import as_values, compare_runs, write_comparison

    with plain_errors(), report_full_disk(), redirect_output():
        folders = [find_report(run_folder).parent for run_folder in (first, second)]
        comparison = compare_runs(*folders)
        page = write_comparison(comparison, as_path(out) if out else folders[1] / "compare.html")
    if as_json:
        print_json({"error": None, **as_values(comparison), "report": str(page)})
    else:
        click.echo(page)
