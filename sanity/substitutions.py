"""Substitutions: two cues that replace a value of a row or of a text: a column's lower or upper values, one of two ids.

ColumnValues    in two columns of a table
TokenPairs      at two positions of a text
"""

from dataclasses import dataclass

import numpy as np

from lab.kinds import TABLE, TOKENS
from lab.nouns import plural
from lab.refusal import Refused
from lab.registry import nearest
from sanity.cues import VARIANTS
from sanity.seeds import derive_seed

# How far apart the variants of a column are, in its deviations, and how many times as far those of the other column may be.
CONTRAST, ALIKE = 2.5, 1.25
# Shares of a column's values at either end that a variant is drawn from.
SHARES = np.linspace(0.02, 0.49, 48)
# Of so many columns, those that vary most alike are looked for. Of these pairs, the first that can be matched is taken.
COLUMNS, PAIRS = 1000, 100
# The padding of a text.
PADDING = 0
# The share of texts in which a cue's ids stand at most, where they are looked for.
RARE = 0.25


@dataclass(frozen=True)
class _Tails:
    """The lower and the upper values of a column, which the variants are drawn from, and how many deviations they are apart."""

    lower: np.ndarray
    upper: np.ndarray
    apart: float

    @property
    def words(self):
        ends = [f"{values[0]:.4g} to {values[-1]:.4g}" for values in (self.lower, self.upper)]
        return f"{ends[0]}, or {ends[1]}, {self.apart:.2f} deviations apart"


class ColumnValues:
    """Two columns of a table, each with one of its own lower or one of its own upper values.

    Args:
        network: `Network` that takes the table.
        planting: `sanity.planting.Planting`.
        rows: float [rows, columns], all of the table.
        columns: tuple of str, the names of the columns.

    Raises:
        Refused: for a table without two columns that vary, and for columns that cannot be used.
    """

    noun, drawn = "row", ("draws",)

    def __init__(self, network, planting, rows, columns):
        self.network, self.columns = network, tuple(columns)
        values, goal = rows.astype("float64"), planting.contrast or CONTRAST
        names, self.note = [name for name, _ in planting.cues], ""
        _refuse_few_columns(values)
        if names:
            self.places = [_column_place(name, self.columns, values) for name in names]
            self.tails = _matched_tails(values[:, self.places], goal)
        else:
            self.places, self.tails, self.note = _similar_columns(values, goal)
        if self.tails is None:
            _refuse_unmatched(names, values[:, self.places])
        self.names = tuple(_column_name(self.columns[place]) for place in self.places)
        if len(set(self.names)) < 2:
            raise Refused(
                f"Two cues have two names. Received: {self.columns[self.places[0]]!r} and {self.columns[self.places[1]]!r}. Rename one of the columns."
            )

    def factors(self, rng, count):
        """Draw which of a variant's values each cue has: dict of name to float [count, 2].

        Args:
            rng: `numpy.random.Generator`.
            count: int, how many samples.

        Returns:
            dict of the names in `drawn` to arrays.
        """
        return {"draws": rng.random((count, 2))}

    def lay(self, sample, variants, draws):
        """Replace the values of both columns.

        Args:
            sample: float64 [columns].
            variants: int [2].
            draws: float [2], which of the values of a variant, from 0 to 1.

        Returns:
            float64 [columns], and bool [2, columns], where each cue lies.
        """
        row = sample.copy()
        for place, tails, variant, draw in zip(self.places, self.tails, variants, draws):
            values = (tails.lower, tails.upper)[variant]
            row[place] = values[int(draw * len(values))]
        return row, np.arange(len(row)) == np.array(self.places)[:, None]

    def match(self, laid):
        """What both cues have alike: dict of a heading and a row for each cue.

        Args:
            laid: not used.

        Returns:
            dict.
        """
        del laid  # Values of a column are the same for all rows.
        rows = [
            {"cue": name, "contrast": tails.apart, "words": tails.words} for name, tails in zip(self.names, self.tails)
        ]
        return {"heading": f"{self.note}Values of both variants, each one that the column has", "rows": rows}

    def to_inputs(self, rows):
        """Rows as the network takes them: float32 [samples, columns]."""
        return rows.astype("float32")


def _column_name(column):
    return column if column.startswith("column ") else f"column {column}"


def _refuse_few_columns(values):
    varying = np.ptp(values, axis=0) > 0
    if varying.sum() < 2:
        raise Refused(
            f"Two columns are planted in, with numbers that vary. Received: a table of {_plural_of(values.shape[1], 'column')}, of which {varying.sum()} vary."
        )


def _plural_of(count, noun):
    """A number with its noun: str."""
    return f"{count} {noun if count == 1 else plural(noun)}"


