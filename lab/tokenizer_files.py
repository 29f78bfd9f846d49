"""Tokenizer files: a tokenizer.json, or an object of the package `tokenizers`, as a `Tokenizer`."""

import importlib.util
import json
import os

import numpy as np

from lab.refusal import Refused
from lab.remote import as_path, is_file
from lab.tokenizer import BYTES, LETTERS, Encoded, Tokenizer

# The usual names of tokens that a file does not tell apart.
PADDING, MASK = ("[PAD]", "<pad>"), ("[MASK]", "<mask>")


def read_tokenizer(source, longest=None):
    """A tokenizer of the package `tokenizers`.

    Args:
        source: the path of a tokenizer.json; a `tokenizers.Tokenizer`; or an object that holds one as `backend_tokenizer`.
        longest: int, tokens of a text at most; None: as the file says.

    Returns:
        `Tokenizer`. The object itself is not changed.

    Raises:
        Refused: where the package is missing, and for a file that is no such tokenizer.
    """
    _refuse_missing()
    import tokenizers

    written = (
        _read(source)
        if isinstance(source, (str, os.PathLike))
        else getattr(source, "backend_tokenizer", source).to_str()
    )
    try:
        reader = tokenizers.Tokenizer.from_str(written)
    except Exception as error:
        raise Refused(
            f"A tokenizer is a tokenizer.json of the package tokenizers. Received: {str(source)[-200:]!r}: {error}."
        ) from error
    values = json.loads(written)
    padding = _padding(reader)
    unknown = _unknown(reader, values["model"])
    added = reader.get_added_tokens_decoder()
    return Tokenizer(
        encode=_encoder(reader, padding, longest or (reader.truncation or {}).get("max_length")),
        pieces=tuple(reader.id_to_token(index) or "" for index in range(max(reader.get_vocab().values()) + 1)),
        padding=padding,
        unknown=unknown,
        mask=_first_id(reader, MASK),
        special=frozenset(index for index, token in added.items() if token.special and index != unknown),
        mark=_mark(values),
        end=values["model"].get("end_of_word_suffix") or "",
        longest=longest,
    )


def _refuse_missing():
    if importlib.util.find_spec("tokenizers") is None:
        raise Refused(
            "A tokenizer.json is read by the package tokenizers. Received: it is not installed. Type: pip install 'interpretability-lab[text]'"
        )


def _read(path):
    path = as_path(path)
    if not is_file(path):
        raise Refused(f"A tokenizer is the path of a tokenizer.json. Received: {str(path)!r}, which is no file.")
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"A tokenizer.json is text in UTF-8. Received: {path}: {error}.") from error


def _first_id(reader, names):
    ids = [reader.token_to_id(name) for name in names]
    return next((index for index in ids if index is not None), None)


def _padding(reader):
    return reader.padding["pad_id"] if reader.padding else _first_id(reader, PADDING)


def _unknown(reader, model):
    """The id of what the vocabulary does not have: int, or None."""
    name = model.get("unk_token")
    return model.get("unk_id") if name is None else reader.token_to_id(name)


def _mark(values):
    """What pieces begin with, by the parts that split text and join it again: str, as of `Tokenizer`."""
    if values["model"]["type"] == "WordPiece":
        return values["model"]["continuing_subword_prefix"]
    parts = json.dumps([values.get(part) for part in ("normalizer", "pre_tokenizer", "decoder")], ensure_ascii=False)
    return BYTES if "ByteLevel" in parts else LETTERS if LETTERS in parts else ""


def _encoder(reader, padding, longest):
    direction = (reader.padding or {}).get("direction", "right")
    token = "" if padding is None else reader.id_to_token(padding)

    def encode(texts, length):
        # A cut keeps the special tokens at the end.
        limit = min(filter(None, (length, longest)), default=None)
        reader.no_truncation() if limit is None else reader.enable_truncation(limit)
        reader.enable_padding(direction=direction, pad_id=padding or 0, pad_token=token, length=length)
        rows = reader.encode_batch(list(texts))
        arrays = (
            np.array([getattr(row, name) for row in rows], "int32") for name in ("ids", "attention_mask", "type_ids")
        )
        return Encoded(
            *arrays, [sum(sum(1 - np.array(part.special_tokens_mask)) for part in row.overflowing) for row in rows]
        )

    return encode
