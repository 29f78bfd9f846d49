"""Knowledge: what all runs say of the methods for one network, from runs whose verdicts are written down here."""

import json
import os
import pathlib
import re
import subprocess
import sys
import zipfile

import pytest

import lab
from lab.refusal import Refused
from recipes import provenance
from recipes.knowledge import describe_network, list_networks, shown_verdicts
from recipes.model_file import content_hash
from recipes.store import Store, encode

NUMBERS = {"mean": 0.1, "low": 0.05, "high": 0.2}
NOTHING = {"mean": None, "low": None, "high": None}


def model_file(path, weights, config=b"layers"):
    """A .keras archive as far as its hash is concerned; the metadata hold the time of saving."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", os.urandom(8).hex())
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", weights)
    return path


def write_run(root, digest, model, weights, *verdicts, finished="2026-01-01T00:00:00Z", **more):
    """A run of the check parameters: (method, outcome, finding, scope) each."""
    recipe = {"name": "check", "model": {"source": str(model)}, "seed": 0, "world": None, "data": None}
    recipe |= {"planted": None, "training": None, "images": {"folder": "photos", "files": []}}
    recipe |= {"check": [{"check": "parameters", "target": "top", "options": {}}]} | more.get("recipe", {})
    manifest = {"recipe": recipe, "hashes": {"images": "i", "model": "m", **more.get("hashes", {})}, "digest": digest}
    manifest["code"] = {"lab": more.get("code", provenance.lab_hash())}
    manifest["versions"] = {"interpretability-lab": more.get("version", lab.__version__)}
    manifest["network"] = {"file": content_hash(model), "weights": weights}
    store = Store(root, more.get("name", "check"), digest)
    store.path.mkdir(parents=True)
    store.write("manifest.json", encode(manifest))
    store.write("timings.json", encode({"finished": finished}))
    rows = [
        {
            "check": "parameters",
            "method": method,
            "outcome": outcome,
            "finding": finding,
            "scope": scope,
            "sentence": f"{finding} of {method} in {digest}",
            "effect": NUMBERS,
            "ceiling": NOTHING,
            "null": NOTHING,
            "settings": {},
        }
        for method, outcome, finding, scope in verdicts
    ]
    family = {"check": "parameters", "verdicts": rows, "controls": more.get("controls", []), "blind": ["edges"]}
    if verdicts:
        store.put("verdicts", {"verdicts.json": encode({"0-parameters": family})})
    return store.path


THIS, ALIKE = "this network alone", "networks trained like this"
W, V = "aa" * 32, "bb" * 32
PASSES, FAILS = ("gradcam", "PASS", "RESPONDED", THIS), ("gradcam", "FAIL", "DID NOT RESPOND", THIS)


@pytest.fixture
def model(tmp_path):
    return model_file(tmp_path / "my.keras", b"weights")


@pytest.fixture
def root(tmp_path):
    return tmp_path / "artifacts"


def cells(known):
    return {(cell["method"], cell["scope"]): cell for cell in known["cells"]}


def test_verdicts_of_several_runs_stand_side_by_side_the_newest_first(root, model):
    write_run(root, "a1", model, W, PASSES, ("edges", "FAIL", "INPUT-DOMINATED", THIS), finished="2026-01-01T00:00:00Z")
    write_run(root, "a2", model, W, ("gradcam", "INCONCLUSIVE", "UNDECIDED", THIS), finished="2026-01-03T00:00:00Z")
    write_run(root, "a3", model, W, ("gradcam", "PASS", "RESPONDED", ALIKE), finished="2026-01-02T00:00:00Z")
    known = describe_network(root, model)
    assert known["methods"] == ["gradcam"], "a control is no method of the user"
    cell = cells(known)["gradcam", THIS]
    assert [verdict["run"] for verdict in cell["verdicts"]] == ["check/a2", "check/a1"]
    assert not cell["conflict"] and [verdict["outcome"] for verdict in shown_verdicts(cell)] == ["INCONCLUSIVE"]
    # A verdict about networks trained alike is another claim.
    assert [verdict["run"] for verdict in cells(known)["gradcam", ALIKE]["verdicts"]] == ["check/a3"]


@pytest.mark.parametrize(
    "more, why",
    [
        ({}, "the same data and settings"),
        ({"hashes": {"images": "j"}}, "other data"),
        ({"recipe": {"check": [{"check": "parameters", "target": "cat", "options": {}}]}}, "another target"),
        ({"version": "0.0.1"}, "another lab"),
    ],
)
def test_runs_that_contradict_each_other_are_both_shown_with_what_differs(root, model, more, why):
    write_run(root, "a1", model, W, PASSES, finished="2026-01-01T00:00:00Z")
    write_run(root, "a2", model, W, FAILS, finished="2026-01-02T00:00:00Z", **more)
    (cell,) = describe_network(root, model)["cells"]
    assert cell["conflict"] and cell["why"] == why
    assert [(verdict["outcome"], verdict["run"]) for verdict in shown_verdicts(cell)] == [
        ("FAIL", "check/a2"),
        ("PASS", "check/a1"),
    ]


def test_what_a_broken_check_said_contradicts_nothing(root, model):
    controls = [{"control": "edges", "held": False, "outcome": "PASS", "expected": ["FAIL"]}]
    write_run(root, "a1", model, W, PASSES)
    write_run(root, "a2", model, W, FAILS, controls=controls)
    (cell,) = describe_network(root, model)["cells"]
    assert (
        not cell["conflict"]
        and {verdict["run"]: verdict["broken"] for verdict in cell["verdicts"]}["check/a2"] == "edges"
    )


def test_a_file_of_the_same_name_with_other_weights_is_another_network(root, model, tmp_path):
    other = model_file(tmp_path / "elsewhere" / "my.keras", b"other weights")
    for path, weights, digest in ((model, W, "a2"), (other, V, "a3")):
        write_run(root, digest, path, weights, PASSES if path is model else FAILS)
    known = describe_network(root, model)
    assert [run["run"] for run in known["runs"]] == ["check/a2"] and known["elsewhere"] == 1
    assert {verdict["outcome"] for cell in known["cells"] for verdict in cell["verdicts"]} == {"PASS"}
    assert {verdict["outcome"] for cell in describe_network(root, other)["cells"] for verdict in cell["verdicts"]} == {
        "FAIL"
    }
    assert {row["network"] for row in list_networks(root)} == {W[:12], V[:12]}
    # Digits of the hash are as good as the file, as long as they name one.
    assert describe_network(root, "bbbb")["network"] == V[:12]
    write_run(root, "a4", "c.keras", "aaaab" + "0" * 59, PASSES)
    with pytest.raises(Refused, match="Give more of them"):
        describe_network(root, "aaaa")


def test_a_network_that_is_saved_again_or_moved_is_the_same(root, model, tmp_path):
    write_run(root, "a1", model, W, PASSES)
    again = model_file(tmp_path / "moved" / "again.keras", b"weights")
    assert again.read_bytes() != model.read_bytes()
    assert describe_network(root, again)["network"] == W[:12]
    assert content_hash(model_file(tmp_path / "x.keras", b"weights", b"other layers")) != content_hash(model)


def test_damaged_and_partial_runs_are_left_out_and_named(root, model):
    write_run(root, "a1", model, W, PASSES)
    write_run(root, "a2", model, W)
    damaged = write_run(root, "a3", model, W, FAILS) / "jobs" / "verdicts" / "verdicts.json"
    damaged.write_text(damaged.read_text().replace("FAIL", "PASS"))
    (write_run(root, "a4", model, W, FAILS) / "manifest.json").write_text("{")
    (write_run(root, "a5", model, W, FAILS) / "manifest.json").write_text('{"recipe": [], "hashes": 3}')
    early = write_run(root, "a6", model, W, FAILS) / "manifest.json"
    early.write_bytes(
        encode({name: value for name, value in json.loads(early.read_text()).items() if name != "network"})
    )
    known = describe_network(root, model)
    left_out = dict(known["left_out"])
    assert left_out["check/a2"] == "it is not finished" and left_out["check/a3"] == "its verdicts are damaged"
    assert "manifest is damaged" in left_out["check/a4"] and "manifest is damaged" in left_out["check/a5"]
    assert known["unknown"] == ["check/a6"] and [run["run"] for run in known["runs"]] == ["check/a1"]


def test_planted_networks_and_other_commands_are_said_to_be_such(root, model):
    write_run(root, "a1", model, W, PASSES, recipe={"planted": {"cues": ["ruler", "sticker"]}})
    write_run(root, "b1", model, W, name="explain", recipe={"check": []})
    known = describe_network(root, model)
    assert known["cells"][0]["scope"] == "networks planted with ruler and sticker"
    assert [run["run"] for run in known["others"]] == ["explain/b1"] and known["left_out"] == []


# At the command -----------------------------------------------------------------------------------------------------------


def test_the_page_links_both_sides_of_a_conflict_and_can_be_moved_with_its_runs(command, root, model):
    write_run(root, "a1", model, W, PASSES, version="0.0.1", finished="2026-01-01T00:00:00Z")
    write_run(root, "a2", model, W, FAILS, finished="2026-01-02T00:00:00Z")
    code, output, error = command("network", model)
    assert code == 0, error
    assert (
        "1 conflict between runs" in output and output.count("in conflict: another lab") == 2 and "lab 0.0.1" in output
    )
    path = pathlib.Path(output.strip().splitlines()[-1])
    page = path.read_text()
    assert path == root / "network" / f"{W[:12]}.html" and "Runs contradict each other" in page
    links = re.findall(r'class="cell \w+" href="([^"#]+)#0-parameters-gradcam"', page)
    assert links == ["../check/a2/index.html", "../check/a1/index.html"]
    assert all((path.parent / link).parent.is_dir() for link in links)
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    code, output, _ = command("network", model, "--json", "--page", root / "mine.html")
    result = json.loads(output)
    assert result["error"] is None and result["cells"][0]["conflict"] and pathlib.Path(result["report"]).is_file()


def test_what_is_unknown_is_said_with_what_to_type(command, root, model, tmp_path):
    code, output, _ = command("network")
    assert code == 0 and "No run in" in output
    code, output, _ = command("network", model)
    assert code == 0 and "Nothing is known" in output and f"Type: lab check --model {model}" in output
    write_run(root, "a1", model_file(tmp_path / "b" / "my.keras", b"other"), V, PASSES)
    code, output, _ = command("network", model)
    assert code == 0 and "Runs about other networks: 1" in output
    assert not (root / "network").exists()
    code, _, error = command("network", tmp_path / "nothing.keras")
    assert code == 2 and "which is no file" in error.strip().splitlines()[-1]
    code, output, _ = command("network", "--json")
    assert json.loads(output)["networks"][0]["network"] == V[:12]


def test_names_from_outside_are_escaped(command, root, tmp_path):
    model = model_file(tmp_path / "<b>ö.keras", b"w")
    write_run(root, "a1", model, W, ("<i>m", "PASS", "RESPONDED", THIS))
    code, output, _ = command("network", model)
    page = pathlib.Path(output.strip().splitlines()[-1]).read_text()
    assert code == 0 and "<b>ö" not in page and "<i>m" not in page


def test_tensorflow_is_not_imported(root, model):
    write_run(root, "a1", model, W, PASSES)
    code = "import sys; from recipes.cli import main; main(sys.argv[1:], standalone_mode=False); assert 'tensorflow' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", code, "network", str(model), "--out", str(root)], capture_output=True, text=True
    )
    assert done.returncode == 0 and "gradcam" in done.stdout, done.stderr


def test_runs_at_an_address_are_read_there(model):
    import fsspec

    address = "memory://lab-knowledge/artifacts"
    try:
        write_run(address, "a1", model, W, PASSES)
        known = describe_network(address, model)
        assert known["network"] == W[:12] and known["cells"][0]["verdicts"][0]["report"].startswith(
            f"{address}/check/a1"
        )
    finally:
        fsspec.filesystem("memory").rm("/lab-knowledge", recursive=True)
