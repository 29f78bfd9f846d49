"""Preprocessors: KerasHub's networks and their own preprocessors are explained by word."""

import numpy as np
import pytest

import lab
from lab.embeddings import embedding_network
from tests import text_networks

keras_hub = pytest.importorskip("keras_hub", reason="the extra hub is not installed")
SETTINGS = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16, "dropout": 0.0}


@pytest.fixture(scope="module")
def bert():
    """A classifier with token, position and segment embeddings."""
    tokenizer = keras_hub.tokenizers.BertTokenizer(vocabulary=text_networks.VOCABULARY, lowercase=True)
    preprocessor = keras_hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=10)
    backbone = keras_hub.models.BertBackbone(len(text_networks.VOCABULARY), max_sequence_length=10, **SETTINGS)
    return keras_hub.models.BertTextClassifier(backbone, num_classes=2, preprocessor=preprocessor, dropout=0.0)


def test_a_task_brings_its_preprocessor(bert):
    network = lab.load(bert)
    inputs = network.inputs(text_networks.TEXTS)
    expected = bert.preprocessor(text_networks.TEXTS)
    assert set(inputs) == {"token_ids", "padding_mask", "segment_ids"}
    for name, leaf in inputs.items():
        np.testing.assert_array_equal(leaf, expected[name])
    assert inputs["token_ids"][:, :8].tolist() == text_networks.IDS
    scores = bert.predict(text_networks.TEXTS, verbose=0)
    record = lab.explain(network, text_networks.TEXTS, 1, method="gradient")
    np.testing.assert_allclose(record.scores, scores[:, 1], atol=1e-5)


def test_a_preprocessor_or_a_bare_tokenizer_may_be_named(bert):
    network = lab.load(bert.backbone, tokenizer=bert.preprocessor)
    assert network.inputs(text_networks.TEXTS)["token_ids"][:, :8].tolist() == text_networks.IDS
    bare = lab.load(bert.backbone, tokenizer=bert.preprocessor.tokenizer).inputs(text_networks.TEXTS)
    # A tokenizer alone adds no special tokens.
    assert bare["token_ids"].tolist() == [[8, 9, 10, 5, 7, 12], [13, 11, 6, 7, 0, 0]]


@pytest.mark.parametrize("method", ["integrated_gradients", "exact_shapley"])
def test_tokens_alone_are_explained(bert, method):
    network = lab.load(bert)
    # Positions and segments are embedded too, and say nothing of a text.
    assert [address.rpartition("/")[2] for address in list(embedding_network(network).sources)] == ["token_embedding"]
    record = lab.explain(network, text_networks.TEXTS, 1, method=method)
    assert not record.maps["padding_mask"].any() and not record.maps["segment_ids"].any()
    assert [[word.text for word in row] for row in record.words] == text_networks.WORDS
    np.testing.assert_allclose(record.gap, 0, atol=1e-4)


def test_positions_that_are_added_inside_one_layer():
    """GPT-2 pads with the token that ends its texts; the mask tells them apart, and the words of its head are no input."""
    pieces = ["<|endoftext|>", "a", "b", "c", "\u0120", "\u0120a", "ab"]
    tokenizer = keras_hub.tokenizers.GPT2Tokenizer(
        vocabulary={piece: place for place, piece in enumerate(pieces)}, merges=["\u0120 a", "a b"]
    )
    backbone = keras_hub.models.GPT2Backbone(len(pieces), max_sequence_length=8, **SETTINGS)
    preprocessor = keras_hub.models.GPT2CausalLMPreprocessor(tokenizer, sequence_length=8)
    network = lab.load(keras_hub.models.GPT2CausalLM(backbone, preprocessor=preprocessor))
    assert len(embedding_network(network).sources) == 1
    record = lab.explain(network, ["abc a", "c"], lab.token(1, 0), method="integrated_gradients")
    assert [word.text for word in record.words[0] if not word.is_special] == ["abc", "a"]
    assert not record.maps["token_ids"][1, 3:].any()
    np.testing.assert_allclose(record.gap, 0, atol=1e-4)


def test_another_vocabulary_is_refused(bert):
    tokenizer = keras_hub.tokenizers.BertTokenizer(vocabulary=[*text_networks.VOCABULARY, "more"])
    with pytest.raises(lab.Refused, match="a vocabulary of 15 ids"):
        lab.load(bert.backbone, tokenizer=tokenizer)
