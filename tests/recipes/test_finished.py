"""Finished: a run that is done is answered from its files, in the same words, until something that decides it changes."""

import json
import os
import pathlib
import shutil
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from recipes import finished, provenance, runs
from recipes.artifacts import find_report
from recipes.reads import Reads, are_unchanged

EXPLAINER = "import numpy as np\n\n\ndef flat(network, inputs, objective):\n    return np.full(inputs.shape, {value})\n"


def write_photo(path, level):
    Image.fromarray(np.full((20, 20, 3), level, np.uint8)).save(path)


@pytest.fixture
def asked(command, monkeypatch):
    """Run the command -> (exit code, standard output, error stream, whether it was carried out)."""
    carried_out, carry_out = [], runs._carry_out_jobs
    monkeypatch.setattr(
        runs, "_carry_out_jobs", lambda *words, **options: carried_out.append(1) or carry_out(*words, **options)
    )

    def ask(*words):
        carried_out.clear()
        return (*command(*words), bool(carried_out))

    return ask


@pytest.fixture
def words(small_file, tmp_path, monkeypatch):
    """A command over a folder of photographs, with a model, class names and an explainer that the user may edit."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    write_photo("photos/one.png", 10)
    write_photo("photos/two.png", 200)
    shutil.copy(small_file, "my.keras")
    pathlib.Path("names.txt").write_text("a\nb\nc\nd\ne\n")
    pathlib.Path("mine_to_edit.py").write_text(EXPLAINER.format(value="1.0"))
    names = ("--model", "my.keras", "--input-range", -1, 1, "--classes", "names.txt")
    yield ("explain", "photos", *names, "--method", "gradient,mine_to_edit:flat")
    sys.modules.pop("mine_to_edit", None)


def edit_photo():
    path = pathlib.Path("photos/one.png")
    before = path.stat()
    content = bytearray(path.read_bytes())
    write_photo(path, 11)
    assert path.stat().st_size == len(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def edit_model():
    model = keras.models.load_model("my.keras", compile=False)
    model.set_weights([weight + 0.1 for weight in model.get_weights()])
    model.save("my.keras")


def job_file(name):
    (path,) = pathlib.Path("artifacts").glob(f"explain/*/jobs/explain/gradient/{name}")
    return path


CHANGES = {
    "a photograph of the same size and time": edit_photo,
    "another photograph": lambda: write_photo("photos/three.png", 7),
    "a photograph less": lambda: os.unlink("photos/two.png"),
    "class names": lambda: pathlib.Path("names.txt").write_text(
        pathlib.Path("names.txt").read_text().replace("a", "A")
    ),
    "weights": edit_model,
    "the explainer": lambda: pathlib.Path("mine_to_edit.py").write_text(EXPLAINER.format(value="2.0")),
    "a deleted artifact": lambda: job_file("maps.npz").unlink(),
    "a truncated artifact": lambda: job_file("maps.npz").write_bytes(job_file("maps.npz").read_bytes()[:-9]),
    "a deleted seal": lambda: job_file("done.json").unlink(),
    "a deleted page": lambda: find_report("explain").unlink(),
}


def test_the_answer_is_the_same(asked, words):
    first, second = asked(*words), asked(*words)
    assert first[0] == second[0] == 0 and first[3] and not second[3]
    assert second[1] == first[1] and second[2].splitlines() == first[2].splitlines()[:1]
    carried, answered = (json.loads(asked(*words, "--json", *more)[1]) for more in (["--fresh"], []))
    assert carried == answered


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_noticed(change, asked, words):
    assert asked(*words)[3] and not asked(*words)[3]
    CHANGES[change]()
    code, output, _, carried_out = asked(*words)
    assert code == 0 and carried_out
    assert asked(*words)[:2] == (0, output) and find_report("explain").is_file()


def test_another_version_is_noticed(asked, words, monkeypatch):
    asked(*words)
    version = provenance.version
    monkeypatch.setattr(provenance, "version", lambda name: "99" if name == "tensorflow" else version(name))
    assert asked(*words)[3] and not asked(*words)[3]


def test_code_of_the_lab_is_among_what_was_read(asked, words):
    asked(*words)
    (path,) = pathlib.Path("artifacts", finished.FOLDER).iterdir()
    root = pathlib.Path(finished.__file__).parent.parent
    files = {str(file) for package in ("lab", "sanity", "recipes") for file in (root / package).rglob("*.py")}
    assert files <= set(json.loads(path.read_text().partition("\n")[2])["reads"])


def test_a_file_that_was_only_touched_changes_nothing(asked, words):
    asked(*words)
    os.utime("photos/one.png")
    pathlib.Path("unrelated.txt").write_text("a file beside all others")
    assert not asked(*words)[3]


def test_warnings_are_given_again(asked, words):
    os.mkdir("photos/sorted")
    for name in ("one", "two"):
        os.rename(f"photos/{name}.png", f"photos/sorted/{name}.png")
    first, second = ([line for line in asked(*words)[2].splitlines() if line.startswith("Warning")] for _ in range(2))
    assert first == second and "not used as labels" in first[0]


def test_a_gate_falls_as_before(asked, user):
    words = ["check", *user, "--method", "tests.recipes.external:blind", "--seeds", 2, "--fail-on", "fail"]
    first, second = asked(*words), asked(*words)
    assert first[0] == second[0] == 1 and first[3] and not second[3]
    assert second[1] == first[1] and second[2].splitlines()[-1] == first[2].splitlines()[-1]


def test_a_run_that_is_asked_for_again_is_the_latest(asked, words):
    asked(*words)
    first = find_report("explain")
    asked(*words, "--seed", 1)
    assert find_report("explain") != first
    assert not asked(*words)[3] and find_report("explain") == first


def test_a_run_that_was_removed_is_carried_out_again(asked, words, command):
    asked(*words)
    command("gc", "--remove", "runs")
    assert not list(pathlib.Path("artifacts", finished.FOLDER).iterdir())
    assert asked(*words)[3]


@pytest.mark.parametrize(
    "damage", [lambda text: "", lambda text: "{}", lambda text: text.replace("two.png", "one.png")]
)
def test_a_damaged_record_is_written_anew(damage, asked, words):
    asked(*words)
    (path,) = pathlib.Path("artifacts", finished.FOLDER).iterdir()
    path.write_text(damage(path.read_text()))
    assert asked(*words)[3] and not asked(*words)[3]


def test_a_function_is_asked_anew(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("my_mean.py").write_text("def dark(rows):\n    return rows.mean(axis=1)\n")
    pathlib.Path("rows.csv").write_text("a,b\n1,2\n3,5\n2,2\n")
    words = ("explain", "--function", "my_mean:dark", "--table", "rows.csv", "--method", "feature_ablation")
    pathlib.Path("two.txt").write_text("light\ndark\n")
    outcomes = [asked(*words, "--classes", "two.txt") for _ in range(2)]
    assert all(code == 0 and carried_out for code, _, _, carried_out in outcomes), outcomes[0][2]
    sys.modules.pop("my_mean", None)


def test_a_baseline_is_looked_up_anew(asked, user):
    words = ("check", *user, "--method", "gradient", "--seeds", 2)
    asked(*words)
    assert all(asked(*words, "--baseline", "check")[3] for _ in range(2))


def test_a_file_is_compared_by_what_it_holds(tmp_path):
    path, folder = tmp_path / "file", tmp_path / "folder"
    folder.mkdir()
    path.write_text("before")
    with Reads() as reads:
        path.read_text()
        os.listdir(folder)
        (tmp_path / "missing").exists()
        (tmp_path / "written").write_text("by this process")
    values = reads.as_values()
    assert set(values) == {str(path), str(folder)} and are_unchanged(values)
    os.utime(path)
    assert are_unchanged(values)
    path.write_text("beyond")
    assert not are_unchanged(values)
    path.write_text("before")
    assert are_unchanged(values)
    (folder / "new").write_text("")
    assert not are_unchanged(values)


def test_what_changes_while_it_is_read_is_not_known(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")
    with Reads() as reads:
        path.read_text()
        os.truncate(path, 3)
    assert reads.as_values() is None


def test_sizes_of_files_that_are_not_opened_are_known(tmp_path):
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "folder" / "inner" / "file").write_text("before")
    with Reads() as reads:
        reads.note_sizes(tmp_path / "folder")
    values = reads.as_values()
    assert are_unchanged(values)
    (tmp_path / "folder" / "inner" / "file").write_text("long after")
    assert not are_unchanged(values)


def test_a_pipe_is_not_known(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with Reads() as reads:
        reads.note(tmp_path / "pipe")
    assert reads.as_values() is None


def test_imports_are_left_out(tmp_path, monkeypatch):
    (tmp_path / "a_module_to_import.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with Reads() as reads:
        import a_module_to_import  # noqa: F401
    assert reads.as_values() == {}
