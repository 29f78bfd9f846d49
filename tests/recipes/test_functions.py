"""Functions at the command: a table, texts and pictures, from a function of one's own to a page and a verdict."""

import csv
import json
import pathlib

import numpy as np
import pytest

from recipes import schema
from recipes.session import Session
from recipes.sources import Sources
from tests import own_data

SCORES = """
import time
import numpy as np


def predict(rows):
    score = rows[:, 0] - 2 * rows[:, 2]
    return np.stack([-score, score], axis=1)


def mood(lines):
    return np.array([line.count("great") - line.count("dull") for line in lines], float)


def sides(lines):
    worth = {"great": 1.0, "wonderful": 1.0, "dull": -1.0, "terrible": -1.0}
    score = np.array([sum(worth.get(word, 0.0) for word in line.split()) for line in lines])
    return np.stack([-score, score], axis=1)


def corner(images):
    return images[:, :8, :8].mean(axis=(1, 2, 3))


def product(rows):
    score = np.tanh(rows[:, 0] - 14) * np.tanh(rows[:, 2] / 20 - 4) * np.tanh(rows[:, 4] * 50 - 5)
    return np.stack([-score, score], axis=1)


def mean(rows):
    return rows.mean(axis=1)


def late(rows):
    time.sleep(30)
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    rows, names, labels = own_data.table()
    own_data.write_table(tmp_path / "loans.csv", rows, names, labels)
    (tmp_path / "reviews.txt").write_text("\n".join(own_data.TEXTS), encoding="utf-8")
    (tmp_path / "my_scores.py").write_text(SCORES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def maps_of(printed, method):
    page = pathlib.Path(printed.strip().splitlines()[-1])
    return np.load(page.parent / "jobs" / "explain" / method / "maps.npz")["maps/0"], page.read_text(encoding="utf-8")


def test_the_rows_of_a_table_are_explained_against_its_mean(here, command):
    words = ("explain", "--function", "my_scores:predict", "--table", "loans.csv", "--label", "default", "--most", 5)
    code, out, err = command(*words, "--method", "feature_ablation,gradient,lime", "--target", 1, "--quiet")
    assert code == 0, err
    maps, page = maps_of(out, "feature_ablation")
    rows, names, _ = own_data.table()
    places = np.linspace(0, len(rows) - 1, 5).round().astype(int)
    weights = np.zeros(len(names))
    weights[[0, 2]] = 1, -2
    expected = (rows[places] - rows.mean(axis=0)) * weights
    np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-2)
    assert "my_scores:predict" in page
    assert "fit 1.00" in page
    assert "gradient needs the gradients of a Keras network. Received: my_scores:predict, a Python function" in page


def test_every_column_has_the_standard_error_that_the_record_has(here, command):
    words = ("explain", "--function", "my_scores:product", "--table", "loans.csv", "--label", "default", "--most", 3)
    options = ("--option", "permutation_shap.permutations=12")
    code, out, err = command(*words, "--method", "permutation_shap,feature_ablation", *options, "--quiet")
    assert code == 0, err
    maps, page = maps_of(out, "permutation_shap")
    jobs = pathlib.Path(out.strip().splitlines()[-1]).parent / "jobs"
    errors = np.load(jobs / "explain" / "permutation_shap" / "maps.npz")["errors/0"]
    rows = list(csv.DictReader((jobs / "agreement" / "columns.csv").open(encoding="utf-8")))
    stated = [float(row["standard_error"]) for row in rows if row["method"] == "permutation_shap"]
    np.testing.assert_allclose(stated, errors.ravel(), rtol=0.05)
    assert errors[:, [0, 2, 4]].any() and not errors[:, 5:].any(), "only columns of the product are not exact"
    assert not any(row["standard_error"] for row in rows if row["method"] == "feature_ablation")
    assert "\N{PLUS-MINUS SIGN}" in page and "standard error at most" in page


def test_texts_are_given_without_the_words_that_are_taken_away(here, command):
    words = ("explain", "--function", "my_scores:mood", "--text", "reviews.txt", "--method", "feature_ablation")
    code, out, err = command(*words, "--quiet")
    assert code == 0, err
    maps, page = maps_of(out, "feature_ablation")
    first = own_data.TEXTS[0].split()
    assert maps[0][: len(first)].tolist() == [float(word == "great") for word in first]


def test_photographs_are_given_in_the_size_that_is_named(here, command):
    words = ("explain", "--function", "my_scores:corner", "--method", "occlusion", "--quiet")
    from PIL import Image

    from lab.data import photographs

    Image.fromarray(photographs(["chelsea"]).images[0]).save(here / "photo.png")
    code, _, err = command(*words, "photo.png")
    assert code == 2 and "--model-size" in err
    code, out, err = command(*words, "photo.png", "--model-size", 32)
    assert code == 0, err
    maps, _ = maps_of(out, "occlusion")
    assert maps.shape == (1, 32, 32, 3) and not maps[0, 16:, 16:].any() and maps[0, :4, :4].any()


def test_a_function_is_checked_by_what_swaps_no_weights(here, command):
    words = ("check", "--function", "my_scores:predict", "--data", "loans.csv", "--label", "default", "--most", 48)
    code, out, err = command(*words, "--method", "feature_ablation", "--check", "image_crossing,parameters", "--json")
    assert code == 0, err
    verdicts = {(row["check"], row["method"]): row for row in json.loads(out)["verdicts"]}
    assert verdicts["image_crossing", "feature_ablation"]["outcome"] == "PASS"
    weights = verdicts["parameters", "feature_ablation"]
    assert weights["finding"] == "NOT APPLICABLE" and "needs the weights of a Keras network" in weights["sentence"]


def test_texts_of_a_function_are_crossed(here, command):
    (here / "many.txt").write_text("\n".join(own_data.reviews()), encoding="utf-8")
    words = ("check", "--function", "my_scores:sides", "--data", "many.txt", "--json", "--quiet")
    code, out, err = command(*words, "--method", "feature_ablation", "--check", "class_crossing,image_crossing")
    assert code == 0, err
    verdicts = {(row["check"], row["method"]): row for row in json.loads(out)["verdicts"]}
    for check in ("class_crossing", "image_crossing"):
        assert verdicts[check, "feature_ablation"]["outcome"] == "PASS", verdicts[check, "feature_ablation"]["sentence"]
        assert "not measured: nothing" in verdicts[check, "feature_ablation"]["also"]["small change"]
    assert {verdicts["class_crossing", name]["effect"]["mean"] for name in ("edges", "centre", "noise")} == {0}


def test_a_late_function_ends_with_one_line(here, command):
    words = ("explain", "--function", "my_scores:late", "--table", "loans.csv", "--method", "lime", "--timeout", 0.2)
    code, out, err = command(*words)
    assert code == 2 and not out.strip().endswith(".html")
    assert "A function answers within timeout=0.2 seconds. Received: no answer of my_scores:late" in err
    assert not list(here.rglob("done.json"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--function", "my_scores"), "function"),
        (("--function", "my_scores:nothing"), "no such name"),
        (("--function", "my_scores:mean", "--label", "default"), "One number tells two classes apart by their names"),
        (("--function", "no_module:predict"), "no_module"),
        (("--function", "my_scores:predict", "--model", "credit.keras"), "a function stands in the place of a model"),
        (("--timeout", 3), "timeout and batch are of a function"),
    ],
)
def test_what_is_no_function_is_refused(here, command, words, sentence):
    code, _, err = command("explain", *words, "--table", "loans.csv", "--method", "lime")
    assert code == 2 and sentence in err and len([line for line in err.splitlines() if "Error:" in line]) == 1


def test_a_recipe_with_a_function_needs_to_be_trusted(here, command):
    (here / "mine.toml").write_text(
        'name = "mine"\n[model]\nfunction = "my_scores:predict"\n[data]\nsource = "loans.csv"\nlabel = "default"\nmost = 4\n[explain]\nmethods = ["feature_ablation"]\n'
    )
    code, _, err = command("run", "mine.toml")
    assert code == 2 and "add --allow-code" in err
    code, _, err = command("run", "mine.toml", "--allow-code", "--quiet")
    assert code == 0, err


def test_an_edited_function_is_another_model(here):
    # A name that no other test has imported from a folder of its own.
    (here / "edited_scores.py").write_text(SCORES)
    recipe = schema.recipe(
        {
            "name": "mine",
            "model": {"function": "edited_scores:predict"},
            "data": {"source": "loans.csv", "label": "default"},
            "explain": {"methods": ["lime"]},
        }
    )

    def model_hash():
        return Session(Sources.of(recipe), here / "artifacts").hash_of("model")

    first = model_hash()
    assert model_hash() == first
    (here / "edited_scores.py").write_text(SCORES.replace("2 * rows", "3 * rows"))
    assert model_hash() != first


def test_a_function_is_a_network_of_its_own(here, command):
    words = ("check", "--data", "loans.csv", "--label", "default", "--most", 12, "--check", "contract")
    for name in ("predict", "product"):
        code, _, err = command(*words, "--function", f"my_scores:{name}", "--method", "feature_ablation", "--quiet")
        assert code == 0, err
    networks = {row["names"][0]: row["network"] for row in json.loads(command("network", "--json")[1])["networks"]}
    assert set(networks) == {"my_scores:predict", "my_scores:product"} and len(set(networks.values())) == 2
    known = json.loads(command("network", "my_scores:predict", "--json")[1])
    assert [cell["method"] for cell in known["cells"]] == ["feature_ablation"]
    assert not json.loads(command("network", "efficientnet-lite0", "--json")[1])["cells"]
