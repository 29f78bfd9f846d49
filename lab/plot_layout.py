"""Plot layout: figures whose size in inches is known, with a labelled row for each bar, a title, and notes at the foot."""

import textwrap

from matplotlib import rcParams
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from lab.plots import Plot

GREY = "#7a7a7a"
# Sizes in inches: the width of a picture and the height of a bar. Sizes of letters in points.
WIDTH, ROW, SMALL, FONT = 7.0, 0.32, 7.5, 9.0


def rows_figure(title, labels, notes, alt, *, row=ROW, right=0.3):
    """A figure with a labelled row for each bar.

    Args:
        title: str.
        labels: list of str, of the rows, from below.
        notes: list of sentences for the foot.
        alt: str, what the figure shows in words.
        row: float, the height of a row in inches.
        right: float, inches that are kept free at the right.

    Returns:
        `Plot`, and its axes, in which rows are at 0, 1, 2 and so on.
    """
    notes = wrap(notes, 100)
    left = 0.25 + max([text_width(label, FONT) for label in labels], default=0)
    top, bottom = 0.5 + 0.2 * wrap_title(title).count("\n"), 0.6 + 0.17 * len(notes)
    body = row * max(1, len(labels)) + 0.1
    width, height = max(WIDTH, left + right + 3.5), top + body + bottom
    figure = Plot(figsize=(width, height), alt=alt)
    axes = figure.add_axes((left / width, bottom / height, (width - left - right) / width, body / height))
    tidy(axes)
    axes.set_yticks(range(len(labels)), labels, fontsize=FONT, parse_math=False)
    axes.set_ylim(-0.5 - 0.05 / row, max(1, len(labels)) - 0.5 + 0.05 / row)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    write(figure, title, notes)
    return figure, axes


def tidy(axes):
    """Small numbers, written out, and no frame at the top and the right.

    Args:
        axes: of matplotlib, which is changed.
    """
    axes.tick_params(axis="both", labelsize=SMALL)
    axes.xaxis.set_major_formatter(lambda number, _: f"{number:.6g}")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def write(figure, title, notes):
    """The title on top of a figure, and notes at its foot.

    Args:
        figure: of matplotlib, which is changed.
        title: str.
        notes: list of str, lines.
    """
    width, height = figure.get_size_inches()
    figure.text(0.1 / width, 1 - 0.1 / height, wrap_title(title), va="top", fontsize=FONT + 1, parse_math=False)
    for number, note in enumerate(reversed(notes)):
        figure.text(0.1 / width, (0.08 + 0.17 * number) / height, note, fontsize=SMALL, parse_math=False)


def wrap_title(title):
    """A title in lines that fit: str."""
    return textwrap.fill(title, 90)


def wrap(notes, width):
    """Sentences as lines.

    Args:
        notes: list of str.
        width: int, letters of a line at most.

    Returns:
        list of str.
    """
    return [line for note in notes for line in textwrap.wrap(note, width)]


def text_width(words, size):
    """How wide a text is.

    Args:
        words: str.
        size: float, of its letters in points.

    Returns:
        float, inches.
    """
    width, _, _ = TextToPath().get_text_width_height_descent(words, FontProperties(size=size), ismath=False)
    return width / 72


def cover():
    """What is written over lines hides them, in the colour of the page that the user's style has: dict."""
    return {"facecolor": rcParams["figure.facecolor"], "edgecolor": "none", "pad": 0.8}


def signed(value, digits=3):
    """A number with its sign; 0 has none.

    Args:
        value: float.
        digits: int, significant ones.

    Returns:
        str.
    """
    return f"{value:+.{digits}g}" if value else "0"
