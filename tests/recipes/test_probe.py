"""lab probe, as users type it: labels of folders and files, sources, use, a page, and what is refused."""

import csv
import json
import pathlib
import shutil
from xml.etree import ElementTree

import keras
import numpy as np
import pytest
from PIL import Image

FAST = ["--networks", 1, "--exchanges", 39, "--quiet"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Pictures that are bright at the left or at the right, a table of labels, and a network that tells them."""
    folder, rng = tmp_path_factory.mktemp("probes"), np.random.default_rng(0)
    rows = []
    for number in range(40):
        side, path = ("left", "right")[number % 2], folder / "photos" / ("left", "right")[number % 2] / f"{number}.png"
        image = rng.integers(0, 140, (16, 16, 3))
        image[:, 8 * (number % 2) : 8 * (number % 2) + 8] += 90
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.astype("uint8")).save(path)
        rows.append((f"{side}/{number}.png", side, rng.integers(0, 2), f"day {number // 4}", "one"))
    write(folder / "labels.csv", [("path", "side", "coin", "day", "maker"), *rows])
    keras.utils.set_random_seed(0)
    entry = keras.Input((16, 16, 3))
    hidden = keras.layers.Conv2D(4, 3, strides=2, activation="relu", name="first")(entry)
    hidden = keras.layers.Dense(24, activation="relu", name="second")(keras.layers.Flatten()(hidden))
    keras.Model(entry, keras.layers.Dense(2, "softmax")(hidden)).save(folder / "model.keras")
    return folder


def write(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture
def probe(command, place):
    """Run `lab probe` on the pictures -> exit code, printed values or text, error stream."""

    def run(*words, images=place / "photos", as_json=True):
        model = ["--model", place / "model.keras", "--input-range", -1, 1]
        more = ["--json"] if as_json else []
        code, output, error = command("probe", "--images", images, *model, *FAST, *words, *more)
        return code, json.loads(output) if as_json else output, error

    return run


def test_labels_of_folders_and_files_have_verdicts_a_page_and_a_table_of_units(probe, place):
    code, result, error = probe("--labels", place / "labels.csv", "--groups", "day", "--target", "top")
    assert code == 0, error
    rows = {(row["label"], row["layer"]): row for row in result["probes"]}
    assert {label for label, _ in rows} == {"label", "side", "coin"}
    assert all(row["finding"] == "NOT SHOWN" for (label, _), row in rows.items() if label == "coin")
    assert rows["side", "second"]["numbers"]["probe"]["mean"] > 0.9
    # The inputs tell the side as well.
    assert rows["side", "second"]["finding"] in ("NO BETTER THAN BASELINES", "UNDECIDED", "NOT SELECTIVE")
    assert rows["side", "second"]["p"] <= 0.05
    folder = pathlib.Path(result["run"]) / "jobs" / "probe"
    with np.load(folder / "dissection" / "dissection.npz") as arrays:
        assert arrays["auc/0"].shape == (2, len(arrays["units"]))
    page = pathlib.Path(result["report"]).read_text(encoding="utf-8")
    assert "What does each layer hold?" in page and "side: left, right" in page and "left out: A probe tells" in page
    table = list(csv.DictReader((folder / "comparison" / "numbers.csv").open(encoding="utf-8")))
    assert len(table) == len(rows) and float(table[0]["selectivity mean"]) <= 1
    again = probe("--labels", place / "labels.csv", "--groups", "day", "--target", "top")[1]
    assert again["probes"] == result["probes"]


def test_labels_in_near_copies_are_refused_before_anything_runs(command, place, tmp_path):
    """One picture saved over and over with small changes is one source, whatever the folder says."""
    rng = np.random.default_rng(0)
    first = np.asarray(Image.open(next((place / "photos").rglob("*.png"))).convert("RGB")).astype(int)
    for name in ("many", "once"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    for number in range(12):
        near = np.clip(first + rng.integers(-1, 2, first.shape), 0, 255).astype("uint8")
        Image.fromarray(near).save(tmp_path / "photos" / "once" / f"{number}.png")
        other = rng.integers(0, 256, first.shape, dtype="uint8")
        Image.fromarray(other).save(tmp_path / "photos" / "many" / f"{number}.png")
    code, output, error = command(
        "probe", "--model", place / "model.keras", "--input-range", 0, 1, "--images", tmp_path / "photos", "--quiet"
    )
    assert code == 2 and output == "", error
    assert "where 'once' is in 1" in error and "24 inputs are of 13 sources, such as once/0.png = " in error


@pytest.fixture
def flat(place, tmp_path):
    """The pictures in one folder without labels, and their table."""
    for path in (place / "photos").rglob("*.png"):
        shutil.copy(path, tmp_path / path.name)
    text = (place / "labels.csv").read_text(encoding="utf-8")
    (tmp_path / "flat.csv").write_text(text.replace("left/", "").replace("right/", ""), encoding="utf-8")
    return tmp_path


def test_verdicts_are_those_of_every_check_with_a_gate_junit_and_a_baseline(probe, flat):
    """The pixels tell the side as well, which fails; labels by chance are not shown, which fails nothing."""
    words = ("--labels", flat / "flat.csv", "--groups", "day", "--layers", "second", "--label-columns")

    def ask(*more):
        return probe(*words, *more, images=flat)

    code, result, error = ask("side", "--fail-on", "fail")
    assert code == 1 and "0-probe: side in second fell short of --fail-on fail" in error
    assert [(row["family"], row["finding"]) for row in result["verdicts"]] == [("0-probe", "NO BETTER THAN BASELINES")]
    (case,) = junit_cases(result, "0-probe")
    assert case.get("name") == "side in second" and case.find("failure") is not None
    code, null, error = ask("coin", "--fail-on", "fail")
    assert code == 0 and null["probes"][0]["finding"] == "NOT SHOWN", error
    (case,) = junit_cases(null, "0-probe")
    assert case.find("skipped") is not None and case.find("failure") is None
    assert ask("coin", "--fail-on", "inconclusive")[0] == 1
    code, again, error = ask("side", "--baseline", result["run"], "--fail-on", "worse")
    assert code == 0 and [row["change"] for row in again["baseline"]["rows"]] == ["same"], error
    code, _, error = ask("coin", "--baseline", result["run"], "--fail-on", "worse")
    assert code == 1 and "no verdict can be compared with the baseline" in error


def junit_cases(result, family):
    """The cases of a family in the JUnit file of a run: list of `Element`."""
    suites = ElementTree.parse(pathlib.Path(result["run"]) / "jobs" / "verdicts" / "junit.xml").getroot()
    return [case for suite in suites if suite.get("name") == family for case in suite]


def test_single_positions_are_probed(probe):
    code, result, error = probe("--positions", 3, "--layers", "first")
    assert code == 0, error
    (row,) = result["probes"]
    assert "Looked at: 40 images" in row["sentence"] and not any("dissection" in job["key"] for job in result["jobs"])


def test_pictures_that_are_the_same_stay_together_and_are_told(probe, place, tmp_path):
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
    for number in range(40):
        source = place / "photos" / ("left", "right")[number % 2] / f"{number}.png"
        Image.open(source).save(tmp_path / ("left", "right")[number % 2] / f"{number}.png")
    Image.open(place / "photos" / "left" / "0.png").save(tmp_path / "left" / "copy.bmp")
    code, output, error = probe("--layers", "second", images=tmp_path, as_json=False)
    assert code == 0, error
    assert "1 group of inputs that are the same stay on one side: left/0.png = left/copy.bmp" in output


@pytest.mark.parametrize(
    "rows, words, message",
    [
        ([("path", "a"), ("left/999.png", "x")], (), "names an input, under 'path'. Received: 'left/999.png'"),
        ([("path", "a"), ("left/0.png", "x"), ("left/0.png", "y")], (), "a second time"),
        ([("path", "a"), ("left/0.png", "x")], ("--label-columns", "b"), "Received: 'b'. Nearest: a"),
        ([("path", "a"), ("left/0.png", "x")], ("--label-columns", "a"), "two classes or more apart. Received: 'a'"),
        ([("path", "a"), ("left/0.png", "x")], ("--groups", "patient"), "--groups is a column"),
    ],
)
def test_labels_that_do_not_fit_are_refused_in_one_line(probe, tmp_path, rows, words, message):
    write(tmp_path / "labels.csv", rows)
    code, _, error = probe("--labels", tmp_path / "labels.csv", *words, as_json=False)
    assert code == 2 and message in error, error


def test_rare_classes_and_leaking_sources_are_refused(probe, place, tmp_path):
    """A source for each class leaves nothing to ask about."""
    rows = [(f"{side}/{number}.png", side, side) for number in range(40) for side in [("left", "right")[number % 2]]]
    write(tmp_path / "labels.csv", [("path", "side", "patient"), *rows])
    words = ("--labels", tmp_path / "labels.csv", "--groups", "patient", "--label-columns", "side")
    code, _, error = probe(*words, as_json=False)
    assert code == 2 and "two classes with 6 sources each. Received: " in error


@pytest.mark.parametrize(
    "words, message",
    [
        (("--layers", "secnd"), "Nearest: second"),
        (("--groups", "day"), "groups and columns are of labels"),
        (("--output", "x"), "say which score is asked"),
        (("--positions", 2, "--target", "top"), "means over positions"),
    ],
)
def test_options_that_do_not_fit_are_refused(probe, words, message):
    code, _, error = probe(*words, as_json=False)
    assert code == 2 and message in error, error


def test_without_labels_there_is_nothing_to_ask(probe, place):
    code, _, error = probe(images=place / "photos" / "left", as_json=False)
    assert code == 2 and "A probe needs labels. Received: none." in error
