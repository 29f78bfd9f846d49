"""The dictionary of a layer as a run: what is written, what the page shows, names, resuming, and what is refused."""

import json
import pathlib
import re
from xml.etree import ElementTree

import click.testing
import keras
import numpy as np
import pytest
from PIL import Image

from recipes import dictionaries, schema
from recipes.cli import main
from recipes.dictionaries import load_dictionary
from recipes.sections.dictionary import network_words
from recipes.store import Store

MODEL = ["--input-range", "0", "1", "--quiet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network whose head reads two channels of its layer, class names and twelve images."""
    folder = tmp_path_factory.mktemp("dictionary")
    keras.utils.set_random_seed(0)
    entry = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(6, 3, activation="relu", name="first")(entry)
    x = keras.layers.Conv2D(8, 3, activation="relu", name="second")(x)
    x = keras.layers.Conv2D(8, 1, name="signed")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    keras.Model(entry, keras.layers.Dense(3, name="logits")(x)).save(folder / "net.keras")
    (folder / "names.txt").write_text("cat\ndog\ncup\n")
    (folder / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(12):
        colour = rng.integers(0, 256, (2, 2, 3), dtype="uint8")
        Image.fromarray(colour).resize((20, 20)).save(folder / "photos" / f"{number}.png")
    (folder / "atoms.csv").write_text("atom,name\n1,a <b>\n2,\n")
    return folder


@pytest.fixture
def run(folder, command, monkeypatch):
    """`lab dictionary` of the network and images -> exit code, output, error."""
    monkeypatch.chdir(folder)
    files = ["--model", "net.keras", "--classes", "names.txt", *MODEL]

    def run(*words):
        images = [] if "--images" in words else ["--images", "photos"]
        return command("dictionary", *files, *images, *words)

    return run


def store_of(output):
    page = output.strip().splitlines()[-1]
    root, name, digest = re.match(r"(.*)/([^/]+)/([^/]+)/index.html", page).groups()
    return Store(root, name, digest), pathlib.Path(page).read_text(encoding="utf-8")


def test_parts_are_judged_shown_and_named(run):
    code, output, error = run(
        "--layer", "second", "--learner", "nmf", "--atoms", "4", "--names", "atoms.csv", "--pictures"
    )
    assert code == 0, error
    store, page = store_of(output)
    assert (
        "trained network: R2" in output and "untrained network: R2" in output and "of 4 atoms move the score" in output
    )
    dictionary = load_dictionary(store, "dictionary/trained-0")
    assert dictionary.kind == "nmf" and dictionary.atoms.shape == (4, 8)
    assert store.values("dictionary/summary", "summary.json")["names"] == {"1": "a <b>"}
    lines = (store.folder("verdicts") / "verdicts.csv").read_text().splitlines()
    assert [line.split(",")[:3] for line in lines[1:]] == [
        ["0-dictionary", f"atom {atom}", "atom_effect"] for atom in range(4)
    ]
    assert len(store.values("dictionary/summary", "summary.json")["untrained"]) == 4
    assert "What second is made of" in page and 'id="atoms"' in page and "a &lt;b&gt;" in page and "a \\u003cb>" in page
    (units,) = re.findall(r'<script type="application/json" id="units">(.*?)</script>', page, re.S)
    units = json.loads(units)
    assert [unit["title"] for unit in units] == ["atom 0", "a <b>", "atom 2", "atom 3"]
    thumbs, more = (json.loads(text) for text in re.findall(r'data-kind="\w+">(.*?)</script>', page, re.S))
    details = more["atom-1"]
    assert (
        len(thumbs["atom-1"]) == 5
        and len(details["top"]) == len(details["maps"]) == 6
        and len(details["pictures"]) == 1
    )
    assert [layer for layer, *_ in details["near"]] == ["second"] * 3
    assert {name for name, _ in details["moves"]} <= {"cat", "dog", "cup"}


def test_verdicts_on_atoms_have_a_gate_junit_and_a_baseline(folder, run):
    """Where the score does not depend on the layer, nothing can be said of its atoms, and the gate says so."""
    words = ("--learner", "pca", "--atoms", "2", "--seeds", "1", "--layer")
    code, output, error = run(*words, "second", "--fail-on", "fail")
    assert code == 0, error
    store, _ = store_of(output)
    outcomes = [verdict["outcome"] for verdict in store.values("verdicts", "verdicts.json")["0-dictionary"]["verdicts"]]
    assert len(outcomes) == 2 and set(outcomes) <= {"PASS", "INCONCLUSIVE"}
    tags = [case[0].tag for case in ElementTree.parse(store.folder("verdicts") / "junit.xml").getroot()[0]]
    assert tags == ["system-out" if outcome == "PASS" else "skipped" for outcome in outcomes]
    code, again, error = run(*words, "second", "--baseline", str(store.path), "--fail-on", "worse")
    assert code == 0 and "2 verdicts: 2 same" in again, error
    save_idle_layer(folder)
    code, output, error = run(*words, "idle", "--fail-on", "fail", "--model", "idle.keras")
    assert code == 1 and "0-dictionary: atom 0, atom 1 fell short of --fail-on fail" in error
    store, page = store_of(output)
    (suite,) = ElementTree.parse(store.folder("verdicts") / "junit.xml").getroot()
    assert suite.get("name") == "0-dictionary" and suite.get("errors") == "2" and "ORACLE DOES NOT PASS" in page


def save_idle_layer(folder):
    """Save a network whose score has a weight of zero for its layer `idle`."""
    entry = keras.Input((16, 16, 3))
    idle = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation="relu", name="idle")(entry))
    logits = keras.layers.Dense(3, kernel_initializer="zeros")(idle)
    direct = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(entry))
    keras.Model(entry, keras.layers.Add(name="logits")([logits, direct])).save(folder / "idle.keras")


