"""Figures of shift: the distance of each column with its bounds and margin, windows of time, and a difference picture."""

import io

import numpy as np
from PIL import Image

from recipes.report.data_uri import png_uri
from recipes.report.figures import colour_map, draw_intervals
from sanity.audit.patches import differing
from sanity.checks.shift import patch_gaps

# Columns that are drawn.
MOST = 20
COLUMNS, WINDOWS = "Columns that differ most", "Windows of time"
# Width of the figure of three pictures, of each, the room between two, and the height of a line of words.
WIDTH, PICTURE, GAP, LINE = 420, 132, 12, 16


def figures(evidence):
    """Distances of columns, of windows of time where current rows have times, and where in the picture current ones differ.

    Args:
        evidence: `sanity.evidence.Evidence` of the check `shift`, of one family.

    Returns:
        list of (title, SVG text), empty where nothing was measured.
    """
    tables, gaps = evidence.settings.get("tables", {}), patch_gaps(evidence)
    drawn = [_columns(tables[COLUMNS][:MOST], evidence.method)] if tables.get(COLUMNS) else []
    drawn += [_windows(tables[WINDOWS], evidence.method)] if tables.get(WINDOWS) else []
    return drawn + ([_pictures(gaps, evidence.settings["alpha"])] if gaps is not None else [])


def _pictures(gaps, alpha):
    """The mean pictures of both sets and their difference, with an outline around each patch that differs."""
    marked, (down, across) = differing(gaps, alpha), gaps.p.shape[:2]
    side = PICTURE / max(down, across)
    largest = np.take_along_axis(gaps.deviations, np.abs(gaps.deviations).argmax(-1)[..., None], -1)[..., 0]
    pictures = (as_seen(gaps.reference), as_seen(gaps.current), colour_map(largest)[0])
    parts = [_picture(place, values, side) for place, values in enumerate(pictures)]
    parts += [_outline(2 * (PICTURE + GAP) + side * column, side * row, side) for row, column in np.argwhere(marked)]
    words = ("mean of the reference", "mean of current ones", f"difference, up to {np.abs(largest).max():.2g}")
    parts += [_caption(place, text, side * down) for place, text in enumerate(words)]
    outlined = f"outlined patches exceed {gaps.threshold:.2g} deviations" if marked.any() else "no patch does by itself"
    label = f"mean pictures and their difference; {int(marked.sum())} of {marked.size} patches differ"
    height = side * down + LINE + 4
    svg = f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    return f"Where in the picture current ones differ: {outlined}", svg


def as_seen(picture):
    """A mean picture as it is shown; of bands that are no colours their mean is.

    Args:
        picture: float [rows, columns, channels] in 0..255.

    Returns:
        uint8 [rows, columns, 3].
    """
    colours = picture if picture.shape[-1] == 3 else np.repeat(picture.mean(axis=-1, keepdims=True), 3, axis=-1)
    return np.clip(np.round(colours), 0, 255).astype("uint8")


def _picture(place, values, side):
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG", optimize=True)
    width, height = side * values.shape[1], side * values.shape[0]
    return f'<image x="{place * (PICTURE + GAP)}" y="0" width="{width:.1f}" height="{height:.1f}" style="image-rendering:pixelated" preserveAspectRatio="none" href="{png_uri(buffer.getvalue())}"/>'


def _outline(x, y, side):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{side:.1f}" height="{side:.1f}" fill="none" stroke="#000" stroke-width="1.5"/>'


def _caption(place, text, height):
    return f'<text x="{place * (PICTURE + GAP)}" y="{height + LINE - 2:.1f}">{text}</text>'


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
