"""Figures: maps as colours and curves as SVG. Colours are perceptually uniform; signed maps diverge from zero."""

import html
import io

import matplotlib
import numpy as np
from matplotlib.colors import Normalize
from PIL import Image
from skimage.transform import resize

from lab.maps import resized
from lab.plots import SIGNED, UNSIGNED, over_photograph, scale

# Colours of the lines, readable on white and on black (Okabe, Ito 2008).
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
WIDTH, HEIGHT, LEFT, BOTTOM = 420, 180, 38, 30
# Dots per inch of plots.
DPI = 110


def colour_map(plane, side=None):
    """A map in colours.

    A signed map diverges from zero in the middle, any other one starts at zero.
    The strongest colour stands for the 99.5th percentile of magnitudes.

    Args:
        plane: [rows, columns].
        side: pixels to resize to, or None.

    Returns:
        uint8 [rows, columns, 3]; the value of the strongest colour; whether the map is signed.
    """
    values = plane if side is None else resized(plane[None], side, side)[0]
    values = np.nan_to_num(values.astype("float64"))
    scaled, top, signed = _scale(values)
    rgb = matplotlib.colormaps[SIGNED if signed else UNSIGNED](scaled)[..., :3]
    return np.round(255 * rgb).astype("uint8"), top, signed


def encode_map(plane, side=None):
    """A map in colours as PNG bytes with a palette of 256, a third of the size of RGB.

    Args:
        plane: [rows, columns]; any other shape becomes one row of numbers.
        side: pixels to resize to, or None.

    Returns:
        bytes, or None for a map that is not finite; the value of the strongest colour; whether the map is signed.
    """
    if plane.ndim != 2:
        plane, side = plane.reshape(1, -1), None
    finite = np.isfinite(plane).all()
    values = np.nan_to_num((plane if side is None else resized(plane[None], side, side)[0]).astype("float64"))
    scaled, top, signed = _scale(values)
    colours = matplotlib.colormaps[SIGNED if signed else UNSIGNED](np.arange(256))
    return _png(scaled, np.round(255 * colours).astype("uint8")) if finite else None, top, signed


def _png(scaled, palette, **options):
    """Values [rows, columns] in 0..1 as PNG bytes with a palette, uint8 [256, 4], whose opacity is left out."""
    image = Image.fromarray(np.round(255 * scaled).astype("uint8"), "P")
    image.putpalette(palette[:, :3].tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True, **options)
    return buffer.getvalue()


def overlay_map(plane, side=None):
    """A map to lie over a pale photograph, in the colours of `lab.plots`, as PNG bytes with a palette of 256.

    Args:
        plane: [rows, columns]; any other shape becomes one row of numbers.
        side: pixels to resize to, or None.

    Returns:
        bytes, or None for a map that is not finite; the value of the strongest colour; whether the map is signed.
    """
    if plane.ndim != 2:
        plane, side = plane.reshape(1, -1), None
    if not np.isfinite(plane).all():
        return None, *_scale(np.nan_to_num(plane.astype("float64")))[1:]
    values = (plane if side is None else resized(plane[None], side, side)[0]).astype("float64")
    norm, colours = scale(values)
    palette = _palette(colours)
    content = _png(np.clip(norm(values), 0, 1), palette, transparency=palette[:, 3].tobytes())
    return content, float(norm.vmax), colours == SIGNED


def _palette(colours):
    """The 256 colours of a map with their opacity, from its lowest value to its highest: uint8 [256, 4]."""
    norm = Normalize(-1 if colours == SIGNED else 0, 1)
    values = np.linspace(norm.vmin, norm.vmax, 256)[None]
    return np.round(255 * over_photograph(values, norm, colours)[0]).astype("uint8")


def colour_bar(colours):
    """The colours of a map over white, from its lowest value to its highest, as a CSS gradient: str."""
    palette = _palette(colours)[np.linspace(0, 255, 17).round().astype(int)] / 255
    opaque = palette[:, :3] * palette[:, 3:] + 1 - palette[:, 3:]
    stops = ", ".join("#" + "".join(f"{round(255 * part):02x}" for part in colour) for colour in opaque)
    return f"linear-gradient(to right, {stops})"


