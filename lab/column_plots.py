"""Column plots: attributions of the columns of a table, or of the tokens of a text, as pictures that users of `shap` know.

waterfall, force          one sample: how the score of the baseline becomes that of the sample
bar, beeswarm             all samples: how large the attributions of a column are, and which values have which
dependence                one column: its value, and its attribution
"""

import textwrap
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from lab.plots import NEGATIVE, POSITIVE, SIGNED, Plot, shorten
from lab.swarm import crowding, swarm

GREY, BAR = "#7a7a7a", "#4c5a69"
# Low values to high ones: the ends of signed maps, and between them no white, which would be lost on the page.
VALUES = LinearSegmentedColormap.from_list("values", [colormaps[SIGNED](0.1), "#8d5a97", colormaps[SIGNED](0.9)])
# Sizes in inches and in points.
WIDTH, ROW, SMALL, FONT = 8.0, 0.32, 7.5, 9.0
# Letters of a name.
LABEL = 28
# Heights of a row of a beeswarm for up to so many dots, and for more; its dots have the largest diameter that leaves room.
SWARM_ROWS, SWARM_ROW, DIAMETERS = ((100, 0.44), (500, 0.7)), 0.85, (0.09, 0.075, 0.06, 0.05, 0.04, 0.03, 0.024)
# What is written over lines hides them.
_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
# Below this share of a picture, the gap of a method that adds up is written and not drawn.
VISIBLE = 0.005


@dataclass(frozen=True)
class Term:
    """What a column, several of them, or the gap adds to a score.

    Args:
        name: str.
        value: float.
        cell: str, what is written behind the name.
        is_gap: whether it is the gap.
    """

    name: str
    value: float
    cell: str = ""
    is_gap: bool = False

    @property
    def label(self):
        """The name with the value of the column, the name shortened where it is long: str."""
        return shorten(self.name, LABEL) + self.cell

    @property
    def style(self):
        """How its bar is drawn: dict."""
        if self.is_gap:
            return {"facecolor": "white", "edgecolor": GREY, "hatch": "////"}
        return {"facecolor": POSITIVE if self.value > 0 else NEGATIVE, "edgecolor": "white"}

    @property
    def words(self):
        """For those who cannot see the bar: str."""
        return f"{self.name}{self.cell}: {_signed(self.value)}"


@dataclass(frozen=True)
class Sample:
    """One sample and its map.

    Args:
        title: str, the method and the target.
        names: list of str, the columns or tokens.
        cells: list of str, the value of each column; None: tokens have none.
        values: float [columns], the map.
        score: float, of the sample.
        baseline: float, the score of the baseline.
        complete: whether the method promises that the map adds up to their difference.
        method: str, its name.
    """

    title: str
    names: list
    cells: list | None
    values: np.ndarray
    score: float
    baseline: float
    complete: bool
    method: str

    @property
    def terms(self):
        """A `Term` for each column whose number is finite, the largest first: list."""
        finite = np.flatnonzero(np.isfinite(self.values))
        order = finite[np.argsort(-np.abs(self.values[finite]), kind="stable")]
        cells = [""] * len(self.names) if self.cells is None else [f" = {cell}" for cell in self.cells]
        return [Term(self.names[place], float(self.values[place]), cells[place]) for place in order]

    @property
    def gap(self):
        """What the finite numbers of the map lack of the difference of the scores: float."""
        return self.score - self.baseline - float(self.values[np.isfinite(self.values)].sum(dtype="float64"))


