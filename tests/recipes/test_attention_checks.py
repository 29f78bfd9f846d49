"""Checks of attention on a user's own model and texts: every head is a row of the verdicts and of the page."""

import json
import pathlib

import keras
import numpy as np
import pytest
from keras import layers as L

from lab.environment import tf

WORDS = [f"word{number}" for number in range(12)]


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A model of texts with two heads, and a file of texts."""
    keras.utils.set_random_seed(0)
    folder, rng = tmp_path_factory.mktemp("reader"), np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, 6)) for _ in range(10)]
    vectorize = L.TextVectorization(output_sequence_length=6, vocabulary=WORDS)
    text = keras.Input((1,), dtype="string")
    x = L.Embedding(vectorize.vocabulary_size(), 8, embeddings_initializer="normal")(vectorize(text))
    x = L.MultiHeadAttention(2, 4, name="attention")(x, x)
    model = keras.Model(text, L.Dense(2, "softmax")(L.GlobalAveragePooling1D()(x)))
    model(tf.constant(texts)[:, None])
    model.save(folder / "reader.keras")
    (folder / "texts.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    return ["--model", folder / "reader.keras", "--data", folder / "texts.txt"]


def test_every_head_has_a_verdict_and_a_card(command, reader):
    code, output, error = command("check", *reader, "--check", "attention_use,attention_order", "--quiet")
    assert code == 0, error
    page = pathlib.Path(output.strip().splitlines()[-1])
    families = json.loads((page.parent / "jobs" / "verdicts" / "verdicts.json").read_text())
    assert list(families) == ["0-attention_use", "1-attention_order"]
    heads = [f"attention:weights {name}" for name in ("head 0", "head 1", "all heads")]
    use = families["0-attention_use"]
    assert [verdict["method"] for verdict in use["verdicts"]] == [*heads, *use["blind"]]
    assert use["blind"] == ["head of zero values", "another input"] and all(row["held"] for row in use["controls"])
    text = page.read_text(encoding="utf-8")
    assert 'id="0-attention_use-attention:weights-head-1"' in text and "Attention is used" in text


def test_a_setting_of_a_check_of_heads_is_known(command, reader, tmp_path):
    recipe = tmp_path / "heads.toml"
    model, data = reader[1], reader[3]
    table = (
        f'name = "heads"\n[model]\nsource = "{model}"\n[data]\nsource = "{data}"\n[[check]]\ncheck = "attention_use"\n'
    )
    recipe.write_text(table + "drawn = 3\n")
    code, _, error = command("run", recipe)
    assert code == 2 and "Unknown key of the check attention_use. Received: 'drawn'. Nearest: draws" in error
    recipe.write_text(table + "draws = 3\n")
    code, output, _ = command("run", recipe)
    assert code == 0 and "3 permutations" in output
