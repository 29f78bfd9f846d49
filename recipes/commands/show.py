"""Show: the report of a run, in a browser."""

import sys

import click

from lab.remote import is_remote
from recipes.artifacts import find_file, find_report
from recipes.errors import plain_errors
from recipes.help import PlainCommand


@click.command(
    "show",
    cls=PlainCommand,
    examples=(
        ("lab show before", "open the latest report of a recipe"),
        ("lab show before --print", "its path alone"),
        ("lab show after --follow", "what is running where, from another terminal"),
    ),
)
@click.argument("run_folder", metavar="RUN", type=click.Path())
@click.option("--print", "print_only", is_flag=True, help="Print the path and open nothing.")
@click.option("--follow", is_flag=True, help="Say what is running where, until the run has ended.")
def command(run_folder, print_only, follow):
    """Open the report of a RUN, or follow it while it is running.

    A RUN is a folder, a digest or the beginning of one, or the name of a recipe for its latest run. Of a folder at an address
    such as s3://bucket/runs/mine/0123 the path is printed alone.
    """
    if follow:
        _follow(run_folder)
        return
    with plain_errors():
        report = find_report(run_folder)
    click.echo(report)
    if not print_only and sys.stdout.isatty() and not is_remote(report):
        click.launch(str(report))


def _follow(run_folder):
    with plain_errors():
        from recipes.follow import follow

        follow(find_file(run_folder, "manifest.json").parent, click.echo)
