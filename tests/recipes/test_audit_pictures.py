"""Audits of pictures, as users type them: the lab's own network as a simple model, difference pictures, and four bands."""

import json
import pathlib

import keras
import numpy as np
import pytest
from PIL import Image

from recipes import audits, estimate
from sanity.audit import ladder
from sanity.audit.descriptors import PRETRAINED
from tests import audit_files

FAST = ["--draws", 99, "--tries", 4]
COUNT, PART, BATCH = 30, 12, 6
RUNG = f"linear model of {PRETRAINED}"


@pytest.fixture(autouse=True)
def without_pairs(monkeypatch):
    monkeypatch.setattr(ladder, "has_pairs", lambda: False)


def run_folder(output):
    return pathlib.Path(json.loads(output)["report"]).parent


def verdicts_of(folder, check):
    families = json.loads((folder / "jobs/verdicts/verdicts.json").read_text())
    return next(family["verdicts"] for name, family in families.items() if name.partition("-")[2] == check)


@pytest.fixture
def words(tmp_path, monkeypatch):
    """The words of an audit of thirty pictures beside thirty of training, twelve in a part, six in memory."""
    monkeypatch.setitem(audits.PART, "image", PART)
    monkeypatch.setattr(audits, "PICTURES", BATCH)
    audit_files.write_pictures(tmp_path / "photos", COUNT)
    audit_files.write_pictures(tmp_path / "training" / "photos", COUNT, seed=1)
    audit_files.reds().save(tmp_path / "reds.keras")
    words = ["--model", tmp_path / "reds.keras", "--input-range", -1, 1, "--test", tmp_path / "photos"]
    return ["audit", *words, "--train", tmp_path / "training" / "photos", "--questions", "simpler", *FAST]


# The lab's own network ----------------------------------------------------------------------------------------------------


def test_pictures_that_the_own_network_was_asked_about_before_a_stop_are_not_asked_again(
    command, words, monkeypatch, tmp_path
):
    embed, sizes, stop = audits.embed_pictures, [], {"after": 6}

    def counted(pretrained, images, fit):
        if len(sizes) == stop["after"]:
            raise KeyboardInterrupt
        sizes.append(len(images))
        return embed(pretrained, images, fit)

    monkeypatch.setattr(audits, "embed_pictures", counted)
    out = ["--out", tmp_path / "runs"]
    command(*words, *out, out=False)
    folders = sorted((tmp_path / "runs").glob("audit/*/jobs/audit/pretrained/*/answers.npz"))
    done = {path.parent.name: path.read_bytes() for path in folders}
    assert sizes == [BATCH] * 6 and len(done) == 3, "one batch of the fourth part was asked about"
    stop["after"] = None
    code, output, error = command(*words, *out, "--json", out=False)
    events = [json.loads(line) for line in error.splitlines()]
    ended = [event["job"] for event in events if event["event"] == "finished" and "pretrained" in event["job"]]
    assert code == 0 and sum(sizes[6:]) == COUNT and len(ended) == 3, "progress by part"
    folder = run_folder(output)
    answers = {path.parent.name: path.read_bytes() for path in (folder / "jobs/audit/pretrained").glob("*/answers.npz")}
    assert len(answers) == 6 and {name: answers[name] for name in done} == done
    assert np.load(folder / "jobs/audit/rows/train.npz")[PRETRAINED].shape == (COUNT, 1280)
    assert RUNG in {row["method"] for row in verdicts_of(folder, "simpler")}
    # Done from the start, every file has the same bytes.
    fresh = run_folder(command(*words, "--out", tmp_path / "fresh", "--json", out=False)[1])
    for path in (folder / "jobs").rglob("*.*"):
        other = fresh / path.relative_to(folder)
        assert path.name == "done.json" or path.read_bytes() == other.read_bytes(), path


