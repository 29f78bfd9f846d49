"""Init-sheet: a sheet of a table to fill in: its columns with what their cells are, and no role that is guessed."""

import json
import pathlib

import click

from lab.refusal import Refused
from recipes.errors import plain_errors
from recipes.help import PlainCommand


@click.command(
    "init-sheet",
    cls=PlainCommand,
    headings={"Output": ("out",)},
    examples=(
        ("lab init-sheet train.csv", "writes train.toml beside it"),
        ("lab init-sheet train.csv --out filled-in.toml", "under another name"),
        ("lab init-sheet march.csv", "never over a file that exists"),
    ),
)
@click.argument("path", type=click.Path())
@click.option("--out", type=click.Path(), help="File to write.  [default: the name of the table, with .toml]")
def command(path, out):
    """Write a commented sheet of a CSV table to fill in for `lab audit`. Roles are left empty: nothing is guessed."""
    with plain_errors():
        file = pathlib.Path(out) if out else pathlib.Path(path).with_suffix(".toml")
        if file.exists():
            raise Refused(f"init-sheet only writes new files. Received: {str(file)!r}, which exists. Give --out FILE.")
        from sanity.audit.frames import read_frame
        from sanity.audit.profile import profile_columns
        from sanity.audit.sheet import ROLES, Sheet

        rows = profile_columns(read_frame(path, Sheet()))
        try:
            file.write_text(_sheet_text(pathlib.Path(path).name, rows, ROLES), encoding="utf-8")
        except OSError as error:
            raise Refused(
                f"The folder of a sheet must be writable. Received: {str(file)!r}: {error.strerror}."
            ) from error
    click.echo(file)


HEADER = """\
# What an audit has to know of the columns of {name}. Fill in roles; nothing is guessed in their place.
# Roles: {roles}.
#   input       what the network takes. Where no column has this role: all numbers without a role, in the order of the file.
#   label       the true class or number. Text needs levels = [...] in the order of the network's classes.
#   unit        whom a row belongs to, such as a person or a day: rows of one unit are never split.
#   time        a number or a date. id: a name of a row; it is not looked at.
#   legitimate  a reason that may decide. protected: read for questions about groups. immutable: nobody can change it.
# Other keys: levels = ["a", "b"], encoding = "one-hot", fill = VALUE, factor = "NAME", actionable = "up", "down" or "any",
#   counterpart_of = "COLUMN" for the edited text or photograph of each row, as of the other group of a protected column.
title = ""
# Audits a year: the level of each is .05 divided by it.
looks = 1
# true: no two rows belong together, and none is a copy of another.
rows_are_units = false

# How scores become decisions, where they do:
# [decision]
# favourable = "CLASS"
# threshold = 0.5
# What the two errors cost, in any unit: a favourable decision where the label is not, and the other way round.
# false_positive_cost = 1
# false_negative_cost = 5
"""


def _sheet_text(name, rows, roles):
    parts = [HEADER.format(name=name, roles=", ".join(roles))]
    for row in rows:
        words = f"# {row['missing']:.1%} missing, {row['distinct']:,} distinct values"
        parts.append(f"\n{words}{row['remark']}\n[columns.{json.dumps(row['name'], ensure_ascii=False)}]\n")
        parts.append(f'kind = "{row["kind"]}"\nroles = []\n')
    return "".join(parts)
