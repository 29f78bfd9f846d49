"""Baseline: what became of verdicts between two runs: in planted pairs of runs, at the command, on the page, in a test."""

import copy
import json
import pathlib

import keras
import numpy as np
import pytest
from PIL import Image

from lab.refusal import Refused
from recipes.changes import as_lines, compare_verdicts
from recipes.errors import Gated
from recipes.gate import _gate_worse
from recipes.store import encode

# Pairs of runs ------------------------------------------------------------------------------------------------------------


def number(mean=None, half=0.05):
    known = mean is not None
    return {
        "mean": mean,
        "low": mean - half if known and half else None,
        "high": mean + half if known and half else None,
    }


def verdict(method, outcome, mean=None, half=0.05, ceiling=None, finding="X", **more):
    numbers = {"effect": number(mean, half), "ceiling": number(ceiling), "null": number()}
    return {
        "method": method,
        "outcome": outcome,
        "finding": finding,
        "sentence": outcome,
        "settings": {},
        **numbers,
        **more,
    }


def run(*verdicts, check="parameters", settings=None, **more):
    """A run of one check, as `load_run` has it."""
    table = {"check": check, "methods": [], "options": {}, "target": "top", **(settings or {})}
    recipe = {"check": [table], "model": {"source": "a.keras"}, "seed": 0, "world": None, "data": None, "planted": None}
    recipe["images"] = {"folder": "photos", "files": []}
    manifest = {
        "recipe": recipe,
        "hashes": {"images": "i", "model": "m"},
        "code": {"lab": "c"},
        "versions": {"keras": "3"},
    }
    family = {"check": check, "verdicts": list(verdicts), "controls": [], "blind": ["edges"]}
    return {"run": "before", "manifest": manifest, "families": {f"0-{check}": family}, **more}


def changes_of(before, after):
    return {row["method"]: (row["change"], row["reason"]) for row in compare_verdicts(before, after)["rows"]}


# check, first (outcome, mean), second, what became of it. Lower is better for parameters, higher for truth, neither for entropy.
PAIRS = [
    ("parameters", ("PASS", 0.2), ("FAIL", 0.9), "worse"),
    ("parameters", ("PASS", 0.2), ("FAIL", 0.22), "worse"),
    ("parameters", ("PASS", 0.2), ("INVALID", None), "worse"),
    ("parameters", ("PASS", 0.2), ("INCONCLUSIVE", 0.5), "worse"),
    ("parameters", ("PASS", 0.2), ("INCONCLUSIVE", 0.28), "within sampling"),
    ("parameters", ("INCONCLUSIVE", 0.28), ("PASS", 0.2), "within sampling"),
    ("parameters", ("INCONCLUSIVE", 0.5), ("PASS", 0.2), "better"),
    ("parameters", ("FAIL", 0.9), ("PASS", 0.2), "better"),
    ("parameters", ("INVALID", None), ("PASS", 0.2), "better"),
    ("parameters", ("INVALID", None), ("FAIL", 0.9), "changed"),
    ("parameters", ("PASS", 0.1), ("PASS", 0.3), "worse"),
    ("parameters", ("PASS", 0.3), ("PASS", 0.1), "better"),
    ("parameters", ("PASS", 0.1), ("PASS", 0.18), "within sampling"),
    ("parameters", ("PASS", 0.1), ("PASS", 0.1), "same"),
    ("truth", ("PASS", 0.3), ("PASS", 0.1), "worse"),
    ("truth", ("PASS", 0.1), ("PASS", 0.3), "better"),
    ("entropy", ("INCONCLUSIVE", 0.1), ("INCONCLUSIVE", 0.3), "changed"),
]


@pytest.mark.parametrize("check, first, second, expected", PAIRS)
def test_what_became_of_a_verdict(check, first, second, expected):
    before, after = run(verdict("m", *first), check=check), run(verdict("m", *second), check=check)
    assert changes_of(before, after)["m"][0] == expected


