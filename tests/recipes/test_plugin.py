"""The fixture `lab_check` on a user's own tables, texts and series, with networks that were trained alike."""

import json
import pathlib

import keras
import numpy as np
import pandas as pd
import pytest

import lab
from tests import own_data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return own_data.write(tmp_path_factory.mktemp("own"))


def test_a_table_is_a_path_or_a_frame_and_the_label_is_a_column(lab_check, folder):
    rows = folder / "loans.csv"
    for data in (rows, pd.read_csv(rows)):
        verdict = lab_check(folder / "credit.keras", data, "gradient", check="contract", label="default", most=10)
        assert verdict.passed and "rows" in verdict.sentence, verdict.sentence


def test_texts_and_series_are_checked_as_such(lab_check, folder):
    texts = ("gradient_x_input", {"check": "completeness", "target": 1})
    for data in (folder / "reviews.txt", own_data.TEXTS):
        verdict = lab_check(folder / "sentiment.keras", data, texts[0], **texts[1])
        # The network is linear in its words.
        assert verdict.passed and verdict.effect.high < 1e-3 and "8 texts" in verdict.sentence, verdict.sentence
    inputs, labels = own_data.series()
    verdict = lab_check(folder / "ecg.keras", inputs, "gradient_x_input", check="contract", labels=labels)
    assert verdict.passed and "series" in verdict.sentence


def train(inputs, labels, *, seed):
    """Logistic regression on a table."""
    start = keras.initializers.GlorotUniform(seed)
    layers = [keras.layers.Dense(8, activation="relu", kernel_initializer=start)]
    model = keras.Sequential([keras.Input(inputs.shape[1:]), *layers, keras.layers.Dense(2, kernel_initializer=start)])
    model.compile(keras.optimizers.Adam(0.03), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(inputs, labels, epochs=6, verbose=0)
    return model


def test_networks_trained_alike_make_the_verdict_about_them(lab_check, tmp_path):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(60, 30)).astype("float32")
    labels = (inputs[:, 0] > 0).astype(int)
    model = train(inputs, labels, seed=9)
    words = {"labels": labels, "most": 8, "out": tmp_path}
    verdict = lab_check(model, inputs, "gradient", train=train, replicates=3, settings={"seeds": 3}, **words)
    assert verdict.scope == "networks trained like this" and verdict.sizes["replicates"] == 3
    # What was trained is kept in the folder of runs.
    assert len(list((tmp_path / "networks").glob("*.npz"))) == 2


def test_replicates_are_files_and_models_in_memory(lab_check, tmp_path):
    inputs = np.random.default_rng(0).normal(size=(12, 30)).astype("float32")
    train(inputs, np.arange(12) % 2, seed=1).save(tmp_path / "b.keras")
    model, other = (train(inputs, np.arange(12) % 2, seed=seed) for seed in (0, 2))
    replicate = [tmp_path / "b.keras", other]
    lab_check(model, inputs, "gradient", check="contract", replicate=replicate, out=tmp_path / "runs")
    (path,) = (tmp_path / "runs").rglob("replicates.json")
    assert len(json.loads(path.read_text())["networks"]) == 3
    with pytest.raises(ValueError, match="the same weights for the model and replicate 1 in memory"):
        lab_check(model, inputs, "gradient", check="contract", replicate=[model])


def test_networks_are_trained_from_a_layer_on(lab_check, tmp_path):
    """The caller's network keeps its weights, whether it is a model or a `Network`."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(240, 30)).astype("float32")
    inputs[:, 0] *= 20
    labels = (inputs[:, 0] > 0).astype(int)
    model = train(inputs, labels, seed=9)
    before = [weights.copy() for weights in model.get_weights()]
    words = {"labels": labels, "most": 8, "out": tmp_path, "settings": {"seeds": 3}, "replicates": 3}
    for network in (model, lab.load(model)):
        verdict = lab_check(network, inputs, "gradient", finetune="all", **words)
        assert verdict.scope.startswith("training") and verdict.sizes["replicates"] == 3, verdict.sentence
        assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights()))
    # What was trained for the model is used for the network as well.
    assert len(list((tmp_path / "networks").glob("*.npz"))) == 3


def test_a_method_needs_no_module(lab_check, folder):
    words = {"check": "contract", "label": "default", "most": 10}
    verdict = lab_check(
        folder / "credit.keras", folder / "loans.csv", lambda network, inputs, objective: inputs, **words
    )
    assert verdict.method == "lambda"


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ({"model": None}, "A model is what lab.load takes"),
        ({"data": None}, "Data are a path, arrays"),
        ({"check": "contrakt"}, "Unknown check.*contract"),
        ({"check": "measurements"}, "of which there is none"),
        ({"labels": [1, 2]}, "labels= are for data in memory"),
        ({"replicates": 3}, "no train= or finetune="),
        ({"finetune": True}, "address of a layer, 'all' or 'auto'. Received: True"),
        ({"finetune": "nowhere"}, "nowhere"),
        ({"finetune": "auto", "train": train}, "Received: train= and finetune="),
        ({"planted": "planted", "model": None, "data": None, "finetune": "auto"}, "planted= and finetune="),
        ({"train": lambda inputs, labels, *, seed: None}, "top of a module"),
        ({"train": train, "replicate": ["b.keras"]}, "come from one place"),
        ({"fail_on": "worse"}, "no baseline="),
        ({"baseline": "nothing-there"}, "A run is a folder"),
        ({"planted": "planted"}, "planted= and model="),
        ({"settings": {"sedes": 3}}, "Unknown key of the check"),
    ],
)
def test_what_is_refused_is_one_line_in_the_words_of_python(lab_check, folder, arguments, expected):
    words = {
        "model": folder / "credit.keras",
        "data": folder / "loans.csv",
        "method": "gradient",
        "check": "contract",
        "label": "default",
    }
    replicate = [folder / name if isinstance(name, str) else name for name in arguments.get("replicate", ())]
    if replicate:
        (folder / "b.keras").write_bytes(pathlib.Path(folder / "credit.keras").read_bytes())
        arguments = {**arguments, "replicate": replicate}
    with pytest.raises(ValueError, match=expected) as refusal:
        lab_check(**{**words, **arguments})
    assert "\n" not in str(refusal.value)
