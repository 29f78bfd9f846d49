"""Tokenizer: texts as the token ids of a network, whatever library makes them, and what each id is as text.

Made by `lab.lookup` (TextVectorization), `lab.tokenizer_files` (tokenizer.json) and `lab.preprocessors` (KerasHub).

tokenizer.encode(texts, length) -> Encoded    ids, with a mask and segments
tokenizer.tokens(ids, present)  -> tokens     the text of each id, the word it belongs to, special tokens, padding
"""

import codecs
import re
import unicodedata
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lab.refusal import Refused

# What a piece begins with: one that goes on with a word, or one that begins a word, of bytes or of letters.
CONTINUES, BYTES, LETTERS = "##", "\u0120", "\u2581"
# A byte of a letter that a vocabulary of letters does not have.
_BYTE_PIECE = re.compile("<0x([0-9A-F]{2})>")
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
        end: str, what the last piece of a word ends with, such as "</w>"; "" where nothing marks it.
        longest: int, tokens of a text at most; None: any number.
    """

    encode: Callable
    pieces: tuple
    padding: int | None = 0
    unknown: int | None = None
    mask: int | None = None
    special: frozenset = frozenset()
    mark: str = ""
    end: str = ""
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
        tokens, run = [], []
        for index, is_present in zip(map(int, ids), present):
            is_special = bool(is_present) and index in self.special
            if is_present and not is_special:
                run.append(len(tokens))
            elif is_special:
                self._name_words(tokens, run)
            tokens.append(Token(self.piece(index) if is_present else "", None, is_special, not is_present))
        self._name_words(tokens, run)
        return tuple(tokens)

    def _name_words(self, tokens, run):
        """Give the tokens at the places of a run, which is emptied, their texts and words."""
        first = 1 + max((token.word for token in tokens if token.word is not None), default=-1)
        pieces = [tokens[place].text for place in run]
        for place, text, word in zip(run, *self._words(pieces)):
            tokens[place] = Token(text, first + word)
        run.clear()

    def _words(self, pieces):
        """The texts of consecutive pieces, and the number of each one's word: two lists."""
        if not self.end and self.mark not in (BYTES, LETTERS):
            begins = [
                place > 0 and not (self.mark and piece.startswith(self.mark)) for place, piece in enumerate(pieces)
            ]
            return [piece.removeprefix(self.mark) for piece in pieces], np.cumsum(begins, dtype=int).tolist()
        texts, words, word, ends, is_open = self._decode(pieces), [], -1, True, False
        for text in texts:
            # The later bytes of a letter, and marks on a letter, belong to it. A space belongs to the word behind it.
            on_letter = not text or unicodedata.category(text[0])[0] == "M" or text[0] == "\u200d"
            begins = not is_open and (ends or text[:1].isspace() or _is_punctuation(text.strip()))
            word = max(0, word + (begins and not on_letter))
            words.append(word)
            if text:
                is_open = text.isspace()
                ends = not is_open and (text[-1].isspace() or (ends and on_letter) or _is_punctuation(text.strip()))
        if is_open and word > 0:
            # No word is behind the last space.
            words = [min(number, word - 1) for number in words]
        return [text.strip() for text in texts], words

    def _decode(self, pieces):
        """Consecutive pieces as texts with their spaces. A letter whose bytes are spread over pieces stands in the first."""
        texts, first = [""] * len(pieces), 0
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for place, piece in enumerate(pieces):
            for byte in self._bytes(piece):
                first = first if decoder.getstate()[0] else place
                texts[first] += decoder.decode(bytes([byte]))
        if pieces:
            texts[first] += decoder.decode(b"", final=True)
        return texts

    def _bytes(self, piece):
        is_last = bool(self.end) and piece.endswith(self.end)
        piece, space = piece.removesuffix(self.end) if is_last else piece, b" " if is_last else b""
        if self.mark == BYTES and all(letter in _BYTE_OF for letter in piece):
            return bytes(_BYTE_OF[letter] for letter in piece) + space
        byte = _BYTE_PIECE.fullmatch(piece) if self.mark == LETTERS else None
        return bytes([int(byte[1], 16)]) if byte else piece.replace(LETTERS, " ").encode("utf-8", "replace") + space

    def piece(self, index):
        """What an id stands for: str, the id itself where the vocabulary does not have it."""
        return self.pieces[index] if 0 <= index < len(self.pieces) else str(index)


def _is_punctuation(text):
    """Whether a text is of signs alone. Marks on letters, such as the vowels of Hindi, are no signs."""
    return unicodedata.category(text[0])[0] in "PS" and not any(map(str.isalnum, text)) if text else False


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
