"""Factor importance: accumulated local effects of the leading columns, with bounds by unit."""

import html

import numpy as np

from recipes.report.figures import LINES

# Columns that are drawn, and the size of a picture.
COLUMNS, WIDTH, HEIGHT, LEFT, BOTTOM = 6, 320, 170, 44, 34


def figures(evidence):
    """The pictures of the check.

    Args:
        evidence: `sanity.evidence.Evidence`.

    Returns:
        list of (title, str of SVG), one of each column.
    """
    effects = [effect for effect in evidence.settings.get("effects", ()) if effect["sample"] in evidence.samples]
    return [
        (_title(effect), draw_effect(effect["column"], evidence.samples[effect["sample"]]))
        for effect in effects[:COLUMNS]
    ]


def _title(effect):
    left_out = f"; partial dependence is not drawn, since {effect['far']:.0%} of its points lie far from real rows"
    drawn = "; dashed the partial dependence"
    return f"Accumulated effect of {effect['column']} on the log odds{drawn if effect['far'] <= 0.2 else left_out}"


def draw_effect(name, sample):
    """One effect with its band as SVG text.

    Args:
        name: str, of the column.
        sample: float [5, points]: values, effects, bounds, and the partial dependence, nan where it is not drawn.

    Returns:
        str.
    """
    values, effects, low, high, dependence = np.asarray(sample, "float64")
    bottom, top = np.nanmin([low, dependence, low]), np.nanmax([high, dependence, high])
    span, width = max(top - bottom, 1e-9), max(values[-1] - values[0], 1e-300)

    def points(heights):
        x = LEFT + (WIDTH - LEFT - 10) * (values - values[0]) / width
        y = 8 + (HEIGHT - BOTTOM - 8) * (top - heights) / span
        return [f"{a:.1f},{b:.1f}" for a, b in zip(x, y)]

    line = '<polyline fill="none" stroke="{}" stroke-width="{}" points="{}"{}/>'
    parts = [
        f'<polygon fill="{LINES[0]}" opacity=".18" points="{" ".join([*points(low), *points(high)[::-1]])}"/>',
        line.format(LINES[0], 2, " ".join(points(effects)), ""),
    ]
    if np.isfinite(dependence).all():
        parts.append(line.format(LINES[1], 1.5, " ".join(points(dependence)), ' stroke-dasharray="4 3"'))
    for height, value in ((12, top), (HEIGHT - BOTTOM, bottom)):
        parts.append(f'<text x="{LEFT - 5}" y="{height}" text-anchor="end">{value:.2g}</text>')
    for x, value, anchor in ((LEFT, values[0], "start"), (WIDTH - 10, values[-1], "end")):
        parts.append(f'<text x="{x}" y="{HEIGHT - BOTTOM + 15}" text-anchor="{anchor}">{value:.3g}</text>')
    label = html.escape(name)
    parts.append(f'<text x="{(WIDTH + LEFT) / 2}" y="{HEIGHT - 4}" text-anchor="middle">{label}</text>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="accumulated effect of {label}">{"".join(parts)}</svg>'
