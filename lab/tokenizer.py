"""Tokenizer: texts as the token ids of a network, whatever library makes them, and what each id is as text.

Made by `lab.lookup` (TextVectorization), `lab.tokenizer_files` (tokenizer.json) and `lab.preprocessors` (KerasHub).

tokenizer.encode(texts, length) -> Encoded    ids, with a mask and segments
tokenizer.tokens(ids, present)  -> tokens     the text of each id, the word it belongs to, special tokens, padding
"""

import codecs
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lab.refusal import Refused

# What a piece begins with: one that goes on with a word, or one that begins a word, of bytes or of letters.
CONTINUES, BYTES, LETTERS = "##", "\u0120", "\u2581"
# The name of a baseline of the id that says least.
NEUTRAL = "mask"
# A network may have so many rows beyond its vocabulary, which make the number round.
ROUNDED = 128


@dataclass(frozen=True)
class Token:
    """One token of a text.

    Args:
        text: str; the texts of a word's tokens are the word.
        word: int, the number of its word in the text; None for special tokens and padding.
        is_special: whether the network's format asks for it, such as [CLS] and </s>.
        is_padding: whether it stands for nothing.
    """

    text: str
    word: int | None = None
    is_special: bool = False
    is_padding: bool = False


class Encoded(NamedTuple):
    """Texts as arrays int [texts, tokens].

    Args:
        ids: the token ids.
        mask: 1 for tokens, 0 for padding.
        segments: the segment of each token.
        lost: list of int, how many tokens of each text were cut off.
    """

    ids: np.ndarray
    mask: np.ndarray
    segments: np.ndarray
    lost: list


@dataclass(frozen=True)
class Tokenizer:
    """How texts become the ids of a network.

    Args:
        encode: function (list of str, length or None) -> `Encoded`. Texts are padded to the length, or to the longest text.
        pieces: tuple of str, what each id stands for, as the vocabulary writes it.
        padding: int, the id of padding; None: there is none.
        unknown: int, the id of what the vocabulary does not have; None: there is none.
        mask: int, the id of the mask token; None: there is none.
        special: frozenset of int, ids that are no part of a text.
        mark: str, "" where each token is a word; `CONTINUES`, or other letters that pieces begin with which go on with a word;
            `BYTES` or `LETTERS`, which a piece begins with that follows a space.
        longest: int, tokens of a text at most; None: any number.
    """

    encode: Callable
    pieces: tuple
    padding: int | None = 0
    unknown: int | None = None
    mask: int | None = None
    special: frozenset = frozenset()
    mark: str = ""
    longest: int | None = None

    @property
    def neutral(self):
        """The id that says least: of the mask token, else of padding; None where there is neither."""
        return self.padding if self.mask is None else self.mask

    def tokens(self, ids, present=None):
        """The tokens of one text.

        Args:
            ids: int [tokens].
            present: bool [tokens], False for padding; None: by the id of padding.

        Returns:
            tuple of `Token`.
        """
        present = np.ones(len(ids), bool) if present is None and self.padding is None else present
        present = np.asarray(ids) != self.padding if present is None else present
        tokens, word, ends = [], -1, True
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        for index, is_present in zip(map(int, ids), present):
            piece = self.piece(index)
            if not is_present:
                tokens.append(Token("", is_padding=True))
            elif index in self.special:
                tokens.append(Token(piece, is_special=True))
                ends = True
            else:
                text = self._plain(piece, decode)
                word += ends or self._begins(piece, text)
                tokens.append(Token(text, word))
                ends = self.mark in (BYTES, LETTERS) and _is_punctuation(text)
        return tuple(tokens)

    def piece(self, index):
        """What an id stands for: str, the id itself where the vocabulary does not have it."""
        return self.pieces[index] if 0 <= index < len(self.pieces) else str(index)

    def _begins(self, piece, text):
        """Whether a piece begins a word. Punctuation is a word of its own."""
        if self.mark in (BYTES, LETTERS):
            return piece.startswith(self.mark) or _is_punctuation(text)
        return not self.mark or not piece.startswith(self.mark)

    def _plain(self, piece, decode):
        """A piece as text. The bytes of one letter may be spread over pieces, and stand in the last."""
        if self.mark == BYTES and all(letter in _BYTE_OF for letter in piece):
            return decode(bytes(_BYTE_OF[letter] for letter in piece)).strip()
        return piece.removeprefix(self.mark).replace(LETTERS, " ")


def _is_punctuation(text):
    return bool(text) and not any(map(str.isalnum, text))