def _scale(values):
    """Values in 0..1, the value that the strongest colour stands for, and whether the map is signed.

    That value is `lab.plots.scale`'s: the 99.5th percentile of magnitudes, or the largest where that is zero.
    """
    norm, colours = scale(values)
    return np.clip(np.asarray(norm(values)), 0, 1), float(norm.vmax), colours == SIGNED


def small_map(plane, side):
    """Where a map is strong, as a small picture of its magnitudes from zero up.

    Args:
        plane: [rows, columns].
        side: pixels of a side.

    Returns:
        uint8 [side, side, 3].
    """
    magnitudes = np.abs(np.nan_to_num(plane.astype("float64")))
    enlarged = min(plane.shape) < side
    small = resize(magnitudes, (side, side), order=0 if enlarged else 1, anti_aliasing=not enlarged)
    return colour_map(small)[0]


# What the axes of curves over randomized weights are, across and up, and the ends of the one across.
RANDOMIZED = ("share of parameters randomized", "similarity to the map of the trained network", "0", "1")


def draw_curves(lines, labels, bands=(), axes=RANDOMIZED):
    """Draw lines in one frame as SVG text. Each point has a title with its value.

    Args:
        lines: dict of name to (x in 0..1, y in -1..1, low, high).
        labels: of the points.
        bands: (name, low, high, whether its name is on the right) across the whole width.
        axes: words of the axis across, of the axis up, and of both ends of the axis across.

    Returns:
        str.
    """
    parts = [_frame(axes), *(_band(*band) for band in bands)]
    for colour, (name, (x, y, low, high)) in zip(LINES, lines.items()):
        if len(x) > 2:
            # Two points, before and after, get no line.
            parts.append(_ribbon(x, low, high, colour))
            parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{_points(x, y)}"/>')
        else:
            parts += [_whisker(px, a, b, colour) for px, a, b in zip(x, low, high)]
        parts += [
            _dot(px, py, colour, f"{name}, {label}: {py:.2f}") for px, py, label in zip(x, y, labels) if np.isfinite(py)
        ]
    label = html.escape(", ".join(lines))
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="curves: {label}">{"".join(parts)}</svg>'


def draw_intervals(rows, axis="", meanings=None, marks=()):
    """Draw numbers with their intervals, one below the other on one scale, as SVG text.

    Args:
        rows: of (name, mean, low, high).
        axis: what the numbers are, written below the scale.
        meanings: dict of name to what the number means, shown when it is pointed at.
        marks: (name, value) of lines across all rows, such as chance.

    Returns:
        str; "" without rows.
    """
    if not rows:
        return ""
    left_edge = 24 + 6.2 * max(len(name) for name, *_ in rows)
    low, high = min(0.0, *(row[2] for row in rows)), max(1.0, *(row[3] for row in rows))

    def across(value):
        return left_edge + (WIDTH - left_edge - 24) * (value - low) / (high - low)

    bottom = 24 * len(rows) + 6
    height = bottom + (32 if axis else 18)
    # A label of a line says more than the end of the scale that it would lie on.
    ticks = [
        tick
        for tick in _ticks(low, high)
        if all(abs(across(tick) - across(value)) > 12 + 3.1 * len(name) for name, value in marks)
    ]
    parts = [_tick(across(tick), tick, bottom) for tick in ticks]
    parts += [_mark(across(value), name, value, bottom) for name, value in marks]
    if axis:
        middle = (left_edge + WIDTH - 24) / 2
        parts.append(f'<text x="{middle:.1f}" y="{height - 3}" text-anchor="middle">{html.escape(axis)}</text>')
    for place, (name, *numbers) in enumerate(rows):
        y, spans = 18 + 24 * place, [across(number) for number in numbers]
        parts.append(
            _interval(
                name, numbers, spans, y, LINES[place % len(LINES)], left_edge - 12, (meanings or {}).get(name, "")
            )
        )
    label = html.escape("; ".join(f"{name} {mean:.2f}, from {a:.2f} to {b:.2f}" for name, mean, a, b in rows))
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _ticks(low, high):
    """Both ends of a scale and zero. Two labels that would overlap become one."""
    return [0.0, high] if low > -0.15 * (high - low) else [low, 0.0, high]


def _tick(x, value, bottom):
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{bottom}" stroke="currentColor" opacity=".25"/>'
        f'<text x="{x:.1f}" y="{bottom + 13}" text-anchor="middle">{value:.3g}</text>'
    )


