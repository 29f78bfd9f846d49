"""Preprocessors: a preprocessor or tokenizer of KerasHub as a `Tokenizer`."""

import numpy as np

from lab.environment import keras
from lab.text_inputs import NAMES
from lab.tokenizer import BYTES, LETTERS, Encoded, Tokenizer, pad_rows


def is_preprocessor(source):
    """Whether something is a preprocessor or tokenizer of KerasHub: bool."""
    return all(hasattr(getattr(source, "tokenizer", source), name) for name in ("detokenize", "id_to_token"))


def preprocessor_of(model):
    """The preprocessor that a KerasHub model brings for its texts, or None."""
    preprocessor = getattr(model, "preprocessor", None)
    return preprocessor if getattr(preprocessor, "tokenizer", None) is not None else None


def read_preprocessor(source):
    """A preprocessor or tokenizer of KerasHub.

    Args:
        source: `keras_hub.models.Preprocessor`, which adds special tokens and pads; or `keras_hub.tokenizers.Tokenizer`, whose
            ids alone are padded.

    Returns:
        `Tokenizer`.
    """
    reader = getattr(source, "tokenizer", None) or source
    unknown = getattr(reader, "oov_token", None) or getattr(reader, "unk_token", None)
    special = frozenset(getattr(reader, "special_token_ids", ()))
    padding = getattr(reader, "pad_token_id", None)
    unknown = None if unknown is None else reader.token_to_id(unknown)
    return Tokenizer(
        encode=_encoder(source, reader, special, padding),
        pieces=tuple(str(reader.id_to_token(index)) for index in range(reader.vocabulary_size())),
        padding=padding,
        unknown=unknown,
        mask=getattr(reader, "mask_token_id", None),
        special=special - {unknown},
        mark=_mark(reader),
        end="</w>" if "CLIPTokenizer" in _kinds(reader) else "",
        longest=getattr(source, "sequence_length", None),
    )


def _encoder(source, reader, special, padding):
    def read_ids(texts):
        return [np.asarray(row).tolist() for row in reader(list(texts))]

    def encode(texts, length):
        if source is reader:
            return pad_rows(read_ids(texts), length, padding)
        values = source(list(texts))
        # That of a language model also returns what it is trained to say.
        values = values[0] if isinstance(values, tuple) else values
        ids = _array(values, "ids", None)
        mask, segments = _array(values, "mask", np.ones_like(ids)), _array(values, "segments", np.zeros_like(ids))
        kept = (mask > 0) & ~np.isin(ids, list(special))
        lost = [max(0, len(row) - int(count)) for row, count in zip(read_ids(texts), kept.sum(axis=1))]
        return Encoded(ids, mask, segments, lost)

    return encode


def _array(values, part, default):
    """One of the arrays that a preprocessor made, int32 [texts, tokens], by the names of `NAMES`."""
    if not isinstance(values, dict):
        return np.asarray(values, "int32") if default is None else default
    name = next((name for name in NAMES[part] if name in values), None)
    return default if name is None else keras.ops.convert_to_numpy(values[name]).astype("int32")


def _mark(reader):
    """What pieces begin with: str, as of `Tokenizer`."""
    kinds = _kinds(reader)
    if "WordPieceTokenizer" in kinds:
        return reader.suffix_indicator
    return BYTES if "BytePairTokenizer" in kinds else LETTERS if "SentencePieceTokenizer" in kinds else ""


def _kinds(reader):
    """The names of a tokenizer's classes, from which the way it marks words follows: set of str."""
    return {kind.__name__ for kind in type(reader).__mro__}
