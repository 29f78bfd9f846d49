"""Record plots: what is drawn are the record's numbers."""

import time

import keras
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer

import lab
from lab import sample_plots, table_plots
from lab.feature_means import feature_means
from lab.plots import NEGATIVE, POSITIVE, shorten
from lab.record_plots import draw_dependence
from sanity.overview import overview
from tests import networks, own_data

RNG = np.random.default_rng(0)
COLUMNS = ["age", "income", "debt", "years at the same address ($)", "rooms", "noise"]
WEIGHTS = np.array([2.0, -1.0, 0.5, 0.25, -0.125, 0.0])


@pytest.fixture(scope="module")
def linear():
    """A network whose maps are known: weights times values."""
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    model.layers[-1].set_weights([WEIGHTS[:, None], np.array([0.5])])
    return lab.load(model)


@pytest.fixture(scope="module")
def record(linear):
    rows = RNG.normal(size=(40, 6)).astype("float32")
    return lab.explain(linear, rows, method="integrated_gradients")


def bars(figure):
    """Every bar of a figure: list of (left, width, artist)."""
    containers = [part for axes in figure.axes for part in axes.containers if isinstance(part, BarContainer)]
    patches = [patch for container in containers for patch in container.patches]
    return [(patch.get_x(), patch.get_width(), patch) for patch in patches]


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def row_labels(figure):
    """The labels of rows from the top: list of str."""
    return [label.get_text() for label in figure.axes[0].get_yticklabels()][::-1]


# One sample ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_display, shown", [(10, 6), (4, 3)])
def test_a_waterfall_leads_from_the_baseline_to_the_score_by_the_map(record, max_display, shown):
    figure = record.plot.waterfall(3, columns=COLUMNS, max_display=max_display)
    drawn = bars(figure)[::-1]
    expected = WEIGHTS * record.inputs[3]
    order = np.argsort(-np.abs(expected), kind="stable")
    widths = [width for _, width, _ in drawn]
    np.testing.assert_allclose(widths[:shown], expected[order[:shown]], rtol=1e-4, atol=1e-6)
    if shown < 6:
        assert row_labels(figure)[-1] == f"{6 - shown} others"
        assert widths[-1] == pytest.approx(expected[order[shown:]].sum(), abs=1e-5)
    assert drawn[-1][0] == pytest.approx(0.5, abs=1e-6) and drawn[0][0] + drawn[0][1] == pytest.approx(
        float(record.scores[3]), abs=1e-5
    )
    for (left, _, _), (below, width, _) in zip(drawn, drawn[1:]):
        assert left == pytest.approx(below + width)
    for width, (_, _, patch) in zip(widths[:shown], drawn):
        assert width == 0 or to_hex(patch.get_facecolor()) == (POSITIVE if width > 0 else NEGATIVE)
    largest = order[0]
    assert row_labels(figure)[0] == f"{COLUMNS[largest]} = {record.inputs[3][largest]:.4g}"
    assert {"baseline 0.5", f"{expected[largest]:+.3g}"} <= set(texts(figure))
    assert any("add up" in text and "hatched" not in text for text in texts(figure))


def test_a_method_that_does_not_add_up_shows_its_gap_as_a_bar(linear):
    rows = RNG.normal(size=(3, 6)).astype("float32")
    record = lab.explain(linear, rows, method="gradient")
    gap = float(record.scores[1]) - 0.5 - WEIGHTS.sum()
    figure = record.plot.waterfall(1)
    left, width, patch = bars(figure)[0]
    assert row_labels(figure)[-1] == "gap" and patch.get_hatch()
    assert (left, width) == (pytest.approx(0.5), pytest.approx(gap, rel=1e-4))
    assert any(text.startswith("gradient does not promise that its bars add up") for text in texts(figure))
    assert "gap:" in figure.alt and "does not promise" in figure.alt
    hatched = [width for _, width, patch in bars(record.plot.force(1)) if patch.get_hatch()]
    assert hatched == [pytest.approx(abs(gap), rel=1e-4)]
    # A method that adds up and has no gap draws none.
    whole = lab.explain(linear, rows, method="integrated_gradients")
    assert "gap" not in row_labels(whole.plot.waterfall(1))


