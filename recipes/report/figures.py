"""Figures: maps as colours and curves as SVG. Colours are perceptually uniform; signed maps diverge from zero."""

import html
import io

import matplotlib
import numpy as np
from PIL import Image
from skimage.transform import resize

from lab.maps import resized

SIGNED, UNSIGNED = "berlin", "inferno"
# Colours of the lines, readable on white and on black (Okabe, Ito 2008).
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
WIDTH, HEIGHT, LEFT, BOTTOM = 420, 180, 38, 30


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
    image = Image.fromarray(np.round(255 * scaled).astype("uint8"), "P")
    colours = matplotlib.colormaps[SIGNED if signed else UNSIGNED](np.arange(256))[:, :3]
    image.putpalette(np.round(255 * colours).astype("uint8").tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue() if finite else None, top, signed


def _scale(values):
    """Values in 0..1, the value that the strongest colour stands for, and whether the map is signed.

    That value is the 99.5th percentile of magnitudes; where it is zero the largest one, and where that is zero 1.
    """
    top = float(np.percentile(np.abs(values), 99.5)) or float(np.abs(values).max()) or 1.0
    signed = bool((values < 0).any())
    return np.clip(0.5 + 0.5 * values / top if signed else values / top, 0, 1), top, signed


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


def draw_curves(lines, labels, bands=()):
    """Draw lines in one frame as SVG text. Each point has a title with its value.

    Args:
        lines: dict of name to (x in 0..1, y in -1..1, low, high).
        labels: of the points.
        bands: (name, low, high, whether its name is on the right) across the whole width.
    """
    parts = [_frame(), *(_band(*band) for band in bands)]
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


def draw_intervals(rows):
    """Draw numbers with their intervals, one below the other on one scale, as SVG text.

    Args:
        rows: of (name, mean, low, high).
    """
    if not rows:
        return ""
    low, high = min(0.0, *(row[2] for row in rows)), max(1.0, *(row[3] for row in rows))

    def across(value):
        return 120 + (WIDTH - 136) * (value - low) / (high - low)

    height = 24 * len(rows) + 22
    # Two labels that would overlap become one.
    ticks = [0.0, high] if low > -0.15 * (high - low) else [low, 0.0, high]
    parts = [
        f'<line x1="{across(tick):.1f}" x2="{across(tick):.1f}" y1="4" y2="{height - 18}" stroke="currentColor" opacity=".25"/><text x="{across(tick):.1f}" y="{height - 4}" text-anchor="middle">{tick:.3g}</text>'
        for tick in ticks
    ]
    for place, (name, mean, left, right) in enumerate(rows):
        y, colour = 18 + 24 * place, LINES[place]
        parts.append(
            f'<g><title>{html.escape(name)}: {mean:.3f} [{left:.3f}, {right:.3f}]</title><text x="112" y="{y + 4}" text-anchor="end">{html.escape(name)}</text>'
            f'<line x1="{across(left):.1f}" x2="{across(right):.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/><circle cx="{across(mean):.1f}" cy="{y}" r="5" fill="{colour}"/></g>'
        )
    label = html.escape(", ".join(f"{name} {mean:.2f}" for name, mean, *_ in rows))
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def sparkline(values):
    """Numbers as one line in a small SVG."""
    values = np.asarray(values, "float64")
    if len(values) < 2 or not np.isfinite(values).all():
        return ""
    span = values.max() - values.min() or 1.0
    sampled = values[np.linspace(0, len(values) - 1, min(len(values), 120)).astype(int)]
    points = " ".join(
        f"{200 * place / (len(sampled) - 1):.1f},{38 - 36 * (value - values.min()) / span:.1f}"
        for place, value in enumerate(sampled)
    )
    return f'<svg class="spark" viewBox="0 0 200 40" role="img" aria-label="objective by step"><polyline fill="none" stroke="currentColor" stroke-width="1.5" points="{points}"/></svg>'


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


def _frame():
    ticks = "".join(
        f'<line x1="{LEFT}" x2="{WIDTH - 8}" y1="{_up(y):.1f}" y2="{_up(y):.1f}" stroke="currentColor" opacity=".2"/><text x="{LEFT - 5}" y="{_up(y) + 4:.1f}" text-anchor="end">{y:g}</text>'
        for y in (0, 0.5, 1)
    )
    return (
        ticks
        + f'<text x="{(WIDTH + LEFT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">share of parameters randomized, from the output down</text><text x="{LEFT}" y="{HEIGHT - 18}">0</text><text x="{WIDTH - 8}" y="{HEIGHT - 18}" text-anchor="end">1</text>'
    )
