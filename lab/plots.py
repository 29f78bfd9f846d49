"""Plots: maps beside what they explain, as matplotlib figures: photographs, series, rows of a table and tokens."""

import base64
import io
import textwrap

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from lab.kinds import IMAGE, VOLUME, kind_of
from lab.maps import resized
from lab.refusal import Refused

SIGNED, UNSIGNED = "RdBu_r", "inferno"
# What speaks for the explained score, and what against it: near the ends of the colours of signed maps.
POSITIVE, NEGATIVE = (matplotlib.colors.to_hex(matplotlib.colormaps[SIGNED](end)) for end in (0.9, 0.1))
# The strongest colour stands for this percentile of magnitudes, so that one pixel does not rule a map.
STRONGEST = 99.5
# Bars of one row of a table: more cannot be read.
BARS = 20


def plot(maps, inputs, captions, *, unit="score", columns=None, words=None):
    """One row a sample: what was explained, and its map with a colour bar.

    Args:
        maps: float array [batch, ...] like the inputs, or over their positions.
        inputs: images [batch, rows, columns, channels] with values in 0..1, series [batch, steps, channels], rows of a table
            [batch, columns], or token ids, int [batch, tokens].
        captions: list of str, a title for each sample.
        unit: str, what the map's numbers are in.
        columns: list of str, names of a table's columns or of a series' channels.
        words: list of lists of str, the tokens of each sample as text.

    Returns:
        `Plot`.

    Raises:
        Refused: for inputs of which there is no plot, such as volumes.
    """
    draw, width, height = _drawing(inputs)
    _refuse_layer_maps(maps, inputs)
    figure = Plot(figsize=(width, height * len(inputs)), layout="constrained", alt="; ".join(captions))
    parts = figure.subfigures(len(inputs), 1, squeeze=False)[:, 0]
    for row, part in enumerate(parts):
        # Titles are wrapped: long class names would lie upon each other.
        part.suptitle(textwrap.fill(captions[row], 90), fontsize="medium", parse_math=False)
        draw(part, maps[row], inputs[row], unit=unit, columns=columns, words=None if words is None else words[row])
    return figure


class Plot(Figure):
    """A figure that a notebook shows by itself.

    Args:
        alt: str, what it shows in words, for those who cannot see it.
        options: those of `matplotlib.figure.Figure`.
    """

    def __init__(self, *, alt, **options):
        super().__init__(**options)
        self.alt = alt

    def _repr_mimebundle_(self, **_):
        buffer = io.BytesIO()
        FigureCanvasAgg(self).print_png(buffer)
        png = base64.b64encode(buffer.getvalue()).decode()
        return {"text/plain": self.alt, "image/png": png}, {"image/png": {"alt": self.alt}}


def _drawing(inputs):
    """How inputs of this kind are drawn, and the width and height of a row in inches."""
    kind = kind_of(inputs)
    if kind is VOLUME:
        raise Refused(f"Images, series, tables and tokens are plotted. Received: inputs of shape {inputs.shape}.")
    heights = {
        "image": 3.0,
        "series": 2.2,
        "table": 1.0 + 0.24 * min(BARS, inputs.shape[1]),
        "tokens": 0.8 + 0.025 * inputs.shape[1],
    }
    draw = {"image": _image, "series": _series, "table": _bars, "tokens": _tokens}[kind.name]
    return draw, 7.0 if kind is IMAGE else 9.0, heights[kind.name]


def scale(values):
    """The colours of a map: a `Normalize` and the name of a colour map; signed maps have zero in the right."""
    magnitudes = np.abs(values[np.isfinite(values)])
    top = float(np.percentile(magnitudes, STRONGEST)) if magnitudes.size else 0.0
    top = top or float(magnitudes.max(initial=0)) or 1.0
    signed = bool((values < 0).any())
    return Normalize(-top if signed else 0, top), SIGNED if signed else UNSIGNED


def _refuse_layer_maps(maps, inputs):
    """Raise Refused for maps that do not lie over the inputs, as those of a layer's units."""
    fits = maps.shape == inputs.shape or maps.ndim == 1 + len(kind_of(inputs).positions(inputs))
    if not fits:
        raise Refused(
            f"Maps are plotted over the inputs. Received: maps of shape {maps.shape} for inputs of shape {inputs.shape}. Read record.maps instead."
        )