def test_what_it_costs_is_announced_and_planned(command, words, monkeypatch):
    monkeypatch.setattr(estimate, "FEWEST", 1)
    monkeypatch.setattr("recipes.session.Session.seconds_per_gradient", lambda self: (1e-6, 0.0))
    monkeypatch.setattr("recipes.session.Session.seconds_per_default_gradient", lambda self: (30.0, 5.0))
    code, output, _ = command(*words, "--plan", "--json", "--quiet")
    jobs = {job["key"]: job for job in json.loads(output)["jobs"]}
    seconds = {key: job["seconds"] for key, job in jobs.items() if key.startswith("audit/pretrained")}
    assert code == 0 and len(seconds) == 6
    assert seconds[f"audit/pretrained/test-{PART:08}"] == pytest.approx(PART / 3 * 30, abs=0.1)
    assert sum(seconds.values()) == pytest.approx(2 * COUNT / 3 * 30 + 5, abs=1)
    lines = command(*words, "--plan", "--quiet")[1]
    assert "audit/pretrained" in lines and "roughly 10 min here" in lines
    monkeypatch.setattr(audits, "embed_pictures", lambda network, images, fit: np.ones((len(images), 3), "float32"))
    error = command(*words)[2]
    assert f"{2 * COUNT / 3:,.0f} of them of {PRETRAINED}, and compiling, roughly 10 min" in error


def test_another_network_of_the_same_channels_asks_it_nothing_again(command, words, tmp_path):
    first = run_folder(command(*words, "--quiet", "--json")[1])
    model = keras.models.load_model(tmp_path / "reds.keras")
    model.layers[-1].set_weights([2 * values for values in model.layers[-1].get_weights()])
    model.save(tmp_path / "second.keras")
    second = [tmp_path / "second.keras" if word == tmp_path / "reds.keras" else word for word in words]
    planned = json.loads(command(*second, "--plan", "--quiet", "--json")[1])
    states = {job["key"]: job["state"] for job in planned["jobs"]}
    assert {state for key, state in states.items() if "pretrained" in key} == {"kept"}
    assert {state for key, state in states.items() if "answers" in key} == {"waiting"} and first.is_dir()


def test_without_training_rows_it_is_not_asked(command, words):
    place = words.index("--train")
    words = [*words[:place], *words[place + 2 :]]
    words[words.index("simpler")] = "failures"
    jobs = json.loads(command(*words, "--plan", "--quiet", "--json")[1])["jobs"]
    assert not any("pretrained" in job["key"] or "patches" in job["key"] for job in jobs)


# Difference pictures ------------------------------------------------------------------------------------------------------


