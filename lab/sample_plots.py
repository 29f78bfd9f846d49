"""Sample plots: how the score of the baseline becomes the score of one sample, as users of `shap` know it: waterfall and force."""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib import rcParams

from lab.displays import join_names
from lab.plot_layout import FONT, GREY, SMALL, cover, rows_figure, signed, text_width, wrap, wrap_title, write
from lab.plots import NEGATIVE, POSITIVE, Plot, shorten

# Width of a force plot and of its margins in inches, and letters of a name.
LINE, MARGIN, LABEL = 9.5, 0.2, 28
# Below this share of a picture, the gap of a method that adds up is written and not drawn.
VISIBLE = 0.001


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
            return {"facecolor": "none", "edgecolor": GREY, "hatch": "////"}
        return {"facecolor": POSITIVE if self.value > 0 else NEGATIVE, "edgecolor": "white"}

    @property
    def words(self):
        """For those who cannot see the bar: str."""
        return f"{self.name}{self.cell}: {signed(self.value)}"


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
    def ends(self):
        """The scores of the baseline and of the sample, to four digits of the larger one: (str, str)."""
        largest = max(abs(self.score), abs(self.baseline))
        digits = 3 - math.floor(math.log10(largest)) if largest else 0
        return tuple(f"{round(number, digits) + 0.0:.6g}" for number in (self.baseline, self.score))

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
    figure, axes = rows_figure(sample.title, labels, _notes(sample, bars), _alt("Waterfall", sample, bars[::-1]))
    for place, (term, start, end) in enumerate(zip(bars, starts, ends)):
        axes.barh(place, term.value, left=start, height=0.7, **term.style)
        if place + 1 < len(bars):
            axes.plot([end, end], [place, place + 1], color=GREY, linewidth=0.7, linestyle=":")
        axes.annotate(
            signed(term.value),
            (max(start, end), place),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=FONT,
            bbox=cover(),
        )
    _pad(axes, [sample.baseline, *ends], right=0.14)
    # The ends of the way, as `shap` marks E[f(x)] and f(x).
    axes.axvline(sample.baseline, color=GREY, linewidth=0.8, linestyle="--", zorder=0)
    axes.axvline(sample.score, color=rcParams["text.color"], linewidth=0.8, linestyle="--", zorder=0)
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
    inner, limits = LINE - 2 * MARGIN, (low - margin, high + margin)
    labels = _place_labels(spans, limits, inner)
    figure, axes = _line_figure(sample, terms, depth=1 + max((lane for *_, lane in labels), default=0))
    for left, right, term in spans:
        axes.barh(0, right - left, left=left, height=1, **term.style)
    axes.set_xlim(*limits)
    axes.set_ylim(-0.5, 0.5)
    _draw_labels(axes, labels, inner)
    axes.axvline(sample.score, color=rcParams["text.color"], linewidth=1.5)
    axes.plot([sample.baseline] * 2, [-0.5, 0.9], color=GREY, linewidth=1, linestyle="--", clip_on=False)
    _text_inside(axes, sample.score, f"score {sample.ends[1]}", 0.82, inner, "bold")
    _text_inside(axes, sample.baseline, f"baseline {sample.ends[0]}", 0.64, inner, "normal")
    return figure


def _line_figure(sample, terms, depth):
    """A figure of one line with room for so many lines of labels below it: `Plot` and its axes."""
    notes = wrap(_notes(sample, terms), 120)
    bottom = 0.2 * depth + 0.17 * len(notes) + 0.2
    height = bottom + 1.35 + 0.2 * wrap_title(sample.title).count("\n")
    figure = Plot(figsize=(LINE, height), alt=_alt("Force plot", sample, terms))
    axes = figure.add_axes((MARGIN / LINE, bottom / height, 1 - 2 * MARGIN / LINE, 0.3 / height))
    axes.set_yticks([])
    axes.xaxis.tick_top()
    axes.tick_params(labelsize=SMALL)
    for side in ("left", "right", "bottom"):
        axes.spines[side].set_visible(False)
    write(figure, sample.title, notes)
    for words, colour, edge in (("red raises the score, ", POSITIVE, 0.8), ("blue lowers it", NEGATIVE, 0.1)):
        figure.text(1 - edge / LINE, 0.08 / height, words, color=colour, ha="right", fontsize=SMALL)
    return figure, axes


def _merge_last(terms, max_display):
    """Terms, of which the smallest are one where there are more than `max_display`: list of `Term`."""
    if len(terms) <= max_display:
        return terms
    largest, rest = terms[: max_display - 1], terms[max_display - 1 :]
    return [*largest, _sum(rest)]


def _merge_signs(terms, max_display):
    """Terms, of which the smallest that raise the score are one, and those that lower it: list of `Term`."""
    largest, rest = terms[:max_display], terms[max_display:]
    parts = [term for term in rest if term.value > 0], [term for term in rest if term.value < 0]
    return [*largest, *(_sum(part) for part in parts if part)]


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
        difference = signed(sample.score - sample.baseline, 4)
        notes = [
            f"The bars add up to the score's difference to the baseline, {difference}, but for a gap of {signed(sample.gap, 2)}."
        ]
    missing = [shorten(name) for name, value in zip(sample.names, sample.values) if not np.isfinite(value)]
    return [*notes, *([f"Not drawn, since its number is not finite: {join_names(missing)}."] if missing else [])]


def _alt(kind, sample, terms):
    baseline, score = sample.ends
    ends = f"from the baseline's score {baseline} to the score {score}"
    words = "; ".join(term.words for term in terms)
    return " ".join([f"{kind}. {sample.title}. It leads {ends}. {words}.", *_notes(sample, terms)])


def _mark_ends(axes, sample):
    """Both scores below and above the bars."""
    edge = axes.get_xlim()
    for x, words, y, align in (
        (sample.baseline, f"baseline {sample.ends[0]}", 0, "top"),
        (sample.score, f"score {sample.ends[1]}", 1, "bottom"),
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
        half, middle = text_width(term.label, SMALL) / 2 + 0.06, ((low + high) / 2 - limits[0]) * scale
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
            color=GREY if term.is_gap else term.style["facecolor"],
            bbox=cover(),
            parse_math=False,
        )


def _text_inside(axes, x, words, rise, inner, weight):
    """Words above the line at a place, moved where they would leave the picture."""
    low, high = axes.get_xlim()
    half = text_width(words, FONT) * 0.55
    place = min(max((x - low) / (high - low) * inner, half), inner - half) / inner
    axes.text(
        place, rise / 0.3, words, transform=axes.transAxes, ha="center", va="bottom", fontsize=FONT, fontweight=weight
    )


def _pad(axes, values, right):
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    axes.set_xlim(low - 0.06 * span, high + right * span)
