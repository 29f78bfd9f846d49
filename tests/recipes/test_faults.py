"""A fault costs its own cell: the command says so with its exit code, the page and every file too, and all else is as without it."""

import json
import pathlib
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from recipes.store import Store
from tests.processes import COMMAND, start_code

FAULTS = ["raises", "raises_without_words", "writes", "assigns_and_raises", "trains", "leaves", "empty", "nothing"]


def external_name(name):
    return f"tests.recipes.external:{name}"


def maps_of(result, method):
    folder = pathlib.Path(result["run"])
    return Store(folder.parent.parent, folder.parent.name, folder.name).arrays(f"explain/{method}", "maps.npz")[
        "maps/0"
    ]


def test_explain_goes_on_past_every_fault_and_no_later_method_notices(command, user, photo):
    code, alone, _ = command("explain", photo, *user, "--method", "gradient", "--json")
    assert code == 0
    methods = ",".join([*(external_name(name) for name in FAULTS), "gradient"])
    code, output, error = command("explain", photo, *user, "--method", methods, "--json")
    result = json.loads(output)
    assert code == 3 and len(result["failed"]) == len(FAULTS)
    assert np.array_equal(maps_of(result, "gradient"), maps_of(json.loads(alone), "gradient"))
    page = pathlib.Path(result["report"]).read_text().replace("<wbr>", "")
    for name in FAULTS:
        assert f"{external_name(name)}</b> failed" in page and any(
            line.startswith(external_name(name)) for line in result["maps"]
        ), name
    assert any("its text raises RuntimeError" in line for line in result["maps"]) and "raises: ValueError" in error


def test_a_check_judges_the_others_beside_a_fault(command, user):
    alone = json.loads(command("check", *user, "--method", "gradient", "--seeds", 2, "--json")[1])["verdicts"]
    methods = f"{external_name('raises')},{external_name('assigns')},gradient"
    code, output, error = command("check", *user, "--method", methods, "--seeds", 2, "--json", "--fail-on", "fail")
    result = json.loads(output)
    verdicts = {verdict["method"]: verdict for verdict in result["verdicts"]}
    assert code == 3 and "2 of the jobs failed" in error
    assert verdicts["gradient"] == next(verdict for verdict in alone if verdict["method"] == "gradient")
    for name in ("raises", "assigns"):
        assert (verdicts[external_name(name)]["outcome"], verdicts[external_name(name)]["finding"]) == (
            "INVALID",
            "FAULT",
        ), verdicts[external_name(name)]
    assert "shapes do not match" in verdicts[external_name("raises")]["sentence"]
    junit = ElementTree.parse(pathlib.Path(result["run"]) / "jobs/verdicts/junit.xml")
    assert {case.get("name"): case.find("error") is not None for case in junit.iter("testcase")}[
        external_name("raises")
    ]


def test_a_fault_is_tried_again_and_its_run_says_so_until_it_is_gone(command, user, monkeypatch):
    from tests.recipes import external

    words = ["check", *user, "--method", external_name("raises"), "--seeds", 2]
    assert command(*words)[0] == 3
    assert command(*words)[0] == 3
    monkeypatch.setattr(external, "raises", external.good)
    code, output, _ = command(*words)
    assert code == 0 and "FAULT" not in output


def test_maps_of_zeros_and_of_nan_are_invalid_and_fall_short_of_the_gate(command, user):
    for name in ("zeros", "words"):
        code, output, _ = command("check", *user, "--method", external_name(name), "--seeds", 2, "--fail-on", "fail")
        assert code in (1, 3) and "INVALID" in output
    code, output, _ = command("check", *user, "--method", "tests.recipes.external:broken", "--seeds", 2)
    assert code == 0 and "INVALID" in output


def test_a_softmax_head_keeps_its_verdicts_where_another_library_refuses_it(command, user):
    """The counterpart of our gradient in tf-explain refuses a softmax of its own: that is an answer about that pair alone."""
    code, output, _ = command("check", *user, "--method", "gradient", "--check", "implementation,contract", "--json")
    verdicts = {row["family"]: row for row in json.loads(output)["verdicts"] if row["method"] == "gradient"}
    assert code == 0 and verdicts["1-contract"]["outcome"] == "PASS"
    assert verdicts["0-implementation"]["finding"] != "FAULT"


def test_a_method_that_every_check_is_refused_by_is_not_green(command, user):
    words = ["check", *user, "--method", "xplique.none"]
    assert command(*words)[0] == 2
    words = ["check", *user, "--method", "gradient,blur_integrated_gradients", "--check", "contract"]
    assert command(*words, "--fail-on", "fail")[0] == 0


def test_a_method_that_refuses_after_its_first_answer_is_not_green(command, user):
    words = ["check", *user, "--method", external_name("refuses_many"), "--seeds", 2]
    assert command(*words)[0] == 0
    code, output, error = command(*words, "--fail-on", "fail")
    assert code == 1 and "nothing was learned" in error and "NOT APPLICABLE" in output
    assert command(*words, "--check", "parameters,contract", "--fail-on", "fail")[0] == 1


def test_a_gate_that_nothing_could_fail_is_refused_and_refused_measurements_are_told(command, user, tmp_path):
    few_photos = tmp_path / "photos"
    few_photos.mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(noise).save(few_photos / f"{number}.png")
    words = ["check", *user, "--method", external_name("refuses_many"), "--check", "measurements", "--quiet"]
    words += ["--images", few_photos]
    code, _, error = command(*words, "--fail-on", "fail")
    assert code == 2 and "measurements, of which there is no verdict" in error
    code, output, _ = command(*words)
    assert code == 0 and "one image at a time" in output
    code, _, error = command("check", *user, "--method", "gradient", "--check", "labels", "--fail-on", "inconclusive")
    assert code == 1 and "gradient: no check applied" in error


def test_what_is_written_past_python_does_not_spoil_the_result(small_file, tmp_path):
    Image.fromarray(np.zeros((20, 20, 3), "uint8")).save(tmp_path / "photo.png")
    words = ["explain", tmp_path / "photo.png", "--model", small_file, "--input-range", -1, 1, "--json"]
    words += ["--method", external_name("shouts"), "--out", tmp_path]
    done = start_code(COMMAND, *words)
    output, error = done.communicate()
    assert done.returncode == 0 and "loud" in error
    assert json.loads(output)["failed"] == []


def test_the_fixture_breaks_the_users_test_at_a_fault(lab_check, small_file):
    from tests.recipes import external

    images = list(np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8))
    for name in ("raises", "assigns", "leaves"):
        with pytest.raises(AssertionError, match="FAULT"):
            lab_check(str(small_file), images, getattr(external, name), input_range=(-1, 1))
    verdict = lab_check(str(small_file), images, external.zeros, input_range=(-1, 1))
    assert verdict.outcome == "INVALID" and not verdict.passed


def test_the_contract_names_what_a_method_breaks():
    import lab
    from sanity.contract import violations
    from tests import networks
    from tests.recipes import external

    network, goal = networks.network(networks.flat()), lab.logit(1)
    for name, words in {"writes": "wrote into", "assigns": "changed", "raises": "it raised ValueError"}.items():
        (broken,) = violations(getattr(external, name), network, networks.images(), goal)
        assert words in broken
    for name in ("good", "unused_seed"):
        assert violations(getattr(external, name), network, networks.images(), goal) == []
