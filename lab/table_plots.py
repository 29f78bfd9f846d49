"""Table plots: attributions of columns over the rows of a table, as users of `shap` know them: bar, beeswarm, dependence."""

from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps, rcParams
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize

from lab.displays import join_names
from lab.plot_layout import FONT, GREY, SMALL, WIDTH, rows_figure, signed, tidy, wrap, write
from lab.plots import SIGNED, Plot, shorten
from lab.swarm import crowding, swarm

# The colour of a size, which has no sign.
BAR = "#4c5a69"
# Low values to high ones: the ends of signed maps, and between them no white, which would be lost on the page.
VALUES = LinearSegmentedColormap.from_list("values", [colormaps[SIGNED](0.1), "#8d5a97", colormaps[SIGNED](0.9)])
# A value that is not known has no place between low and high.
VALUES = VALUES.with_extremes(bad=GREY)
# Heights of a row of a beeswarm in inches for up to so many dots, and for more; and diameters that its dots may have.
SWARM_ROWS, SWARM_ROW, DIAMETERS = ((100, 0.44), (500, 0.7)), 0.85, (0.09, 0.075, 0.06, 0.05, 0.04, 0.03, 0.024)


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
        names = join_names(list(map(shorten, classes)))
        return [
            f"Rows are asked about different classes ({names}), so that the same sign speaks for another class in each."
        ]


