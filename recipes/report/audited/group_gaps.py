"""Group gaps: the rate of each group with its interval, and by name the groups that have too few rows to be shown."""

import numpy as np

from recipes.report.figures import draw_intervals

# Groups that are drawn, the largest.
MOST = 12


def figures(evidence):
    """A picture of the rates of the groups.

    Args:
        evidence: `sanity.evidence.Evidence` of `group_gaps`.

    Returns:
        list of (title, SVG text), empty where a gate failed.
    """
    if "rates" not in evidence.samples:
        return []
    names, rates = evidence.settings["groups"], evidence.samples["rates"]
    counts = evidence.samples["counts"]
    order = sorted(range(len(names)), key=lambda place: -counts[place])
    measured = [place for place in order if np.isfinite(rates[place]).all()]
    sizes = [f" ({count:,})" if count else "" for count in counts]
    rows = [(f"{names[place]}{sizes[place]}", *map(float, rates[place])) for place in measured[:MOST]]
    return [(_title(evidence, [names[place] for place in order if place not in measured], len(measured)), _draw(rows))]


def _title(evidence, small, count):
    notes = [f"no rate is shown, too few rows: {', '.join(small)}"] if small else []
    notes += [f"{count - MOST} smaller groups are in the table"] if count > MOST else []
    return "; ".join([f"{evidence.method}, with rows of each group", *notes])


def _draw(rows):
    return draw_intervals(rows, "rate, with an interval that holds for all groups together")
