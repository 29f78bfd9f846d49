"""The command, as users type it: what it makes, its exit codes, and one clear line for what it refuses."""

import json
import pathlib
import sys

import pytest

from lab.images import read
from recipes.cli import main
from recipes.store import Store


def test_the_lists(command, small_file):
    for kind, words in {
        "models": "MobileNetV2",
        "methods": "smoothgrad",
        "checks": "parameters",
        "recipes": "first-look",
        "objectives": "channel",
    }.items():
        code, output, _ = command("list", kind, out=False)
        assert code == 0 and words in output
    code, output, _ = command("list", "layers", "--model", small_file, out=False)
    assert code == 0 and "(None, 8, 8, 12)" in output and "108" in output
    assert "control" in command("list", "methods", out=False)[1]


def test_gallery(command, user, photo):
    code, output, _ = command("gallery", *user, "--layer", "last", "--units", "1,3", "--steps", 2)
    report = pathlib.Path(output.strip())
    assert code == 0 and report.name == "index.html"
    arrays = Store(report.parent.parent.parent, "gallery", report.parent.name).arrays(
        "gallery/0-last/00000", "pictures.npz"
    )
    assert list(arrays["units"]) == [1, 3] and arrays["curves"].shape == (2, 2)
    assert read(report.parent / "jobs" / "gallery" / "0-last" / "00000" / "00003.png").shape == (16, 16, 3)
    assert command("gallery", *user, "--layer", "logits", "--units", "0,2", "--steps", 1)[0] == 0
    code, output, _ = command("gallery", *user, "--layer", "last", "--top-for", photo, "--steps", 1, "--size", 24)
    assert code == 0 and "unit" in pathlib.Path(output.strip()).read_text()


def test_explain(command, user, photo):
    code, output, error = command(
        "explain", photo, *user, "--method", "gradcam,gradient", "--target", 2, "--layer", "first_relu", "--json"
    )
    result = json.loads(output)
    events = [json.loads(line) for line in error.splitlines() if line.startswith("{")]
    assert events[1] == {"event": "begun", "jobs": len(result["jobs"]), "done": 0}
    jobs = [job["key"] for job in result["jobs"]]
    for kind in ("started", "finished"):
        assert [event["job"] for event in events if event["event"] == kind] == jobs
    assert all(event["seconds"] > 0 and event["error"] is None for event in events if event["event"] == "finished")
    store = Store(pathlib.Path(result["run"]).parent.parent, "explain", pathlib.Path(result["run"]).name)
    assert code == 0 and store.arrays("explain/gradcam", "maps.npz")["maps/0"].shape == (1, 16, 16)
    assert store.values("explain/gradient", "about.json")["target"] == "logit(2)" and store.arrays(
        "explain/gradient", "maps.npz"
    )["maps/0"].shape == (1, 16, 16, 3)


def test_check_and_its_gate(command, user):
    words = ["check", *user, "--method", "gradient", "--seeds", 2]
    code, output, _ = command(*words)
    assert code == 0 and "untrained with untrained" in output and "edges" in output
    code, _, error = command(*words, "--fail-on", "inconclusive")
    assert code == 1 and "gradient fell short" in error
    code, _, _ = command("check", *user, "--method", "tests.recipes.external:good", "--seeds", 2, "--fail-on", "fail")
    assert code == 0
    code, _, error = command(
        "check", *user, "--method", "tests.recipes.external:blind", "--seeds", 2, "--fail-on", "fail"
    )
    assert code == 1 and "blind" in error


def test_verdicts_of_two_runs_are_compared(command, user):
    words = ["check", *user, "--seeds", 2, "--json"]
    runs = [json.loads(command(*words, "--method", methods)[1])["run"] for methods in ("gradient", "gradient,gradcam")]
    code, output, error = command("compare", *runs, "--json", out=False)
    compared = json.loads(output)
    verdicts = {row["method"]: row for row in compared["verdicts"]}
    assert code == 0 and {"gradient", "gradcam", "edges"} <= set(verdicts), error
    assert verdicts["gradcam"]["first"] is None and verdicts["gradcam"]["changed"]
    assert not verdicts["gradient"]["changed"] and verdicts["gradient"]["first"]["sentence"]
    text = pathlib.Path(compared["report"]).read_text()
    assert text.count("<tr data-verdict") == len(compared["verdicts"])