def test_without_intervals_nothing_is_called_sampling():
    before, after = run(verdict("m", "PASS", 0.2, half=None)), run(verdict("m", "INCONCLUSIVE", 0.21, half=None))
    assert changes_of(before, after)["m"][0] == "worse"
    change, reason = changes_of(before, run(verdict("m", "PASS", 0.4, half=None)))["m"]
    assert change == "same" and "no interval" in reason


def test_a_difference_that_no_page_shows_is_none():
    before = run(verdict("m", "PASS", 0.00010, half=0.00001), check="derivative")
    assert changes_of(before, run(verdict("m", "PASS", 0.00019, half=0.00001), check="derivative"))["m"][0] == "same"


def test_a_number_is_worse_only_where_its_share_of_the_ceiling_is_too():
    before = run(verdict("m", "PASS", 0.40, ceiling=1.0), check="truth")
    assert changes_of(before, run(verdict("m", "PASS", 0.25, ceiling=0.9), check="truth"))["m"][0] == "worse"
    assert changes_of(before, run(verdict("m", "PASS", 0.25, ceiling=0.5), check="truth"))["m"][0] == "changed"


def test_methods_that_are_new_or_left_out_are_neither_better_nor_worse():
    before, after = (
        run(verdict("a", "PASS", 0.1), verdict("b", "PASS", 0.1)),
        run(verdict("a", "PASS", 0.1), verdict("c", "FAIL", 0.9)),
    )
    assert {method: change for method, (change, _) in changes_of(before, after).items()} == {
        "a": "same",
        "c": "new",
        "b": "no longer asked",
    }


def other_data(after):
    after["manifest"]["hashes"]["images"] = "j"


def other_settings(after):
    after["manifest"]["recipe"]["check"][0]["seeds"] = 3


def other_target(after):
    after["manifest"]["recipe"]["check"][0]["target"] = "cat"


def other_options(after):
    after["manifest"]["recipe"]["check"][0]["options"] = {"m": {"samples": 9}}


def other_replicates(after):
    after["manifest"]["recipe"]["training"] = {"files": ["b.keras"]}


def broken(after):
    after["families"]["0-parameters"]["controls"] = [
        {"control": "edges", "held": False, "outcome": "PASS", "expected": ["FAIL"]}
    ]


@pytest.mark.parametrize(
    "alter, words",
    [
        (other_data, "other data"),
        (other_settings, "another seeds: None -> 3"),
        (other_target, "another target: top -> cat"),
        (other_options, "another samples: None -> 9"),
        (other_replicates, "another replicates: None -> 2"),
        (broken, "the check is broken in this run: edges came out PASS"),
    ],
)
def test_what_cannot_be_compared_is_never_worse(alter, words):
    before, after = run(verdict("m", "PASS", 0.1)), run(verdict("m", "FAIL", 0.9))
    alter(after)
    change, reason = changes_of(before, after)["m"]
    assert change == "not comparable" and words in reason


def test_the_scope_of_a_verdict_is_compared_too():
    before, after = (
        run(verdict("m", "PASS", 0.1, scope=scope)) for scope in ("this network alone", "networks trained like this")
    )
    assert changes_of(before, after)["m"][0] == "not comparable"


@pytest.mark.parametrize("older", [{}, {"scope": ""}])
def test_a_run_that_does_not_say_its_scope_is_not_taken_for_another(older):
    before, after = run(verdict("m", "PASS", 0.1, **older)), run(verdict("m", "FAIL", 0.9, scope="this network alone"))
    words = "about an unknown scope -> this network alone"
    assert changes_of(before, after)["m"] == ("not comparable", words)
    assert any(words in line for line in as_lines(compare_verdicts(before, after)))
    assert changes_of(before, before)["m"][0] == "same"


def test_what_could_not_be_judged_has_no_scope_and_is_worse():
    before = run(verdict("m", "PASS", 0.1, scope="this network alone"))
    after = run(verdict("m", "INVALID", finding="GATE FAILED", scope=""))
    assert changes_of(before, after)["m"] == ("worse", "it can no longer be judged")