def _mark(x, name, value, bottom):
    """A dashed line with its number below it, and its name on hover."""
    title = f"<title>{html.escape(name)} {value:.2f}</title>"
    return (
        f'<g>{title}<line x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{bottom}" stroke="currentColor" stroke-dasharray="3 3" opacity=".6"/>'
        f'<text x="{x:.1f}" y="{bottom + 13}" text-anchor="middle">{html.escape(name)}</text></g>'
    )


def _interval(name, numbers, spans, y, colour, label_end, meaning):
    """One row of `draw_intervals`: a name, a whisker and a dot, with the numbers on hover."""
    mean, low, high = numbers
    title = f"{name}: {mean:.3f} [{low:.3f}, {high:.3f}]" + (f". {meaning}" if meaning else "")
    return (
        f'<g><title>{html.escape(title)}</title><text x="{label_end:.1f}" y="{y + 4}" text-anchor="end">{html.escape(name)}</text>'
        f'<line x1="{spans[1]:.1f}" x2="{spans[2]:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/>'
        f'<circle cx="{spans[0]:.1f}" cy="{y}" r="5" fill="{colour}"/></g>'
    )


def _across(x):
    return LEFT + (WIDTH - LEFT - 8) * x


def _up(y):
    return (HEIGHT - BOTTOM) - (HEIGHT - BOTTOM - 22) * (np.clip(y, -0.25, 1.0) + 0.25) / 1.25


def _points(x, y):
    return " ".join(f"{_across(a):.1f},{_up(b):.1f}" for a, b in zip(x, y) if np.isfinite(b))


def _ribbon(x, low, high, colour):
    finite = [(a, b, c) for a, b, c in zip(x, low, high) if np.isfinite(b) and np.isfinite(c)]
    outline = [*((a, b) for a, b, _ in finite), *((a, c) for a, _, c in reversed(finite))]
    return f'<polygon fill="{colour}" opacity=".15" points="{_points(*zip(*outline))}"/>' if outline else ""


def _whisker(x, low, high, colour):
    if not (np.isfinite(low) and np.isfinite(high)):
        return ""
    return f'<line x1="{_across(x):.1f}" x2="{_across(x):.1f}" y1="{_up(low):.1f}" y2="{_up(high):.1f}" stroke="{colour}" stroke-width="2"/>'


def _dot(x, y, colour, title):
    return f'<circle cx="{_across(x):.1f}" cy="{_up(y):.1f}" r="4" fill="{colour}"><title>{html.escape(title)}</title></circle>'


def _band(name, low, high, right):
    """A grey band across the frame. Its name is at one end, so that two bands in one place can both be read."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return ""
    top, bottom = _up(high), _up(low)
    x, anchor = (WIDTH - 10, "end") if right else (LEFT + 14, "start")
    return (
        f'<rect x="{LEFT}" y="{top:.1f}" width="{WIDTH - LEFT - 8}" height="{max(bottom - top, 1.5):.1f}" fill="currentColor" opacity=".13"><title>{html.escape(name)}</title></rect>'
        f'<text x="{x}" y="{top - 3:.1f}" text-anchor="{anchor}">{html.escape(name)}</text>'
    )


def _frame(axes):
    across, up, first, last = map(html.escape, axes)
    ticks = "".join(
        f'<line x1="{LEFT}" x2="{WIDTH - 8}" y1="{_up(y):.1f}" y2="{_up(y):.1f}" stroke="currentColor" opacity=".2"/><text x="{LEFT - 5}" y="{_up(y) + 4:.1f}" text-anchor="end">{y:g}</text>'
        for y in (0, 0.5, 1)
    )
    return (
        ticks
        + f'<text x="{(WIDTH + LEFT) / 2}" y="{HEIGHT - 4}" text-anchor="middle">{across}</text><text x="2" y="12">{up}</text><text x="{LEFT}" y="{HEIGHT - 18}">{first}</text><text x="{WIDTH - 8}" y="{HEIGHT - 18}" text-anchor="end">{last}</text>'
    )


def plot_png(plot):
    """A plot with a palette, a third of the size of RGB.

    Args:
        plot: `lab.plots.Plot`.

    Returns:
        bytes of a PNG.
    """
    buffer, small = io.BytesIO(), io.BytesIO()
    plot.savefig(buffer, format="png", dpi=DPI)
    Image.open(buffer).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()