def test_check_takes_folders_and_files(command, user, tmp_path):
    from PIL import Image

    for name in ("one/a.png", "one/b.png", "two/a.png", "c.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 20), (len(name) * 20, ord(path.stem) * 2, 7)).save(path)
    paths = [tmp_path / name for name in ("one", "two", "c.png")]
    words = ["check", *user, "--method", "gradient", "--seeds", 2, "--json"]
    code, output, error = command(*words, *(part for path in paths for part in ("--images", path)))
    assert code == 0, error
    manifest = json.loads((pathlib.Path(json.loads(output)["run"]) / "manifest.json").read_text())
    files = [pathlib.Path(path).relative_to(tmp_path).as_posix() for path in manifest["recipe"]["images"]["files"]]
    assert files == ["one/a.png", "two/a.png", "c.png", "one/b.png"], "the first images are of every folder"
    assert command(*words, "--images", tmp_path / "c.png")[0] == 0
    code, _, error = command(*words, "--images", tmp_path / "one", "--images", tmp_path / "none.png")
    assert code == 2 and "none.png" in error


def test_run_resumes_and_says_what_failed(command, quick, monkeypatch):
    from recipes.sections import sections

    kinds = sections.get("explain").work
    compute_maps = kinds["maps"]

    def breaks(job, inputs, session):
        if job.arguments["method"] == "gradcam":
            raise RuntimeError("no room")
        return compute_maps(job, inputs, session)

    monkeypatch.setitem(kinds, "maps", breaks)
    code, output, error = command("run", quick)
    report = pathlib.Path(output.strip().splitlines()[-1])
    assert code == 3 and "explain/gradcam: RuntimeError: no room" in error
    assert "Some jobs are not done" in report.read_text() and (report.parent / "failed-explain+gradcam.txt").exists()
    monkeypatch.undo()
    code, _, error = command("run", quick)
    assert code == 0 and "2 jobs to do" in error and "Some jobs are not done" not in report.read_text()
    assert not (report.parent / "failed-explain+gradcam.txt").exists()
    code, _, error = command("run", quick)
    assert code == 0 and "jobs to do" not in error
    code, _, error = command("run", quick, "--fresh", "--set", "check=[]", "--set", "gallery=[]")
    assert code == 0 and "7 jobs to do, 0 done" in error


def test_a_full_disk_costs_no_finished_job(command, quick, monkeypatch):
    import errno

    from recipes import store

    write, room = store.write_durably, [12]

    def full(path, content):
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    few = ["run", quick, "--set", "check=[]", "--set", "gallery=[]"]
    monkeypatch.setattr(store, "write_durably", full)
    code, _, error = command(*few)
    assert code == 3 and "No space left" in error and "Traceback" not in error
    monkeypatch.undo()
    code, _, error = command(*few)
    assert code == 0 and "0 done" not in error


def test_every_part_of_a_run_is_there(command, quick):
    code, output, _ = command("run", quick, "--quiet")
    folder = pathlib.Path(output.strip().splitlines()[-1]).parent
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (
        code == 0
        and set(manifest) == {"network", "recipe", "hashes", "code", "versions", "seed", "jobs", "digest"}
        and manifest["digest"] == folder.name
    )
    assert json.loads((folder / "timings.json").read_text())["seconds"]
    families = json.loads((folder / "jobs/verdicts/verdicts.json").read_text())
    assert {verdict["method"] for verdict in families["0-parameters"]["verdicts"]} == {
        "gradient",
        "gradcam",
        "edges",
        "input_magnitude",
        "centre",
        "noise",
        "constant",
    }
    assert all(control["held"] for control in families["0-parameters"]["controls"])
    assert len((folder / "jobs/verdicts/verdicts.csv").read_text().splitlines()) == 9
    evidence = Store(folder.parent.parent, "quick", folder.name).arrays("check/1-parameters/gradient", "evidence.npz")
    assert evidence["samples/cascade/signed_spearman"].shape == (2, 6, 3)


def refusals(tmp_path):
    half = tmp_path / "half.jpg"
    half.write_bytes(b"\xff\xd8\xff\xe0 half")
    (tmp_path / "empty").mkdir()
    return {
        "model": (["gallery", "--model", "efficientnet-lit0", "--layer", "x"], "efficientnet-lite0"),
        "layer": (["gallery", "--layer", "lst"], "'lst'.*last"),
        "unit": (["gallery", "--layer", "last", "--units", "99"], "between 0 and 11"),
        "units": (["gallery", "--layer", "last", "--units", "a-b"], "numbers and ranges"),
        "class": (["gallery", "--layer", "logits", "--units", "zebra"], "Unknown class"),
        "method": (["explain", "PHOTO", "--method", "grdcam"], "'grdcam'.*gradcam"),
        "stranger": (["explain", "PHOTO", "--method", "no.such:thing"], "module:function"),
        "target": (["explain", "PHOTO", "--target", "7"], "between 0 and 4"),
        "cam layer": (["explain", "PHOTO", "--method", "gradcam", "--layer", "pool"], "positions"),
        "image": (["explain", str(half)], "half.jpg"),
        "missing image": (["explain", str(tmp_path / "none.png")], "which is not a file"),
        "folder": (["check", "--images", str(tmp_path / "empty")], "holds none"),
        "check": (["check", "--check", "parametres"], "parameters"),
        "out": (["explain", "PHOTO", "--out", "/proc/nowhere"], "can be written"),
    }


@pytest.mark.parametrize(
    "case",
    [
        "model",
        "layer",
        "unit",
        "units",
        "class",
        "method",
        "stranger",
        "target",
        "cam layer",
        "image",
        "missing image",
        "folder",
        "check",
        "out",
    ],
)
def test_bad_input_is_one_line_exit_two_and_nothing_written(command, user, photo, tmp_path, case):
    import re

    words, expected = refusals(tmp_path)[case]
    words = [str(photo) if word == "PHOTO" else word for word in words]
    model = [] if case == "model" else user
    code, output, error = command(*words, *model, out=case != "out")
    last = error.strip().splitlines()[-1]
    assert code == 2 and re.search(expected, last), error
    assert last.startswith("Error: ") and not (tmp_path / "artifacts").exists() and output == ""


def test_recipes_that_name_code_need_allow_code(command, quick):
    code, _, error = command("run", quick, "--set", "explain.methods=['tests.recipes.external:good']")
    assert code == 2 and "--allow-code" in error
    assert (
        command(
            "run",
            quick,
            "--allow-code",
            "--set",
            "explain.methods=['tests.recipes.external:good']",
            "--set",
            "check=[]",
            "--set",
            "gallery=[]",
        )[0]
        == 0
    )


def test_init_writes_a_recipe_that_is_valid_and_never_over_a_file(command, tmp_path):
    from recipes import schema

    path = tmp_path / "mine.toml"
    assert command("init", path, out=False)[0] == 0
    assert schema.read(path).name == "mine"
    code, _, error = command("init", path, out=False)
    assert code == 2 and "exists" in error
    assert command("init", tmp_path / "mine.yaml", out=False)[0] == 2
    assert command("init", tmp_path / "no" / "mine.toml", out=False)[0] == 2


def test_show_finds_runs(command, quick, tmp_path, monkeypatch):
    command("run", quick, "--set", "check=[]", "--set", "gallery=[]", "--set", "explain.methods=['gradient']")
    monkeypatch.chdir(tmp_path)
    folder = next((tmp_path / "artifacts/quick").glob("*/index.html")).parent
    for name in (folder, folder.name, folder.name[:5], "quick"):
        code, output, _ = command("show", name, "--print", out=False)
        assert code == 0 and pathlib.Path(output.strip()).resolve() == folder / "index.html"
    code, _, error = command("show", "quik", out=False)
    assert code == 2 and "quick" in error


@pytest.mark.parametrize(
    "words", [["explan"], ["explain", "PHOTO", "--metod", "x"], ["list", "layer"], ["--determinist"]]
)
def test_a_misspelt_word_is_answered_with_the_nearest(command, photo, words):
    code, output, error = command(*[photo if word == "PHOTO" else word for word in words], out=False)
    last = error.strip().splitlines()[-1]
    nearest = {"explan": "explain", "explain": "--method", "list": "layers", "--determinist": "--deterministic"}
    assert code == 2 and output == "" and f"Nearest: {nearest[words[0]]}" in last and "Received: " in last, error
    assert "Did you mean" not in error


def test_errors_are_json_too(command, user, photo, tmp_path):
    cases = {
        2: [
            ["explan", "--json"],
            ["explain", "--json"],
            ["explain", photo, "--nothing", "--json"],
            ["explain", photo, *user, "--method", "grdcam", "--json"],
            ["explain", photo, *user, "--weights", "none", "--json"],
            ["list", "layers", "--model", "nothing", "--json"],
            ["compare", "first", "second", "--json"],
            ["run", "nothing.toml", "--json"],
            ["gallery", "--json"],
        ],
        3: [["explain", photo, *user, "--method", "xrai", "--option", "xrai.steps=-1", "--json"]],
        1: [["check", *user, "--method", "gradient", "--seeds", 2, "--fail-on", "inconclusive", "--json"]],
    }
    for expected, commands in cases.items():
        for words in commands:
            code, output, error = command(*words, out=expected != 2)
            reported = json.loads(output)["error"]
            assert code == expected == reported["code"], (words, error)
            assert reported["message"] and error.strip().endswith(f"Error: {reported['message']}"), (words, error)


def test_a_stop_is_json_too(command, user, photo):
    words = ["--method", "tests.recipes.external:swallows_a_stop", "--json"]
    code, output, error = command("explain", photo, *user, *words)
    assert code == 143 and json.loads(output)["error"]["code"] == 143 and "are done and kept" in error


def test_what_is_listed_as_json(command, small_file):
    layers = json.loads(command("list", "layers", "--model", small_file, "--json", out=False)[1])
    row = next(row for row in layers["layers"] if row["path"] == "last")
    assert row["parameters"] == 108 and row["output shape"] == [None, 8, 8, 12] and layers["error"] is None
    methods = json.loads(command("list", "methods", "--json", out=False)[1])["methods"]
    assert {row["name"]: row["kind"] for row in methods}["edges"] == "control"
    parts = json.loads(command("doctor", "--json", out=False)[1])["parts"]
    assert {"tensorflow", "memory", "cores"} <= {part["name"] for part in parts}


def test_a_check_ends_with_its_verdicts_by_outcome(command, user):
    words = ["check", *user, "--method", "gradient,gradcam", "--seeds", 2]
    code, output, error = command(*words, "--quiet")
    methods, verdicts, controls, path = output.strip().splitlines()[-4:]
    assert code == 0 and methods == "2 methods checked by 1 check", error
    assert verdicts.startswith("verdicts: ") and "gradient" in verdicts and "gradcam" in verdicts
    assert controls == "controls: 5 of 5 as they must be" and pathlib.Path(path).name == "index.html"
    result = json.loads(command(*words, "--json")[1])
    assert result["summary"] == [methods, verdicts, controls] and result["error"] is None
    assert len(result["verdicts"]) == 7 and all(job["done"] for job in result["jobs"])
    assert all(pathlib.Path(job["folder"]).is_dir() for job in result["jobs"])
    assert {verdict["method"] for verdict in result["verdicts"]} >= {"gradient", "gradcam", "edges"}


def test_doctor(command):
    code, output, _ = command("doctor", out=False)
    assert code == 0 and "tensorflow" in output and "memory" in output and "cores" in output
    code, output, _ = command("doctor", "--tensorflow", out=False)
    assert code == 0 and "CPU 0" in output and "computes a gradient" in output


def test_doctor_reports_a_tensorflow_that_does_not_compute(command, monkeypatch):
    monkeypatch.setitem(sys.modules, "lab.environment", None)
    code, output, error = command("doctor", "--tensorflow", out=False)
    assert code == 3 and "devices" in error and "ModuleNotFoundError" in output
    assert command("doctor", out=False)[0] == 0


def test_help_teaches():
    import click.testing

    for name in ["", *main.list_commands(None)]:
        done = click.testing.CliRunner().invoke(main, [*([name] if name else []), "--help"])
        assert done.exit_code == 0 and len(done.stdout) > 150


def test_a_list_of_names_is_typed_once(command):
    code, _, err = command("check", "--check", "truth", "--check=parameters", "--world", "patch")
    assert code == 2 and "--check is given once, with its names separated by commas. Received: 2 times" in err
