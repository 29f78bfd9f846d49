"""`lab explain --only --labels --contrast`: which photographs are kept, in which order, and what is explained of them."""

import csv
import json
import pathlib

import keras
import numpy as np
import pytest
from PIL import Image

from recipes import schema
from recipes.store import Store, digest

NAMES = ("dark", "grey", "light")


def level_network(path):
    """Three classes by the mean brightness m of an image in 0..1: logits (1 - 2m, .4, 4m - 2.2), through a softmax."""
    inputs = keras.Input((16, 16, 3))
    convolution = keras.layers.Conv2D(1, 3, padding="same", activation="relu", name="c")
    dense = keras.layers.Dense(3, activation="softmax", name="d")
    keras_model = keras.Model(inputs, dense(keras.layers.GlobalAveragePooling2D()(convolution(inputs))))
    kernel = np.zeros((3, 3, 3, 1), "float32")
    kernel[1, 1] = 1 / 3
    convolution.set_weights([kernel, np.zeros(1, "float32")])
    dense.set_weights([np.array([[-2, 0, 4]], "float32"), np.array([1, 0.4, -2.2], "float32")])
    keras_model.save(path)


# Folder -> brightness of its images. Predicted are dark below .3, light above .65, and grey between these.
LEVELS = {"dark": (20, 40, 250), "grey": (120, 210, 10), "light": (220, 240, 130)}
# What the network answers wrongly, with the class that it gives, the most confident answer first.
WRONG = {"dark/2.png": "light", "grey/1.png": "light", "grey/2.png": "dark", "light/2.png": "grey"}


@pytest.fixture
def photos(tmp_path):
    for name, levels in LEVELS.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        for place, level in enumerate(levels):
            Image.fromarray(np.full((16, 16, 3), level, "uint8")).save(tmp_path / "photos" / name / f"{place}.png")
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    level_network(tmp_path / "levels.keras")
    return tmp_path / "photos"


@pytest.fixture
def explained(command, photos):
    """Run `lab explain` on the photographs -> (exit code, standard output, error stream, store or None)."""

    def run(*words, images=photos, names=True):
        classes = ["--classes", photos.parent / "names.txt"] if names else []
        model = ["--model", photos.parent / "levels.keras", "--input-range", 0, 1, *classes]
        method = [] if "--method" in words else ["--method", "gradient"]
        code, output, error = command("explain", images, *model, *method, *words)
        run_folder = (
            pathlib.Path(output.strip().splitlines()[-1]).parent if code == 0 and "--json" not in words else None
        )
        store = run_folder and Store(run_folder.parent.parent, run_folder.parent.name, run_folder.name)
        return code, output, error, store

    return run


def test_the_table_of_photographs(explained):
    code, output, error, store = explained()
    assert code == 0, error
    about = store.values("photographs", "about.json")
    rows = dict(zip(about["names"], zip(about["true"], about["predicted"], about["correct"])))
    assert len(rows) == 9 and rows["dark/2.png"] == ("dark", "light", False) and rows["grey/0.png"][2]
    assert {name: predicted for name, (_, predicted, correct) in rows.items() if not correct} == WRONG
    with open(store.path / "jobs/photographs/photographs.csv") as file:
        lines = {line["image"]: line for line in csv.DictReader(file)}
    mean = 250 / 255
    scores = np.exp([1 - 2 * mean, 0.4, 4 * mean - 2.2])
    line = lines["dark/2.png"]
    assert float(line["probability"]) == pytest.approx(scores[2] / scores.sum(), rel=1e-3)
    assert line["runner_up"] == "grey" and line["correct"] == "no"
    assert float(line["runner_up_probability"]) == pytest.approx(scores[1] / scores.sum(), rel=1e-3)
    assert output.splitlines()[-4:-1] == [
        "9 photographs, 4 of them answered wrongly",
        "1 method: gradient",
        # The network is linear, so that its gradient is the same everywhere.
        "9 of 9 maps flagged as suspicious",
    ]