@dataclass(frozen=True)
class Samples:
    """Several rows of a table and their maps.

    Args:
        method: str.
        names: list of str, of the columns.
        inputs: float [rows, columns], values as they are shown.
        maps: float [rows, columns].
        targets: tuple of str, what the rows were asked about, the class of each or one for all.
    """

    method: str
    names: list
    inputs: np.ndarray
    maps: np.ndarray
    targets: tuple

    @property
    def title(self):
        """The method and the target: str."""
        targets = set(self.targets)
        return f"{self.method}: {targets.pop() if len(targets) == 1 else 'each row asked about its own class'}"

    @property
    def notes(self):
        """What has to be known to read signs: list of sentences."""
        classes = sorted(set(self.targets))
        if len(classes) == 1:
            return []
        names = _listed(list(map(shorten, classes)))
        return [
            f"Rows are asked about different classes ({names}), so that the same sign speaks for another class in each."
        ]


# One sample ---------------------------------------------------------------------------------------------------------------


def waterfall(sample, *, max_display=10):
    """How the score of the baseline becomes the score of a sample, one bar a column, the largest on top.

    Args:
        sample: `Sample`.
        max_display: bars at most, without that of the gap; the smallest columns are one bar.

    Returns:
        `Plot`.
    """
    terms = _merge_last(sample.terms, max_display)
    bars = [*_gap_terms(sample, terms), *terms[::-1]]
    ends = sample.baseline + np.cumsum([term.value for term in bars])
    starts = np.concatenate([[sample.baseline], ends[:-1]])
    labels = [term.label for term in bars]
    figure, axes = _rows_figure(sample.title, labels, _notes(sample, bars), _alt("Waterfall", sample, bars[::-1]))
    for place, (term, start, end) in enumerate(zip(bars, starts, ends)):
        axes.barh(place, term.value, left=start, height=0.7, **term.style)
        if place + 1 < len(bars):
            axes.plot([end, end], [place, place + 1], color=GREY, linewidth=0.7, linestyle=":")
        axes.annotate(
            _signed(term.value),
            (max(start, end), place),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=FONT,
            bbox=_WHITE,
        )
    _pad(axes, [sample.baseline, *ends], right=0.14)
    # The ends of the way, as `shap` marks E[f(x)] and f(x).
    axes.axvline(sample.baseline, color=GREY, linewidth=0.8, linestyle="--", zorder=0)
    axes.axvline(sample.score, color="black", linewidth=0.8, linestyle="--", zorder=0)
    _mark_ends(axes, sample)
    return figure