def _byte_letters():
    """The letters that stand for bytes in a vocabulary of bytes (Radford et al. 2019, GPT-2): dict of letter to byte."""
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + place): byte for place, byte in enumerate(others)}


_BYTE_OF = _byte_letters()


def name_neutral(network, options):
    """A method's options, with ids in the place of a baseline by the name of `NEUTRAL`.

    Args:
        network: a `Network`.
        options: dict of the options.

    Returns:
        dict.

    Raises:
        Refused: for a network without a tokenizer, or one that has neither a mask token nor padding.
    """
    if not (isinstance(options.get("baseline"), str) and options["baseline"] == NEUTRAL):
        return options
    tokenizer = network.tokenizer
    if tokenizer is None or network.text_inputs is None or tokenizer.neutral is None:
        raise Refused(
            f"baseline={NEUTRAL!r} is the mask token of a tokenizer, or its padding. Received: {network.name}, which has none. Give a number or ids."
        )
    length = network.places()[network.text_inputs.ids][1].shape[1] or 1
    ids = np.full((1, length), tokenizer.neutral, "int32")
    encoded = Encoded(ids, np.ones_like(ids), np.zeros_like(ids), [0])
    return {**options, "baseline": network.text_inputs.arrange(network.spec, encoded)}


def pad_rows(rows, length, padding):
    """Rows of ids as arrays, whose mask is 0 where they were padded.

    Args:
        rows: list of lists of int.
        length: int, of every row; None: of the longest.
        padding: int, the id of padding; None: 0, which the mask tells apart.

    Returns:
        `Encoded`.
    """
    width = length or max(map(len, rows))
    ids, mask = np.full((len(rows), width), padding or 0, "int32"), np.zeros((len(rows), width), "int32")
    for place, row in enumerate(rows):
        ids[place, : len(row)], mask[place, : len(row)] = row[:width], 1
    return Encoded(ids, mask, np.zeros_like(ids), [max(0, len(row) - width) for row in rows])


def refuse_unreadable(tokenizer, encoded, texts, name):
    """Raise Refused for a text without a token, and warn of texts of unknown words alone and of those that were cut.

    Args:
        tokenizer: `Tokenizer`.
        encoded: `Encoded`.
        texts: list of str.
        name: str, the network in errors.

    Raises:
        Refused: for such a text, and where no text has a word of the vocabulary.
    """
    present = (encoded.mask > 0) & ~np.isin(encoded.ids, list(tokenizer.special))
    known = present & (encoded.ids != tokenizer.unknown)
    for row in np.flatnonzero(~present.any(axis=1)):
        raise Refused(
            f"A text has at least one token. Received: text {row + 1}, {_beginning(texts[row])}, which has none for {name}. Remove the text."
        )
    strangers = np.flatnonzero(~known.any(axis=1))
    if len(strangers) == len(texts):
        raise Refused(
            f"Texts have words of the vocabulary of {name}. Received: only unknown words, such as {_beginning(texts[0])}. Give the tokenizer or vocabulary that the network was trained with."
        )
    if len(strangers):
        _warn_of_one(f"{name} knows no word of", strangers, texts)
    cut = np.flatnonzero(encoded.lost)
    if len(cut):
        lost = encoded.lost[cut[0]]
        _warn_of_one(f"{name} takes {encoded.ids.shape[1]} tokens, and the last {lost} were cut off of", cut, texts)


def _beginning(text):
    return repr(text[:40])


def _warn_of_one(problem, rows, texts):
    """Warn of the first of some texts, and say how many others there are."""
    more = f", and of {len(rows) - 1} more" if len(rows) > 1 else ""
    warnings.warn(f"{problem} text {rows[0] + 1}, {_beginning(texts[rows[0]])}{more}", stacklevel=5)


def refuse_other_size(tokenizer, rows, name):
    """Raise Refused for a tokenizer with more ids than a network embeds, and warn of one with far fewer.

    Args:
        tokenizer: `Tokenizer`.
        rows: int, the ids that the network's Embedding has; None: not known.
        name: str, the network in errors.

    Raises:
        Refused: for a tokenizer with more ids.
    """
    count = len(tokenizer.pieces)
    if rows is None or rows - ROUNDED < count <= rows:
        return
    if count > rows:
        raise Refused(
            f"A tokenizer belongs to its network. Received: a vocabulary of {count:,} ids for {name}, which embeds {rows:,}. Give the tokenizer that the network was trained with."
        )
    warnings.warn(
        f"{name} embeds {rows:,} ids, and its tokenizer has {count:,}: is it the one that the network was trained with?",
        stacklevel=4,
    )
