"""Audit, as users type it: tables, pictures and texts, sheets, gates, pages, later windows, and what is refused."""

import json
import pathlib
import tomllib

import numpy as np
import pytest

from lab.sources import header_of
from recipes.gate import refuse_shortfall
from recipes.runs import Run
from recipes.sections import sections
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


def test_no_cell_of_the_data_is_written(command, files):
    frame = audit_files.many(1500)
    frame["secret"] = [f"person-{number}-x" for number in range(len(frame))]
    frame.to_csv(files / "secret.csv", index=False)
    folder = run_folder(command(*words_of(files, "secret.csv"), *FAST, "--json")[1])
    written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".npz")
    assert b"person-17-x" not in written and b"person-0-x" not in written
    for path in folder.rglob("*.npz"):
        arrays = np.load(path)
        assert not any(frame["mean_radius"].iloc[3].astype("float32") in arrays[name] for name in arrays.files)


def test_outside_words_are_escaped_on_the_page(command, files):
    frame = audit_files.worse(audit_files.many(1500)).replace({"site": {"south": "<script>alert(1)</script>"}})
    frame.rename(columns={"site": "<b>site</b>"}).to_csv(files / "script.csv", index=False)
    text = (files / "lending.toml").read_text().replace("[columns.site]", '[columns."<b>site</b>"]')
    (files / "script.toml").write_text(text.replace('["protected"]', '["metadata"]'))
    output = command(*words_of(files, "script.csv", "script.toml"), *FAST, "--json")[1]
    page = (run_folder(output) / "index.html").read_text()
    assert "alert(1)" in page and "<script>alert" not in page and "<b>site</b>" not in page


# Other data ----------------------------------------------------------------------------------------------------------------


def test_texts_and_series_are_audited_by_what_takes_the_place_of_columns(command, files):
    words = [
        "audit",
        "--model",
        files / "sentiment.keras",
        "--test",
        files / "reviews.csv",
        "--sheet",
        files / "reviews.toml",
    ]
    code, output, error = command(*words, *FAST, "--json")
    assert code == 0, error
    assert json.loads((run_folder(output) / "jobs/audit/rows/about.json").read_text())["kind"] == "text"
    code, output, error = command(
        "audit", "--model", files / "ecg.keras", "--test", files / "beats.npz", *FAST, "--json"
    )
    assert code == 0 and verdict_outcome(output) == "INVALID", error


def verdict_outcome(output):
    families = json.loads((run_folder(output) / "jobs/verdicts/verdicts.json").read_text())
    return families["0-slices"]["verdicts"][0]["outcome"]


def test_photographs_have_statistics_and_metadata(command, user, tmp_path):
    from PIL import Image

    rng, rows = np.random.default_rng(0), ["path,camera"]
    for number in range(40):
        path = tmp_path / "photos" / str(number % 2) / f"{number}.{'png' if number % 4 else 'jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (24, 24 + number % 3, 3), dtype=np.uint8)).save(path)
        rows.append(f"{number % 2}/{path.name},{'xy'[number % 3 == 0]}")
    (tmp_path / "meta.csv").write_text("\n".join(rows))
    words = ["audit", *user, "--test", tmp_path / "photos", "--metadata", tmp_path / "meta.csv", *FAST]
    code, output, error = command(*words, "--json")
    assert code == 0, error
    arrays = np.load(run_folder(output) / "jobs/audit/rows/test.npz")
    assert {"brightness", "sharpness", "logits", "features"} <= set(arrays.files) and len(arrays["width"]) == 40
    (tmp_path / "meta.csv").write_text("\n".join(rows[:-1]))
    code, _, error = command(*words)
    assert code == 2 and "without 1 of 40" in error


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
    assert sections.get("audit").judges(None)