ALONE, ALIKE = {"scope": "this network alone"}, {"scope": "networks trained like this"}
NOT_ASKED = verdict("a", "INVALID", finding="NOT APPLICABLE")


@pytest.mark.parametrize("older", [{}, ALIKE])
@pytest.mark.parametrize("outcome", ["FAIL", "INCONCLUSIVE"])
def test_a_pass_that_is_lost_in_another_scope_breaks_the_build(older, outcome):
    """A row that does not apply in either run was taken for a comparison, and every lost PASS went unnoticed."""
    before = run(NOT_ASKED, verdict("b", "PASS", 0.1, **older))
    after = run(NOT_ASKED, verdict("b", outcome, 0.9, **ALONE))
    with pytest.raises(Gated, match="worse than in the baseline: b parameters"):
        _gate_worse(compare_verdicts(before, after))


def test_what_does_not_apply_in_either_run_is_no_comparison():
    before, after = run(NOT_ASKED, verdict("b", "PASS", 0.1)), run(NOT_ASKED, verdict("b", "PASS", 0.1, **ALONE))
    with pytest.raises(Gated, match="no verdict can be compared with the baseline: about an unknown scope"):
        _gate_worse(compare_verdicts(before, after))
    with pytest.raises(Gated, match="no method and check is judged in both runs"):
        _gate_worse(compare_verdicts(run(NOT_ASKED), run(NOT_ASKED)))


def test_a_pass_that_is_lost_on_other_data_is_not_called_worse():
    before, after = (run(verdict("a", "PASS", 0.1), verdict("b", "PASS", 0.1, **ALIKE)) for _ in range(2))
    after["families"]["0-parameters"]["verdicts"][1] = verdict("b", "FAIL", 0.9, **ALONE)
    other_data(after)
    with pytest.raises(Gated, match="no verdict can be compared with the baseline: other data"):
        _gate_worse(compare_verdicts(before, after))


def test_a_default_that_is_written_out_is_no_other_setting():
    before, after = (
        run(verdict("m", "PASS", 0.1, settings={"seeds": 6})),
        run(verdict("m", "PASS", 0.1, settings={"seeds": 6})),
    )
    after["manifest"]["recipe"]["check"][0]["seeds"] = 6
    assert changes_of(before, after)["m"][0] == "same"


def test_a_check_is_known_again_at_another_place():
    before = run(verdict("m", "PASS", 0.1))
    after = run(verdict("m", "FAIL", 0.9))
    after["manifest"]["recipe"]["check"].insert(0, {"check": "contract", "options": {}})
    after["families"] = {"1-parameters": after["families"]["0-parameters"]}
    assert changes_of(before, after)["m"][0] == "worse"


def test_code_versions_and_seed_are_said_first_as_other_causes():
    before, after = run(verdict("m", "PASS", 0.1)), run(verdict("m", "FAIL", 0.9))
    after["manifest"]["code"] = {"lab": "d"}
    after["manifest"]["versions"] = {"keras": "4"}
    after["manifest"]["recipe"]["seed"] = 1
    comparison = compare_verdicts(before, after)
    assert comparison["causes"] == ["keras 3 -> 4", "the source of lab is another one", "seed 0 -> 1"]
    lines = as_lines(comparison)
    worse = next(place for place, line in enumerate(lines) if "WORSE" in line)
    assert all("may be the cause" in line for line in lines[2:worse]) and worse == 5


def test_a_run_is_the_same_as_itself_and_controls_are_not_counted():
    before = run(verdict("m", "PASS", 0.1), verdict("edges", "FAIL", 0.9))
    comparison = compare_verdicts(before, copy.deepcopy(before))
    assert {row["change"] for row in comparison["rows"]} == {"same"} and sum(comparison["counts"].values()) == 1
    assert comparison["data"] == comparison["causes"] == [] and "the same: a.keras" in comparison["network"]


# At the command -----------------------------------------------------------------------------------------------------------


