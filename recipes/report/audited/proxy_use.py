"""Proxy use: the share of decisions that turns with each column that is swapped, with its interval and the margin."""

import numpy as np

from recipes.report.figures import draw_intervals

# Columns that are drawn, those that turn most.
MOST = 10


def figures(evidence):
    """A picture of what swaps of columns do.

    Args:
        evidence: `sanity.evidence.Evidence` of `proxy_use`.

    Returns:
        list of (title, SVG text), empty where a gate failed before anything was swapped.
    """
    if "shares" not in evidence.samples:
        return []
    names, shares = evidence.settings["candidates"], evidence.samples["shares"]
    rows = [(name, *map(float, share)) for name, share in zip(names, shares) if np.isfinite(share).all()]
    rows = sorted(rows, key=lambda row: -abs(row[1]))[:MOST]
    marks = (("margin", evidence.settings["delta"]),)
    return [
        (
            next(iter(evidence.settings["tables"])),
            draw_intervals(rows, "share of decisions", marks=marks),
        )
    ]