def test_what_is_lit_is_where_the_atom_is_active(run):
    store, _ = store_of(run("--layer", "second", "--learner", "kmeans", "--atoms", "3", "--seeds", "1")[1])
    arrays = store.arrays("dictionary/atoms/00000", "atoms.npz")
    examples = store.arrays("dictionary/examples", "examples.npz")
    assert arrays["maps"].shape == (3, 6, 96, 96, 3) and arrays["crops"].shape == (3, 6, 96, 96, 3)
    # A position belongs to one cluster.
    np.testing.assert_allclose(examples["active"].sum(), 1)
    assert store.values("dictionary/summary", "summary.json")["networks"][0]["stability"] is None


def test_an_autoencoder_that_was_stopped_goes_on_to_the_same_bytes(folder, monkeypatch):
    recipe = f'name = "sae"\n[model]\nsource = "{folder}/net.keras"\ninput_range = [0, 1]\n[images]\nfolder = "{folder}/photos"\n[dictionary]\nlayer = "second"\natoms = 12\nsave = 20\nseeds = 1\nuntrained = false\noptions = {{steps = 60, batch = 64}}\n'
    (folder / "sae.toml").write_text(recipe)

    def invoke(*words):
        return click.testing.CliRunner().invoke(main, words)

    monkeypatch.chdir(folder)
    whole, _ = store_of(invoke("run", "sae.toml", "--out", "whole", "--quiet").stdout)
    train, states = dictionaries.train, []

    def stop_later(job, inputs, session):
        states.append(job.key)
        if len(states) == 2:
            raise KeyboardInterrupt
        return train(job, inputs, session)

    monkeypatch.setattr(dictionaries, "train", stop_later)
    assert invoke("run", "sae.toml", "--out", "parts", "--quiet").exit_code != 0
    monkeypatch.setattr(dictionaries, "train", train)
    parts, _ = store_of(invoke("run", "sae.toml", "--out", "parts", "--quiet").stdout)
    assert states == ["dictionary/trained-training-0/000000", "dictionary/trained-training-0/000020"]
    seals, other = whole.seals(), parts.seals()
    assert len(seals) > 6 and {key: seal["files"] for key, seal in seals.items()} == {
        key: seal["files"] for key, seal in other.items()
    }