def write_photographs(folder, count, seed, has_mark=False, channels=3):
    """Photographs of two sizes, a third of them wide, of which the later ones may have a mark at the bottom left."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        rows, columns = ((32, 32), (24, 40), (64, 64))[number % 3]
        pixels = 100 + 40 * rng.random() + rng.normal(0, 20, (rows, columns, channels))
        if has_mark:
            pixels[-rows // 4 :, : columns // 4] = 240
        path = folder / str(number % 2) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(pixels, 0, 255).astype("uint8")).save(path)


def network(channels=3):
    """A network of pictures of 32 pixels a side, which tells two classes by the mean of the first channel."""
    layers = [keras.Input((32, 32, channels)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, "softmax")]
    model = keras.Sequential(layers)
    weights = np.zeros((channels, 2))
    weights[0] = -3, 3
    model.layers[-1].set_weights([weights, np.zeros(2)])
    return model


@pytest.fixture(scope="module")
def times(tmp_path_factory):
    """Photographs of two times, as they are and with a fourth band, and a network of each."""
    folder = tmp_path_factory.mktemp("times")
    for name, channels in (("colours", 3), ("bands", 4)):
        write_photographs(folder / name / "test", 90, 0, channels=channels)
        write_photographs(folder / name / "later", 60, 1, has_mark=True, channels=channels)
        write_photographs(folder / name / "train", 60, 2, channels=channels)
        network(channels).save(folder / f"{name}.keras")
    (folder / "sheet.toml").write_text("rows_are_units = true\n")
    return folder


def shift_words(folder, name, *words):
    files = ["--test", folder / name / "test", "--current", folder / name / "later", "--sheet", folder / "sheet.toml"]
    return ["audit", "--model", folder / f"{name}.keras", "--input-range", -1, 1, *files, *words, *FAST]


@pytest.mark.parametrize("name, channels", [("colours", 3), ("bands", 4)])
def test_a_mark_of_later_photographs_of_any_size_is_shown_where_it_is(command, times, name, channels):
    code, output, error = command(*shift_words(times, name, "--questions", "shift"), "--quiet", "--json")
    assert code == 0, error
    folder = run_folder(output)
    assert np.load(folder / "jobs/audit/rows/current.npz")["patches"].shape == (60, 14, 14, channels)
    verdict = next(verdict for verdict in verdicts_of(folder, "shift") if verdict["method"] == "inputs")
    places = [row["name"] for row in verdict["settings"]["tables"]["Patches of the picture that differ"]]
    rows, columns = zip(*((int(word) for word in place.replace(",", "").split()[1::2]) for place in places))
    assert min(rows) >= 11 and max(columns) <= 4 and len(places) >= 9
    assert "differ, in rows 11 to 14 and columns 1 to 4" in verdict["also"]["patches of the picture"]
    assert "deviations in" in verdict["also"]["one patch in one colour, moved"]
    page = (folder / "index.html").read_text()
    assert "Where in the picture current ones differ" in page and "data:image/png;base64," in page


def test_statistics_of_four_bands_are_named_and_asked_about_without_a_fault(command, times, monkeypatch):
    """The estimate had asked the network about a photograph of three channels, which it refuses."""
    monkeypatch.setattr(estimate, "FEWEST", 1)
    words = shift_words(times, "bands", "--questions", "shift,failures,simpler", "--train", times / "bands" / "train")
    code, output, error = command(*words)
    assert code == 0 and "roughly" in error or "under a minute" in error, error
    (page,) = (path for path in map(pathlib.Path, output.split()) if path.name == "index.html")
    assert "brightness of band 4" in page.read_text()
    assert f"{PRETRAINED} takes grey pictures and pictures in three colours, and these have 4 bands" in page.read_text()
    assert not (page.parent / "jobs/audit/pretrained").exists()


def test_a_network_of_any_size_is_refused_before_anything_is_written(command, times, tmp_path):
    """Each job of 500 photographs had been refused by itself, with an argument of Python."""
    layers = [keras.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, "softmax")]
    keras.Sequential(layers).save(tmp_path / "any.keras")
    words = shift_words(times, "colours", "--questions", "shift", "--out", tmp_path / "runs")
    words[2] = tmp_path / "any.keras"
    code, output, error = command(*words, out=False)
    assert code == 2 and "--model-size" in error and "lab.load" not in error and not output
    assert not list((tmp_path / "runs").glob("audit/*"))
    assert command(*words, "--model-size", 32, "--plan", out=False)[0] == 0


# The page -----------------------------------------------------------------------------------------------------------------


def test_many_names_are_one_line_to_unfold_and_none_is_left_out(command, tmp_path):
    """Of a network of a thousand classes a table of one column had nine hundred lines."""
    audit_files.write_pictures(tmp_path / "photos", 120)
    layers = [keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(40, "softmax")]
    model = keras.Sequential(layers)
    weights, biases = np.zeros((3, 40)), np.full(40, -30.0)
    weights[0, :2], weights[2, :2], biases[:2] = (-8, 8), (8, -8), 0
    model.layers[-1].set_weights([weights, biases])
    model.save(tmp_path / "forty.keras")
    words = ["--model", tmp_path / "forty.keras", "--input-range", -1, 1, "--test", tmp_path / "photos"]
    code, output, error = command("audit", *words, "--questions", "failures", *FAST, "--quiet", "--json")
    assert code == 0, error
    page = (run_folder(output) / "index.html").read_text()
    (names,) = (part.split("</p>")[0] for part in page.split("<summary>38 names</summary><p>")[1:])
    assert names.split("; ") == [str(number) for number in range(2, 40)] and "<td>39</td>" not in page
