"""Record plots: what `record.plot` is: a picture of some samples, and those that users of `shap` know."""

import numbers

import numpy as np

from lab import displays, plots, sample_plots, table_plots
from lab.attribution import explainers
from lab.environment import tf
from lab.feature_means import feature_means
from lab.kinds import IMAGE, TABLE, TOKENS, kind_of
from lab.nouns import plural
from lab.partners import FEWEST, partner
from lab.refusal import Refused
from lab.registry import nearest
from lab.targets import class_names
from lab.words import spread


class RecordPlots:
    """The plots of an `Explanation`. Called, it shows samples beside their maps; its methods are the plots of single columns.

    Args:
        record: `lab.explanation.Explanation`.
    """

    def __init__(self, record):
        self._record = record

    def __repr__(self):
        return "record.plot(samples), and record.plot.waterfall, .force, .bar, .beeswarm, .dependence and .text"

    def __call__(self, samples=None, *, columns=None, words=None):
        """Show each sample beside its map: images, series, rows of a table, or tokens.

        Args:
            samples: indices of the samples to show; None: the first eight.
            columns: list of str, names of a table's columns or of a series' channels; None: those that are known.
            words: list of lists of str, each sample's tokens as text; None: those of a known vocabulary.

        Returns:
            `lab.plots.Plot`, a `matplotlib.figure.Figure` that a notebook shows by itself.

        Raises:
            Refused: for inputs of which there is no plot, and for maps at a layer.
        """
        record, (maps, inputs) = self._record, self._leaf()
        rows = range(min(len(record.scores), displays.SHOWN)) if samples is None else samples
        rows = [self._sample(row) for row in _listed(rows)]
        if kind_of(inputs) is TOKENS:
            maps, words = self._by_word(maps, inputs, words)
        return plots.plot(
            maps[rows],
            _viewable(record.network, inputs[rows]),
            [self._title(row) for row in rows],
            columns=record.columns if columns is None else columns,
            words=None if words is None else [words[row] for row in rows],
        )

    def text(self, sample, *, words=None):
        """The tokens of a text, coloured by their attributions, as `shap.plots.text`.

        Args:
            sample: int, its index.
            words: list of lists of str, each sample's tokens as text; None: those of a known vocabulary.

        Returns:
            `lab.plots.Plot`.

        Raises:
            Refused: for inputs that are no tokens.
        """
        kind = kind_of(self._leaf()[1])
        if kind is not TOKENS:
            raise Refused(f"plot.text colours tokens. Received: {plural(kind.noun)}. Type record.plot([{sample}]).")
        return self([sample], words=words)

    def waterfall(self, sample, *, columns=None, words=None, values=None, max_display=10):
        """How the score of the baseline becomes the score of a sample, one bar a column, as `shap.plots.waterfall`.

        Args:
            sample: int, its index.
            columns: list of str, the names of the columns; None: those that are known.
            words: list of lists of str, each sample's tokens as text; None: those of a known vocabulary.
            values: array like the inputs, the values to write; None: those that the network takes.
            max_display: bars at most, without the gap; the smallest columns are one bar.

        Returns:
            `lab.plots.Plot`.

        Raises:
            Refused: for images and series, which have too many positions, and for a score that is not finite.
        """
        return sample_plots.waterfall(
            self._one("waterfall", sample, columns, words, values), max_display=_bars(max_display)
        )

    def force(self, sample, *, columns=None, words=None, values=None, max_display=10):
        """The same as one line, a static picture, as `shap.plots.force`.

        Args:
            sample: int, its index.
            columns: as of `waterfall`.
            words: as of `waterfall`.
            values: as of `waterfall`.
            max_display: columns at most; the others that raise the score are one part, those that lower it another.

        Returns:
            `lab.plots.Plot`.

        Raises:
            Refused: as of `waterfall`.
        """
        return sample_plots.force(self._one("force", sample, columns, words, values), max_display=_bars(max_display))

    def bar(self, *, columns=None, max_display=10, seed=0):
        """Mean absolute attribution of each column over the rows with its interval, as `shap.plots.bar`.

        Args:
            columns: list of str, the names of the columns; None: those that are known.
            max_display: bars at most; the smallest columns are one bar.
            seed: int, of the bootstrap over rows.

        Returns:
            `lab.plots.Plot`.

        Raises:
            Refused: for inputs that are no table.
        """
        samples = self._all("bar", columns, None)
        return table_plots.bar(samples, lambda sizes: feature_means(sizes, seed=seed), max_display=_bars(max_display))

    def beeswarm(self, *, columns=None, values=None, max_display=10):
        """Each row's attribution as a dot, coloured by the column's own value, as `shap.plots.beeswarm`.

        Args:
            columns: list of str, the names of the columns; None: those that are known.
            values: array like the inputs, the values that colour the dots; None: those that the network takes.
            max_display: columns at most; the sum of the smallest is the last.

        Returns:
            `lab.plots.Plot`.

        Raises:
            Refused: for inputs that are no table.
        """
        return table_plots.beeswarm(self._all("beeswarm", columns, values), max_display=_bars(max_display))

    def dependence(self, column, *, colour=None, columns=None, values=None, seed=0):
        """The value of a column against its attribution, as `shap.plots.scatter` and `shap.dependence_plot`.

        Args:
            column: str or int, its name or place.
            colour: str or int, the column that colours the dots; None: the one that interacts most, if any does more than
                chance (`lab.partners.partner`); False: no colours.
            columns: list of str, the names of the columns; None: those that are known.
            values: array like the inputs, the values to draw; None: those that the network takes.
            seed: int, of the shuffles that say what chance would give.

        Returns:
            `lab.plots.Plot`.

        Raises:
            Refused: for inputs that are no table, and for an unknown column.
        """
        samples = self._all("dependence", columns, values)
        return draw_dependence(samples, find_column(samples.names, column), colour, seed)

    def _leaf(self):
        """The map and the input that are shown of all that the network takes, the image's first."""
        record = self._record
        place = record.network.main_place
        maps, inputs = (tf.nest.flatten(leaves) for leaves in (record.maps, record.inputs))
        return (maps[place] if len(maps) > 1 else maps[0]), inputs[place]

    def _title(self, row):
        return f"{self._record.method}: {self._record.captions[row]}"

    def _sample(self, sample):
        """The index of a sample, checked."""
        count = len(self._record.scores)
        if isinstance(sample, str) and hasattr(self, sample):
            raise Refused(f"A plot is a method. Received: {sample!r}. Type record.plot.{sample}(...).")
        if not isinstance(sample, (numbers.Integral, np.integer)) or not -count <= sample < count:
            raise Refused(f"A sample is its index, from 0 to {count - 1}. Received: {sample!r}.")
        return int(sample)

    def _one(self, plot, sample, columns, words, values):
        """One sample as `lab.sample_plots.Sample`."""
        maps, inputs = self._columns_of(plot, (TABLE, TOKENS))
        record, row, kind = self._record, self._sample(sample), kind_of(inputs)
        if kind is TOKENS:
            maps, words = self._by_word(maps, inputs, words)
            names, attributions = _without_padding(words[row], maps[row])
            cells = None
        else:
            names, attributions = self._names(inputs, columns), maps[row]
            cells = [f"{cell:.4g}" for cell in self._values(inputs, values)[row]]
        complete = explainers.tag(record.explainer, "complete") is not None
        score, baseline = float(record.scores[row]), float(record.baseline_scores[row])
        if not np.isfinite([score, baseline]).all():
            raise Refused(
                f"A {plot} plot leads from one score to another. Received: {baseline} for the baseline and {score} for sample {row}."
            )
        return sample_plots.Sample(
            self._title(row), names, cells, attributions, score, baseline, complete, record.method
        )

    def _all(self, plot, columns, values):
        """All rows as `lab.table_plots.Samples`."""
        maps, inputs = self._columns_of(plot, (TABLE,))
        record = self._record
        classes = class_names(record.network, record.objective, len(maps)) or [record.target]
        return table_plots.Samples(
            record.method, self._names(inputs, columns), self._values(inputs, values), maps, tuple(classes)
        )

    def _columns_of(self, plot, kinds):
        """Maps and inputs, once it is known that there is one number for each column or token."""
        maps, inputs = self._leaf()
        kind = kind_of(inputs)
        if len(tf.nest.flatten(self._record.inputs)) > 1 and self._record.network.text_inputs is None:
            raise Refused(
                f"plot.{plot} shows a network of one input. Received: {len(tf.nest.flatten(self._record.inputs))}. Read record.maps instead."
            )
        if kind not in kinds:
            of_tokens = kind is TOKENS
            advice = "record.plot.waterfall(0) or record.plot.text(0)" if of_tokens else "record.plot([0])"
            tokens = " or the tokens of a text" if TOKENS in kinds else ""
            raise Refused(
                f"plot.{plot} shows the columns of a table{tokens}. Received: {plural(kind.noun)}, {_why(kind)}. Type {advice}."
            )
        if maps.shape != inputs.shape:
            raise Refused(
                f"plot.{plot} shows maps over the inputs. Received: maps of shape {maps.shape} for inputs of shape {inputs.shape}. Read record.maps instead."
            )
        return maps, inputs

    def _names(self, inputs, columns):
        """The names of the columns: list of str."""
        names = self._record.columns if columns is None else columns
        if names is None:
            return [f"column {place}" for place in range(inputs.shape[1])]
        if len(names) != inputs.shape[1]:
            raise Refused(f"Each column has a name. Received: {len(names)} names for {inputs.shape[1]} columns.")
        return [str(name) for name in names]

    def _values(self, inputs, values):
        """The values that are written and coloured: array like the inputs."""
        cells = inputs if values is None else np.asarray(values)
        if cells.shape != inputs.shape or cells.dtype.kind not in "fiub":
            raise Refused(
                f"values= has a number for each one that the network takes, {inputs.shape}. Received: {cells.dtype} {cells.shape}."
            )
        return cells

    def _by_word(self, maps, inputs, words):
        """Maps and texts of the words; of tokens where the caller has words for them, or none are known but their ids."""
        if words is not None:
            return maps, words
        if self._record.words is None:
            return maps, [list(map(str, row)) for row in inputs.tolist()]
        # Padding may be a word more than there are tokens.
        rows = [spread(row, 1 + maps.shape[1]) for row in self._record.words]
        return np.stack([values for _, values in rows]), [texts for texts, _ in rows]