def test_only_mistakes_the_most_confident_first(explained):
    code, output, error, store = explained("--only", "wrong", "--labels", "folders")
    assert code == 0, error
    about = store.values("photographs", "about.json")
    assert dict(zip(about["names"], about["predicted"])) == WRONG and len(about["names"]) == 4
    assert about["probability"] == sorted(about["probability"], reverse=True) and about["names"][0] == "dark/2.png"
    assert "4 of 9 photographs are answered wrongly" in output.splitlines()
    assert "dark/2.png  true dark, predicted light (" in output
    maps = store.values("explain/gradient", "about.json")
    assert maps["names"] == about["names"] and maps["classes"] == about["predicted"]
    assert store.arrays("photographs", "photographs.npz")["images"][0].min() == 250
    right = explained("--only", "right")[3].values("photographs", "about.json")
    assert len(right["names"]) == 5 and not set(right["names"]) & set(WRONG)


def test_the_contrast_is_the_difference_of_both_maps(explained):
    code, output, error, store = explained("--only", "wrong", "--contrast", "--method", "gradient,integrated_gradients")
    assert code == 0, error
    names = store.values("photographs", "about.json")["names"]
    for method in ("gradient", "integrated_gradients"):
        parts = {part: store.arrays(f"explain/{method}{part}", "maps.npz") for part in ("", "-predicted", "-other")}
        assert np.abs(parts[""]["maps/0"]).max() > 0
        difference = parts["-predicted"]["maps/0"] - parts["-other"]["maps/0"]
        assert np.allclose(parts[""]["maps/0"], difference, atol=1e-6)
        assert np.allclose(parts[""]["scores"], parts["-predicted"]["scores"] - parts["-other"]["scores"], atol=1e-5)
    classes = store.values("explain/gradient", "about.json")["classes"]
    assert classes == [f"{WRONG[name]} against {name.split('/')[0]}" for name in names]
    # light against dark: the slope of 4m - 2.2 less that of 1 - 2m, over all pixels and channels.
    assert store.arrays("explain/gradient", "maps.npz")["maps/0"][0].sum() == pytest.approx(6, rel=1e-3)
    assert "2 methods: gradient, integrated_gradients" in output and "of 24 maps flagged" in output


def test_a_right_answer_is_contrasted_with_the_runner_up_and_so_is_every_one_without_labels(explained):
    store = explained("--only", "right", "--contrast")[3]
    about, maps = store.values("photographs", "about.json"), store.values("explain/gradient", "about.json")
    pairs = [f"{first} against {second}" for first, second in zip(about["predicted"], about["runner_up"])]
    assert maps["classes"] == pairs
    store = explained("--labels", "none", "--contrast")[3]
    about, maps = store.values("photographs", "about.json"), store.values("explain/gradient", "about.json")
    assert about["true"] == [None] * 9 and about["correct"] == [None] * 9
    assert maps["classes"] == [
        f"{first} against {second}" for first, second in zip(about["predicted"], about["runner_up"])
    ]


def test_where_nothing_is_wrong_the_command_says_so_and_leaves_a_report(explained, photos):
    for name in WRONG:
        (photos / name).unlink()
    code, output, error, store = explained("--only", "wrong")
    assert code == 0, error
    assert output.splitlines()[-2] == "none of 5 photographs is answered wrongly"
    assert "None of 5 photographs is answered wrongly" in (store.path / "index.html").read_text()
    assert store.values("photographs", "about.json")["names"] == []
    code, output, _, _ = explained("--only", "wrong", "--json")
    assert code == 0 and json.loads(output)["photographs"] == []
    # What is misspelt is refused all the same.
    code, _, error, _ = explained("--only", "wrong", "--option", "gradient.nothing=1")
    assert code == 2 and "Unknown option of gradient" in error


@pytest.mark.parametrize(
    "words, expected",
    [
        (["--only", "wrong", "--labels", "none"], "--only wrong without labels.*--labels folders"),
        (["--contrast", "--target", "dark"], "--contrast.*'dark'"),
        (["--contrast", "--region", "all"], "positions"),
        (["--only", "rong"], "--only is one of wrong, right, all. Received: 'rong'. Nearest: wrong"),
        (["--labels", "folder"], "Nearest: folders"),
    ],
)
def test_refusals(explained, words, expected):
    import re

    code, output, error, _ = explained(*words)
    assert code == 2 and re.search(expected, error.strip().splitlines()[-1]) and output == "", error


