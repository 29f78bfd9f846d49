"""Tokenizer files: what the lab reads of a tokenizer.json is what its own package says."""

import numpy as np
import pytest

import lab
from lab.tokenizer_files import read_tokenizer
from tests import text_networks

tokenizers = pytest.importorskip("tokenizers", reason="the extra text is not installed")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(text_networks.tokenizer_json())
    return path


def test_a_file_an_object_and_one_that_holds_it_are_the_same(path):
    original = tokenizers.Tokenizer.from_file(str(path))
    holder = type("Fast", (), {"backend_tokenizer": original})()
    for source in (path, original, holder):
        network = lab.load(text_networks.masked(), tokenizer=source)
        inputs = network.inputs(text_networks.TEXTS)
        assert inputs["token_ids"].tolist() == text_networks.IDS
        np.testing.assert_array_equal(inputs["padding_mask"], inputs["token_ids"] != 0)
    assert original.padding is None and original.truncation is None


@pytest.mark.parametrize("kind", ["WordPiece", "ByteLevel", "Metaspace"])
def test_words_are_those_of_the_package(kind, path):
    """Words by their marks are the words that the package finds in the text itself."""
    original = tokenizers.Tokenizer.from_file(str(path)) if kind == "WordPiece" else trained(kind)
    text = "unaffable good film. not a bad film"
    encoded, reader = original.encode(text), read_tokenizer(original)
    tokens = reader.tokens(reader.encode([text], None).ids[0])
    assert [token.is_special for token in tokens] == [bool(flag) for flag in encoded.special_tokens_mask]
    spans = {}
    for token, word, (start, end) in zip(tokens, encoded.word_ids, encoded.offsets):
        if word is not None:
            spans.setdefault(token.word, [start, end])[1] = end
    joined = {}
    for token in tokens:
        if token.word is not None:
            joined[token.word] = joined.get(token.word, "") + token.text
    assert {word: text[start:end].strip() for word, (start, end) in spans.items()} == joined
    # Pieces of letters may hold a full stop, where the pieces of the others end before it.
    assert joined[0] == "unaffable" and len(joined) == {"Metaspace": 7}.get(kind, 8)
    pairs = {(token.word, word) for token, word in zip(tokens, encoded.word_ids)}
    assert len(pairs) == len({word for _, word in pairs}) == len({word for word, _ in pairs})


def trained(kind):
    """A tokenizer of bytes or of letters, trained on the texts."""
    reader = tokenizers.Tokenizer(tokenizers.models.BPE())
    part = getattr(tokenizers.pre_tokenizers, kind)()
    reader.pre_tokenizer = part
    reader.decoder = getattr(tokenizers.decoders, kind)()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=60, show_progress=False)
    reader.train_from_iterator([text.lower() for text in text_networks.TEXTS], trainer)
    return reader


def test_a_cut_keeps_the_special_token_at_the_end(path):
    network = lab.load(text_networks.masked(5), tokenizer=path)
    with pytest.warns(UserWarning, match="takes 5 tokens, and the last 3 were cut off of text 1, .*, and of 1 more"):
        inputs = network.inputs(text_networks.TEXTS)
    assert inputs["token_ids"].tolist() == [[2, 8, 9, 10, 3], [2, 13, 11, 6, 3]]


def test_padding_that_is_baked_in_is_not_used(path):
    padding = {
        "strategy": {"Fixed": 20},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }
    path.write_text(text_networks.tokenizer_json(padding))
    assert read_tokenizer(path).encode(text_networks.TEXTS, None).ids.tolist() == text_networks.IDS


def test_what_is_no_tokenizer_is_refused_in_one_line(path, tmp_path):
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    (tmp_path / "other.json").write_text("{}")
    for name, problem in (
        ("nothing.json", "is no file"),
        ("bytes.json", "UTF-8"),
        ("other.json", "tokenizer.json of the package"),
    ):
        with pytest.raises(lab.Refused, match=problem):
            lab.load(text_networks.masked(), tokenizer=tmp_path / name)


def test_pieces_of_clip_become_words():
    pieces = {piece: index for index, piece in enumerate(["g", "o", "d", "d</w>", "go"])}
    reader = tokenizers.Tokenizer(tokenizers.models.BPE(pieces, [("g", "o")], end_of_word_suffix="</w>"))
    split = tokenizers.pre_tokenizers.Split(" ", "removed")
    byte_level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    reader.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([split, byte_level])
    reader.decoder = tokenizers.decoders.ByteLevel()
    tokenizer = read_tokenizer(reader)
    tokens = tokenizer.tokens(tokenizer.encode(["good good"], None).ids[0])
    texts = ["".join(token.text for token in tokens if token.word == word) for word in (0, 1)]
    assert texts == ["good", "good"] and tokens[-1].word == 1 and len(tokens) > 2
