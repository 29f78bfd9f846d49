"""Tokenizers: what ids are as text, words of several tokens, and maps by word."""

import keras
import numpy as np
import pytest

import lab
from lab.tokenizer import BYTES, CONTINUES, LETTERS, Tokenizer, name_neutral, pad_rows
from lab.words import Word, as_html, spread, words_of
from tests import own_data, text_networks


def reader(pieces, mark, **options):
    return Tokenizer(lambda texts, length: None, tuple(pieces), mark=mark, **options)


def words(tokens):
    return [word.text for word in words_of(tokens, np.zeros(len(tokens)))]


@pytest.mark.parametrize(
    "mark, pieces, expected",
    [
        (CONTINUES, ["un", "##aff", "##able", "film", "."], ["unaffable", "film", "."]),
        (
            LETTERS,
            ["\u2581un", "aff", "able", "\u2581film", ",", "so", "\u2581", "b"],
            ["unaffable", "film", ",", "so", "b"],
        ),
        # The letter é is two bytes, which are two pieces here.
        (BYTES, ["un", "aff", "\u0120caf\u00c3", "\u00a9", "s", "."], ["unaff", "cafés", "."]),
        ("", ["un", "aff"], ["un", "aff"]),
        # A letter of several pieces, a line break, two spaces, and the vowels of Hindi.
        (BYTES, ["film", "\u00f0\u0141", "\u013a\u0122", "\u0120good"], ["film", "\U0001f600", "good"]),
        (BYTES, ["good", "\u010a", "film", "\u0120", "\u0120b", "\u0120"], ["good", "film", "b"]),
        (LETTERS, ["\u2581\u0939", "\u093f", "\u0928", "\u2581so"], ["\u0939\u093f\u0928", "so"]),
        (
            LETTERS,
            ["\u2581a", "<0x0A>", "b", "\u2581", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>"],
            ["a", "b", "\U0001f600"],
        ),
    ],
)
def test_pieces_become_words_by_each_way_to_mark_them(mark, pieces, expected):
    assert words(reader(pieces, mark, padding=None).tokens(range(len(pieces)))) == expected


def test_the_bytes_of_a_sign_are_its_own_numbers_and_not_those_of_the_word_before_it():
    tokens = reader(["film", "\u00f0\u0141", "\u013a\u0122", "\u0120good"], BYTES, padding=None).tokens(range(4))
    assert [token.word for token in tokens] == [0, 1, 1, 2]


@pytest.mark.parametrize("mark", [BYTES, ""])
def test_pieces_that_end_a_word_are_marked_as_in_clip(mark):
    tokens = reader(["un", "able</w>", "film</w>", "!</w>"], mark, end="</w>", padding=None).tokens(range(4))
    assert words(tokens) == ["unable", "film", "!"]


def test_special_tokens_end_a_word_and_padding_is_none():
    tokenizer = reader(["<pad>", "<s>", "a", "b"], LETTERS, special=frozenset([0, 1]))
    tokens = tokenizer.tokens([1, 2, 3, 1, 2, 0])
    assert [token.word for token in tokens] == [None, 0, 0, None, 1, None]
    assert [token.is_special for token in tokens] == [True, False, False, True, False, False]
    assert [token.is_padding for token in tokens] == [False] * 5 + [True]
    # A mask says more than the id: GPT-2 pads with the token that ends its texts.
    assert not tokenizer.tokens([0], [True])[0].is_padding


def test_the_numbers_of_a_words_tokens_are_added_and_all_numbers_are_kept():
    tokens = reader(["<pad>", "<s>", "un", "##able"], CONTINUES, special=frozenset([1])).tokens([1, 2, 3, 2, 0, 0])
    values = np.array([0.5, 1, -3, 4, 0.25, 0.25])
    expected = (Word("<s>", 0.5, True), Word("unable", -2.0), Word("un", 4.0), Word("padding", 0.5, True))
    assert words_of(tokens, values) == expected
    assert sum(word.value for word in expected) == values.sum()
    texts, numbers = spread(expected, 6)
    assert texts[:4] == ["<s>", "unable", "un", "padding"] and numbers.sum() == values.sum()


def test_coloured_words_are_escaped_and_special_tokens_stand_apart():
    page = as_html([Word("<s>", 9.0, True), Word("<b>", -1.0), Word("zero", 0.0)], 1.0)
    before, special = page.split("Special tokens")
    assert "&lt;b&gt;" in before and "&lt;s&gt;" in special and "<b>" not in page
    assert "rgba(33,102,172,0.55)" in before and 'style="" title="+0"' in before


def test_rows_are_padded_and_what_is_cut_is_counted():
    encoded = pad_rows([[1, 2, 3], [4]], 2, 9)
    assert encoded.ids.tolist() == [[1, 2], [4, 9]] and encoded.mask.tolist() == [[1, 1], [1, 0]]
    assert encoded.lost == [1, 0]


# A network of strings ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sentiment():
    return lab.load(own_data.sentiment())


def test_texts_go_in_and_words_come_out(sentiment):
    texts = ["a wonderful film", "dull and far too long"]
    record = lab.explain(sentiment, texts, 1, method="integrated_gradients")
    ids = lab.explain(sentiment, sentiment.tokenize(texts), 1, method="integrated_gradients")
    np.testing.assert_array_equal(record.maps, ids.maps)
    assert [[word.text for word in row] for row in record.words] == [text.split() for text in texts]
    totals = [sum(word.value for word in row) for row in record.words]
    np.testing.assert_allclose(totals, record.scores - record.baseline_scores, atol=1e-4)
    assert max(record.words[0], key=lambda word: word.value).text == "wonderful"
    # Any method takes texts, not only `lab.explain`.
    np.testing.assert_array_equal(
        lab.gradient(sentiment, texts, lab.logit(1)), lab.gradient(sentiment, ids.inputs, lab.logit(1))
    )


def test_a_record_of_texts_shows_coloured_words(sentiment):
    record = lab.explain(sentiment, ["a wonderful film"], 1, method="gradient_x_input")
    assert record._repr_mimebundle_()["text/html"] == record._repr_html_()
    assert "wonderful</span>" in record._repr_html_() and "<p><b>" in record._repr_html_()
    table = lab.load(own_data.credit())
    assert lab.explain(table, own_data.table()[0][:2], method="gradient")._repr_html_() is None


@pytest.mark.parametrize(
    "text, problem",
    [
        ("!?", "at least one token"),
        ("", "at least one word"),
        ("good " * 200_000, "at most 100,000 characters"),
        ("caf\ud800", "half of a pair"),
    ],
)
def test_texts_that_say_nothing_to_the_network_are_refused(sentiment, text, problem):
    with pytest.raises(lab.Refused, match=problem):
        lab.explain(sentiment, ["a good film", text], 1, method="gradient")


def test_unknown_words_and_what_is_cut_off_are_said(sentiment):
    with pytest.warns(UserWarning, match="takes 10 tokens, and the last 3 were cut off of text 2, 'great great"):
        sentiment.tokenize(["a great film", "great " * 13])
    with pytest.warns(UserWarning, match="knows no word of text 1, 'zzz qqq', and of 1 more"):
        sentiment.tokenize(["zzz qqq", "zzz", "a great film"])
    with pytest.raises(lab.Refused, match="only unknown words, such as 'zzz qqq'"):
        sentiment.tokenize(["zzz qqq"])


# A network of ids and their mask ---------------------------------------------------------------------------------------------


def encode(texts, length):
    del texts, length
    return pad_rows([[index for index in row if index] for row in text_networks.IDS], None, 0)


@pytest.fixture(scope="module")
def masked():
    special = frozenset([0, 2, 3, 4])
    tokenizer = reader(text_networks.VOCABULARY, CONTINUES, unknown=1, mask=4, special=special)
    tokenizer = Tokenizer(**{**vars(tokenizer), "encode": encode})
    return lab.load(text_networks.masked(), tokenizer=tokenizer)


@pytest.mark.parametrize("method", ["integrated_gradients", "exact_shapley", "lime", "gradient_x_input", "occlusion"])
def test_masks_are_never_explained_and_padding_never_changes(masked, method):
    record = lab.explain(masked, text_networks.TEXTS, 1, method=method)
    assert not record.maps["padding_mask"].any() and not record.maps["token_ids"][1, 6:].any()
    assert (record.maps["token_ids"][0] != 0).all()
    assert [[word.text for word in row] for row in record.words] == text_networks.WORDS
    # The same text alone, without padding, has the same map.
    inputs = {name: leaf[1:, :6] for name, leaf in masked.inputs(text_networks.TEXTS).items()}
    alone = lab.explain(masked, inputs, 1, method=method)
    np.testing.assert_allclose(record.maps["token_ids"][1, :6], alone.maps["token_ids"][0], atol=1e-5)


def test_the_values_of_words_add_up_to_the_score(masked):
    record = lab.explain(masked, text_networks.TEXTS, 1, method="exact_shapley")
    assert record.options["baseline"] == "mask"
    emptied = {name: leaf.copy() for name, leaf in record.inputs.items()}
    emptied["token_ids"][emptied["padding_mask"] > 0] = 4
    whole, empty = (masked.model.predict(inputs, verbose=0) for inputs in (record.inputs, emptied))
    # Shapley values are of the logit, of which softmax keeps the differences.
    first = lab.explain(masked, text_networks.TEXTS, 0, method="exact_shapley")
    difference = [sum(word.value for word in row) for row in record.words]
    difference = np.subtract(difference, [sum(word.value for word in row) for row in first.words])
    expected = np.log(whole[:, 1] / whole[:, 0]) - np.log(empty[:, 1] / empty[:, 0])
    np.testing.assert_allclose(difference, expected, atol=1e-5)


def test_a_token_is_taken_away_by_the_mask_or_by_padding(masked, sentiment):
    assert name_neutral(masked, {"baseline": "mask"})["baseline"]["token_ids"].tolist() == [[4]]
    assert (name_neutral(sentiment, {"baseline": "mask"})["baseline"] == 0).all()
    with pytest.raises(lab.Refused, match="mask token of a tokenizer"):
        lab.explain(
            lab.load(text_networks.masked()), masked.inputs(text_networks.TEXTS), 1, method="lime", baseline="mask"
        )


def test_plots_are_of_words(masked):
    record = lab.explain(masked, text_networks.TEXTS, 1, method="exact_shapley")
    assert "unaffable: " in record.plot.waterfall(0).alt and "##aff" not in record.plot.waterfall(0).alt
    drawn = {text.get_text() for axes in record.plot([0]).subfigs[0].axes for text in axes.texts}
    assert {"unaffable", "[CLS]", "film"} <= drawn


def test_a_tokenizer_of_another_network_is_refused(masked):
    more = Tokenizer(**{**vars(masked.tokenizer), "pieces": (*masked.tokenizer.pieces, "more")})
    with pytest.raises(lab.Refused, match="a vocabulary of 15 ids for .*, which embeds 14"):
        lab.load(text_networks.masked(), tokenizer=more)
    large = keras.Sequential(
        [
            keras.Input((4,), dtype="int32"),
            keras.layers.Embedding(999, 2),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    with pytest.warns(UserWarning, match="embeds 999 ids, and its tokenizer has 14"):
        lab.load(large, tokenizer=masked.tokenizer)
    with pytest.raises(lab.Refused, match="vocabulary= and tokenizer="):
        lab.load(large, tokenizer=masked.tokenizer, vocabulary=["good"])
    with pytest.raises(lab.Refused, match="Received: dict"):
        lab.load(large, tokenizer={})
