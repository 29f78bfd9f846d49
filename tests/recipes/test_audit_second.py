"""Faults that a second reader found in the commands of the audit: a later window that was not looked at, draws that find nothing."""

import json
import pathlib

import pytest

from tests import audit_files

FAST = ["--draws", 99, "--tries", 4, "--quiet"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return audit_files.write(tmp_path_factory.mktemp("second"))


def words_of(files, *words):
    return [
        "audit",
        "--model",
        files / "lender.keras",
        "--test",
        files / "test.csv",
        "--sheet",
        files / "lending.toml",
        *words,
    ]


def checks_in(output):
    return {path.name for path in (pathlib.Path(json.loads(output)["report"]).parent / "jobs/audit/checks").iterdir()}


def test_a_later_window_is_looked_at_whatever_the_audit_asked(command, files):
    first = command(*words_of(files, "--questions", "failures", *FAST, "--json"))[1]
    assert "shift" not in checks_in(first)
    watched = ["watch", "--audit", pathlib.Path(json.loads(first)["report"]).parent, "--current", files / "march.csv"]
    code, output, error = command(*watched, "--quiet", "--json")
    assert code == 0 and {"slices", "shift", "harm"} <= checks_in(output), error
    code, _, error = command(*watched, "--questions", "failures", "--quiet")
    assert code == 2 and "Add shift" in error


def test_draws_that_find_nothing_at_the_level_are_refused(command, files):
    code, _, error = command(*words_of(files, "--strict", "--questions", "failures,groups,reasons", *FAST))
    assert code == 2 and "99 draws" in error and "Give 159 draws or more" in error
    assert command(*words_of(files, "--strict", "--questions", "groups", *FAST))[0] == 0


def test_the_lines_say_what_the_level_is_of(command, files):
    output = command(*words_of(files, "--strict", "--questions", "failures", *FAST))[1]
    assert "each check at the level 0.0167" in output
