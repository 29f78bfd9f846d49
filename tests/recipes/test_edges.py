"""The edges of the command: whatever is typed or found ends in one line, with the exit code of its kind."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image

from recipes import schema
from recipes.errors import as_options
from tests.processes import start_run

REFUSED = {
    "no method": (["--method", ""], "--method names at least one"),
    "only commas": (["--method", ", ,"], "--method names at least one"),
    "option of a misspelt method": (
        ["--method", "smoothgrad", "--option", "smothgrad.samples=3"],
        "smothgrad.*smoothgrad",
    ),
    "text for a number": (["--method", "smoothgrad", "--option", "smoothgrad.samples=x"], "samples.*'x'"),
    "nan for a number": (["--method", "smoothgrad", "--option", "smoothgrad.noise=nan"], "noise.*nan"),
    "an object that is no function": (["--method", "tests.recipes.external:not_a_function"], "int.*cannot be called"),
    "a name that is not there": (["--method", "tests.recipes.external:nothing_here"], "no such name"),
    "a module that leaves": (["--method", "tests.recipes.leaving:f"], "SystemExit|No module"),
    "an output that is not there": (["--output", "box"], "Unknown output"),
    "a region of a class": (["--region", "all"], "region"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_one_line_and_writes_nothing(command, user, photo, tmp_path, case):
    import re

    words, expected = REFUSED[case]
    code, output, error = command("explain", photo, *user, *words)
    if case in ("text for a number", "nan for a number"):
        # The method itself knows what its options may be: it refuses, and the run tells so.
        assert code == 3 and re.search(expected, output), output
        return
    last = error.strip().splitlines()[-1]
    assert code == 2 and re.search(expected, last), error
    assert not (tmp_path / "artifacts").exists() and output == ""


@pytest.mark.parametrize(
    "words, expected",
    [
        (["gallery", "--layer", "last", "--units", "0-99999999999"], "at most"),
        (["gallery", "--layer", "last", "--units", "9" * 5000], "units"),
        (["check", "--check", ","], "--check names at least one"),
        (["explain", "PHOTO", "--target", "no such class"], "Unknown class"),
        (["explain", "PHOTO", "--levels", 0], "levels"),
        (["explain", "PHOTO", "--import", "json"], "allow-code"),
    ],
)
def test_other_refusals(command, user, photo, words, expected):
    code, _, error = command(*[photo if word == "PHOTO" else word for word in words], *user)
    assert code == 2 and expected in error, error


@pytest.mark.parametrize(
    "text, expected",
    [
        ("x = " + "[" * 3000 + "]" * 3000, "nested too deep|TOML"),
        ('name = "a"\n[model]\nmemory_gib = inf\n[explain]\n', "memory_gib"),
        ('name = "a"\n[model]\nmemory_gib = nan\n[explain]\n', "memory_gib"),
        ('name = "a"\n[explain]\nmethods = []\n', "at least one"),
        ("\ufeffname = 1\n", "name"),
        (b'name = "\xff"', "UTF-8"),
    ],
)
def test_recipes_that_are_none(command, tmp_path, text, expected):
    import re

    path = tmp_path / "r.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    code, _, error = command("run", path)
    assert code == 2 and re.search(expected, error) and "Traceback" not in error


def test_a_pipe_in_the_place_of_a_file_never_hangs(command, user, tmp_path):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    for words in (
        ["explain", pipe, *user],
        ["explain", pipe, "--model", pipe],
        ["run", pipe],
        ["explain", pipe, *user, "--classes", pipe],
    ):
        assert command(*words)[0] == 2, words


def test_methods_named_twice_are_asked_once(command, user, photo):
    code, output, _ = command("explain", photo, *user, "--method", "gradient,gradient", "--json")
    assert code == 0 and len(list((pathlib.Path(json.loads(output)["run"]) / "jobs/explain").iterdir())) == 1


def test_an_error_that_nobody_expected_is_no_verdict(command, user, photo, monkeypatch):
    from recipes import runs

    def breaks(*_):
        raise KeyError("a slip of the lab's own")

    monkeypatch.setattr(runs, "list_jobs", breaks)
    code, _, error = command("explain", photo, *user)
    assert code == 3 and "The lab itself failed: KeyError" in error and "Traceback" not in error


@pytest.mark.parametrize(
    "python, options",
    [
        (
            "The lab does not know what m takes. Received: no preprocess= and no input_range=: give one of them to lab.load.",
            "The lab does not know what m takes. Received: no --input-range LOW HIGH.",
        ),
        ("name one with output=. Received: none.", "name one with --output. Received: none."),
        ("give input_range= or preprocess=.", "give --input-range LOW HIGH."),
        ("lab.explain(net, x, method='a')", "lab.explain(net, x, method='a')"),
    ],
)
def test_errors_speak_of_the_options_of_the_command(python, options):
    assert as_options(python) == options


def test_a_network_without_a_range_names_the_option(command, small_file, photo):
    code, _, error = command("explain", photo, "--model", small_file)
    assert code == 2 and "--input-range" in error and "preprocess=" not in error and "lab.load" not in error


# Damaged runs -------------------------------------------------------------------------------------------------------------

DAMAGE = [b"", b"{", b"{}", b"[]", b'{"0-parameters": {"verdicts": [{"method": "x"}]}}', b"\xff\xfe\x00"]


def test_damaged_runs_are_said_to_be(command, user, photo, tmp_path):
    run = pathlib.Path(json.loads(command("check", *user, "--method", "gradient", "--seeds", 2, "--json")[1])["run"])
    verdicts = run / "jobs/verdicts/verdicts.json"
    for damage in DAMAGE:
        verdicts.write_bytes(damage)
        code, _, error = command("check", *user, "--method", "gradient", "--seeds", 3, "--baseline", run)
        assert code == 2 and "damaged" in error, (damage, error)
    explained = pathlib.Path(json.loads(command("explain", photo, *user, "--method", "gradient", "--json")[1])["run"])
    for damage in (*DAMAGE, b'{"seconds": 3}'):
        # What only tells how long it took stops nothing.
        (explained / "timings.json").write_bytes(damage)
        assert command("explain", photo, *user, "--method", "gradient", "--quiet")[0] == 0, damage
    for name in ("manifest.json", "jobs/explain/gradient/maps.npz", "jobs/explain/gradient/about.json"):
        kept = (explained / name).read_bytes()
        (explained / name).write_bytes(kept[: len(kept) // 2])
        code, _, error = command("compare", explained, explained, out=False)
        assert code == 2 and "damaged" in error, (name, error)
        (explained / name).write_bytes(kept)
    assert command("compare", explained, explained, out=False)[0] == 0


def test_words_that_xml_and_html_cannot_hold(command, user, tmp_path, monkeypatch):
    from xml.etree import ElementTree

    from tests.recipes import external

    def odd(network, inputs, objective):
        raise ValueError("\x00\x1b[31m <script>alert(1)</script> \udcff \ufffe")

    monkeypatch.setattr(external, "raises", odd)
    code, output, _ = command("check", *user, "--method", "tests.recipes.external:raises", "--seeds", 2, "--json")
    run = pathlib.Path(json.loads(output)["run"])
    assert code == 3
    ElementTree.parse(run / "jobs/verdicts/junit.xml")
    assert "<script>alert" not in (run / "index.html").read_text(encoding="utf-8")


# Classes and outputs as people have them ----------------------------------------------------------------------------------


@pytest.fixture
def dogs(tmp_path):
    """Cats are dark, dogs are bright; one sigmoid unit that is always right, and its photographs in two folders."""
    inputs = keras.Input((16, 16, 3))
    unit = keras.layers.Dense(1, activation="sigmoid", name="unit")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3, activation="relu", name="c")(inputs))
    model = keras.Model(inputs, unit(pooled))
    model.get_layer("c").set_weights([np.full((3, 3, 3, 2), 1 / 27, "float32"), np.zeros(2, "float32")])
    unit.set_weights([np.full((2, 1), 10.0, "float32"), np.array([-10.0], "float32")])
    model.save(tmp_path / "dogs.keras")
    rng = np.random.default_rng(1)
    for name, low, high in (("cat", 0, 60), ("dog", 190, 255)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for place in range(8):
            image = rng.uniform(low, high, (16, 16, 3)).astype("uint8")
            Image.fromarray(image).save(tmp_path / "photos" / name / f"{place}.png")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    return tmp_path


def test_one_sigmoid_unit_is_two_classes_at_every_door(command, dogs):
    words = ["--model", dogs / "dogs.keras", "--input-range", 0, 1, "--classes", dogs / "classes.txt"]
    code, output, _ = command(
        "check", "--images", dogs / "photos", *words, "--method", "gradient", "--seeds", 2, "--json"
    )
    run = pathlib.Path(json.loads(output)["run"])
    gates = {
        gate["name"]: gate
        for gate in json.loads((run / "jobs/check/0-parameters/gradient/evidence.json").read_text())["gates"]
    }
    assert code == 0 and gates["network competent"]["status"] == "passed", gates
    cat, dog = dogs / "photos/cat/0.png", dogs / "photos/dog/0.png"
    maps = {}
    for target in ("cat", "dog", "0", "1", "top"):
        code, output, error = command("explain", cat, dog, *words, "--method", "gradient", "--target", target, "--json")
        assert code == 0, error
        folder = pathlib.Path(json.loads(output)["run"]) / "jobs/explain/gradient"
        about = json.loads((folder / "about.json").read_text())
        with np.load(folder / "maps.npz") as arrays:
            maps[target] = arrays["maps/0"]
        names = {"cat": ["cat"] * 2, "0": ["cat"] * 2, "dog": ["dog"] * 2, "1": ["dog"] * 2, "top": ["cat", "dog"]}
        assert about["classes"] == names[target]
    assert np.array_equal(maps["cat"], -maps["dog"]) and maps["dog"].any()
    assert np.array_equal(maps["0"], maps["cat"]) and np.array_equal(maps["1"], maps["dog"])
    assert np.array_equal(maps["top"], np.stack([maps["cat"][0], maps["dog"][1]]))


def test_several_outputs_and_segmentations_are_asked_by_name(command, photo, tmp_path):
    inputs = keras.Input((16, 16, 3))
    features = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    kind, age = keras.layers.Dense(3, name="kind")(pooled), keras.layers.Dense(1, name="age")(pooled)
    mask = keras.layers.Conv2D(2, 1, activation="softmax", name="mask")(features)
    keras.Model(inputs, {"kind": kind, "age": age, "mask": mask}).save(tmp_path / "m.keras")
    words = ["explain", photo, "--model", tmp_path / "m.keras", "--input-range", 0, 1, "--method", "gradient,gradcam"]
    code, _, error = command(*words)
    assert code == 2 and "--output" in error and "kind" in error
    for output in ("kind", "age"):
        assert command(*words, "--output", output)[0] == 0
    code, _, error = command(*words, "--output", "mask")
    assert code == 2 and "--region" in error
    for region in ("all", "predicted"):
        code, _, error = command(*words, "--output", "mask", "--region", region, "--target", 1)
        assert code == 0, error
    code, _, error = command(*words, "--output", "kind", "--region", "all")
    assert code == 2 and "region" in error


def test_a_network_that_answers_all_alike_is_said_to_be_collapsed(command, dogs):
    model = keras.saving.load_model(dogs / "dogs.keras")
    model.get_layer("unit").set_weights([np.zeros((2, 1), "float32"), np.ones(1, "float32")])
    model.save(dogs / "flat.keras")
    _, _, error = command(
        "explain", dogs / "photos", "--model", dogs / "flat.keras", "--input-range", 0, 1, "--method", "gradient"
    )
    assert "collapsed" in error


# Stopped ------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_says_what_is_kept_and_goes_on(tiny, tmp_path, number, code):
    run = start_run(tiny, tmp_path / "artifacts")
    for line in run.stderr:
        if line.startswith("survey"):
            break
    time.sleep(0.2)
    run.send_signal(number)
    messages = run.stderr.read()
    assert run.wait() == code and "are done and kept" in messages and "Give the same command again" in messages, (
        messages
    )
    again = start_run(tiny, tmp_path / "artifacts")
    _, error = again.communicate()
    assert again.returncode == 0 and "0 done before" not in error


@pytest.mark.parametrize("method, code", [("swallows_a_stop", 143), ("ignores_a_stop", 130)])
def test_a_stop_that_a_library_swallowed_is_still_a_stop(command, user, photo, tmp_path, method, code):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    words = ["--method", f"tests.recipes.external:{method},gradient"]
    stopped, _, error = command("explain", photo, *user, *words)
    assert stopped == code and "1 of 4 jobs are done and kept" in error, error
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_settings_of_recipes_reach_their_digest_apart():
    from recipes.store import digest

    tables = [
        {"name": "a", "explain": {"options": {"m": {"x": value}}}}
        for value in (float("nan"), float("inf"), -float("inf"), 1.0)
    ]
    assert len({digest(schema.plain_values(schema.recipe(table))) for table in tables}) == 4


@pytest.fixture
def beside(tmp_path):
    """A network of an image and two columns, linear in both: the score of class 1 is mean(image) + 2 age - 3 income."""
    image, table = keras.Input((8, 8, 1), name="image"), keras.Input((2,), name="about")
    joined = keras.layers.Concatenate()([keras.layers.GlobalAveragePooling2D()(image), table])
    dense = keras.layers.Dense(2, name="kind")
    keras.Model({"image": image, "about": table}, dense(joined)).save(tmp_path / "m.keras")
    model = keras.saving.load_model(tmp_path / "m.keras")
    model.get_layer("kind").set_weights([np.array([[0, 1], [0, 2], [0, -3]], "float32"), np.zeros(2, "float32")])
    model.save(tmp_path / "m.keras")
    for name, level in (("a", 60), ("b", 200)):
        Image.fromarray(np.full((8, 8), level, "uint8")).save(tmp_path / f"{name}.png")
    (tmp_path / "t.csv").write_text("image,age,income\nb.png,1,2\na.png,5,7\n")
    return tmp_path


def test_an_image_and_a_table_are_explained_together(command, beside):
    words = ["explain", beside / "a.png", beside / "b.png", "--model", beside / "m.keras", "--input-range", 0, 1]
    words += ["--target", 1, "--method", "gradient_x_input,integrated_gradients"]
    code, output, error = command(*words, "--table", beside / "t.csv", "--json")
    assert code == 0, error
    run = pathlib.Path(json.loads(output)["run"])
    for method in ("gradient_x_input", "integrated_gradients"):
        with np.load(run / "jobs/explain" / method / "maps.npz") as arrays:
            assert arrays["maps/0"].shape == (2, 8, 8, 1)
            np.testing.assert_allclose(arrays["maps/1"], [[10, -21], [2, -6]], rtol=1e-5)
    assert (
        "income -21" in (run / "index.html").read_text()
        and "a.png,gradient_x_input,income,-21" in (run / "jobs/agreement/columns.csv").read_text()
    )
    code, _, error = command(*words)
    assert code == 2 and "--table" in error


@pytest.mark.parametrize(
    "text, expected",
    [
        ("age,income\n1,2\n", "1 rows for 2 images"),
        ("age,income\n1,2\n3\n", "another length"),
        ("age,income\n1,2\n3,high\n", "'high' in the column 'income'"),
        ("age,income\n1,2\n3,nan\n", "'nan' in the column 'income'"),
        ("", "a header and rows"),
        ("age\n1\n2\n", "shape|Received"),
    ],
)
def test_tables_that_are_none(command, beside, text, expected):
    import re

    (beside / "t.csv").write_text(text)
    words = ["explain", beside / "a.png", beside / "b.png", "--model", beside / "m.keras", "--input-range", 0, 1]
    code, _, error = command(*words, "--table", beside / "t.csv", "--target", 1)
    assert code == 2 and re.search(expected, error), error


def test_processes_without_a_stream_of_their_own_work(small_file, photo, tmp_path):
    words = ["explain", photo, "--model", small_file, "--input-range", -1, 1, "--method", "gradient", "--json"]
    command = [sys.executable, "-c", "from recipes.cli import main; main()", *words, "--out"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    begun = {
        closed: subprocess.Popen(
            ["sh", "-c", f'exec "$@" {closed}>&-', "sh", *map(str, [*command, tmp_path / closed])], **pipes
        )
        for closed in "12"
    }
    for closed, process in begun.items():
        output, error = process.communicate()
        assert process.returncode == 0, (closed, output, error)
        assert closed == "1" or json.loads(output)["failed"] == []
