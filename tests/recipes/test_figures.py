"""Figures: labels below a scale do not lie on each other."""

import re

import pytest

from recipes.report.figures import draw_intervals


def labels(svg):
    """Labels below the scale with where their middles lie: dict of text to float."""
    written = re.findall(r'<text x="([\d.]+)" y="43" text-anchor="middle">([^<]+)</text>', svg)
    return {text: float(x) for x, text in written}


@pytest.mark.parametrize("high, others", [(1.41, {"0"}), (2.5, {"0", "2.5"})])
def test_the_margin_is_written_where_the_end_of_the_scale_is_near(high, others):
    svg = draw_intervals(
        [("share of decisions by which groups differ less", 0.8, 0.2, high)], "in margins", marks=[("margin", 1.0)]
    )
    written = labels(svg)
    assert set(written) == {"margin"} | others
    assert all(abs(written["margin"] - x) > 25 for text, x in written.items() if text != "margin")