def test_the_baseline_is_the_one_that_the_method_names(linear):
    rows = RNG.normal(size=(2, 6)).astype("float32")
    other = lab.explain(linear, rows, method="integrated_gradients", baseline=rows[1])
    assert other.baseline_scores == pytest.approx(np.repeat(rows[1] @ WEIGHTS + 0.5, 2), abs=1e-5)
    means = lab.load(linear.model, background=rows)
    for method in ("gradient", "integrated_gradients"):
        known = lab.explain(means, rows, method=method)
        assert known.baseline_scores == pytest.approx(np.repeat(rows.mean(axis=0) @ WEIGHTS + 0.5, 2), abs=1e-5)
    assert "A hatched" not in other.plot.waterfall(0).alt and bars(other.plot.waterfall(0))[0][0] == pytest.approx(
        float(rows[1] @ WEIGHTS + 0.5), abs=1e-5
    )


def test_a_force_plot_pushes_up_to_the_score_and_back_to_the_baseline(record):
    figure, values, score = record.plot.force(5, max_display=3), WEIGHTS * record.inputs[5], float(record.scores[5])
    low, high = {}, {}
    for left, width, patch in bars(figure):
        (low if to_hex(patch.get_facecolor()) == POSITIVE else high)[left] = width
    assert sum(low.values()) == pytest.approx(values[values > 0].sum(), rel=1e-4)
    assert sum(high.values()) == pytest.approx(-values[values < 0].sum(), rel=1e-4)
    assert max(left + width for left, width in low.items()) == pytest.approx(score, abs=1e-5)
    assert min(high) == pytest.approx(score, abs=1e-5)
    assert sum(low.values()) - sum(high.values()) == pytest.approx(score - 0.5, abs=1e-5)
    assert len(low) + len(high) <= 5 and "baseline 0.5" in texts(figure)


def test_labels_of_a_force_plot_do_not_lie_upon_each_other():
    values = np.array([1.0, 0.9, 0.8, 0.7, -0.6, -0.5, 0.4, 0.3])
    names = [f"a name of some length {place}" for place in range(8)]
    sample = sample_plots.Sample("m", names, ["1.234"] * 8, values, values.sum(), 0.0, True, "m")
    figure = sample_plots.force(sample)
    renderer = FigureCanvasAgg(figure).get_renderer()
    labels = [text for text in figure.axes[0].texts if text.get_text().startswith("a name")]
    boxes = [label.get_window_extent(renderer) for label in labels]
    assert len(labels) == 8
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:place])
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1


def test_a_number_that_is_not_finite_is_said_and_not_drawn():
    sample = sample_plots.Sample("m", ["a", "b"], ["1", "2"], np.array([np.nan, 2.0]), 3.0, 0.0, True, "m")
    for plot in (sample_plots.waterfall, sample_plots.force):
        figure = plot(sample)
        assert sorted(width for _, width, _ in bars(figure)) == [1.0, 2.0]
        assert any("not finite: a" in text for text in texts(figure))


def test_long_names_lose_their_middle_and_keep_it_in_words(linear, record):
    names = [f"{'long ' * 20}{place} $x$ $y$" for place in range(6)]
    figure = record.plot.waterfall(0, columns=names)
    assert all(len(label) < 45 and "\N{HORIZONTAL ELLIPSIS}" in label for label in row_labels(figure))
    assert all(name in figure.alt for name in names)
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [label.get_window_extent(renderer) for label in figure.axes[0].get_yticklabels()]
    assert min(box.x0 for box in boxes) >= 0
    assert shorten("abcdefghij", 5) == "ab\N{HORIZONTAL ELLIPSIS}ij" and shorten("abc", 5) == "abc"


# All rows -----------------------------------------------------------------------------------------------------------------


def test_a_bar_is_the_mean_size_with_the_interval_of_the_overview(record):
    figure = record.plot.bar(columns=COLUMNS, max_display=4)
    spans = overview(record.maps, seed=0)[None]
    order = np.argsort([-span.mean for span in spans], kind="stable")
    assert row_labels(figure) == [*(shorten(COLUMNS[place]) for place in order[:3]), "3 others"]
    widths = [width for _, width, _ in bars(figure)]
    rest = np.abs(record.maps[:, order[3:]]).sum(axis=1)
    np.testing.assert_allclose(widths, [*(spans[place].mean for place in order[:3]), rest.mean()], rtol=1e-6)
    whiskers = figure.axes[0].collections[0].get_segments()
    for place, segment in zip(order[:3], whiskers):
        assert (segment[0][0], segment[1][0]) == pytest.approx((spans[place].low, spans[place].high))
    assert whiskers[3][:, 0] == pytest.approx(feature_means(rest[:, None], seed=0)[1:, 0])
    first = spans[order[0]]
    assert f"{first.mean:.3g} [{first.low:.3g}, {first.high:.3g}]" in texts(figure)