def force(sample, *, max_display=10):
    """The same as one line: what raises the score pushes from the left, what lowers it from the right.

    Args:
        sample: `Sample`.
        max_display: columns at most; of the others those that raise are one part, and those that lower one.

    Returns:
        `Plot`.
    """
    terms = _merge_signs(sample.terms, max_display)
    terms = [*terms, *_gap_terms(sample, terms)]
    spans = [*_stack(sample.score, terms, 1), *_stack(sample.score, terms, -1)]
    low = min([sample.baseline, sample.score, *(span[0] for span in spans)])
    high = max([sample.baseline, sample.score, *(span[1] for span in spans)])
    margin = 0.04 * (high - low) or 1.0
    inner, limits = WIDTH + 1.5 - 0.4, (low - margin, high + margin)
    labels = _place_labels(spans, limits, inner)
    notes, depth = _wrap(_notes(sample, terms), 120), 1 + max((lane for *_, lane in labels), default=0)
    height = 1.55 + 0.2 * depth + 0.17 * len(notes) + 0.2 * sample.title.count("\n")
    figure = Plot(figsize=(WIDTH + 1.5, height), alt=_alt("Force plot", sample, terms))
    bottom = 0.2 * depth + 0.17 * len(notes) + 0.2
    axes = figure.add_axes((0.2 / (WIDTH + 1.5), bottom / height, inner / (WIDTH + 1.5), 0.3 / height))
    for left, right, term in spans:
        axes.barh(0, right - left, left=left, height=1, **term.style)
    axes.set_xlim(*limits)
    axes.set_ylim(-0.5, 0.5)
    _draw_labels(axes, labels, inner)
    axes.set_yticks([])
    axes.xaxis.tick_top()
    axes.tick_params(labelsize=SMALL)
    for side in ("left", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.axvline(sample.score, color="black", linewidth=1.5)
    axes.plot([sample.baseline] * 2, [-0.5, 0.9], color=GREY, linewidth=1, linestyle="--", clip_on=False)
    for x, words, rise, weight in (
        (sample.score, f"score {sample.score:.4g}", 0.52, "bold"),
        (sample.baseline, f"baseline {sample.baseline:.4g}", 0.34, "normal"),
    ):
        _text_inside(axes, x, words, 0.3 + rise, inner, weight)
    _write(figure, sample.title, notes)
    for words, colour, edge in (("red raises the score, ", POSITIVE, 0.8), ("blue lowers it", NEGATIVE, 0.1)):
        figure.text(1 - edge / (WIDTH + 1.5), 0.08 / height, words, color=colour, ha="right", fontsize=SMALL)
    return figure


def _merge_last(terms, max_display):
    """Terms, of which the smallest are one where there are more than `max_display`: list of `Term`."""
    if len(terms) <= max_display:
        return terms
    shown, rest = terms[: max_display - 1], terms[max_display - 1 :]
    return [*shown, _sum(rest)]


def _merge_signs(terms, max_display):
    """Terms, of which the smallest that raise the score are one, and those that lower it: list of `Term`."""
    shown, rest = terms[:max_display], terms[max_display:]
    parts = [term for term in rest if term.value > 0], [term for term in rest if term.value < 0]
    return [*shown, *(_sum(part) for part in parts if part)]


def _sum(terms):
    return Term(f"{len(terms)} others", sum(term.value for term in terms))


def _gap_terms(sample, terms):
    """The gap, where it is to be drawn: always where a method does not promise to add up. List of `Term`, at most one."""
    extent = max([abs(sample.score - sample.baseline), *(abs(term.value) for term in terms)])
    visible = abs(sample.gap) > VISIBLE * extent
    return [Term("gap", sample.gap, is_gap=True)] if visible or not sample.complete else []


def _notes(sample, terms):
    """What has to be known to read the bars: list of sentences."""
    lack = "is what they lack of the score's difference to the baseline"
    if not sample.complete:
        notes = [f"{sample.method} does not promise that its bars add up. The hatched gap {lack}."]
    elif any(term.is_gap for term in terms):
        notes = [f"The bars do not quite add up. The hatched gap {lack}."]
    else:
        difference = _signed(sample.score - sample.baseline, 4)
        notes = [
            f"The bars add up to the score's difference to the baseline, {difference}, but for a gap of {_signed(sample.gap, 2)}."
        ]
    missing = [shorten(name) for name, value in zip(sample.names, sample.values) if not np.isfinite(value)]
    return [*notes, *([f"Not drawn, since its number is not finite: {_listed(missing)}."] if missing else [])]


def _listed(names, shown=5):
    """The first names, and how many more there are: str."""
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def _alt(kind, sample, terms):
    ends = f"from the baseline's score {sample.baseline:.4g} to the score {sample.score:.4g}"
    words = "; ".join(term.words for term in terms)
    return " ".join([f"{kind}. {sample.title}. It leads {ends}. {words}.", *_notes(sample, terms)])


def _mark_ends(axes, sample):
    """Both scores below and above the bars."""
    edge = axes.get_xlim()
    for x, words, y, align in (
        (sample.baseline, f"baseline {sample.baseline:.4g}", 0, "top"),
        (sample.score, f"score {sample.score:.4g}", 1, "bottom"),
    ):
        share = (x - edge[0]) / (edge[1] - edge[0])
        side = "left" if share < 0.1 else "right" if share > 0.9 else "center"
        axes.annotate(
            words,
            (x, y),
            xycoords=("data", "axes fraction"),
            xytext=(0, -18 if align == "top" else 3),
            textcoords="offset points",
            ha=side,
            va=align,
            fontsize=FONT,
            fontweight="bold" if y else "normal",
        )


def _stack(score, terms, sign):
    """Terms that raise (sign 1) end at the score from the left, those that lower begin there: iterator of (low, high, `Term`)."""
    edge = score
    for term in terms:
        if term.value * sign > 0:
            # Both move away from the score: what raises it to the left, what lowers it to the right.
            low, high = sorted((edge, edge - term.value))
            yield low, high, term
            edge -= term.value


def _place_labels(spans, limits, inner):
    """Labels below their parts, in lanes in which none overlaps: list of (middle of the part, middle of the text, `Term`, lane).

    Parts of less than a fiftieth of the picture have none; the words for those who cannot see it have all.
    """
    scale, ends, labels = inner / (limits[1] - limits[0]), [], []
    for low, high, term in sorted(spans, key=lambda span: span[0] + span[1]):
        if (high - low) * scale < inner / 50:
            continue
        half, middle = _width(term.label, SMALL) / 2 + 0.06, ((low + high) / 2 - limits[0]) * scale
        centre = min(max(middle, half), inner - half)
        lane = next((lane for lane, end in enumerate(ends) if end <= centre - half), len(ends))
        ends[lane : lane + 1] = [centre + half]
        labels.append((middle, centre, term, lane))
    return labels


def _draw_labels(axes, labels, inner):
    for middle, centre, term, lane in labels:
        below = -(0.14 + 0.2 * lane) / 0.3
        axes.plot(
            [middle / inner, middle / inner, centre / inner],
            [0, below + 0.2, below],
            transform=axes.transAxes,
            color=GREY,
            linewidth=0.5,
            clip_on=False,
        )
        axes.annotate(
            term.label,
            (centre / inner, below),
            xycoords="axes fraction",
            ha="center",
            va="center",
            fontsize=SMALL,
            color="black" if term.is_gap else term.style["facecolor"],
            bbox=_WHITE,
            parse_math=False,
        )


def _text_inside(axes, x, words, rise, inner, weight):
    """Words above the line at a place, moved where they would leave the picture."""
    low, high = axes.get_xlim()
    half = _width(words, FONT) * 0.55
    place = min(max((x - low) / (high - low) * inner, half), inner - half) / inner
    axes.text(
        place, rise / 0.3, words, transform=axes.transAxes, ha="center", va="bottom", fontsize=FONT, fontweight=weight
    )


# All samples --------------------------------------------------------------------------------------------------------------


def bar(samples, intervals, *, max_display=10):
    """Mean absolute attribution of every column over the rows, with its interval, the largest on top.

    Args:
        samples: `Samples`.
        intervals: (sizes, float [rows, features]) -> float [3, features], mean and bounds of each, as `lab.importance.importance`.
        max_display: bars at most; the smallest columns are one bar, whose number is the sum of theirs.

    Returns:
        `Plot`.
    """
    sizes = np.abs(np.asarray(samples.maps, "float64"))
    shown, rest, missing = _largest(sizes, max_display)
    features = [sizes[:, shown], *([np.nansum(sizes[:, rest], axis=1, keepdims=True)] if len(rest) else [])]
    mean, low, high = np.asarray(intervals(np.concatenate(features, axis=1)))
    labels = [*(samples.names[place] for place in shown), *([f"{len(rest)} others"] if len(rest) else [])]
    several = len(sizes) > 1
    numbers = [
        f"{numbers[0]:.3g} [{numbers[1]:.3g}, {numbers[2]:.3g}]" if several else f"{numbers[0]:.3g}"
        for numbers in zip(mean, low, high)
    ]
    interval = "with its 95% bootstrap interval over rows" if several else "which one row gives no interval"
    notes = [
        f"Mean absolute attribution over {_count(sizes)}, {interval}.",
        *samples.notes,
        *_missing_notes(samples, sizes, missing),
    ]
    words = "; ".join(f"{label}: {number}" for label, number in zip(labels, numbers))
    alt = " ".join([f"Bar plot. {samples.title}. {words}.", *notes])
    figure, axes = _rows_figure(samples.title, list(map(shorten, labels))[::-1], notes, alt)
    places = np.arange(len(labels))[::-1]
    axes.barh(places, mean, height=0.7, color=[BAR] * len(shown) + [GREY] * bool(len(rest)))
    if several:
        axes.errorbar(mean, places, xerr=[mean - low, high - mean], fmt="none", ecolor="black", elinewidth=1, capsize=3)
    for place, end, number in zip(places, np.maximum(mean, high), numbers):
        axes.annotate(number, (end, place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=FONT)
    axes.set_xlim(0, (np.maximum(mean, high).max(initial=0) or 1) * 1.4)
    axes.set_xlabel("mean |attribution|", fontsize=FONT)
    return figure


def beeswarm(samples, *, max_display=10):
    """Every row's attribution of the largest columns as dots, coloured by the column's own value.

    Args:
        samples: `Samples`.
        max_display: rows of dots at most; the sum of the smallest columns is the last, without colours.

    Returns:
        `Plot`.
    """
    maps = np.asarray(samples.maps, "float64")
    shown, rest, missing = _largest(np.abs(maps), max_display)
    features = [(samples.names[place], maps[:, place], samples.inputs[:, place]) for place in shown]
    if len(rest):
        features.append((f"sum of {len(rest)} others", np.nansum(maps[:, rest], axis=1), None))
    features = [(name, part[np.isfinite(part)], _kept(values, part)) for name, part, values in features]
    limits = _limits(np.concatenate([part for _, part, _ in features] or [np.zeros(1)]))
    notes = [_dot_note(maps), *samples.notes, *_missing_notes(samples, maps, missing)]
    names = [name for name, *_ in features]
    alt = _swarm_alt(samples, features, notes)
    row = next((height for count, height in SWARM_ROWS if len(maps) <= count), SWARM_ROW)
    # The words beside the colours need some height.
    row = max(row, 1.3 / max(1, len(features)))
    figure, axes = _rows_figure(samples.title, list(map(shorten, names))[::-1], notes, alt, row=row, right=1.25)
    unit = (limits[1] - limits[0]) / (axes.get_position().width * figure.get_figwidth())
    diameter = _diameter([part for _, part, _ in features], unit, row)
    for place, (_, part, values) in zip(range(len(features) - 1, -1, -1), features):
        _dots(axes, place, part, values, diameter / unit, unit, row)
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    axes.set_xlim(*limits)
    axes.set_xlabel("attribution", fontsize=FONT)
    _value_bar(figure, axes, "value of the column", ["low", "high"])
    return figure


def dependence(samples, column, *, partner=None, words="", max_width=7.0):
    """The value of a column and its attribution, a dot a row.

    Args:
        samples: `Samples`.
        column: int, its place.
        partner: int, the place of the column that colours the dots; None: they have no colours.
        words: str, how the partner was chosen.
        max_width: inches.

    Returns:
        `Plot`.
    """
    name, values, part = samples.names[column], samples.inputs[:, column], samples.maps[:, column]
    known = np.isfinite(part)
    notes = _wrap(
        [f"{_dot_note(part)} {words}", *samples.notes, *_missing_notes(samples, samples.maps[:, [column]], [])], 95
    )
    coloured = "" if partner is None else f" Colours: {samples.names[partner]}."
    alt = f"Dependence plot. {samples.title}. {name}, from {_number(values.min())} to {_number(values.max())}, and its attribution, {_spread(part[known])}.{coloured} {' '.join(notes)}"
    height = 4.2 + 0.17 * len(notes)
    figure = Plot(figsize=(max_width, height), alt=alt)
    bottom = 0.65 + 0.17 * len(notes)
    axes = figure.add_axes((0.9 / max_width, bottom / height, (max_width - 2.3) / max_width, 2.95 / height))
    colours = GREY if partner is None else _value_colours(samples.inputs[known, partner])
    size = float(np.clip(2000 / max(1, len(part)), 4, 28))
    axes.scatter(values[known], part[known], s=size, c=colours, linewidths=0)
    axes.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    _tidy(axes)
    axes.set_xlabel(shorten(name, 60), fontsize=FONT, parse_math=False)
    axes.set_ylabel(f"attribution of {shorten(name)}", fontsize=FONT, parse_math=False)
    if partner is not None:
        low, high = _ends(samples.inputs[:, partner])
        _value_bar(figure, axes, shorten(samples.names[partner], 40), [_number(low), _number(high)])
    _write(figure, samples.title, notes)
    return figure


def _largest(sizes, max_display):
    """Columns with the largest mean, those that are one bar, and those without a finite number: arrays of int."""
    finite = np.isfinite(sizes)
    means = np.where(finite, sizes, 0).sum(axis=0) / np.maximum(finite.sum(axis=0), 1)
    missing = np.flatnonzero(~finite.any(axis=0))
    order = np.argsort(-means, kind="stable")
    order = order[finite.any(axis=0)[order]]
    if len(order) > max_display:
        return order[: max_display - 1], order[max_display - 1 :], missing
    return order, order[:0], missing


def _missing_notes(samples, maps, missing):
    """What is not drawn, in sentences: list of str."""
    names = [shorten(samples.names[place]) for place in missing]
    notes = [f"Not drawn, since no number is finite: {_listed(names)}."] if names else []
    partly = int((~np.isfinite(maps)).sum()) - len(missing) * len(maps)
    return [
        *notes,
        *([f"Left out, since they are not finite: {partly} attribution{'s' * (partly > 1)}."] if partly > 0 else []),
    ]


def _kept(values, part):
    return None if values is None else values[np.isfinite(part)]


def _diameter(parts, unit, row):
    """The largest diameter of dots, in units of the axis, with which half of the columns need not be thinned."""
    for inches in DIAMETERS:
        fit = [crowding(np.sort(part), inches * unit) <= _lanes(inches, row) for part in parts]
        if 2 * sum(fit) >= len(fit):
            return inches * unit
    return DIAMETERS[-1] * unit


def _lanes(inches, row):
    """Dots of a diameter that fit into a row of a beeswarm: int."""
    return int(0.9 * row / inches)


def _dots(axes, place, part, values, inches, unit, row):
    """One row of a beeswarm, its dots and its height in inches."""
    if not len(part):
        return
    places, lanes, members, share = swarm(part, inches * unit, _lanes(inches, row))
    colours = GREY
    if values is not None:
        means = np.bincount(members, values) / np.bincount(members)
        colours = _value_colours(means, _ends(values))
    # A dot is a little smaller than its place, so that neighbours are told apart.
    size = (72 * inches * 0.96) ** 2
    axes.scatter(places, place + lanes * inches / row, s=size, c=colours, linewidths=0)
    if share > 1:
        axes.annotate(
            f"1 dot:\n≤ {share} rows",
            (1, place),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=6.5,
            color=GREY,
        )


def _swarm_alt(samples, features, notes):
    words = "; ".join(f"{name}: {_spread(part)}{_trend(part, values)}" for name, part, values in features)
    return " ".join([f"Beeswarm. {samples.title}. {words}.", *notes])


def _spread(part):
    return f"{part.min():+.3g} to {part.max():+.3g}" if len(part) else "none"


def _trend(part, values):
    """Whether attributions rise with the values, in words."""
    if values is None or len(part) < 3 or part.std() == 0 or np.std(values) == 0:
        return ""
    correlation = np.corrcoef(part, values)[0, 1]
    return f", {'rising' if correlation > 0 else 'falling'} with the value" if abs(correlation) > 0.5 else ""


# Parts of a picture -------------------------------------------------------------------------------------------------------


def _rows_figure(title, labels, notes, alt, *, row=ROW, right=0.3):
    """A figure with a labelled row for each bar, from below: `Plot` and its axes, whose size in inches is known."""
    notes = _wrap(notes, 110)
    left = 0.25 + max([_width(label, FONT) for label in labels], default=0)
    top, bottom = 0.5 + 0.2 * _wrap_title(title).count("\n"), 0.6 + 0.17 * len(notes)
    body = row * max(1, len(labels)) + 0.1
    width, height = max(WIDTH, left + right + 3.5), top + body + bottom
    figure = Plot(figsize=(width, height), alt=alt)
    axes = figure.add_axes((left / width, bottom / height, (width - left - right) / width, body / height))
    _tidy(axes)
    axes.set_yticks(range(len(labels)), labels, fontsize=FONT, parse_math=False)
    axes.set_ylim(-0.5 - 0.05 / row, max(1, len(labels)) - 0.5 + 0.05 / row)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    _write(figure, title, notes)
    return figure, axes


def _tidy(axes):
    axes.tick_params(axis="both", labelsize=SMALL)
    axes.xaxis.set_major_formatter(lambda number, _: f"{number:.6g}")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _write(figure, title, notes):
    """The title on top of a figure, and notes at its foot."""
    width, height = figure.get_size_inches()
    figure.text(0.1 / width, 1 - 0.1 / height, _wrap_title(title), va="top", fontsize=FONT + 1, parse_math=False)
    for number, note in enumerate(reversed(notes)):
        figure.text(
            0.1 / width, (0.08 + 0.17 * number) / height, note, fontsize=SMALL, color="#444444", parse_math=False
        )


def _wrap_title(title):
    return textwrap.fill(title, 100)


def _wrap(notes, width):
    return [line for note in notes for line in textwrap.wrap(note, width)]


def _width(words, size):
    """How wide a text is: float, inches."""
    width, _, _ = TextToPath().get_text_width_height_descent(words, FontProperties(size=size), ismath=False)
    return width / 72


def _pad(axes, values, right):
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    axes.set_xlim(low - 0.06 * span, high + right * span)


def _limits(values):
    """An axis for attributions, zero included: (float, float)."""
    low, high = min(0.0, float(values.min(initial=0))), max(0.0, float(values.max(initial=0)))
    margin = 0.04 * (high - low) or 1.0
    return low - margin, high + margin


def _ends(values):
    """The values of the strongest colours, as `shap` has them: the 5th and the 95th percentile, or all where these are one."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 0.0
    low, high = np.percentile(finite, [5, 95])
    return (float(low), float(high)) if low < high else (float(finite.min()), float(finite.max()))


def _value_colours(values, ends=None):
    """The colour of each value; one that never varies is grey: [samples, 4], or a colour."""
    low, high = _ends(values) if ends is None else ends
    return VALUES(Normalize(low, high, clip=True)(values)) if low < high else GREY


def _value_bar(figure, axes, label, ends):
    """The colours of values, beside the axes."""
    box = axes.get_position()
    width = figure.get_figwidth()
    place = figure.add_axes((box.x1 + 0.62 / width, box.y0 + 0.1 * box.height, 0.09 / width, 0.8 * box.height))
    colour_bar = figure.colorbar(ScalarMappable(Normalize(0, 1), VALUES), cax=place)
    colour_bar.set_ticks([0, 1], labels=ends, fontsize=SMALL)
    colour_bar.outline.set_visible(False)
    colour_bar.ax.tick_params(length=0)
    colour_bar.set_label(label, fontsize=SMALL, labelpad=-4, parse_math=False)


def _count(maps):
    return f"{len(maps):,} row{'s' * (len(maps) != 1)}"


def _dot_note(maps):
    return f"A dot is one of {_count(maps)}." if len(maps) > 1 else "The dot is the one row."


def _signed(value, digits=3):
    return f"{value:+.{digits}g}" if value else "0"


def _number(value):
    return f"{value:.4g}"
