"""Calibration: the share in which it happened against the probability, with the band that a calibrated network stays in."""

import html

import numpy as np

from recipes.report.figures import LINES

SIDE, LEFT, BOTTOM = 240, 34, 32


def figures(evidence):
    """Reliability diagrams of the top label and of the views that stand out most.

    Args:
        evidence: `sanity.evidence.Evidence` of `calibration`.

    Returns:
        list of (title, SVG text).
    """
    names = evidence.settings.get("diagrams", [])
    return [(f"Reliability: {name}", _diagram(name, evidence.samples[f"bins/{n}"])) for n, name in enumerate(names)]


def _diagram(name, bins):
    """One reliability diagram.

    Args:
        name: str, of the view.
        bins: float64 [5, bins]: probability, share, band from, band to, rows.
    """
    probability, share, low, high, rows = np.atleast_2d(bins)
    parts = [*_axes(), _path([(0, 0), (1, 1)], "currentColor", 'stroke-dasharray="3 3" opacity=".5"')]
    parts += [_bar(*row) for row in zip(probability, low, high)]
    parts.append(_path(zip(probability, share), LINES[0], 'stroke-width="2"'))
    parts += [_dot(*row) for row in zip(probability, share, rows)]
    label = html.escape(f"reliability of {name}: share against probability in {len(rows)} bins")
    return f'<svg viewBox="0 0 {SIDE} {SIDE}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _across(value):
    return LEFT + (SIDE - LEFT - 10) * value


def _up(value):
    return SIDE - BOTTOM - (SIDE - BOTTOM - 18) * value


def _axes():
    """Ticks and words of both axes: iterator of str."""
    for tick in (0, 0.5, 1):
        x, y = _across(tick), _up(tick)
        yield f'<line x1="{LEFT}" x2="{SIDE - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="currentColor" opacity=".2"/>'
        yield f'<text x="{LEFT - 4}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
        yield f'<text x="{x:.1f}" y="{SIDE - BOTTOM + 13}" text-anchor="middle">{tick:g}</text>'
    yield f'<text x="{(SIDE + LEFT) / 2}" y="{SIDE - 3}" text-anchor="middle">probability</text>'
    yield '<text x="2" y="12">share</text>'


def _path(points, colour, options):
    points = " ".join(f"{_across(x):.1f},{_up(y):.1f}" for x, y in points)
    return f'<polyline fill="none" stroke="{colour}" {options} points="{points}"/>'


def _bar(x, low, high):
    """Where 95% of the draws of a calibrated network lie."""
    title = f"<title>calibrated: from {low:.3f} to {high:.3f}</title>"
    top, height = _up(high), max(_up(low) - _up(high), 1.5)
    return f'<rect x="{_across(x) - 4:.1f}" y="{top:.1f}" width="8" height="{height:.1f}" fill="currentColor" opacity=".18">{title}</rect>'


def _dot(x, y, rows):
    title = f"<title>probability {x:.3f}, share {y:.3f}, {rows:.0f} rows</title>"
    return f'<circle cx="{_across(x):.1f}" cy="{_up(y):.1f}" r="3.5" fill="{LINES[0]}">{title}</circle>'