def test_one_row_has_no_interval(linear):
    record = lab.explain(linear, np.ones((1, 6), "float32"), method="integrated_gradients")
    figure = record.plot.bar(columns=COLUMNS)
    assert not figure.axes[0].collections and "2" in texts(figure)
    assert any("one row" in text or "1 row" in text for text in texts(figure))
    assert record.plot.beeswarm().alt and record.plot.dependence(0).alt


def swarms(figure):
    """The dots of each row of a beeswarm, from the top: list of (collection, points of the screen, radius in pixels)."""
    FigureCanvasAgg(figure).draw()
    axes = figure.axes[0]
    return [
        (dots, axes.transData.transform(dots.get_offsets()), np.sqrt(dots.get_sizes()[0]) * figure.dpi / 72 / 2)
        for dots in axes.collections
    ]


@pytest.mark.parametrize("rows", [40, 400, 3000])
def test_no_two_dots_of_a_beeswarm_overlap_and_each_has_its_number_and_colour(rows):
    inputs = np.random.default_rng(1).normal(size=(rows, 4))
    maps = inputs * [3, -2, 0, 1]
    maps[:, 3] = np.round(maps[:, 3])
    samples = table_plots.Samples("m", ["a", "b", "zero", "d"], inputs, maps, ("yes",))
    figure = table_plots.beeswarm(samples)
    assert row_labels(figure) == ["a", "b", "d", "zero"]
    drawn = swarms(figure)
    for (dots, points, radius), column in zip(drawn, (0, 1, 3, 2)):
        order = np.argsort(points[:, 0], kind="stable")
        for step in range(1, 40):
            gaps = points[order[step:]] - points[order[:-step]]
            assert len(gaps) == 0 or np.hypot(*gaps.T).min() >= 2 * radius
        places = dots.get_offsets()[:, 0]
        assert places.min() >= maps[:, column].min() - 1e-9 and places.max() <= maps[:, column].max() + 1e-9
    top, bottom = drawn[0], drawn[1]
    if rows == 40:
        # Every row is a dot: the numbers are those of the map, red for high values and blue for low ones.
        for (dots, _, _), column, sign in ((top, 0, 1), (bottom, 1, -1)):
            np.testing.assert_allclose(np.sort(dots.get_offsets()[:, 0]), np.sort(maps[:, column]))
            red = dots.get_facecolors()[np.argsort(dots.get_offsets()[:, 0]), 0]
            assert np.all(np.diff(sign * red) >= -1e-9) and np.ptp(red) > 0.3
    if rows == 3000:
        assert any("1 dot" in text for text in texts(figure))
    heights = [np.ptp(points[:, 1]) for _, points, _ in drawn]
    step = np.diff(figure.axes[0].transData.transform([[0, 0], [0, 1]])[:, 1])[0]
    assert max(heights) < step


def test_the_same_rows_make_the_same_beeswarm(record):
    first, second = (swarms(record.plot.beeswarm()) for _ in range(2))
    for (_, left, _), (_, right, _) in zip(first, second):
        assert np.array_equal(left, right)


def test_a_beeswarm_of_many_columns_sums_the_smallest():
    inputs = RNG.normal(size=(30, 300))
    maps = inputs * np.geomspace(5, 0.01, 300)
    samples = table_plots.Samples("m", [f"c{place}" for place in range(300)], inputs, maps, ("yes",))
    figure = table_plots.beeswarm(samples)
    assert len(row_labels(figure)) == 10 and row_labels(figure)[-1] == "sum of 291 others"
    order = np.argsort(-np.abs(maps).mean(axis=0))
    dots, _, _ = swarms(figure)[-1]
    np.testing.assert_allclose(np.sort(dots.get_offsets()[:, 0]), np.sort(maps[:, order[9:]].sum(axis=1)), rtol=1e-9)
    assert len({tuple(colour) for colour in dots.get_facecolors()}) == 1