def network_with_bias(bias):
    """ReLU, means and one Dense: gradient x input adds up to the score exactly where there is no bias, and else does not."""
    inputs = keras.Input((16, 16, 3))
    conv = keras.layers.Conv2D(8, 3, activation="relu", name="conv")
    model = keras.Model(
        inputs, keras.layers.Dense(4, use_bias=False)(keras.layers.GlobalAveragePooling2D()(conv(inputs)))
    )
    rng = np.random.default_rng(0)
    kernels = [rng.normal(size=weight.shape) for weight in model.get_weights()]
    kernels[1] = np.full(8, bias)
    model.set_weights(kernels)
    return model


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """A folder with two versions of a network, of which the second is worse, two folders of photographs, and a first run."""
    import click.testing

    from recipes.cli import main

    folder = tmp_path_factory.mktemp("versions")
    network_with_bias(0.0).save(folder / "v1.keras")
    network_with_bias(-3.0).save(folder / "v2.keras")
    rng = np.random.default_rng(0)
    for name in ("photos", "others"):
        (folder / name).mkdir()
        for place in range(10):
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / name / f"{place}.png")

    def lab(*words):
        done = click.testing.CliRunner().invoke(main, [*map(str, words), "--out", str(folder / "artifacts")])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout, done.stderr

    def check(model, images, *words, checks="completeness,contract"):
        where = ["--model", folder / f"{model}.keras", "--input-range", -1, 1, "--images", folder / images]
        return lab("check", *where, "--method", "gradient_x_input", "--check", checks, "--quiet", *words)

    code, output, _ = check("v1", "photos")
    assert code == 0
    return folder, check, pathlib.Path(output.strip().splitlines()[-1]).parent, lab


def test_a_worse_version_is_told_from_the_same_and_breaks_the_build(versions):
    folder, check, first, _ = versions
    code, output, error = check("v2", "photos", "--baseline", first, "--fail-on", "worse")
    assert code == 1 and "gradient_x_input completeness: PASS COMPLETE 0.00" in error
    assert "v1.keras -> " in output and "WORSE  completeness  gradient_x_input  PASS" in output
    page = pathlib.Path(output.strip().splitlines()[-1]).read_text()
    assert 'id="changes"' in page and 'data-change="worse"' in page and 'href="#changes"' in page
    # The same version is the same, by the name of the recipe too, which is looked for under --out.
    for name in (first, first / "index.html", first.name[:8]):
        code, output, _ = check("v1", "photos", "--baseline", name, "--fail-on", "worse", "--json")
        result = json.loads(output)
        assert code == 0 and result["baseline"]["counts"]["same"] == 2
        assert (
            "The network is the same" in result["baseline"]["network"] and "2 verdicts: 2 same" in result["changed"][-1]
        )
    # What got better breaks nothing.
    worse = next(path.parent for path in first.parent.glob("*/manifest.json") if "v2.keras" in path.read_text())
    code, output, _ = check("v1", "photos", "--baseline", worse, "--fail-on", "worse")
    assert code == 0 and "BETTER  completeness" in output


def test_a_baseline_on_other_data_is_not_comparable_and_does_not_pass_the_gate(versions):
    _, check, first, _ = versions
    code, output, error = check("v2", "others", "--baseline", first, "--fail-on", "worse")
    assert code == 1 and "no verdict can be compared with the baseline: other data" in error
    assert "WORSE" not in output and output.index("NOT COMPARABLE: other data") < output.index(
        "completeness  gradient_x_input  PASS"
    )
    code, _, _ = check("v2", "others", "--baseline", first)
    assert code == 0