def shorten(name, most=28):
    """A name without its middle where it is long.

    Args:
        name: str.
        most: int, its letters at most.

    Returns:
        str.
    """
    if len(name) <= most:
        return name
    kept = most - 1
    return f"{name[: kept - kept // 2]}\N{HORIZONTAL ELLIPSIS}{name[len(name) - kept // 2 :]}"


def _image(part, values, image, *, unit, **_):
    left, right = part.subplots(1, 2)
    grey = image.mean(axis=-1)
    left.imshow(image if image.shape[-1] == 3 else grey, cmap="gray", vmin=0, vmax=1)
    values = _flat(values)
    values = resized(values[None], *grey.shape)[0] if values.shape != grey.shape else values
    norm, colours = scale(values)
    # A pale photograph, so that no colour is taken for one of its own.
    right.imshow(0.4 + 0.6 * grey, cmap="gray", vmin=0, vmax=1)
    right.imshow(over_photograph(values, norm, colours))
    for axes in (left, right):
        axes.set_axis_off()
    _colour_bar(part, right, norm, colours, unit)


def over_photograph(values, norm, colours):
    """A map to lie over a pale photograph, which shows through where the map is weak.

    Args:
        values: float [rows, columns].
        norm, colours: as `scale` returns them.

    Returns:
        float [rows, columns, 4] in 0..1, the last of them opacity.
    """
    strength = np.clip(np.abs(np.nan_to_num(values)) / norm.vmax, 0, 1)
    if colours == UNSIGNED:
        return np.dstack([matplotlib.colormaps[colours](norm(values))[..., :3], 0.85 * strength])
    ends = matplotlib.colormaps[colours](np.where(values > 0, 0.9, 0.1))[..., :3]
    return np.dstack([ends, strength**0.7])


def _flat(values):
    """A map of one image without its channels: float [rows, columns]."""
    return values.sum(axis=-1) if values.ndim == 3 else values


def _series(part, values, series, *, unit, columns, **_):
    axes = part.subplots()
    steps = np.arange(len(series))
    per_step = values.sum(axis=-1) if values.ndim == 2 else values
    norm, colours = scale(per_step)
    low, high = float(series.min()), float(series.max())
    margin = 0.05 * (high - low) or 1.0
    edges = np.linspace(-0.5, len(series) - 0.5, len(per_step) + 1)
    axes.pcolormesh(edges, [low - margin, high + margin], per_step[None], cmap=colours, norm=norm, alpha=0.6)
    for channel in range(series.shape[-1]):
        axes.plot(steps, series[:, channel], linewidth=1, label=None if columns is None else columns[channel])
    if columns is not None:
        axes.legend(fontsize="small")
    axes.set_xlabel("step")
    _colour_bar(part, axes, norm, colours, unit)


def _bars(part, values, row, *, unit, columns, **_):
    axes = part.subplots()
    largest = np.argsort(-np.abs(np.nan_to_num(values)))[:BARS][::-1]
    names = [f"column {place}" if columns is None else columns[place] for place in range(len(row))]
    labels = [f"{shorten(names[place])} = {row[place]:.3g}" for place in largest]
    colours = [POSITIVE if values[place] > 0 else NEGATIVE for place in largest]
    axes.barh(np.arange(len(largest)), values[largest], color=colours)
    axes.set_yticks(np.arange(len(largest)), labels, parse_math=False)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel(unit)


def _tokens(part, values, ids, *, unit, words, **_):
    axes = part.subplots()
    axes.set_axis_off()
    # A word that says nothing is white, also where all others speak for the score.
    top, colours = scale(values)[0].vmax, SIGNED
    norm = Normalize(-top, top)
    texts = [str(token) for token in ids] if words is None else words
    across, down, width = 0.0, 0.0, 96
    for text, value in zip(texts, values):
        # What pads a text has no word.
        if not text:
            continue
        if across + len(text) + 2 > width:
            across, down = 0.0, down + 1
        background = matplotlib.colormaps[colours](norm(value))
        ink = "white" if sum(background[:3]) < 1.5 else "black"
        box = {"facecolor": background, "edgecolor": "none", "boxstyle": "round,pad=0.15"}
        axes.text(across, -down, text, family="monospace", fontsize="small", color=ink, bbox=box)
        across += len(text) + 2
    axes.set_xlim(0, width)
    axes.set_ylim(-down - 1, 1)
    _colour_bar(part, axes, norm, colours, unit)


def _colour_bar(part, axes, norm, colours, unit):
    part.colorbar(matplotlib.cm.ScalarMappable(norm, colours), ax=axes, label=unit, fraction=0.05)