def bar(samples, intervals, *, max_display=10):
    """Mean absolute attribution of every column over the rows, with its interval, the largest on top.

    Args:
        samples: `Samples`.
        intervals: (sizes, float [rows, features]) -> float [3, features], mean and bounds of each, as `lab.feature_means.feature_means`.
        max_display: bars at most; the smallest columns are one bar, whose number is the sum of theirs.

    Returns:
        `Plot`.
    """
    sizes = np.abs(np.asarray(samples.maps, "float64"))
    largest, rest, missing = _largest(sizes, max_display)
    features = [sizes[:, largest], *([_finite_sums(sizes[:, rest])[:, None]] if len(rest) else [])]
    mean, low, high = np.asarray(intervals(np.concatenate(features, axis=1)))
    labels = [*(samples.names[place] for place in largest), *([f"{len(rest)} others"] if len(rest) else [])]
    several = len(sizes) > 1
    numbers = [_interval(*span) if several else f"{span[0]:.3g}" for span in zip(mean, low, high)]
    interval = "with its 95% bootstrap interval over rows" if several else "which allows no interval"
    notes = [f"Mean absolute attribution over {_count(sizes)}, {interval}."]
    notes += [*samples.notes, *_missing_notes(samples, sizes, missing)]
    words = "; ".join(f"{label}: {number}" for label, number in zip(labels, numbers))
    alt = " ".join([f"Bar plot. {samples.title}. {words}.", *notes])
    figure, axes = rows_figure(samples.title, [shorten(label) for label in labels[::-1]], notes, alt)
    places = np.arange(len(labels))[::-1]
    axes.barh(places, mean, height=0.7, color=[BAR] * len(largest) + [GREY] * bool(len(rest)))
    if several:
        spans = [mean - low, high - mean]
        axes.errorbar(mean, places, xerr=spans, fmt="none", ecolor=rcParams["text.color"], elinewidth=1, capsize=3)
    for place, end, number in zip(places, np.maximum(mean, high), numbers):
        axes.annotate(number, (end, place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=FONT)
    axes.set_xlim(0, (np.maximum(mean, high).max(initial=0) or 1) * 1.4)
    axes.set_xlabel("mean |attribution|", fontsize=FONT)
    return figure


def _interval(mean, low, high):
    return f"{mean:.3g} [{low:.3g}, {high:.3g}]"


def beeswarm(samples, *, max_display=10):
    """Every row's attribution of the largest columns as dots, coloured by the column's own value.

    Args:
        samples: `Samples`.
        max_display: rows of dots at most; the sum of the smallest columns is the last, without colours.

    Returns:
        `Plot`.
    """
    maps = np.asarray(samples.maps, "float64")
    largest, rest, missing = _largest(np.abs(maps), max_display)
    features = [(samples.names[place], maps[:, place], samples.inputs[:, place]) for place in largest]
    if len(rest):
        features.append((f"sum of {len(rest)} others", _finite_sums(maps[:, rest]), None))
    features = [(name, part[np.isfinite(part)], _kept(values, part)) for name, part, values in features]
    limits = _limits(np.concatenate([part for _, part, _ in features] or [np.zeros(1)]))
    notes = [_dot_note(maps), *samples.notes, *_missing_notes(samples, maps, missing)]
    names = [name for name, *_ in features]
    alt = _swarm_alt(samples, features, notes)
    row = next((height for count, height in SWARM_ROWS if len(maps) <= count), SWARM_ROW)
    # The words beside the colours need some height.
    row = max(row, 1.3 / max(1, len(features)))
    figure, axes = rows_figure(samples.title, [shorten(name) for name in names[::-1]], notes, alt, row=row, right=1.25)
    unit = (limits[1] - limits[0]) / (axes.get_position().width * figure.get_figwidth())
    diameter = _diameter([part for _, part, _ in features if len(part)], unit, row)
    for place, (_, part, values) in zip(range(len(features) - 1, -1, -1), features):
        _dots(axes, place, part, values, diameter / unit, unit, row)
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    axes.set_xlim(*limits)
    axes.set_xlabel("attribution", fontsize=FONT)
    _value_bar(figure, axes, "value of the column", ["low", "high"])
    return figure


def dependence(samples, column, *, partner=None, words=""):
    """The value of a column and its attribution, a dot a row.

    Args:
        samples: `Samples`.
        column: int, its place.
        partner: int, the place of the column that colours the dots; None: they have no colours.
        words: str, how the partner was chosen.

    Returns:
        `Plot`.
    """
    name, values, part = samples.names[column], samples.inputs[:, column], samples.maps[:, column]
    known = np.isfinite(part) & np.isfinite(values)
    notes = [f"{_dot_note(part)} {words}".rstrip(), *samples.notes]
    notes = wrap([*notes, *_missing_notes(samples, np.where(known, part, np.nan)[:, None], [])], 95)
    alt = f"Dependence plot. {samples.title}. {name}, {_range(values[known])}, and its attribution, {_spread(part[known])}. {' '.join(notes)}"
    height = 4.2 + 0.17 * len(notes)
    figure = Plot(figsize=(WIDTH, height), alt=alt)
    bottom = 0.65 + 0.17 * len(notes)
    axes = figure.add_axes((0.9 / WIDTH, bottom / height, (WIDTH - 2.3) / WIDTH, 2.95 / height))
    colours = GREY if partner is None else _value_colours(samples.inputs[known, partner])
    size = float(np.clip(2000 / max(1, len(part)), 4, 28))
    axes.scatter(values[known], part[known], s=size, c=colours, linewidths=0)
    axes.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    tidy(axes)
    axes.set_xlabel(shorten(name, 60), fontsize=FONT, parse_math=False)
    axes.set_ylabel(f"attribution of {shorten(name)}", fontsize=FONT, parse_math=False)
    if partner is not None:
        low, high = _ends(samples.inputs[:, partner])
        _value_bar(figure, axes, shorten(samples.names[partner], 40), [_number(low), _number(high)])
    write(figure, samples.title, notes)
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


def _finite_sums(numbers):
    """The sum of each row, without what is not finite: float [rows]."""
    return np.where(np.isfinite(numbers), numbers, 0.0).sum(axis=1)


def _missing_notes(samples, maps, missing):
    """What is not drawn, in sentences: list of str."""
    names = [shorten(samples.names[place]) for place in missing]
    notes = [f"Not drawn, since no number is finite: {join_names(names)}."] if names else []
    partly = int((~np.isfinite(maps)).sum()) - len(missing) * len(maps)
    return [
        *notes,
        *([f"Left out, since not finite: {partly} number{'s' * (partly > 1)}."] if partly > 0 else []),
    ]


def _kept(values, part):
    return None if values is None else values[np.isfinite(part)]


def _diameter(parts, unit, row):
    """The largest diameter of dots, in units of the axis, with which every row has its dot, or has it in half of the columns.

    Columns with one number for all rows do not count.
    """
    varying = [np.sort(part) for part in parts if np.ptp(part)]
    fits = {inches: [crowding(part, inches * unit) <= _lanes(inches, row) for part in varying] for inches in DIAMETERS}
    whole = [inches for inches, fit in fits.items() if all(fit)]
    half = [inches for inches, fit in fits.items() if 2 * sum(fit) >= len(fit)]
    return max([*(whole or half), DIAMETERS[-1]]) * unit


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
    if not len(part):
        return "none"
    low, high = signed(part.min()), signed(part.max())
    return low if low == high else f"{low} to {high}"


def _trend(part, values):
    """Whether attributions rise with the values, in words."""
    if values is None or len(part) < 3 or part.std() == 0 or np.std(values) == 0:
        return ""
    correlation = np.corrcoef(part, values)[0, 1]
    return f", {'rising' if correlation > 0 else 'falling'} with the value" if abs(correlation) > 0.5 else ""


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


def _range(values):
    return f"from {_number(values.min())} to {_number(values.max())}" if len(values) else "no value"


def _number(value):
    return f"{value:.4g}"
