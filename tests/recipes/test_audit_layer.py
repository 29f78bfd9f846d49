"""Audit of a layer and of costs by the command: what `--layer` and costs in a sheet say, and what is refused."""

import json
import pathlib

import pytest

from sanity.audit.sheet import open_sheet
from tests import audit_files

FAST = ("--draws", 99, "--tries", 4, "--quiet", "--json")


@pytest.fixture(scope="module")
def lenders(tmp_path_factory):
    """A network of two hidden layers, a table in which a column stands in for a protected one, and sheets."""
    folder = tmp_path_factory.mktemp("layer")
    audit_files.deep().save(folder / "deep.keras")
    audit_files.applications(900).to_csv(folder / "test.csv", index=False)
    (folder / "sheet.toml").write_text(audit_files.APPLICATIONS)
    costs = 'favourable = "good"\nfalse_positive_cost = 1\nfalse_negative_cost = 4'
    (folder / "costs.toml").write_text(audit_files.APPLICATIONS.replace('favourable = "good"', costs))
    return folder


def words_of(folder, *more, sheet="sheet.toml"):
    files = ("--model", folder / "deep.keras", "--test", folder / "test.csv", "--sheet", folder / sheet)
    return ["audit", *files, *more]


def run_folder(output):
    return pathlib.Path(json.loads(output)["report"]).parent


def verdicts_of(output):
    families = json.loads((run_folder(output) / "jobs/verdicts/verdicts.json").read_text())
    return {name.partition("-")[2]: family["verdicts"] for name, family in families.items()}


def test_a_layer_is_named_and_its_verdict_is_on_the_page(command, lenders):
    code, output, error = command(*words_of(lenders, "--questions", "proxies", "--layer", "dense", *FAST))
    assert code == 0, error
    (row,) = verdicts_of(output)["proxy_mechanism"]
    assert row["settings"]["layer"] == "dense" and row["outcome"] in ("FAIL", "INCONCLUSIVE")
    page = (run_folder(output) / "index.html").read_text()
    assert "the layer dense" in page and "after the erasure" in page


def test_a_layer_that_is_not_there_or_that_no_question_asks_about_is_refused(command, lenders):
    code, _, error = command(*words_of(lenders, "--questions", "proxies", "--layer", "dens", *FAST))
    assert code == 2 and "Received: 'dens'. Nearest: dense" in error
    code, _, error = command(*words_of(lenders, "--questions", "failures", "--layer", "dense", *FAST))
    assert code == 2 and "Ask proxies too, or leave it out" in error


def test_costs_of_a_sheet_are_one_more_rate_of_groups(command, lenders):
    code, output, error = command(*words_of(lenders, "--questions", "groups", *FAST, sheet="costs.toml"))
    assert code == 0, error
    rows = {row["method"]: row for row in verdicts_of(output)["group_gaps"]}
    assert rows["error cost by site"]["also"]["costs of the sheet"].startswith("a false positive 1, a false negative 4")
    code, output, _ = command(*words_of(lenders, "--questions", "groups", *FAST))
    rows = {row["method"]: row for row in verdicts_of(output)["group_gaps"]}
    assert "error cost by site" not in rows and "false_negative_cost" in rows["accuracy by site"]["also"]["error cost"]


def test_an_audit_of_a_layer_is_watched_without_it_where_proxies_are_not_asked(command, lenders):
    audit_files.applications(400, 1).to_csv(lenders / "march.csv", index=False)
    words = words_of(lenders, "--questions", "proxies", "--layer", "dense", *FAST)
    code, output, error = command(*words)
    assert code == 0, error
    words = ("watch", "--audit", run_folder(output), "--current", lenders / "march.csv")
    code, output, error = command(*words, "--questions", "shift", "--quiet", "--json")
    assert code == 0 and set(verdicts_of(output)) == {"shift", "harm", "unlikeness"}, error


def test_costs_stand_as_comments_in_a_sheet_to_fill_in(command, lenders):
    path = lenders / "empty.toml"
    assert command("init-sheet", lenders / "test.csv", "--out", path, out=False)[0] == 0
    text = path.read_text()
    assert open_sheet(path).decision is None
    for line in ("[decision]", 'favourable = "CLASS"', "false_positive_cost = 1", "false_negative_cost = 5"):
        text = text.replace(f"# {line}", line)
    path.write_text(text)
    assert open_sheet(path).decision.costs == (1, 5)