def draw_dependence(samples, column, colour, seed):
    """A dependence plot with its partner.

    Args:
        samples: `lab.table_plots.Samples`.
        column: int, its place.
        colour: str or int, the column that colours the dots; None: the one that interacts most; False: none.
        seed: int.

    Returns:
        `lab.plots.Plot`.

    Raises:
        Refused: for an unknown column.
    """
    if colour is False:
        return table_plots.dependence(samples, column)
    if colour is not None:
        place = find_column(samples.names, colour)
        return table_plots.dependence(samples, column, partner=place, words=f"Colours: {samples.names[place]}.")
    choice = partner(samples.inputs, samples.maps[:, column], column, seed=seed)
    return table_plots.dependence(samples, column, partner=choice.column, words=_partner_words(samples, column, choice))


def _partner_words(samples, column, choice):
    """How the partner was chosen, in two sentences."""
    name = plots.shorten(samples.names[column])
    if np.isnan(choice.share):
        return f"No column was looked for that interacts with {name}: that takes {FEWEST} finite rows and two columns."
    if not choice.chance:
        return f"The value of {name} decides all of its attribution: nothing is left for another column."
    evidence = f"{choice.share:.0%} of what the value of {name} leaves open; by chance {choice.chance:.0%}"
    if choice.column is None:
        return f"No column interacts with {name} more than chance. The best one explains {evidence}."
    return f"Colours: {plots.shorten(samples.names[choice.column])} interacts most. It explains {evidence}."


