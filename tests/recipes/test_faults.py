"""A fault costs its own cell: the command says so with its exit code, the page and every file too, and all else is as without it."""

import json
import pathlib
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from recipes.store import Store

FAULTS = ["raises", "raises_without_words", "writes", "assigns_and_raises", "trains", "leaves", "empty", "nothing"]


def named(name):
    return f"tests.recipes.strangers:{name}"


def maps_of(said, method):
    folder = pathlib.Path(said["run"])
    return Store(folder.parent.parent, folder.parent.name, folder.name).arrays(f"explain/{method}", "maps.npz")[
        "maps/0"
    ]


def test_explain_goes_on_past_every_fault_and_no_later_method_notices(command, user, photo):
    code, alone, _ = command("explain", photo, *user, "--method", "gradient", "--json")
    assert code == 0
    methods = ",".join([*(named(name) for name in FAULTS), "gradient"])
    code, said, error = command("explain", photo, *user, "--method", methods, "--json")
    said = json.loads(said)
    assert code == 3 and len(said["failed"]) == len(FAULTS)
    assert np.array_equal(maps_of(said, "gradient"), maps_of(json.loads(alone), "gradient"))
    page = pathlib.Path(said["report"]).read_text()
    for name in FAULTS:
        assert f"{named(name)}</b> failed" in page and any(line.startswith(named(name)) for line in said["maps"]), name
    assert any("its text raises RuntimeError" in line for line in said["maps"]) and "raises: ValueError" in error


def test_a_check_judges_the_others_beside_a_fault(command, user):
    alone = json.loads(command("check", *user, "--method", "gradient", "--seeds", 2, "--json")[1])["verdicts"]
    methods = f"{named('raises')},{named('assigns')},gradient"
    code, said, error = command("check", *user, "--method", methods, "--seeds", 2, "--json", "--fail-on", "fail")
    said = json.loads(said)
    found = {each["method"]: each for each in said["verdicts"]}
    assert code == 3 and "2 of the jobs failed" in error
    assert found["gradient"] == next(each for each in alone if each["method"] == "gradient")
    for name in ("raises", "assigns"):
        assert (found[named(name)]["outcome"], found[named(name)]["finding"]) == ("INVALID", "FAULT"), found[
            named(name)
        ]
    assert "shapes do not match" in found[named("raises")]["sentence"]
    junit = ElementTree.parse(pathlib.Path(said["run"]) / "jobs/verdicts/junit.xml")
    assert {case.get("name"): case.find("error") is not None for case in junit.iter("testcase")}[named("raises")]


def test_a_fault_is_tried_again_and_its_run_says_so_until_it_is_gone(command, user, monkeypatch):
    from tests.recipes import strangers

    words = ["check", *user, "--method", named("raises"), "--seeds", 2]
    assert command(*words)[0] == 3
    assert command(*words)[0] == 3
    monkeypatch.setattr(strangers, "raises", strangers.good)
    code, said, _ = command(*words)
    assert code == 0 and "FAULT" not in said


def test_maps_of_zeros_and_of_nan_are_invalid_and_fall_short_of_the_gate(command, user):
    for name in ("zeros", "words"):
        code, said, _ = command("check", *user, "--method", named(name), "--seeds", 2, "--fail-on", "fail")
        assert code in (1, 3) and "INVALID" in said
    code, said, _ = command("check", *user, "--method", "tests.recipes.strangers:broken", "--seeds", 2)
    assert code == 0 and "INVALID" in said


def test_a_softmax_head_keeps_its_verdicts_where_another_library_refuses_it(command, user):
    """The counterpart of our gradient in tf-explain refuses a softmax of its own: that is an answer about that pair alone."""
    code, said, _ = command("check", *user, "--method", "gradient", "--check", "implementation,contract", "--json")
    found = {each["family"]: each for each in json.loads(said)["verdicts"] if each["method"] == "gradient"}
    assert code == 0 and found["1-contract"]["outcome"] == "PASS"
    assert found["0-implementation"]["finding"] != "FAULT"


def test_a_method_that_every_check_is_refused_by_is_not_green(command, user):
    words = ["check", *user, "--method", "xplique.none"]
    assert command(*words)[0] == 2
    words = ["check", *user, "--method", "gradient,blur_integrated_gradients", "--check", "contract"]
    assert command(*words, "--fail-on", "fail")[0] == 0


def test_a_method_that_refuses_after_its_first_answer_is_not_green(command, user):
    words = ["check", *user, "--method", named("refuses_many"), "--seeds", 2]
    assert command(*words)[0] == 0
    code, said, error = command(*words, "--fail-on", "fail")
    assert code == 1 and "nothing was learned" in error and "NOT APPLICABLE" in said
    assert command(*words, "--check", "parameters,contract", "--fail-on", "fail")[0] == 1


def test_a_gate_that_nothing_could_fail_is_refused_and_refused_measurements_are_told(command, user):
    words = ["check", *user, "--method", named("refuses_many"), "--check", "measurements", "--quiet"]
    code, _, error = command(*words, "--fail-on", "fail")
    assert code == 2 and "measurements, of which there is no verdict" in error
    code, said, _ = command(*words)
    assert code == 0 and "one image at a time" in said
    code, _, error = command("check", *user, "--method", "gradient", "--check", "labels", "--fail-on", "inconclusive")
    assert code == 1 and "gradient: no check applied" in error


def test_what_is_written_past_python_does_not_spoil_the_result(small_file, tmp_path):
    Image.fromarray(np.zeros((20, 20, 3), "uint8")).save(tmp_path / "photo.png")
    words = ["explain", tmp_path / "photo.png", "--model", small_file, "--input-range", -1, 1, "--json"]
    words += ["--method", named("shouts"), "--out", tmp_path]
    code = "from recipes.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0 and "loud" in done.stderr
    assert json.loads(done.stdout)["failed"] == []


def test_the_fixture_breaks_the_users_test_at_a_fault(lab_check, small_file):
    from tests.recipes import strangers

    images = list(np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8))
    for name in ("raises", "assigns", "leaves"):
        with pytest.raises(AssertionError, match="FAULT"):
            lab_check(str(small_file), images, getattr(strangers, name), input_range=(-1, 1))
    verdict = lab_check(str(small_file), images, strangers.zeros, input_range=(-1, 1))
    assert verdict.outcome == "INVALID" and not verdict.passed


def test_the_contract_names_what_a_method_breaks():
    import lab
    from sanity.contract import violations
    from tests import networks
    from tests.recipes import strangers

    network, goal = networks.network(networks.flat()), lab.logit(1)
    for name, words in {"writes": "wrote into", "assigns": "changed", "raises": "it raised ValueError"}.items():
        (broken,) = violations(getattr(strangers, name), network, networks.images(), goal)
        assert words in broken
    for name in ("good", "unused_seed"):
        assert violations(getattr(strangers, name), network, networks.images(), goal) == []
