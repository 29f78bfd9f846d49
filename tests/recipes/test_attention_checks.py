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


def test_texts_of_one_source_count_once(command, reader, tmp_path):
    texts = pathlib.Path(reader[3]).read_text(encoding="utf-8").splitlines()
    rows = [f"{text},{number % 2},author {number // 2}" for number, text in enumerate(texts)]
    (tmp_path / "texts.csv").write_text("\n".join(["text,mood,author", *rows]), encoding="utf-8")
    words = ["check", *reader[:3], tmp_path / "texts.csv", "--label", "mood", "--check", "attention_use", "--json"]
    for options, count in (([], 10), (["--group", "author"], 5)):
        code, output, error = command(*words, *options)
        assert code == 0, error
        assert {row["sizes"]["images"] for row in json.loads(output)["verdicts"]} == {count}
    code, _, error = command(*words, "--group", "writer")
    assert code == 2 and "Received: 'writer'" in error


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


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A model of token ids, and ids with labels and authors: a token tells the class."""
    keras.utils.set_random_seed(0)
    folder, rng = tmp_path_factory.mktemp("labelled"), np.random.default_rng(0)
    ids = keras.Input((6,), dtype="int32")
    x = L.Embedding(12, 8)(ids)
    x = L.GlobalAveragePooling1D()(x + L.MultiHeadAttention(2, 4, name="attention")(x, x))
    keras.Model(ids, L.Dense(2, "softmax")(x)).save(folder / "ids.keras")
    labels, rows = np.arange(120) % 2, rng.integers(3, 12, (120, 6))
    rows[:, 2] = 1 + labels
    authors = np.array([f"author {number // 4}" for number in range(120)])
    np.savez(folder / "ids.npz", inputs=rows, labels=labels, author=authors)
    (folder / "ids_training.py").write_text(
        "import keras\n\ndef train(inputs, labels, *, seed):\n    keras.utils.set_random_seed(seed)\n"
        f"    return keras.models.clone_model(keras.models.load_model({str(folder / 'ids.keras')!r}))\n\n\n"
        "def fit(inputs, labels, *, seed):\n    model = train(inputs, labels, seed=seed)\n"
        "    model.compile('sgd', 'sparse_categorical_crossentropy', jit_compile=False)\n"
        "    model.fit(inputs, labels, verbose=0)\n"
        "    return model\n"
    )
    return folder


def test_networks_are_trained_with_uniform_attention_on_labels(command, labelled, monkeypatch):
    words = ["check", "--model", labelled / "ids.keras", "--data", labelled / "ids.npz", "--label", "labels"]
    words += ["--group", "author", "--check", "attention_needed", "--json"]
    code, output, error = command(*words, "--finetune", "all", "--replicates", 2)
    assert code == 0, error
    (row,) = json.loads(output)["verdicts"]
    assert row["scope"] == "training of the whole network" and row["sizes"]["repeats"] == 6
    # Of thirty authors a third is held out.
    assert row["finding"] == "UNDECIDED" and row["sizes"]["held out"] == 10
    assert "Give more labelled inputs" in row["sentence"]
    monkeypatch.syspath_prepend(labelled)
    code, output, error = command(*words, "--train", "ids_training:train", "--replicates", 2)
    assert code == 0, error
    (row,) = json.loads(output)["verdicts"]
    assert row["finding"] == "NOT APPLICABLE" and "give --finetune all in its place" in row["sentence"]
    code, output, error = command(*words, "--train", "ids_training:fit", "--replicates", 2)
    assert code == 0, error
    (row,) = json.loads(output)["verdicts"]
    assert row["finding"] != "NOT APPLICABLE" and row["sizes"] == {**row["sizes"], "repeats": 6, "held out": 10}