def test_ten_thousand_rows_are_drawn_in_seconds():
    inputs = RNG.normal(size=(10_000, 100))
    maps = inputs * np.geomspace(5, 0.01, 100)
    samples = table_plots.Samples("m", [f"c{place}" for place in range(100)], inputs, maps, ("yes",))
    start = time.process_time()
    FigureCanvasAgg(table_plots.beeswarm(samples)).draw()
    assert time.process_time() - start < 4


def test_rows_asked_about_several_classes_are_warned_of():
    samples = table_plots.Samples("m", ["a"], np.ones((4, 1)), np.ones((4, 1)), ("yes", "no", "no", "no"))
    for figure in (
        table_plots.bar(samples, lambda sizes: feature_means(sizes, seed=0)),
        table_plots.beeswarm(samples),
        draw_dependence(samples, 0, None, 0),
    ):
        assert "different classes (no, yes)" in figure.alt


def test_columns_that_are_not_finite_are_said_and_not_drawn():
    maps = np.ones((30, 3))
    maps[:, 1], maps[4, 2] = np.nan, np.inf
    samples = table_plots.Samples("m", ["a", "b", "c"], RNG.normal(size=(30, 3)), maps, ("yes",))
    for figure in (table_plots.bar(samples, lambda sizes: feature_means(sizes, seed=0)), table_plots.beeswarm(samples)):
        assert row_labels(figure) == ["a", "c"]
        assert "no number is finite: b." in figure.alt and "not finite: 1 number." in figure.alt
    assert len(draw_dependence(samples, 2, False, 0).axes[0].collections[0].get_offsets()) == 29


@pytest.fixture(scope="module")
def product():
    """Rows of which the attribution of the first column is its product with the third."""
    inputs = np.random.default_rng(2).normal(size=(200, 4))
    maps = inputs.copy()
    maps[:, 0] = inputs[:, 0] * inputs[:, 2]
    return table_plots.Samples("m", ["a", "b", "c", "d"], inputs, maps, ("yes",))


def test_dependence_is_coloured_by_the_planted_partner(product):
    figure = draw_dependence(product, 0, None, 0)
    dots = figure.axes[0].collections[0]
    np.testing.assert_allclose(dots.get_offsets(), np.stack([product.inputs[:, 0], product.maps[:, 0]], axis=1))
    reds = dots.get_facecolors()[np.argsort(product.inputs[:, 2]), 0]
    assert np.all(np.diff(reds) >= -1e-9) and np.ptp(reds) > 0.3
    assert "Colours: c interacts most" in figure.alt and "by chance" in figure.alt and "c" in texts(figure)
    # A column whose attribution is its value alone has none, and another may be named.
    assert len(draw_dependence(product, 1, None, 0).axes) == 1
    assert "nothing is left" in draw_dependence(product, 1, None, 0).alt
    named = draw_dependence(product, 0, "d", 0).axes[0].collections[0].get_facecolors()[:, 0]
    assert np.all(np.diff(named[np.argsort(product.inputs[:, 3])]) >= -1e-9)
    assert len(draw_dependence(product, 0, False, 0).axes) == 1


def test_values_that_are_not_known_are_grey_and_have_no_place(product):
    inputs = product.inputs.copy()
    inputs[:20, 0] = np.nan
    samples = table_plots.Samples("m", product.names, inputs, product.maps, ("yes",))
    figure = table_plots.beeswarm(samples)
    dots = swarms(figure)[row_labels(figure).index("a")][0]
    assert sum(to_hex(colour) == table_plots.GREY for colour in dots.get_facecolors()) == 20
    figure = draw_dependence(samples, 0, False, 0)
    assert len(figure.axes[0].collections[0].get_offsets()) == 180 and "not finite: 20 numbers." in figure.alt


def test_values_in_other_units_change_what_is_written_and_no_bar(record):
    years = record.inputs * 10 + 40
    figure, plain = record.plot.waterfall(0, columns=COLUMNS, values=years), record.plot.waterfall(0, columns=COLUMNS)
    assert f"age = {years[0][0]:.4g}" in row_labels(figure)
    assert [width for _, width, _ in bars(figure)] == [width for _, width, _ in bars(plain)]
    dots = record.plot.dependence("age", columns=COLUMNS, values=years).axes[0].collections[0]
    np.testing.assert_allclose(dots.get_offsets()[:, 0], years[:, 0], rtol=1e-6)


# Doors --------------------------------------------------------------------------------------------------------------------