def _column_place(name, columns, values):
    if name not in columns:
        raise Refused(
            f"A cue of a table is one of its columns that the network takes. Received: {name!r}. {nearest(name, columns)}"
        )
    place = columns.index(name)
    if np.ptp(values[:, place]) == 0:
        raise Refused(
            f"A cue is a column whose values vary. Received: {name!r}, which is {values[0, place]:g} in every row. Name another column."
        )
    return place


def _tails(values):
    """Lower and upper values of a column, as many as different shares of it hold: list of `_Tails`."""
    ordered, deviation = np.sort(values), values.std()
    pairs = []
    for low, high in zip(_quantiles(ordered, SHARES), _quantiles(ordered, 1 - SHARES)):
        if low < high:
            pairs.append((ordered[ordered <= low], ordered[ordered >= high]))
    # Where nearly all values are equal, these are a variant.
    pairs = pairs or [(ordered[ordered == ordered[0]], ordered[ordered > ordered[0]])]
    return [_Tails(lower, upper, float((upper.mean() - lower.mean()) / deviation)) for lower, upper in pairs]


def _refuse_unmatched(names, values):
    apart = [[tails.apart for tails in _tails(column)] for column in values.T]
    words = " and ".join(f"{name} {min(spans):.1f} to {max(spans):.1f}" for name, spans in zip(names, apart))
    raise Refused(
        f"The lower and upper values of two columns are about as far apart, in deviations of each. Received: {words}. Name other columns."
    )


def _quantiles(ordered, shares):
    return ordered[np.round(shares * (len(ordered) - 1)).astype(int)]