def test_folders_that_are_no_classes(explained, photos):
    (photos / "grey").rename(photos / "gray")
    code, _, error, _ = explained("--labels", "folders")
    assert code == 2 and "'gray'" in error and "Nearest: grey" in error
    code, _, error, store = explained()
    assert code == 0 and "not used as labels" in error
    assert store.values("photographs", "about.json")["true"] == [None] * 9
    code, _, error, _ = explained("--labels", "folders", images=photos / "dark")
    assert code == 2 and "which has neither" in error
    code, _, error, _ = explained(photos / "light", "--labels", "folders")
    assert code == 2 and "the folder that holds them" in error
    code, _, error, store = explained(photos / "light" / "0.png", images=photos / "dark")
    names = store.values("photographs", "about.json")["names"]
    assert code == 0 and len(names) == len(set(names)) == 4 and "1.png" in names, error


def test_an_output_with_positions_and_one_number_have_no_mistakes(command, photos, tmp_path):
    inputs = keras.Input((16, 16, 3))
    features = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    age = keras.layers.Dense(1, name="age")(keras.layers.GlobalAveragePooling2D()(features))
    mask = keras.layers.Conv2D(3, 1, activation="softmax", name="mask")(features)
    keras.Model(inputs, {"age": age, "mask": mask}).save(tmp_path / "m.keras")
    words = ["explain", photos, "--model", tmp_path / "m.keras", "--input-range", 0, 1, "--method", "gradient"]
    for output in (
        ["--output", "age", "--labels", "none"],
        ["--output", "mask", "--region", "all", "--labels", "none"],
    ):
        for question in (["--contrast"], ["--only", "wrong"]):
            code, _, error = command(*words, *output, *question)
            assert code == 2 and "position" in error, (output, question, error)


def test_one_sigmoid_unit_has_a_contrast_of_twice_its_unit(command, photos, tmp_path):
    inputs = keras.Input((16, 16, 3))
    unit = keras.layers.Dense(1, activation="sigmoid", name="unit")
    model = keras.Model(inputs, unit(keras.layers.GlobalAveragePooling2D()(inputs)))
    unit.set_weights([np.full((3, 1), 4.0, "float32"), np.array([-6.0], "float32")])
    model.save(tmp_path / "unit.keras")
    for name, new in (("grey", "no"), ("light", "yes")):
        (photos / name).rename(photos / new)
    for image in (photos / "dark").iterdir():
        image.unlink()
    (tmp_path / "two.txt").write_text("no\nyes")
    words = ["--model", tmp_path / "unit.keras", "--input-range", 0, 1, "--classes", tmp_path / "two.txt"]
    code, output, error = command(
        "explain", photos, *words, "--method", "gradient", "--contrast", "--only", "wrong", "--labels", "folders"
    )
    assert code == 0 and "twice the map of the predicted class" in output, error
    run = pathlib.Path(output.strip().splitlines()[-1]).parent
    store = Store(run.parent.parent, run.parent.name, run.name)
    about = store.values("photographs", "about.json")
    # .82 of white is yes in the folder no; no photograph of the folder yes is below .5.
    assert dict(zip(about["names"], about["predicted"])) == {"no/1.png": "yes"}
    contrast, predicted = (store.arrays(f"explain/gradient{part}", "maps.npz")["maps/0"] for part in ("", "-predicted"))
    assert predicted.any() and np.allclose(contrast, 2 * predicted)


def test_the_settings_reach_the_digest():
    tables = [{}, {"only": "wrong"}, {"only": "right"}, {"contrast": True}]
    recipes = [schema.recipe({"name": "a", "explain": table}) for table in tables]
    recipes += [schema.recipe({"name": "a", "explain": {}, "images": {"labels": "none"}})]
    assert len({digest(schema.plain_values(recipe)) for recipe in recipes}) == 5
