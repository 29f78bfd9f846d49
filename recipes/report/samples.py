"""Samples: inputs that are no photographs as the page shows them, with the map of a method: bars and lines.

draw(kind, values, ...)              -> Markup    an input as it is
draw_map(kind, values, plane, ...)   -> Markup    an input with a map
"""

import markupsafe
import numpy as np

from lab.plots import BARS
from lab.words import NEGATIVE, POSITIVE
from recipes.report.figures import LINES

WIDTH, HEIGHT = 640, 150
# Points of a line that are drawn at most.
POINTS = 800


def draw(kind, values, columns=()):
    """An input as it is.

    Args:
        kind: str, a name of `lab.kinds.KINDS`.
        values: array of one sample.
        columns: names of columns or channels.

    Returns:
        `markupsafe.Markup`, or None for a kind of which there is no drawing, and for a table, whose values stand beside its maps.
    """
    return _lines(values, None, columns) if kind == "series" else None


def draw_map(kind, values, plane, top, columns=(), errors=None):
    """An input with a map.

    Args:
        kind: str, a name of `lab.kinds.KINDS`.
        values: array of one sample.
        plane: float array, the map of the sample.
        top: float, the magnitude that the strongest colour stands for.
        columns: names of columns or channels.
        errors: float array, the standard error of every number of a table's map; None where none is stated.

    Returns:
        `markupsafe.Markup`, or None for a kind of which there is no drawing.
    """
    if kind == "table":
        return _bars(values, plane, top, columns, errors)
    return _lines(values, per_step(plane), columns, top) if kind == "series" else None


def per_step(plane):
    """A map of a series with one number a step, its channels summed: float [steps]."""
    return plane.sum(axis=-1) if plane.ndim == 2 else plane


def _bars(row, plane, top, columns, errors):
    """The columns with the largest attribution: name, value of the row, a bar from the middle, and its standard error."""
    order = np.argsort(-np.abs(plane), kind="stable")
    line = markupsafe.Markup(
        '<tr><th scope="row">{}</th><td>{}</td><td class="track"><i style="{}"></i></td><td>{}</td></tr>'
    )
    lines = [
        line.format(columns[place], f"{row[place]:.4g}", _bar_style(plane[place], top), number)
        for place, number in zip(order[:BARS], _numbers(plane[order], errors if errors is None else errors[order], top))
    ]
    more = len(order) - BARS
    rest = markupsafe.Markup('<p class="soft">{} more in columns.csv</p>').format(more) if more > 0 else ""
    head = markupsafe.Markup(
        '<tr><th scope="col">column</th><th scope="col">value</th><th scope="col" colspan="2">attribution</th></tr>'
    )
    return markupsafe.Markup('<table class="bars">{}{}</table>{}').format(head, markupsafe.Markup("").join(lines), rest)


def _numbers(values, errors, top):
    """Attributions as text, with their standard errors where any is above zero: iterator of str."""
    for place, value in enumerate(values):
        # Rounding of a float64 sum.
        text = "0" if abs(value) < 1e-9 * top else f"{value:+.2g}"
        yield text if errors is None or not errors[place] else f"{text} \N{PLUS-MINUS SIGN} {errors[place]:.1g}"


def _bar_style(value, top):
    width = 50 * min(abs(float(value)) / top, 1) if top else 0
    left = 50 if value > 0 else 50 - width
    return f"left:{left:.1f}%;width:{width:.1f}%;background:rgb{POSITIVE if value > 0 else NEGATIVE}"


def _lines(series, steps, columns, top=0.0):
    """The channels of a series as lines, over the colours of a map with one number a step."""
    low, high = float(series.min()), float(series.max())
    scale = (HEIGHT - 10) / ((high - low) or 1)
    bands = "" if steps is None else "".join(_bands(steps, top))
    lines = "".join(
        _line(HEIGHT - 5 - (series[:, channel] - low) * scale, LINES[channel % len(LINES)])
        for channel in range(series.shape[1])
    )
    key = markupsafe.Markup(" ").join(
        markupsafe.Markup('<span style="color:{}">{}</span>').format(LINES[place % len(LINES)], name)
        for place, name in enumerate(columns[: series.shape[1]])
    )
    label = f"{len(series)} steps, {series.shape[1]} channels, {low:.3g} to {high:.3g}"
    picture = markupsafe.Markup(
        '<svg class="series" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">'
    )
    return (
        picture.format(WIDTH, HEIGHT, label)
        + markupsafe.Markup(f"{bands}{lines}</svg>")
        + (
            markupsafe.Markup('<p class="soft">{}: {}</p>').format(label, key)
            if columns
            else markupsafe.Markup('<p class="soft">{}</p>').format(label)
        )
    )


def _bands(steps, top):
    width = WIDTH / len(steps)
    for place, value in enumerate(steps):
        share = min(abs(float(value)) / top, 1) if top else 0
        if share > 0.02:
            colour = POSITIVE if value > 0 else NEGATIVE
            yield f'<rect x="{place * width:.1f}" y="0" width="{width + 0.3:.1f}" height="{HEIGHT}" fill="rgb{colour}" fill-opacity="{0.6 * share:.2f}"/>'


def _line(heights, colour):
    stride = -(-len(heights) // POINTS)
    step = WIDTH / len(heights)
    points = " ".join(f"{(place + 0.5) * step:.1f},{heights[place]:.1f}" for place in range(0, len(heights), stride))
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5" vector-effect="non-scaling-stroke"/>'
