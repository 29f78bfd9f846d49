"""The sanity floor from the command: worlds, report card, JUnit, baselines, gates, and the pytest fixture."""

import functools
import json
import pathlib
from xml.etree import ElementTree

import numpy as np
import pytest

from recipes import schema
from recipes.cache import Cache
from recipes.junit import junit
from sanity.worlds.world import Training

SMALL = ["check", "--world", "series", "--replicates", "4", "--samples", "12", "--method", "gradient,gradient_x_input"]


@pytest.fixture(scope="module", autouse=True)
def quick_training():
    """Networks of the series learn in fewer passes, each at a higher rate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sanity.worlds.series.Training", functools.partial(Training, rate=1e-2))
        yield


@pytest.fixture(scope="module")
def world_run(tmp_path_factory):
    """One run in a world, for several tests to look at."""
    import click.testing

    from recipes.cli import main

    root = tmp_path_factory.mktemp("world")
    words = [*SMALL, "--check", "parameters,truth,classes,measurements", "--out", str(root / "artifacts"), "--json"]
    done = click.testing.CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def kept(world_run):
    """Words that let a command find the networks of this world, which are trained already."""
    return ["--out", pathlib.Path(world_run["run"]).parent.parent]


def test_a_world_is_trained_proven_checked_and_reported(world_run):
    folder = pathlib.Path(world_run["run"])
    about = json.loads((folder / "jobs/networks/networks.json").read_text())
    assert about["replicates"] == 4 and about["proof"]["cue_flip_rate"] > 0.9 and not world_run["failed"]
    verdicts = {(row["family"], row["method"]): row for row in world_run["verdicts"]}
    assert verdicts["1-truth", "edges"]["outcome"] == "FAIL" and verdicts["2-classes", "gradient"]["outcome"] == "PASS"
    assert verdicts["1-truth", "noise"]["outcome"] in ("FAIL", "INCONCLUSIVE")
    assert verdicts["0-parameters", "edges"]["outcome"] == "FAIL"
    report = (folder / "index.html").read_text()
    for words in (
        "Responds to weights",
        "Follows the cue in use",
        "Responds to class",
        "Measurements",
        "the motif of one family decides",
        "sparseness",
    ):
        assert words in report, words


def test_junit_is_read_by_what_reads_junit(world_run):
    root = ElementTree.parse(pathlib.Path(world_run["run"]) / "jobs/verdicts/junit.xml").getroot()
    suites = {suite.get("name"): suite for suite in root}
    assert set(suites) == {"0-parameters", "1-truth", "2-classes"}
    for suite in suites.values():
        cases = {case.get("name"): case for case in suite}
        assert cases["edges"].find("failure") is None and int(suite.get("tests")) == len(cases)
        assert int(suite.get("failures")) == sum(case.find("failure") is not None for case in cases.values())


@pytest.mark.parametrize(
    "outcome, finding, held, tag",
    [
        ("PASS", "RESPONDED", None, None),
        ("FAIL", "INPUT-DOMINATED", None, "failure"),
        ("INVALID", "GATE FAILED", None, "error"),
        ("INVALID", "NOT APPLICABLE", None, "skipped"),
        ("INCONCLUSIVE", "UNDECIDED", None, "skipped"),
        ("FAIL", "INPUT-DOMINATED", True, None),
        ("PASS", "RESPONDED", False, "failure"),
    ],
)
def test_junit_tags(outcome, finding, held, tag):
    verdict = {"method": "m", "outcome": outcome, "finding": finding, "sentence": "said <so>"}
    audits = [] if held is None else [{"control": "m", "outcome": outcome, "expected": ["FAIL"], "held": held}]
    case = ElementTree.fromstring(junit("r", {"f": {"verdicts": [verdict], "controls": audits, "blind": []}}))[0][0]
    assert [child.tag for child in case] == [tag or "system-out"] and case[0].text == "said <so>"


def test_options_and_keys_are_read_by_their_former_names(command):
    code, _, error = command("check", "--world", "template", "--twins", "4", "--misled=2")
    assert code == 2 and "Replicates are trained" in error
    assert "--twins is now called --replicates" in error and "--misled is now called --permuted-label-" in error
    with pytest.warns(DeprecationWarning, match="'twins' of a recipe is now called 'replicates'"):
        recipe = schema.recipe({"name": "x", "world": {"name": "series", "twins": 3}, "check": [{}]})
    assert recipe.world.replicates == 3


def test_a_second_run_takes_its_networks_from_the_cache_and_tells_what_changed(world_run, command, tmp_path):
    folder = pathlib.Path(world_run["run"])
    files = sorted((folder.parent.parent / "networks").glob("*.npz"))
    assert len(files) == 8, "four networks of each cue"
    times = [file.stat().st_mtime_ns for file in files]
    words = [*SMALL, "--check", "truth", "--out", folder.parent.parent, "--baseline", folder]
    code, output, _ = command(*words, out=False)
    assert code == 0 and f"compared with the baseline {folder}" in output
    # The checks that are left out are named, and the one that is asked again is the same.
    assert "NO LONGER ASKED  parameters  gradient" in output and "4 no longer asked, 2 same" in output
    assert [file.stat().st_mtime_ns for file in files] == times


def test_the_cache_gives_back_what_was_put_and_survives_its_own_loss(tmp_path):
    cache, calls = Cache(tmp_path), []

    def compute():
        calls.append(1)
        return {"a/kernel": np.arange(6.0).reshape(2, 3), "bias": np.zeros(2, "float32")}

    first, second = cache.get("k" * 64, compute), cache.get("k" * 64, compute)
    assert len(calls) == 1 and set(first) == set(second) == {"a/kernel", "bias"}
    assert all(np.array_equal(first[name], second[name]) and first[name].dtype == second[name].dtype for name in first)
    next((tmp_path / "networks").glob("*.npz")).unlink()
    cache.get("k" * 64, compute)
    assert len(calls) == 2


def test_fail_on_gates_on_methods_and_passes_over_what_does_not_apply(command, kept):
    words = [*SMALL[:-2], "--method", "gradient", "--check", "implementation,contract"]
    assert command(*words, "--fail-on", "fail", *kept, out=False)[0] == 0
    few = ["check", "--world", "series", "--replicates", "1", "--samples", "12", "--method", "gradient_x_input"]
    code, _, error = command(*few, "--check", "invariance", "--fail-on", "fail", *kept, out=False)
    assert code == 1 and "gradient_x_input fell short" in error


@pytest.mark.parametrize(
    "words, expected",
    [
        (["--world", "pach"], "Unknown world.*patch"),
        (["--world", "patch", "--model", "x.keras"], "brings its own.*--model"),
        (["--world", "patch", "--images", "photos"], "brings its own.*--images"),
        (["--world", "patch", "--target", "3"], "cue decides each sample's target"),
        (["--world", "template", "--replicates", "4"], "Replicates are trained"),
        (["--replicates", "3"], "options of a world, and of --train and --finetune"),
        (["--check", "truth,lables"], "Unknown check.*labels"),
        (["--baseline", "nothing-there"], "nothing-there"),
    ],
)
def test_bad_words_are_one_line(command, tmp_path, words, expected):
    import re

    code, _, error = command("check", *words)
    last = error.strip().splitlines()[-1]
    assert code == 2 and re.search(expected, last), error
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize(
    "table, expected",
    [
        ({"mode": "sideways"}, "top_down.*'sideways'"),
        ({"seeds": 1}, "2 or more"),
        ({"sedes": 3}, "Unknown key of the check parameters.*seeds"),
        ({"check": "faithfulness", "metrics": ["deletion"]}, "Unknown metric"),
        ({"initialization": "zeros"}, "Unknown initialization"),
        (
            {"methods": ["smoothgrad"], "options": {"smoothgrad": {"sample": 3}}},
            "Unknown option of smoothgrad.*samples",
        ),
    ],
)
def test_settings_of_checks_are_refused_before_anything_runs(table, expected, tmp_path):
    from recipes.jobs import list_jobs
    from recipes.session import Session
    from recipes.sources import Sources

    recipe = schema.recipe({"name": "x", "world": {"name": "template", "replicates": 1}, "check": [table]})
    with pytest.raises(ValueError, match=expected):
        list_jobs(recipe, Session(Sources.of(recipe), tmp_path))


def test_what_a_method_cannot_do_costs_no_other_method(command, kept):
    """XRAI segments images and no series: that is an answer about XRAI alone, and Grad-CAM has its positions."""
    words = [
        "check",
        "--world",
        "series",
        "--replicates",
        "1",
        "--samples",
        "12",
        "--method",
        "xrai,gradcam,gradient",
        "--check",
        "classes",
    ]
    code, output, _ = command(*words, *kept, out=False)
    (line,) = [line for line in output.splitlines() if " xrai " in line]
    assert code == 0 and "NOT APPLICABLE on series: gate not applicable: method can be asked" in line
    assert "XRAI segments images" in line and output.count("method can be asked") == 1


def test_a_fault_inside_a_check_fails_its_job_and_is_no_answer(command, monkeypatch):
    from sanity.checks import sensitivity

    def broken(*_):
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr(sensitivity, "similarities", broken)
    words = ["check", "--world", "template", "--samples", "12", "--method", "gradient", "--check", "sensitivity"]
    code, output, error = command(*words)
    assert code == 3 and "could not be broadcast" in error and "NOT APPLICABLE" not in output


def test_lists_of_worlds_and_metrics(command):
    for kind, words in (("worlds", "ruler"), ("metrics", "sensitivity_n"), ("checks", "faithfulness")):
        code, output, _ = command("list", kind, out=False)
        assert code == 0 and words in output


# The fixture --------------------------------------------------------------------------------------------------------------


def photographs(count=6):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (16, 16, 3), dtype=np.uint8) for _ in range(count)]


def test_a_users_own_suite_asks_for_a_verdict(lab_check, small_file):
    verdict = lab_check(str(small_file), photographs(), "edges", input_range=(-1, 1))
    assert verdict.outcome == "FAIL"
    verdict = lab_check(str(small_file), photographs(), "gradient_x_input", check="invariance", input_range=(-1, 1))
    assert "input_shift" in verdict.why
    with pytest.raises(ValueError, match="Unknown method"):
        lab_check(str(small_file), photographs(), "gradeint", input_range=(-1, 1))


def test_a_broken_check_breaks_the_users_test(lab_check, small_file, monkeypatch):
    from sanity import controls

    monkeypatch.setitem(controls.EXPECTED, "parameters", {"edges": ("PASS",)})
    with pytest.raises(AssertionError, match="edges came out FAIL"):
        lab_check(str(small_file), photographs(), "gradient", input_range=(-1, 1))


def test_every_method_is_planned_in_a_world_before_its_networks_are_there(command):
    code, out, err = command("check", "--world", "series", "--method", "all", "--check", "truth", "--plan")
    assert code == 0, err
    assert "check/0-truth" in out


def test_an_option_of_a_method_reaches_its_checks(command, user, photo):
    words = ("check", "--images", photo, "--method", "smoothgrad,gradient", "--seeds", 2, *user)
    code, output, error = command(*words, "--option", "smoothgrad.samples=2")
    assert code == 0, error
    run = pathlib.Path(output.strip().splitlines()[-1]).parent
    options = {
        path.parent.name: json.loads(path.read_text())["settings"] for path in run.glob("jobs/check/*/*/evidence.json")
    }
    assert options["smoothgrad"]["samples"] == 2 and "samples" not in options["gradient"]
    assert command(*words, "--option", "smoothgrad")[0] == 2
    assert "Unknown option of gradient" in command(*words, "--option", "gradient.samples=2")[2]
