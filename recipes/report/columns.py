"""Columns: what a table's columns do over all rows, and how its first rows got their scores, in the plots of `lab.sample_plots` and `lab.table_plots`."""

import numpy as np
from matplotlib import style

from lab.feature_means import feature_means
from lab.record_plots import draw_dependence
from lab.sample_plots import Sample, waterfall
from lab.table_plots import Samples, bar, beeswarm
from recipes.report.data_uri import png_uri
from recipes.report.figures import plot_png
from recipes.shards import SHOWN_MAPS

# Rows with a waterfall, columns with a dependence plot, and methods whose plots are all drawn.
ROWS, COLUMNS, METHODS = 3, 2, 4


def collect_columns(recipe, store, done):
    """All plots of a table's columns that the page shows.

    Args:
        recipe: `Recipe`.
        store: `Store` of the run.
        done: list of its jobs that are done.

    Returns:
        dict of `methods`, a list of dict of method to its figures by group, and of what is left out; None for other kinds.
    """
    jobs = [job for job in done if job.kind in SHOWN_MAPS]
    abouts = [(job, store.values(job.key, "about.json")) for job in jobs]
    tables = [
        (job, about)
        for job, about in abouts
        if about.get("kind") == "table" and not (about["refused"] or about["fault"])
    ]
    if not tables:
        return None
    inputs = store.arrays("photographs", "inputs.npz")["inputs"]
    # The page has the same bytes whatever style a user of matplotlib has set.
    with style.context("default"):
        methods = [
            _figures(about, store.arrays(job.key, "maps.npz"), inputs, recipe.seed) for job, about in tables[:METHODS]
        ]
    left_out = [about["method"] for _, about in tables[METHODS:]]
    return {"methods": methods, "left_out": left_out, "rows": len(inputs)}


def _figures(about, arrays, inputs, seed):
    """The figures of one method: dict of overview, dependence and rows, lists of dict of image and alt."""
    maps = arrays["maps/0"]
    samples = Samples(about["method"], _names(about, inputs), inputs, maps, tuple(about["classes"]))
    several = len(maps) > 1 and np.isfinite(maps).any()
    overview = [bar(samples, lambda sizes: feature_means(sizes, seed=seed)), beeswarm(samples)] if several else []
    dependence = [draw_dependence(samples, column, None, seed) for column in _top(maps)] if several else []
    rows = [waterfall(sample) for sample in _first_rows(about, arrays, inputs)]
    groups = {"overview": overview, "dependence": dependence, "rows": rows}
    return {"method": about["method"], **{name: list(map(_figure, plots)) for name, plots in groups.items()}}


def _names(about, inputs):
    """The names of the columns: list of str; arrays of a file may have none."""
    return list(about["columns"]) or [f"column {place}" for place in range(inputs.shape[1])]


def _top(maps):
    """The columns with the largest mean absolute attribution: list of int."""
    sizes = np.where(np.isfinite(maps), np.abs(maps.astype("float64")), 0.0).mean(axis=0)
    return np.argsort(-sizes, kind="stable")[:COLUMNS].tolist()


def _first_rows(about, arrays, inputs):
    """The first rows as `Sample`. Runs of an earlier release did not keep the scores of baselines."""
    ends = zip(arrays["scores"].astype("float64"), arrays.get("baseline_scores", ()))
    for place, (score, baseline) in enumerate(list(ends)[:ROWS]):
        if np.isfinite([score, baseline]).all():
            yield Sample(
                f"{about['method']}: {about['names'][place]}, asked about {about['classes'][place]}",
                _names(about, inputs),
                [f"{cell:.4g}" for cell in inputs[place]],
                arrays["maps/0"][place],
                float(score),
                float(baseline),
                "gap" in arrays,
                about["method"],
            )


def _figure(plot):
    """A plot as a picture of the page."""
    return {"image": png_uri(plot_png(plot)), "alt": plot.alt}