def test_parts_of_a_class_have_an_importance(run):
    code, output, error = run(
        "--layer", "second", "--learner", "craft", "--atoms", "3", "--class", "cat", "--seeds", "1"
    )
    if code:
        # Which class the network gives images to is chance: another one has them.
        assert "two images or more that the network gives to it" in error
        code, output, error = run("--layer", "second", "--learner", "craft", "--atoms", "3", "--seeds", "1")
    assert code == 0, error
    store, page = store_of(output)
    importance = store.values("dictionary/effects/trained", "about.json")["importance"]
    assert len(importance) == 3 and min(importance) >= 0 and "importance" in page


def test_words_say_what_is_not_known():
    seeds = [{"r2": None, "score": None, "active": 2.0, "dead": 1}]
    row = {"network": "trained", "seeds": seeds, "findings": {"EFFECT": 1, "UNDECIDED": 2}, "stability": None}
    assert (
        network_words(row)
        == "R2 unknown; score recovered unknown; 2.0 active atoms a position; 1 dead; 1 of 3 atoms move the score"
    )


@pytest.mark.parametrize(
    "words, message",
    [
        (["--layer", "secnd"], "Unknown layer. Received: 'secnd'. Nearest: second"),
        (["--layer", "second", "--learner", "sae"], "Unknown dictionary learner. Received: 'sae'"),
        (["--layer", "second", "--learner", "pca", "--active", "3"], "Unknown option of pca. Received: 'active'"),
        (["--layer", "second", "--atoms", "4", "--active", "5"], "Received: active=5 for 4 atoms"),
        (["--layer", "second", "--class", "cow"], "Received: 'cow'"),
        (["--layer", "signed", "--learner", "nmf", "--atoms", "2"], "Layers behind a ReLU are first, second. Or take"),
        (["--layer", "second", "--learner", "kmeans", "--atoms", "2000"], "2000 atoms for 1728 rows"),
        (["--layer", "second", "--images", "photos/1.png"], "two images or more. Received: 1"),
        (["--layer", "second", "--atoms", "2", "--names", "no.csv"], "Received: 'no.csv', which is no file"),
        (["--layer", "second", "--atoms", "1", "--names", "atoms.csv"], "from 0 to 0, named once. Received: '1'"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_learned(run, words, message):
    code, output, error = run(*words)
    assert code == 2 and message in error and len(error.strip().splitlines()) <= 4, error


def test_names_are_of_columns_and_atoms_that_exist(folder, run):
    for text, message in (
        ("number,name\n1,a\n", "columns atom and name. Received: number, name"),
        ("atom,name\n1,a\n1,b\n", "Received: '1' twice"),
    ):
        (folder / "bad.csv").write_text(text)
        code, _, error = run("--layer", "second", "--atoms", "2", "--names", "bad.csv")
        assert code == 2 and message in error, error


def test_a_network_that_answers_with_nan_is_refused(folder, run):
    model = keras.models.load_model(folder / "net.keras")
    kernel, bias = model.get_layer("signed").get_weights()
    kernel[0, 0, 0, 0] = np.inf
    model.get_layer("signed").set_weights([kernel, bias])
    model.save(folder / "broken.keras")
    code, _, error = run("--layer", "signed", "--atoms", "2", "--model", "broken.keras")
    assert code in (2, 3) and "NaN" in error or "finite" in error, error


def test_a_dictionary_stands_alone():
    for other in ({"gallery": [{"layer": "a", "units": "0"}]}, {"data": {"source": "rows.csv"}}):
        with pytest.raises(ValueError, match="Received: .dictionary. beside"):
            schema.recipe({"name": "any", "dictionary": {"layer": "a"}, **other})
