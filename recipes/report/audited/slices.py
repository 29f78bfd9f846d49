"""Slices: the error inside each group of rows beside that elsewhere, as intervals."""

from recipes.report.figures import draw_intervals

TABLE, WHERE = "Groups of rows with more errors", "group"
# Groups that are drawn.
MOST = 6


def figures(evidence):
    """Pictures of the groups that stand out.

    Args:
        evidence: `sanity.evidence.Evidence` of `slices`.

    Returns:
        list of (title, SVG text), empty where no group stands out.
    """
    return draw_errors(evidence, TABLE, WHERE)


def draw_errors(evidence, table, where):
    """The error inside groups beside that elsewhere.

    Args:
        evidence: `sanity.evidence.Evidence`.
        table: str, the title of the table that lists the groups.
        where: str, what a group is called.

    Returns:
        list of (title, SVG text).
    """
    rows, lines, meanings = evidence.settings.get("tables", {}).get(table, [])[:MOST], [], {}
    for number, row in enumerate(rows, 1):
        inside, outside = f"{where} {number}", f"outside {number}"
        lines.append((inside, row["error"], row["error low"], row["error high"]))
        lines.append((outside, row["elsewhere"], row["elsewhere low"], row["elsewhere high"]))
        meanings |= {inside: row["name"], outside: f"not {row['name']}"}
    if not lines:
        return []
    names = "; ".join(f"{number}: {row['name']}" for number, row in enumerate(rows, 1))
    return [(f"Errors on the rows that were searched. {names}", draw_intervals(lines, "error", meanings))]
