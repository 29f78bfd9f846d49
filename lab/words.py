"""Words: maps of tokens by word. The numbers of a word's tokens are added, and special tokens stand apart."""

import html
from dataclasses import dataclass

import numpy as np

# What the positions are called that hold no token.
PADDING = "padding"
# Red speaks for the explained score and blue against it, as in maps of photographs.
POSITIVE, NEGATIVE = (178, 24, 43), (33, 102, 172)
# The most opaque colour behind a word, on which black and white text can still be read.
OPACITY = 0.55


@dataclass(frozen=True)
class Word:
    """A word of a text with its attribution.

    Args:
        text: str.
        value: float, the sum over its tokens.
        is_special: whether it is a special token, such as [CLS], or the padding, and no word of the text.
    """

    text: str
    value: float
    is_special: bool = False


def words_of(tokens, values):
    """The words of one text, with special tokens where they stand.

    Args:
        tokens: sequence of `lab.tokenizer.Token`.
        values: float [tokens], the map.

    Returns:
        tuple of `Word`, whose values add up to the map's. Padding is the last one, where its numbers are not all zero.
    """
    words = [
        Word(
            "".join(tokens[place].text for place in places), float(np.sum(values[places], dtype="float64")), is_special
        )
        for places, is_special in word_places(tokens)
    ]
    padding = [place for place, token in enumerate(tokens) if token.is_padding]
    unused = float(np.sum(values[padding], dtype="float64"))
    return (*words, *([Word(PADDING, unused, True)] if unused else []))


def spread(words, length):
    """Words in the shape of a text's tokens, which is long enough for them.

    Args:
        words: sequence of `Word`.
        length: int.

    Returns:
        list of str, empty behind the last word, and float32 [length].
    """
    texts, values = [""] * length, np.zeros(length, "float32")
    texts[: len(words)] = [word.text for word in words]
    values[: len(words)] = [word.value for word in words]
    return texts, values


def word_places(tokens):
    """Where the tokens of each word stand.

    Args:
        tokens: sequence of `lab.tokenizer.Token`.

    Returns:
        list of (list of int, whether it is a special token), without padding.
    """
    places, last = [], None
    for place, token in enumerate(tokens):
        if token.is_padding:
            continue
        if token.is_special or token.word != last:
            places.append(([], token.is_special))
        places[-1][0].append(place)
        last = token.word
    return places


def strongest(words):
    """The magnitude that the strongest colour stands for: float. Special tokens do not count where there are words.

    Args:
        words: sequence of `Word`.
    """
    values = [abs(word.value) for word in words if not word.is_special] or [abs(word.value) for word in words]
    return max(values, default=0.0)


def shade(value, top):
    """The colour behind a word.

    Args:
        value: float.
        top: float, what the strongest colour stands for.

    Returns:
        (red, green, blue) of 0 to 255, and its opacity in 0..`OPACITY`.
    """
    share = min(abs(value) / top, 1) if top and np.isfinite(value) else 0
    return (POSITIVE if value > 0 else NEGATIVE), OPACITY * share


def as_html(words, top=0.0):
    """A text with the colour of its attribution behind each word, and its special tokens below it.

    Args:
        words: sequence of `Word`.
        top: float, the magnitude that the strongest colour stands for; 0: no colours.

    Returns:
        str, HTML with every text escaped. A word's number is shown where the pointer rests.
    """
    special = [word for word in words if word.is_special]
    below = f'<div class="special soft">Special tokens: {_spans(special, top)}</div>' if special and top else ""
    return _spans([word for word in words if not word.is_special], top) + below


def _spans(words, top):
    spans = [
        f'<span style="{_background(word.value, top)}" title="{f"{word.value:+.3g}" if top else ""}">{html.escape(word.text)}</span>'
        for word in words
    ]
    return f'<p class="words">{" ".join(spans)}</p>'


def _background(value, top):
    """The colour behind a word as CSS: str, empty for none."""
    (red, green, blue), opacity = shade(value, top)
    return f"background:rgba({red},{green},{blue},{opacity:.2f})" if opacity else ""
