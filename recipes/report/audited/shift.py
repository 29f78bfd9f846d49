"""Figures of shift: the distance of each column with its bounds and margin, and windows of time."""

from recipes.report.figures import draw_intervals

# Columns that are drawn.
MOST = 20
COLUMNS, WINDOWS = "Columns that differ most", "Windows of time"


def figures(evidence):
    """Distances of columns, and of windows of time where current rows have times.

    Args:
        evidence: `sanity.evidence.Evidence` of the check `shift`, of one family.

    Returns:
        list of (title, SVG text), empty where nothing was measured.
    """
    tables = evidence.settings.get("tables", {})
    drawn = [_columns(tables[COLUMNS][:MOST], evidence.method)] if tables.get(COLUMNS) else []
    return drawn + ([_windows(tables[WINDOWS], evidence.method)] if tables.get(WINDOWS) else [])


def _columns(rows, family):
    intervals = [(_short(row["name"]), row["distance"], row["low"], row["high"]) for row in rows]
    meanings = {_short(row["name"]): f"p = {row['p']:.2g}, margin {row['margin']:.2f}" for row in rows}
    margins = {row["margin"] for row in rows}
    # Columns with margins of their own have no line in common.
    marks = [("margin", margins.pop())] if len(margins) == 1 else []
    axis = "distance between current rows and the reference"
    return f"Distances of {family}", draw_intervals(intervals, axis=axis, meanings=meanings, marks=marks)


def _windows(rows, family):
    names = [f"from {row['start']:g}" for row in rows]
    points = [(name, row["distance"], row["distance"], row["distance"]) for name, row in zip(names, rows)]
    meanings = {name: f"{row['column']}, {_counted(row)}, p = {row['p']:.2g}" for name, row in zip(names, rows)}
    axis = "largest distance of a column from the reference"
    return f"{family.capitalize()} by window of time", draw_intervals(points, axis=axis, meanings=meanings)


def _counted(row):
    if "rows looked at" in row:
        return f"{row['rows looked at']} of {row['rows']} rows"
    return f"{row['rows']} rows"


def _short(name):
    return name if len(name) <= 28 else f"{name[:27]}…"
