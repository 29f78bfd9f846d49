"""Texts: what takes the place of columns where the data are texts: length, unknown words, and which common words occur."""

import re
from collections import Counter

import numpy as np

from sanity.audit.rows import Column

# Words whose presence is a column.
COMMONEST = 200


def words_of(text):
    """The words of a text in lower case: list of str.

    Args:
        text: str.
    """
    return re.findall(r"\w+(?:'\w+)?", text.lower())


def text_columns(texts, count_unknown=None):
    """Columns of texts, with the commonest words of the test texts.

    Args:
        texts: dict of set to list of str; it has "test".
        count_unknown: list of str -> float64 [texts], the share of tokens that the network does not know; None: not known.

    Returns:
        dict of set to tuple of `Column`.
    """
    split = {table: [words_of(text) for text in values] for table, values in texts.items()}
    counts = Counter(word for words in split["test"] for word in sorted(set(words)))
    # A word that is in nearly every text, or in nearly none, tells no group of them.
    commonest = sorted(counts, key=lambda word: (-counts[word], word))[:COMMONEST]
    columns = {}
    for table, rows in split.items():
        sets = [frozenset(words) for words in rows]
        numbers = {"length": [len(words) for words in rows]}
        if count_unknown is not None:
            numbers["unknown share"] = count_unknown(texts[table])
        numbers |= {f"has “{word}”": [word in words for words in sets] for word in commonest}
        columns[table] = tuple(
            Column(name, np.asarray(values, "float64"), (), "statistic") for name, values in numbers.items()
        )
    return columns
