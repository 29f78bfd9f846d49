"""Audit, as users type it: tables, pictures and texts, sheets, gates, pages, later windows, and what is refused."""

import json
import pathlib
import tomllib

import click.testing
import numpy as np
import pytest

from lab.sources import header_of
from recipes.cli import main
from recipes.errors import Gated
from recipes.gate import refuse_shortfall
from recipes.runs import Run
from recipes.sections import sections
from sanity.audit import ladder
from sanity.audit.questions import QUESTIONS, checks_of
from sanity.audit.record import lint_record
from tests import audit_files, own_data

# Checks of the other questions take longer, and have tests of their own.
FAST = ["--questions", "failures", "--draws", 199, "--tries", 4, "--quiet"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The files of an audit, with many rows whose network errs more in the south."""
    folder = audit_files.write(tmp_path_factory.mktemp("audit"))
    own_data.write(folder)
    frame = audit_files.many(1500)
    frame.to_csv(folder / "many.csv", index=False)
    audit_files.worse(frame).to_csv(folder / "worse.csv", index=False)
    return folder


def words_of(files, test="worse.csv", sheet="lending.toml", **options):
    """The words of an audit of a table."""
    listed = [word for name, value in options.items() for word in (f"--{name}", files / value)]
    return ["audit", "--model", files / "lender.keras", "--test", files / test, "--sheet", files / sheet, *listed]


def without_role(files, name, roles):
    """The sheet with other roles of the column of sites, under another name: its name."""
    (files / name).write_text((files / "lending.toml").read_text().replace('roles = ["protected"]', f"roles = {roles}"))
    return name


def run_folder(output):
    return pathlib.Path(json.loads(output)["report"]).parent


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that asks all questions of a table in which each check has something to find."""
    folder = tmp_path_factory.mktemp("whole")
    recipe = audit_files.write_applications(folder)
    words = ["run", str(recipe), "--quiet", "--json", "--out", str(folder / "artifacts")]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # Boosting machines take seconds each.
        patch.setattr(ladder, "has_pairs", lambda: False)
        done = click.testing.CliRunner().invoke(main, words)
    assert done.exit_code == 0, (done.output, done.exception)
    return run_folder(done.stdout)


def families_of(folder):
    """The verdicts of a run by check: dict of str to list of dict."""
    families = json.loads((folder / "jobs/verdicts/verdicts.json").read_text())
    return {name.partition("-")[2]: family["verdicts"] for name, family in families.items()}


# All questions -------------------------------------------------------------------------------------------------------------

FINDINGS = {
    "reason_codes": {"REASONS STABLE", "REASONS AGREE ACROSS REFERENCES", "REASONS MATTER"},
    "factor_importance": {"NO RARE DECISIVE FACTOR"},
    "slices": {"WEAK SLICE BEYOND THE MARGIN"},
    "embedding_slices": {"WEAK CLUSTER BEYOND THE MARGIN"},
    "calibration": {"MISCALIBRATION BEYOND THE MARGIN"},
    "shift": {"SHIFT BEYOND THE MARGIN"},
    "harm": {"ERRORS ROSE"},
    "unlikeness": {"UNLIKE THE REFERENCE"},
    "decodable": {"ENCODED BEYOND LEGITIMATE"},
    "proxy_use": {"USED BEYOND THE MARGIN"},
    "proxy_mechanism": {"NOT APPLICABLE"},
    "group_gaps": {"GAP BEYOND THE MARGIN", "NOT ENOUGH DATA"},
}


def test_every_check_says_what_was_planted(whole):
    verdicts = families_of(whole)
    findings = {check: {verdict["finding"] for verdict in rows} for check, rows in verdicts.items()}
    assert set(findings) == {*FINDINGS, "simpler"} == {check for question in QUESTIONS for check in checks_of(question)}
    assert {check: findings[check] for check in FINDINGS} == FINDINGS
    outcomes = {verdict["method"]: verdict["outcome"] for verdict in verdicts["simpler"]}
    assert outcomes["linear model"] == "FAIL", "labels of a linear law"
    assert "branch = inland" in verdicts["slices"][0]["why"] and "mean_radius" in verdicts["shift"][0]["why"]
    assert "worst_texture" in verdicts["proxy_use"][0]["sentence"]
    gaps = {verdict["method"]: verdict["outcome"] for verdict in verdicts["group_gaps"]}
    assert gaps["selection rate by site"] == "FAIL"


def test_the_record_of_all_questions_has_no_fault(whole):
    record = json.loads((whole / "jobs/audit/record/record.json").read_text())
    assert lint_record(record) == json.loads((whole / "jobs/audit/record/problems.json").read_text()) == []
    checked = {
        row["check"]
        for part in record["sections"]
        for row in (f for p in part["fields"] for f in p.get("findings", ()))
    }
    assert checked == {*FINDINGS, "simpler"}
    assert "must be mended" not in (whole / "index.html").read_text()


def test_what_is_wrong_with_a_record_is_said_in_a_line_and_on_both_pages(command, files):
    text = (files / "lending.toml").read_text()
    (files / "promise.toml").write_text(f'{text}\n[record]\nethics = "The system is unbiased."\n')
    words = words_of(files, sheet="promise.toml")
    code, output, error = command(*words, "--questions", "failures,record", "--draws", 99, "--tries", 4, "--quiet")
    assert code == 0 and "the record must be mended" in output and "'unbiased'" in output, error
    (page,) = (path for path in map(pathlib.Path, output.split()) if path.name == "index.html")
    for path in (page, page.parent / "jobs/audit/record/record.html"):
        assert "must be mended" in path.read_text() and "unbiased" in path.read_text()


# What it says -------------------------------------------------------------------------------------------------------------


def test_a_weak_group_is_a_verdict_a_page_a_file_and_an_exit_code(command, files):
    sheet = without_role(files, "metadata.toml", '["metadata"]')
    code, output, error = command(*words_of(files, sheet=sheet), *FAST, "--json", "--fail-on", "fail")
    assert code == 1 and "fell short of --fail-on fail" in json.loads(output)["error"]["message"], error
    folder = run_folder(output)
    families = json.loads((folder / "jobs/verdicts/verdicts.json").read_text())
    (slices,) = [family for name, family in families.items() if name == "0-slices"]
    assert slices["claim"] == "data" and slices["verdicts"][0]["outcome"] == "FAIL"
    assert "site = south" in slices["verdicts"][0]["why"]
    assert b"<failure" in (folder / "jobs/verdicts/junit.xml").read_bytes()
    page = (folder / "index.html").read_text()
    assert "May this network be used?" in page and "What is not concluded." in page
    assert "Planted in copies of these data" in page and "twice the margin" in page
    assert command(*words_of(files, "many.csv", sheet), *FAST, "--fail-on", "fail")[0] == 0


def test_a_protected_column_is_not_searched(command, files):
    output = command(*words_of(files), *FAST, "--json")[1]
    families = json.loads((run_folder(output) / "jobs/verdicts/verdicts.json").read_text())
    # Calibration looks at groups of protected columns.
    assert families["0-slices"]["verdicts"] and "site" not in json.dumps(families["0-slices"])


def test_without_protected_columns_nothing_is_read_or_asked_of_them(command, files):
    words = ["--no-protected", "--draws", 99, "--tries", 4]
    code, output, error = command(
        *words_of(files, "worse.csv"), *words, "--questions", "failures,groups,record", "--quiet", "--json"
    )
    assert code == 0, error
    folder = run_folder(output)
    families = families_of(folder)
    assert [verdict["finding"] for verdict in families["group_gaps"]] == ["NOT APPLICABLE"]
    assert "site" not in json.dumps(families["slices"] + families["calibration"])
    assert b"rows with site" not in (folder / "jobs/audit/record/record.json").read_bytes()
    code, output, error = command(*words_of(files), *words, "--plan", "--json", "--quiet")
    keys = [job["key"] for job in json.loads(output)["jobs"]]
    assert code == 0 and "audit/checks/slices" in keys and "audit/checks/group_gaps" not in keys


def test_questions_and_strict_change_what_is_asked_and_at_which_level(command, files):
    def about(*words):
        folder = run_folder(command(*words_of(files), *words, "--draws", 199, "--tries", 4, "--quiet", "--json")[1])
        return json.loads((folder / "jobs/audit/rows/about.json").read_text()), folder

    known, folder = about("--questions", "failures")
    assert known["questions"] == ["failures"] and known["alpha"] == 0.05 and known["lacking"] == {}
    jobs = {path.name for path in (folder / "jobs/audit/checks").iterdir()}
    assert "slices" in jobs
    sheet = (files / "lending.toml").read_text()
    (files / "monthly.toml").write_text(f"looks = 12\n{sheet}")
    output = command(*words_of(files, sheet="monthly.toml"), *FAST, "--draws", 239, "--json")[1]
    assert json.loads((run_folder(output) / "jobs/audit/rows/about.json").read_text())["alpha"] == 0.05 / 12


def test_strict_divides_the_level_by_the_number_of_families_of_tests():
    from sanity.audit.questions import level
    from sanity.audit.sheet import Sheet

    # Slices, clusters and calibration; inputs, features and predictions, harm, and rows that stand out.
    assert level(Sheet(), ["failures", "shift"], True) == 0.05 / 8
    assert level(Sheet(looks=2), ["failures", "shift"], False) == 0.025


def test_questions_without_their_data_are_not_asked_and_it_is_said(command, files):
    sheet = without_role(files, "metadata.toml", '["metadata"]')
    _, output, _ = command(*words_of(files, sheet=sheet), "--draws", 199, "--tries", 4, "--quiet", "--plan", "--json")
    keys = [job["key"] for job in json.loads(output)["jobs"]]
    assert "audit/checks/slices" in keys and not any("shift" in key or "groups" in key for key in keys)


# Files of the run ----------------------------------------------------------------------------------------------------------


def artifacts_of(folder):
    """The bytes of all jobs of a run by their place."""
    return {
        path.relative_to(folder): path.read_bytes() for path in sorted((folder / "jobs").rglob("*.*")) if path.is_file()
    }


def test_a_run_that_is_done_again_has_the_same_bytes(command, files, tmp_path):
    words = words_of(files, "many.csv")
    folder = run_folder(command(*words, *FAST, "--json")[1])
    before = artifacts_of(folder)
    again = run_folder(command(*words, *FAST, "--json", "--fresh")[1])
    assert again == folder and artifacts_of(again) == before


def spellings_of(number):
    """How a number may be written, with five digits or more: list of str."""
    return [f"{number:.9g}"[:7], *(f"{number:.{digits}g}" for digits in (5, 6, 7, 8)), str(np.float32(number))]


def secrets_in(folder):
    """Files of a run that hold a rare level or the number of one row: set of str."""
    words = [audit_files.RARE, *(word for number in audit_files.EXACT for word in spellings_of(number))]
    names = set()
    for path in folder.rglob("*"):
        if path.suffix == ".npz":
            arrays = dict(np.load(path)).values()
            numbers = [array for array in arrays if array.dtype.kind == "f"]
            hits = [
                np.isclose(array, secret, rtol=1e-6, atol=0).any() for array in numbers for secret in audit_files.EXACT
            ]
            hits += [word in str(array.tolist()) for array in arrays if array.dtype.kind in "US" for word in words]
        elif path.is_file():
            hits = [word.encode() in path.read_bytes() for word in words]
        else:
            continue
        names |= {path.name} if any(hits) else set()
    return names


def test_no_cell_of_the_data_is_written(whole, tmp_path):
    assert secrets_in(whole) == set()
    number = audit_files.EXACT[0]
    for name, value in (
        ("a.npz", np.float32(number)),
        ("b.npz", np.float64(number)),
        ("c.npz", np.array(["zyx-hamlet"])),
    ):
        np.savez(tmp_path / name, x=value)
    (tmp_path / "d.json").write_text(json.dumps([float(np.float32(number)), number]))
    (tmp_path / "e.html").write_text(f"up to {number:.5g}")
    assert secrets_in(tmp_path) == {"a.npz", "b.npz", "c.npz", "d.json", "e.html"}, "the search itself"


def test_outside_words_are_escaped_on_the_page(command, files):
    frame = audit_files.worse(audit_files.many(1500)).replace({"site": {"south": "<script>alert(1)</script>"}})
    frame.rename(columns={"site": "<b>site</b>"}).to_csv(files / "script.csv", index=False)
    text = (files / "lending.toml").read_text().replace("[columns.site]", '[columns."<b>site</b>"]')
    (files / "script.toml").write_text(text.replace('["protected"]', '["metadata"]'))
    output = command(*words_of(files, "script.csv", "script.toml"), *FAST, "--json")[1]
    page = (run_folder(output) / "index.html").read_text()
    assert "alert(1)" in page and "<script>alert" not in page and "<b>site</b>" not in page


# Other data ----------------------------------------------------------------------------------------------------------------


def weak_slice(command, *words):
    """The verdict on groups of rows of an audit, and the folder of its run."""
    code, output, error = command("audit", *words, *FAST, "--json")
    assert code == 0, error
    folder = run_folder(output)
    return families_of(folder)["slices"][0], folder


def test_texts_are_audited_by_what_takes_the_place_of_columns(command, files, tmp_path):
    audit_files.write_reviews(tmp_path / "reviews.csv")
    model, sheet = files / "sentiment.keras", files / "reviews.toml"
    verdict, folder = weak_slice(command, "--model", model, "--test", tmp_path / "reviews.csv", "--sheet", sheet)
    assert verdict["outcome"] == "FAIL" and "length above" in verdict["why"], verdict["sentence"]
    assert json.loads((folder / "jobs/audit/rows/about.json").read_text())["kind"] == "text"


def test_series_are_audited_by_what_takes_the_place_of_columns(command, files, tmp_path):
    audit_files.write_beats(tmp_path / "beats.npz")
    verdict, _ = weak_slice(command, "--model", files / "ecg.keras", "--test", tmp_path / "beats.npz")
    assert verdict["outcome"] == "FAIL" and "sway spread above" in verdict["why"], verdict["sentence"]


def test_pictures_are_audited_by_their_statistics_and_metadata(command, tmp_path):
    cameras = audit_files.write_pictures(tmp_path / "photos")
    audit_files.reds().save(tmp_path / "reds.keras")
    words = ["--model", tmp_path / "reds.keras", "--input-range", -1, 1, "--test", tmp_path / "photos"]
    verdict, folder = weak_slice(command, *words, "--metadata", cameras)
    assert verdict["outcome"] == "FAIL" and "brightness up to" in verdict["why"], verdict["sentence"]
    assert "camera" not in verdict["why"]
    arrays = np.load(folder / "jobs/audit/rows/test.npz")
    assert {"brightness", "sharpness", "logits", "features"} <= set(arrays.files) and len(arrays["width"]) == 300
    cameras.write_text("\n".join(cameras.read_text().splitlines()[:-1]))
    code, _, error = command("audit", *words, "--metadata", cameras, *FAST)
    assert code == 2 and "without 1 of 300" in error


# Later windows --------------------------------------------------------------------------------------------------------------


def test_a_later_window_is_watched_beside_the_audit(command, files):
    first = run_folder(command(*words_of(files), *FAST, "--json")[1])
    words = ["watch", "--audit", first, "--current", files / "march.csv", "--quiet"]
    code, output, error = command(*words, "--json")
    assert code == 0, error
    changes = json.loads((run_folder(output) / "jobs/changes/changes.json").read_text())
    assert {row["check"]: row["change"] for row in changes["rows"]}["slices"] == "same"
    code, _, error = command("watch", "--audit", files, "--current", files / "march.csv")
    assert code == 2 and "Received" in error


def test_a_sheet_to_fill_in_names_all_columns_and_no_role(command, files):
    path = files / "empty.toml"
    code, output, _ = command("init-sheet", files / "test.csv", "--out", path, out=False)
    assert code == 0 and output.strip() == str(path)
    sheet = tomllib.loads(path.read_text())
    assert list(sheet["columns"]) == header_of(files / "test.csv")
    assert all(column["roles"] == [] for column in sheet["columns"].values())
    assert sheet["columns"]["site"]["kind"] == "category"
    code, _, error = command("init-sheet", files / "test.csv", "--out", path, out=False)
    assert code == 2 and "which exists" in error


def test_python_asks_the_same(files):
    import lab
    from sanity.audit import audit

    network = lab.load(str(files / "lender.keras"))
    (verdict,) = [
        verdict
        for verdict in audit(
            network,
            audit_files.worse(audit_files.many(1500)),
            sheet=str(files / without_role(files, "metadata.toml", '["metadata"]')),
            questions=["failures"],
            draws=199,
            tries=4,
        )
        if verdict.check == "slices"
    ]
    assert verdict.outcome == "FAIL" and "site = south" in verdict.why


# What is refused ------------------------------------------------------------------------------------------------------------


def test_test_rows_that_were_trained_on_make_it_invalid(command, files):
    _, output, _ = command(*words_of(files, "many.csv", train="many.csv"), *FAST, "--json")
    families = json.loads((run_folder(output) / "jobs/verdicts/verdicts.json").read_text())
    verdict = families["0-slices"]["verdicts"][0]
    assert (
        verdict["outcome"] == "INVALID"
        and "1,500 of 1,500 test rows are copies of training rows" in verdict["sentence"]
    )


@pytest.mark.parametrize(
    "change, words",
    [
        ({"sheet": "nothing = 1"}, "Unknown key"),
        ({"sheet": '[columns.mean_radus]\nroles = ["input"]'}, "Nearest: mean_radius"),
        ({"options": ["--questions", "falures"]}, "Nearest: failures"),
        ({"options": ["--label", "site"]}, "One column is the label"),
        ({"options": ["--metadata", "test.csv"]}, "metadata of a table"),
        ({"test": "missing.csv"}, "which is no file"),
    ],
)
def test_what_cannot_be_audited_is_refused_in_one_line(command, files, change, words, monkeypatch):
    monkeypatch.chdir(files)
    sheet = "lending.toml"
    if "sheet" in change:
        (files / "bad.toml").write_text(change["sheet"])
        sheet = "bad.toml"
    options = ["--quiet", *change.get("options", [])]
    code, _, error = command(*words_of(files, change.get("test", "test.csv"), sheet), *options)
    assert code == 2 and words in error and error.rstrip().rpartition("\n")[2].startswith("Error: "), error


def test_a_question_that_does_not_apply_passes_a_gate_beside_others():
    row = {"method": "x", "outcome": "PASS", "finding": "NONE ABOVE THE MARGIN"}
    other = {"method": "y", "outcome": "INVALID", "finding": "NOT APPLICABLE"}
    family = {"claim": "data", "controls": [], "blind": []}
    families = {"0-a": {**family, "verdicts": [row]}, "0-b": {**family, "verdicts": [other]}}
    refuse_shortfall(Run("", "", (), families), "fail")
    with pytest.raises(Gated, match="the audit: no check applied"):
        refuse_shortfall(Run("", "", (), {"0-b": families["0-b"]}), "fail")


def test_a_gate_may_be_set_on_an_audit(command, files):
    assert sections.get("audit").judges(None)
    code, _, error = command(*words_of(files, "many.csv"), *FAST, "--plan", "--fail-on", "fail")
    assert code == 0, error