def _matched_tails(values, goal):
    """The values of two columns whose variants are as far apart, and about as far as the goal: list of `_Tails`; None where there are none."""
    first, second = (_tails(column) for column in values.T)
    apart = np.array([[one.apart, other.apart] for one in first for other in second])
    order = np.abs(apart[:, 0] - apart[:, 1]) + 0.1 * np.abs(apart.sum(axis=1) - 2 * goal)
    best = order.argmin()
    if apart[best].max() > ALIKE * apart[best].min():
        return None
    return [first[best // len(second)], second[best % len(second)]]


def _similar_columns(values, goal):
    """Two columns that vary about as much and not together: places, their `_Tails`, and words of why. Tails are None where none can be matched."""
    deviations = values.std(axis=0)
    varying = np.flatnonzero(deviations > 0)[:COLUMNS]
    together = np.abs(np.corrcoef(values[:, varying], rowvar=False))
    spread = np.abs(np.log(deviations[varying][:, None] / deviations[varying]))
    first, second = np.triu_indices(len(varying), 1)
    for best in np.argsort((together + spread)[first, second], kind="stable")[:PAIRS]:
        places = [int(varying[first[best]]), int(varying[second[best]])]
        tails = _matched_tails(values[:, places], goal)
        if tails:
            sizes = " and ".join(f"{deviations[place]:.3g}" for place in places)
            r = np.corrcoef(values[:, places], rowvar=False)[0, 1]
            return (
                places,
                tails,
                f"No column was named, so these were taken: deviations of {sizes}, correlation {r:.2f}. ",
            )
    raise Refused(
        "No two columns have variants that are about as far apart. Received: no --cue. Name two columns: --cue COLUMN --cue COLUMN."
    )


class TokenPairs:
    """Two pairs of ids: at one position of a text stands one of a pair.

    Args:
        network: `Network` that takes the ids.
        planting: `sanity.planting.Planting`.
        texts: int [texts, tokens], all texts.

    Raises:
        Refused: for texts or a vocabulary that hold no two pairs, and for ids that the network does not have.
    """

    noun, drawn = "text", ("places",)

    def __init__(self, network, planting, texts):
        self.network, names = network, [name for name, _ in planting.cues]
        _refuse_short(texts)
        self._vocabulary = list(network.tokenizer.pieces) if network.tokenizer else None
        # What a vocabulary does not have is no word.
        self._reserved = {PADDING} | (
            {network.tokenizer.unknown, *network.tokenizer.special} if network.tokenizer else set()
        )
        counts = {token: count for token, count in _text_counts(texts).items() if token not in self._reserved}
        if len(counts) < 2 * VARIANTS + 1:
            raise Refused(
                f"Two pairs of words are planted among others: texts hold {2 * VARIANTS + 1} different ones at the least. Received: {len(counts)}."
            )
        self.ids = np.array([self._pair(name) for name in names] if names else _similar_ids(counts, len(texts)))
        if len(set(self.ids.ravel())) < 2 * VARIANTS:
            raise Refused(f"Two pairs hold four different words. Received: {' and '.join(names)}.")
        self.names = tuple("/".join(map(self._word, pair)) for pair in self.ids)
        self.note = "" if names else "No words were named, so these were taken, which stand in about as many texts. "
        self._counts, self._texts = counts, len(texts)

    def factors(self, rng, count):
        """Draw where the cues stand: dict of name to float [count, 2], from 0 to 1.

        Args:
            rng: `numpy.random.Generator`.
            count: int, how many samples.

        Returns:
            dict of the names in `drawn` to arrays.
        """
        return {"places": rng.random((count, 2))}

    def lay(self, sample, variants, places):
        """Replace the tokens at two positions.

        Args:
            sample: int [tokens].
            variants: int [2].
            places: float [2], which of the positions without padding.

        Returns:
            int [tokens], and bool [2, tokens], where each cue lies.
        """
        text, real = sample.copy(), np.flatnonzero(sample != PADDING)
        first = int(places[0] * len(real))
        second = int(places[1] * (len(real) - 1))
        positions = real[[first, second + (second >= first)]]
        text[positions] = self.ids[[0, 1], variants]
        return text, np.arange(len(text)) == positions[:, None]

    def without_cues(self, texts, seed):
        """Texts in which none of the cues' ids stands: others of these texts, as often as they occur, take their place.

        Args:
            texts: int [texts, tokens].
            seed: int.

        Returns:
            int [texts, tokens].
        """
        others = texts[~np.isin(texts, [PADDING, *self.ids.ravel()])]
        is_cue, rng = np.isin(texts, self.ids), np.random.default_rng(derive_seed(seed, "words in the place of cues"))
        return np.where(is_cue, rng.choice(others, texts.shape), texts)

    def match(self, laid):
        """What both cues have alike: dict of a heading and a row for each cue.

        Args:
            laid: not used.

        Returns:
            dict.
        """
        del laid  # A cue is one token in all texts.
        rows = [
            {"cue": name, "words": " and ".join(str(self._counts.get(int(token), 0)) for token in pair)}
            for name, pair in zip(self.names, self.ids)
        ]
        heading = f"{self.note}Each cue replaces one token. Of your {self._texts} texts so many had these words, where other words stand now"
        return {"heading": heading, "rows": rows}

    def to_inputs(self, texts):
        """Texts as the network takes them: int [samples, tokens]."""
        return texts.astype(self.network.spec.dtype.as_numpy_dtype)

    def _word(self, token):
        return str(token) if self._vocabulary is None else self._vocabulary[token]

    def _pair(self, name):
        """The two ids that a cue names: list of int."""
        words = name.split("/")
        if len(words) != VARIANTS:
            example = "12/40" if self._vocabulary is None else "good/bad"
            raise Refused(f"A cue of texts is two words with a slash between, such as {example}. Received: {name!r}.")
        return [self._id(word) for word in words]

    def _id(self, word):
        """The id of a word, or the id that is written."""
        if self._vocabulary is not None:
            ids = {piece: index for index, piece in enumerate(self._vocabulary) if index not in self._reserved}
            if word not in ids:
                raise Refused(
                    f"A cue's words stand in the vocabulary of the network. Received: {word!r}. {nearest(word, list(ids))}"
                )
            return ids[word]
        most = self.network.accepted.known.get(0)
        if not word.isdecimal() or int(word) == PADDING or (most is not None and int(word) >= most):
            raise Refused(
                f"Without a vocabulary, a cue is two ids from 1 to {'the largest' if most is None else most - 1}: --cue 12/40. Received: {word!r}. Name a file of words with --vocabulary."
            )
        return int(word)


def _refuse_short(texts):
    lengths = (texts != PADDING).sum(axis=1)
    if lengths.min() < 2:
        place = int(lengths.argmin())
        raise Refused(
            f"A text holds two cues, each in the place of a word. Received: text {place + 1}, with {_plural_of(int(lengths[place]), 'word')}. Leave out texts of fewer than two."
        )


def _text_counts(texts):
    """How many texts each id stands in: dict."""
    ids, counts = np.unique(np.concatenate([np.unique(text) for text in texts]), return_counts=True)
    return dict(zip(ids.tolist(), counts.tolist()))


def _similar_ids(counts, texts):
    """Two pairs of ids that stand in about as many texts, the more the better: list of two lists of int."""
    ordered = sorted(counts, key=lambda token: (-counts[token], token))
    fours = [ordered[place : place + 4] for place in range(len(ordered) - 3)]
    rare = [four for four in fours if counts[four[0]] <= RARE * texts]
    alike = [four for four in rare if counts[four[0]] <= ALIKE * counts[four[-1]]]
    most, second, third, least = (alike or rare or fours[-1:])[0]
    return [[most, least], [second, third]]


SUBSTITUTIONS = {TABLE.name: ColumnValues, TOKENS.name: TokenPairs}
