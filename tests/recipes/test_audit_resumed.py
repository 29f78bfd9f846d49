"""An audit of pictures that was stopped on the way: what the network has answered is not asked again."""

import json
import pathlib

import pytest

from recipes import audits
from tests import audit_files

COUNT, PART = 60, 16
FAST = ["--questions", "failures", "--draws", 99, "--tries", 4]


@pytest.fixture
def words(tmp_path, monkeypatch):
    """The words of an audit of sixty pictures, sixteen in a part."""
    monkeypatch.setitem(audits.PART, "image", PART)
    monkeypatch.setattr(audits, "PICTURES", 8)
    cameras = audit_files.write_pictures(tmp_path / "photos", COUNT)
    audit_files.reds().save(tmp_path / "reds.keras")
    words = ["--model", tmp_path / "reds.keras", "--input-range", -1, 1, "--test", tmp_path / "photos"]
    return ["audit", *words, "--metadata", cameras, *FAST]


@pytest.fixture
def asked(monkeypatch):
    """How many pictures the network was asked about at a time, list of int; and after how many times it is stopped, dict."""
    answer, sizes, stop = audits.answer, [], {"after": None}

    def counted(network, inputs, count):
        if len(sizes) == stop["after"]:
            raise KeyboardInterrupt
        sizes.append(len(inputs))
        return answer(network, inputs, count)

    monkeypatch.setattr(audits, "answer", counted)
    return sizes, stop


def answers_of(folder):
    return sorted(folder.glob("audit/*/jobs/audit/answers/*/answers.npz"))


def test_pictures_that_were_answered_before_a_run_was_stopped_are_not_asked_again(command, words, asked, tmp_path):
    sizes, stop = asked
    out = ["--out", tmp_path / "runs"]
    # Two parts of two batches each are done, and the third one is stopped in its middle.
    stop["after"] = 5
    command(*words, *out, out=False)
    done = {path.parent.name: path.read_bytes() for path in answers_of(tmp_path / "runs")}
    assert list(done) == ["test-00000000", "test-00000016"] and sizes == [8] * 5
    stop["after"] = None
    code, output, error = command(*words, *out, "--json", out=False)
    events = [json.loads(line) for line in error.splitlines()]
    assert code == 0 and [event["done"] for event in events if event["event"] == "begun"] == [2]
    assert sizes[5:] == [8, 8, 8, 4], "the pictures of the two parts that were not done"
    answers = {path.parent.name: path.read_bytes() for path in answers_of(tmp_path / "runs")}
    assert len(answers) == 4 and {name: answers[name] for name in done} == done
    ended = [event["job"] for event in events if event["event"] == "finished"]
    assert ended[:2] == ["audit/answers/test-00000032", "audit/answers/test-00000048"], "progress by part"
    whole = json.loads(output)
    fresh = json.loads(command(*words, "--out", tmp_path / "fresh", "--json", out=False)[1])
    report, other = (pathlib.Path(values["report"]).parent / "jobs/verdicts/verdicts.json" for values in (whole, fresh))
    assert report.read_bytes() == other.read_bytes()
