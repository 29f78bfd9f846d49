"""Reason codes: what each factor added to the score of every refused row, as a swarm of points."""

import html

import matplotlib
import numpy as np

from sanity.checks.reason_codes import METHODS, STAYS

# Points of a factor and factors at most; the size of the picture and of a row.
POINTS, FACTORS = 120, 10
WIDTH, LEFT, HEIGHT, BINS = 520, 150, 26, 48


def figures(evidence):
    """The pictures of the check.

    Args:
        evidence: `sanity.evidence.Evidence`.

    Returns:
        list of (title, str of SVG); empty where nothing was measured.
    """
    if evidence.method != METHODS[STAYS] or "contributions" not in evidence.samples:
        return []
    contributions, ranks = (np.asarray(evidence.samples[name], "float64") for name in ("contributions", "ranks"))
    names = evidence.settings["factors"]
    order = np.argsort(-np.abs(contributions).mean(axis=0), kind="stable")[:FACTORS]
    swarm = draw_swarm([names[place] for place in order], contributions[:POINTS, order], ranks[:POINTS, order])
    return [
        ("Contributions to the log odds of refused rows; colour is the value of the column, yellow the highest", swarm)
    ]


def draw_swarm(names, values, ranks):
    """Points of each factor beside each other, those of about one value above and below, as SVG text.

    Args:
        names: list of str, of the factors.
        values: float [rows, factors].
        ranks: float [rows, factors], from 0 to 1, as colours.

    Returns:
        str.
    """
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    span = max(high - low, 1e-9)
    x = LEFT + (WIDTH - LEFT - 12) * (values - low) / span
    zero, height = LEFT + (WIDTH - LEFT - 12) * -low / span, HEIGHT * len(names) + 26
    parts = [
        f'<line x1="{zero:.1f}" x2="{zero:.1f}" y1="2" y2="{height - 22}" stroke="currentColor" opacity=".3"/>',
        *(
            f'<text x="{place:.1f}" y="{height - 8}" text-anchor="{anchor}">{value:.3g}</text>'
            for place, value, anchor in ((LEFT, low, "start"), (WIDTH - 12, high, "end"))
            if value
        ),
    ]
    for number, name in enumerate(names):
        middle = HEIGHT * number + HEIGHT / 2 + 2
        parts.append(f'<text x="{LEFT - 10}" y="{middle + 4:.1f}" text-anchor="end">{html.escape(name[:22])}</text>')
        parts += _points(x[:, number], middle, ranks[:, number])
    label = html.escape(", ".join(names))
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="contributions of {label}">{"".join(parts)}</svg>'
    )


def _points(x, middle, ranks):
    """Circles, each farther from the middle the more lie in its bin before it: list of str."""
    bins = np.round((x - LEFT) / (WIDTH - LEFT) * BINS).astype(int)
    before = np.array([(bins[:place] == bins[place]).sum() for place in range(len(bins))])
    shift = np.where(before % 2 == 0, 1, -1) * ((before + 1) // 2)
    step = min(3.0, (HEIGHT / 2 - 2) / max(np.abs(shift).max(initial=0), 1))
    colours = (255 * matplotlib.colormaps["viridis"](np.clip(ranks, 0, 1))[:, :3]).round().astype(int)
    return [
        f'<circle cx="{across:.1f}" cy="{middle + step * up:.1f}" r="2" fill="#{red:02x}{green:02x}{blue:02x}"/>'
        for across, up, (red, green, blue) in zip(x, shift, colours)
    ]