def test_a_data_frame_names_its_columns(linear):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(RNG.normal(size=(3, 6)).astype("float32"), columns=COLUMNS)
    record = lab.explain(linear, frame, method="integrated_gradients")
    assert record.columns == tuple(COLUMNS)
    assert {name.partition(" = ")[0] for name in row_labels(record.plot.waterfall(0))} <= set(map(shorten, COLUMNS))
    assert any(text.startswith("age = ") for text in texts(record.plot([0])))


def test_a_network_that_names_its_columns_names_them_in_the_plots():
    network = lab.load(own_data.named(["b", "a"]), as_table=True)
    record = lab.explain(network, np.array([[1.0, 2.0], [3.0, 1.0]], "float32"), method="integrated_gradients")
    assert set(row_labels(record.plot.bar())) == {"a", "b"} == set(record.columns)


def test_tokens_have_waterfalls_with_their_words_and_colours_with_zero_in_the_middle():
    network = lab.load(own_data.sentiment())
    record = lab.explain(network, network.tokenize(own_data.TEXTS), 1, method="integrated_gradients")
    figure = record.plot.waterfall(0)
    assert set(row_labels(figure)[:2]) == {"wonderful", "great"} and len(row_labels(figure)) == 7
    left, width, _ = bars(figure)[-1]
    assert left + width == pytest.approx(float(record.scores[0]), abs=1e-5)
    boxes = {text.get_text(): text.get_bbox_patch() for text in record.plot.text(0).axes[0].texts}
    reds, greens, _, _ = boxes["wonderful"].get_facecolor()
    assert reds > greens + 0.3 and min(boxes["film"].get_facecolor()) > 0.9 and "" not in boxes
    for plot in ("bar", "beeswarm"):
        with pytest.raises(lab.Refused, match=f"plot.{plot} shows the columns of a table.*texts.*waterfall"):
            getattr(record.plot, plot)()


def test_words_of_padding_are_one_bar(linear):
    names, values = ["good", "film"], np.array([1.0, 2.0, 0.25, 0.25])
    from lab.record_plots import _without_padding

    labels, attributions = _without_padding([*names, "", ""], values)
    assert labels == [*names, "padding"] and list(attributions) == [1, 2, 0.5]
    assert _without_padding([*names, "", ""], np.array([1.0, 2.0, 0, 0]))[0] == names


def test_images_and_series_have_no_bars_of_columns(small):
    record = lab.explain(small, networks.images(), method="gradient")
    for draw in (
        lambda plot: plot.waterfall(0),
        lambda plot: plot.force(0),
        lambda plot: plot.bar(),
        lambda plot: plot.beeswarm(),
        lambda plot: plot.dependence(0),
        lambda plot: plot.text(0),
    ):
        with pytest.raises(lab.Refused, match=r"photographs.*record\.plot\(\[0\]\)"):
            draw(record.plot)


@pytest.mark.parametrize(
    "draw, words",
    [
        (lambda plot: plot("waterfall"), r"record\.plot\.waterfall"),
        (lambda plot: plot([99]), "from 0 to 39"),
        (lambda plot: plot.waterfall(40), "from 0 to 39"),
        (lambda plot: plot.waterfall(1.5), "1.5"),
        (lambda plot: plot.waterfall(0, columns=["a"]), "1 names for 6 columns"),
        (lambda plot: plot.waterfall(0, values=np.ones((1, 6))), r"\(40, 6\).*\(1, 6\)"),
        (lambda plot: plot.waterfall(0, max_display=1), "2 or more"),
        (lambda plot: plot.bar(max_display="ten"), "'ten'"),
        (lambda plot: plot.dependence("agee", columns=COLUMNS), "Nearest: age"),
        (lambda plot: plot.dependence("a", columns=["a", "a", "b", "c", "d", "e"]), "2 columns of that name"),
        (lambda plot: plot.dependence(6), "between 0 and 5"),
        (lambda plot: plot.dependence(0, colour=7), "between 0 and 5"),
        (lambda plot: plot.dependence(None), "None"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(record, draw, words):
    with pytest.raises(lab.Refused, match=words) as refusal:
        draw(record.plot)
    assert "\n" not in str(refusal.value)


def test_one_index_does_for_a_list_and_plots_are_listed(record):
    assert record.plot(2).alt == record.plot([2]).alt == record.plot([-38]).alt
    assert {"waterfall", "force", "bar", "beeswarm", "dependence", "text"} <= set(dir(record.plot))
    assert "waterfall" in repr(record.plot)
