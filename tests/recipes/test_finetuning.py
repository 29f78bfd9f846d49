"""Fine-tuning at the command line: a user's network, trained again on photographs with labels, and what is refused."""

import json
import pathlib
import re

import keras
import numpy as np
import pytest
from PIL import Image

SIDE, SAMPLES = 12, 60
DATASET = """
import numpy as np
import build_network


def train(dataset, *, seed):
    model = build_network.build(seed)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(dataset.batch(10), epochs=2, shuffle=False, verbose=0)
    return model


def neither(inputs, labels, weights, *, seed):
    return None
"""
BUILD = """
import keras


def build(seed):
    start = keras.initializers.GlorotUniform(seed)
    layers = [keras.layers.Conv2D(12, 3, 2, "same", activation="relu", kernel_initializer=start, name=name) for name in ("one", "two")]
    head = keras.layers.Dense(3, "softmax", kernel_initializer=start, name="head")
    return keras.Sequential([keras.Input((12, 12, 3)), *layers, keras.layers.Flatten(), head])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photographs of three classes, by the names of the network's classes and by others, and a network that learned nothing."""
    folder = tmp_path_factory.mktemp("finetuned")
    rng = np.random.default_rng(0)
    for place in range(SAMPLES):
        label = place % 3
        image = rng.integers(0, 60, (SIDE, SIDE, 3), dtype=np.uint8)
        row, column = rng.integers(0, SIDE - 4, 2)
        image[row : row + 4, column : column + 4, label] += 190
        for name, classes in (("photos", "abc"), ("wards", ("north", "south", "west"))):
            path = folder / name / classes[label] / f"{place:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    (folder / "loose").mkdir()
    for path in sorted((folder / "photos").rglob("*.png"))[:8]:
        (folder / "loose" / path.name).write_bytes(path.read_bytes())
    (folder / "names.txt").write_text("a\nb\nc\n")
    (folder / "build_network.py").write_text(BUILD)
    (folder / "dataset_training.py").write_text(DATASET)
    return folder


@pytest.fixture
def words(folder, monkeypatch):
    """The words of a command on the user's network, in the user's folder."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    if not (folder / "my.keras").exists():
        import build_network

        build_network.build(1).save(folder / "my.keras")
        joined = keras.Input((12, 12, 3))
        one = keras.layers.Conv2D(3, 3, padding="same", name="one")(joined)
        head = keras.layers.Flatten()(keras.layers.Add(name="both")([one, joined]))
        keras.Model(joined, keras.layers.Dense(3, name="head")(head)).save(folder / "around.keras")
    return [
        "check",
        "--model",
        "my.keras",
        "--input-range",
        -1,
        1,
        "--classes",
        "names.txt",
        "--method",
        "gradient",
        "--json",
    ]


def test_networks_trained_from_a_layer_on_decide_about_that_training(command, words, folder, tmp_path):
    # The labels are no classes of the network, so that its head is drawn for them.
    asked = [
        *words,
        "--data",
        "wards",
        "--finetune",
        "one",
        "--check",
        "parameters,labels,image_crossing",
        "--replicates",
        3,
        "--most",
        10,
    ]
    code, output, error = command(*asked)
    assert code == 0, error
    result = json.loads(output)
    verdicts = {(row["check"], row["method"]): row for row in result["verdicts"]}
    scope = "training from one on"
    assert verdicts["parameters", "gradient"]["scope"] == verdicts["labels", "gradient"]["scope"] == scope
    assert verdicts["parameters", "gradient"]["sizes"]["replicates"] == 3
    assert verdicts["parameters", "edges"]["outcome"] == verdicts["labels", "edges"]["outcome"] == "FAIL"
    # What does not compare networks is asked about the network as it is.
    assert verdicts["image_crossing", "gradient"]["scope"] == ""
    page = (pathlib.Path(result["run"]) / "index.html").read_text()
    assert all(len(re.findall(rf"<td>{kind} \d", page)) == 3 for kind in ("replicate", "permuted labels"))
    assert "on 40 samples of 3 classes" in page and "20 samples that were held out" in page
    samples = json.loads((pathlib.Path(result["run"]) / "jobs/replicates/replicates.json").read_text())["networks"]
    assert min(row["accuracy"] for row in samples) > 0.6
    # What was trained is kept, whatever else is asked.
    stamps = {file: file.stat().st_mtime_ns for file in (tmp_path / "artifacts/networks").glob("*.npz")}
    code, output, error = command(*asked[:-1], 8, "--seeds", 3)
    assert code == 0, error
    assert len(stamps) == 6
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "artifacts/networks").glob("*.npz")} == stamps


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (["--finetune", "one", "--data", "loose"], "trained on photographs with labels"),
        (["--finetune", "one"], "trained on photographs with labels"),
        (["--finetune", "one", "--train", "dataset_training:train", "--data", "photos"], "--finetune and --train"),
        (["--finetune", "one", "--replicate", "b.keras", "--data", "photos"], "--finetune and --replicate"),
        (["--finetune", "one", "--world", "ruler"], "A world brings its own networks"),
        (["--finetune", "to", "--data", "photos"], "two"),
        (["--finetune", "head", "--data", "photos"], "none behind it"),
        (["--finetune", "one", "--model", "around.keras", "--data", "photos"], "which something leads around"),
        (["--finetune", "one", "--data", "wards", "--target", "a"], "the target is top or one of these"),
        (["--finetune", "", "--data", "photos"], "names a layer"),
        (["--replicates", "4", "--data", "photos"], "options of a world, and of --train and --finetune"),
        (["--train", "dataset_training:neither", "--data", "photos"], "train(dataset, *, seed)"),
    ],
)
def test_what_cannot_be_finetuned_is_refused_in_one_line(command, words, asked, expected, tmp_path):
    words = ["check", "--json"] if "--world" in asked else words
    code, output, error = command(*words, *asked)
    assert code == 2 and expected in json.loads(output)["error"]["message"], (output, error)
    assert not list((tmp_path / "artifacts").rglob("*.npz"))


def test_a_function_may_take_a_dataset(command, words):
    asked = ["--data", "photos", "--train", "dataset_training:train", "--replicates", 3, "--check", "parameters"]
    code, output, error = command(*words, *asked, "--seeds", 2, "--most", 8)
    assert code == 0, error
    verdict = next(row for row in json.loads(output[output.index("{") :])["verdicts"] if row["method"] == "gradient")
    assert verdict["sizes"]["replicates"] == 3 and "NOT APPLICABLE" not in verdict["sentence"]


def test_a_recipe_may_say_it(command, words, tmp_path):
    recipe = tmp_path / "own.toml"
    text = 'name = "own"\n[model]\nsource = "my.keras"\ninput_range = [-1, 1]\nclasses = "names.txt"\n[images]\nfolder = "photos"\n'
    recipe.write_text(f'{text}[training]\nfinetune = "auto"\nreplicates = 2\n[[check]]\nmethods = ["gradient"]\n')
    code, output, error = command("run", recipe, "--plan")
    assert code == 0 and "network/replicate-0" in output and "network/replicate-1" in output, (output, error)
    recipe.write_text(f'{text}[training]\nfinetune = "one"\nfunction = "dataset_training:train"\n[[check]]\n')
    code, output, error = command("run", recipe, "--allow-code")
    assert code == 2 and "Received: function and finetune" in error