def find_column(names, column):
    """The place of a column.

    Args:
        names: list of str.
        column: str or int, its name or place.

    Returns:
        int.

    Raises:
        Refused: for a name that no column or that several have, and for a place that there is not.
    """
    if isinstance(column, str):
        places = [place for place, name in enumerate(names) if name == column]
        if len(places) == 1:
            return places[0]
        several = f"{len(places)} columns of that name: give its place." if places else nearest(column, names)
        raise Refused(f"A column is named as in columns=. Received: {column!r}. {several}")
    if isinstance(column, bool) or not isinstance(column, (numbers.Integral, np.integer)):
        raise Refused(f"A column is its name or place. Received: {column!r}.")
    if not -len(names) <= column < len(names):
        raise Refused(f"A column is between 0 and {len(names) - 1}. Received: {column}.")
    return int(column) % len(names)


def _listed(samples):
    return [samples] if isinstance(samples, (str, numbers.Number)) else list(samples)


def _bars(max_display):
    """`max_display`, checked: int."""
    if isinstance(max_display, bool) or not isinstance(max_display, numbers.Integral) or max_display < 2:
        raise Refused(f"max_display is a whole number of 2 or more. Received: {max_display!r}.")
    return int(max_display)


def _why(kind):
    """Why inputs of a kind have no bars of columns: str."""
    return (
        "whose places hold other words in every text" if kind is TOKENS else f"which have a {kind.unit} for each number"
    )


def _without_padding(words, values):
    """Tokens and their map; what pads a text, which has no word, is one of them where its numbers are not zero."""
    is_word = np.array([bool(word) for word in words])
    padding = values[~is_word].sum(dtype="float64")
    labels = [word for word in words if word]
    return (labels, values[is_word]) if padding == 0 else ([*labels, "padding"], np.append(values[is_word], padding))


def _viewable(network, inputs):
    """Inputs as they are shown: images in 0..1, all else as it is."""
    return as_picture(network, inputs) if kind_of(inputs) is IMAGE else inputs


def as_picture(network, inputs):
    """Images as they are shown.

    Args:
        network: a `Network`.
        inputs: its images, as it takes them [batch, rows, columns, channels].

    Returns:
        float array in their shape, in 0..1.
    """
    if network.preprocessing is not None:
        return np.clip(network.deprocess(inputs) / 255, 0, 1)
    low, high = inputs.min(), inputs.max()
    return (inputs - low) / ((high - low) or 1)