def test_what_is_no_baseline_is_one_line_and_nothing_is_written(versions, tmp_path):
    folder, check, first, lab = versions
    where = ["--model", folder / "v1.keras", "--input-range", -1, 1]
    _, output, _ = lab("explain", folder / "photos" / "0.png", *where, "--method", "gradient", "--quiet")
    maps = pathlib.Path(output.strip().splitlines()[-1]).parent
    before = sorted(folder.rglob("manifest.json"))
    damaged = tmp_path / "artifacts" / "check" / first.name
    (damaged / "jobs").mkdir(parents=True)
    for name in ("index.html", "manifest.json", "jobs/verdicts/verdicts.json", "jobs/verdicts/done.json"):
        (damaged / name).parent.mkdir(exist_ok=True)
        (damaged / name).write_bytes((first / name).read_bytes())
    verdicts = damaged / "jobs" / "verdicts" / "verdicts.json"
    verdicts.write_text(verdicts.read_text().replace("PASS", "FAIL"))
    for baseline, words in (
        (maps, "A baseline is a run with verdicts"),
        (maps / "index.html", "A baseline is a run with verdicts"),
        (maps / "manifest.json", "A run is a folder with a report, its page, a digest"),
        (tmp_path / "nowhere" / "index.html", "A run is a folder with a report, its page, a digest"),
        (damaged, "which is damaged"),
        ("nothing-there", "A run is a folder with a report"),
        ("s3://user:word@bucket/run", "holds no password"),
    ):
        code, _, error = check("v1", "photos", "--baseline", baseline)
        assert code == 2 and words in error.strip().splitlines()[-1], error
    code, _, error = check("v1", "photos", "--fail-on", "worse")
    assert code == 2 and "--fail-on worse compares with an earlier run" in error
    code, _, error = check("v1", "photos", "--baseline", first, checks="measurements")
    assert code == 2 and "measurements, of which there is no verdict" in error
    assert sorted(folder.rglob("manifest.json")) == before


def test_a_recipe_has_a_baseline_and_needs_a_check_for_it(tmp_path):
    from recipes import schema

    with pytest.raises(Refused, match="add \\[\\[check\\]\\]"):
        schema.recipe({"name": "x", "baseline": "before", "explain": {}})
    assert schema.recipe({"name": "x", "baseline": "before", "check": [{}]}).baseline == "before"


# In a test ----------------------------------------------------------------------------------------------------------------


def test_the_fixture_compares_with_a_run_of_the_command(lab_check, versions):
    folder, _, first, _ = versions
    words = {"check": "completeness", "input_range": (-1, 1), "baseline": first / "index.html"}
    arguments = (folder / "photos", "gradient_x_input")
    assert lab_check(folder / "v1.keras", *arguments, **words).outcome == "PASS"
    with pytest.raises(
        AssertionError, match=r"worse than in the baseline: gradient_x_input(.|\n)*The report: .*index.html"
    ):
        lab_check(folder / "v2.keras", *arguments, **words)
    # A model in memory is the same network.
    assert lab_check(network_with_bias(0.0), *arguments, **words).outcome == "PASS"
    with pytest.raises(AssertionError, match="no verdict can be compared with the baseline: other data"):
        lab_check(folder / "v1.keras", folder / "others", "gradient_x_input", **words)


def test_the_fixture_fails_in_one_message(lab_check, versions):
    folder, *_ = versions
    arguments = (folder / "v2.keras", folder / "photos", "gradient_x_input")
    verdict = lab_check(*arguments, check="completeness", input_range=(-1, 1))
    assert verdict.outcome != "PASS"
    with pytest.raises(AssertionError) as failure:
        lab_check(*arguments, check="completeness", input_range=(-1, 1), fail_on="inconclusive")
    message, report = str(failure.value).splitlines()
    assert verdict.sentence in message and pathlib.Path(report.removeprefix("The report: ")).is_file()
    shown = [entry for entry in failure.traceback if not entry.ishidden(failure)]
    assert [pathlib.Path(entry.path).name for entry in shown] == [pathlib.Path(__file__).name]


def test_encoded_comparisons_are_json():
    assert json.loads(encode(compare_verdicts(run(verdict("m", "PASS", 0.1)), run(verdict("m", "PASS", 0.1)))))["rows"]


@pytest.mark.parametrize("before", ["PASS", "FAIL", "INCONCLUSIVE"])
@pytest.mark.parametrize("finding", ["GATE FAILED", "FAULT"])
def test_what_can_no_longer_be_judged_is_worse(before, finding):
    changed = changes_of(run(verdict("a", before, 0.5)), run(verdict("a", "INVALID", 0.5, finding=finding)))
    assert changed["a"][0] == "worse"
