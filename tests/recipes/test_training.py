"""Training: a user's own network, checked beside networks that were trained like it."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from tests.sanity.test_user_networks import SAMPLES, build

SIDE = 12
CODE = """
import keras
import numpy as np


def build(seed):
    start = keras.initializers.GlorotUniform(seed)
    # Untrained weights are drawn by the names of layers, which Keras would number by what the process has built before.
    layers = [keras.layers.Conv2D(16, 3, activation="relu", kernel_initializer=start, name="conv2d")]
    layers.append(keras.layers.GlobalAveragePooling2D())
    layers.append(keras.layers.Dense(3, kernel_initializer=start, name="dense"))
    return keras.Sequential([keras.Input((12, 12, 3)), *layers])


def train(inputs, labels, *, seed):
    print("epoch 1")
    model = build(seed)
    momentum = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(momentum, keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    # One long pass, because every pass of Keras takes a while to begin.
    order = np.tile(np.random.default_rng(seed).permutation(len(inputs)), 60)
    model.fit(inputs[order], labels[order], batch_size=30, shuffle=False, verbose=0)
    return model


def ignores_its_seed(inputs, labels, *, seed):
    return build(3)


def breaks(inputs, labels, *, seed):
    raise MemoryError("no room for the batch")


def other(inputs, labels, *, seed):
    return keras.Sequential([keras.Input((12, 12, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with photographs of three classes, a training function, and networks that it has trained."""
    folder = tmp_path_factory.mktemp("project")
    rng = np.random.default_rng(0)
    for place in range(SAMPLES):
        label = place % 3
        image = rng.integers(0, 60, (SIDE, SIDE, 3), dtype=np.uint8)
        row, column = rng.integers(0, SIDE - 4, 2)
        image[row : row + 4, column : column + 4, label] += 190
        path = folder / "photos" / "abc"[label] / f"{place:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    (folder / "names.txt").write_text("a\nb\nc\n")
    (folder / "mine_training.py").write_text(CODE)
    return folder


@pytest.fixture
def trained(project, monkeypatch):
    """The words of a command on the user's network, in the user's folder."""
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(project)
    if not (project / "0.keras").exists():
        import mine_training

        photographs = sorted((project / "photos").rglob("*.png"))
        inputs = np.stack([np.asarray(Image.open(path)) for path in photographs]).astype("float32") / 127.5 - 1
        labels = np.array(["abc".index(path.parent.name) for path in photographs])
        for seed in range(4):
            mine_training.train(inputs, labels, seed=100 + seed).save(project / f"{seed}.keras")
    words = ["check", "--model", "0.keras", "--input-range", -1, 1, "--classes", "names.txt", "--images", "photos"]
    return [*words, "--method", "gradient,gradcam", "--json"]


@pytest.mark.slow
def test_networks_trained_here_decide_about_networks_trained_like_this(command, trained):
    words = ["--train", "mine_training:train", "--check", "parameters,labels"]
    code, output, error = command(*trained, *words)
    # In one process with the test, what the function prints is on the same stream.
    result = json.loads(output[output.index("{") :])
    assert code == 0, error
    verdicts = {(row["check"], row["method"]): row for row in result["verdicts"]}
    verdict = verdicts["parameters", "gradcam"]
    assert verdict["outcome"] == "PASS" and verdict["p"] == pytest.approx(2 / 70), verdict["sentence"]
    assert verdict["scope"] == "networks trained like this" and verdicts["parameters", "edges"]["outcome"] == "FAIL"
    # Means over all positions cannot remember labels at random, and the check says so.
    assert "permuted labels memorized" in verdicts["labels", "gradcam"]["sentence"]
    page = (pathlib.Path(result["run"]) / "index.html").read_text()
    assert "Networks trained alike" in page and page.count("<td>replicate ") == 4
    # What was trained is kept, whatever else is asked.
    code, _, error = command(*trained, *words[:2], "--check", "parameters", "--seeds", 5)
    assert code == 0


@pytest.mark.slow
def test_files_of_networks_trained_alike_decide(command, trained):
    words = [word for seed in (1, 2, 3) for word in ("--replicate", f"{seed}.keras")]
    code, output, error = command(*trained, *words)
    result = json.loads(output)
    assert code == 0, error
    gradcam = next(row for row in result["verdicts"] if row["method"] == "gradcam")
    assert gradcam["outcome"] == "PASS" and gradcam["scope"] == "networks trained like this"
    assert gradcam["sizes"]["replicates"] == 4


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--replicate", "1.keras", "--replicate", "1.keras"], "the same weights for 1.keras and 1.keras"),
        (["--replicate", "0.keras"], "the same weights for the model and 0.keras"),
        (["--replicate", "none.keras"], "none.keras"),
        (["--replicate", "1.keras", "--train", "mine_training:train"], "training names either files, or a function"),
        (["--replicate", "1.keras", "--replicates", "4"], "options of a world, and of --train"),
        (["--train", "mine_training:nothing"], "has no such name"),
        (["--train", "train"], "training.function"),
        (["--world", "series", "--train", "mine_training:train"], "A world brings its own networks"),
        (["--samples", "9"], "--samples is an option of a world"),
    ],
)
def test_what_cannot_be_replicates_is_refused(command, trained, words, expected):
    words = trained if "--world" not in words else ["check", "--json"], words
    code, output, error = command(*words[0], *words[1])
    assert code == 2 and expected in error + output, (error, output)


def test_replicates_of_another_architecture_are_refused(command, trained, project):
    build(0).save(project / "other.keras")
    code, output, error = command(*trained, "--replicate", "other.keras")
    assert code == 2 and "Replicates have the architecture of the model" in error + output


def test_photographs_without_labels_train_nothing(command, trained, project):
    (project / "loose").mkdir(exist_ok=True)
    for path in sorted((project / "photos").rglob("*.png"))[:8]:
        (project / "loose" / path.name).write_bytes(path.read_bytes())
    words = ["loose" if word == "photos" else word for word in trained]
    code, output, error = command(*words, "--train", "mine_training:train")
    assert code == 2 and "photographs with labels" in error + output


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("breaks", "MemoryError: no room for the batch"),
        ("other", "Replicates have the architecture of the model"),
        ("ignores_its_seed", "the same weights for replicate 2 and replicate 3"),
    ],
)
def test_a_training_function_that_fails_costs_no_more_than_its_checks(command, trained, function, expected):
    code, output, _ = command(*trained, "--train", f"mine_training:{function}", "--seeds", 2)
    assert code == 3 and expected in output, output


def test_a_recipe_that_trains_runs_code(command, project, trained, tmp_path):
    recipe = tmp_path / "own.toml"
    recipe.write_text(
        'name = "own"\n[model]\nsource = "0.keras"\ninput_range = [-1, 1]\nclasses = "names.txt"\n'
        '[images]\nfolder = "photos"\n[training]\nfunction = "mine_training:train"\n[[check]]\n'
    )
    code, _, error = command("run", recipe)
    assert code == 2 and "--allow-code" in error and "mine_training:train" in error
    for table, expected in (
        ("", "without [[check]]"),
        ('[world]\nname = "series"\n[[check]]\n', "a world holds only [[check]]"),
    ):
        recipe.write_text(
            f'name = "own"\n[training]\nfunction = "mine_training:train"\n[explain]\n{table}'.replace(
                "[explain]\n[world]", "[world]"
            )
        )
        code, _, error = command("run", recipe, "--allow-code")
        assert code == 2 and expected in error, error
