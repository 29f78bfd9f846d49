"""Answers: what a network itself shows is a job, measured once for all checks, methods and later runs that share it."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from lab.refusal import Refused
from recipes.engines.attempt import attempt
from recipes.job import ANSWERS
from recipes.jobs import list_jobs
from recipes.session import Session
from recipes.sources import Sources
from recipes.store import Store
from sanity import answers, crossing, cue_networks
from sanity.check_names import registered_checks
from sanity.world_networks import WorldNetworks
from tests import own_data
from tests.recipes.test_identity import Watched, kinds_that_change, recipe_of

CROSSINGS = ("class_crossing", "image_crossing", "place")
CROSSED = """
name = "crossed"
[model]
source = "{model}"
input_range = [-1, 1]
[images]
photographs = ["chelsea", "coffee", "rocket"]
[[check]]
check = "class_crossing"
methods = ["gradient"]
controls = false
"""


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(8):
        noise = np.random.default_rng(number).integers(0, 256, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def checked(command, small_file, photos, tmp_path):
    """Run `lab check` -> store of the run, standard output, standard error."""

    def run(*words, code=0):
        model = ("--model", small_file, "--input-range", -1, 1, "--images", photos)
        end, output, error = command("check", *model, *words)
        assert end == code, error
        path = pathlib.Path(output.strip().splitlines()[-1]).parent
        return Store(tmp_path / "artifacts", path.parent.name, path.name), output, error

    return run


def asked(*checks):
    return "--check", ",".join(checks)


def folders(store):
    """The folders of the answers of a run, in order: list of str."""
    return sorted(path.name for path in (store.path / "jobs" / ANSWERS.rstrip("/")).iterdir())


def evidence_of(store, place, check, method):
    return store.arrays(f"check/{place}-{check}/{method}", "evidence.npz")


@pytest.fixture
def not_measured(monkeypatch):
    """Fails whoever measures a network once more."""

    def refuse(*_, **__):
        raise AssertionError("the network was measured once more")

    def forbid():
        monkeypatch.setattr(crossing, "effects", refuse)

    return forbid


def test_an_answer_is_measured_once_for_all_checks_and_read_by_runs_that_ask_more(checked, not_measured):
    first, _, _ = checked(*asked("class_crossing"), "--method", "gradient")
    assert folders(first) == ["0-effects"]
    not_measured()
    more, _, error = checked(*asked(*CROSSINGS), "--method", "gradient,gradcam")
    assert folders(more) == ["0-effects"] and "once more" not in error
    for name, array in evidence_of(first, 0, "class_crossing", "gradient").items():
        assert np.array_equal(array, evidence_of(more, 0, "class_crossing", "gradient")[name], equal_nan=True), name
    assert evidence_of(more, 1, "image_crossing", "gradcam"), "another check had the answer of the first run"


def test_another_question_is_another_answer(checked):
    store, _, _ = checked(*asked("class_crossing"), "--method", "gradient", "--target", "1")
    other, _, _ = checked(*asked("class_crossing"), "--method", "gradient", "--target", "2")
    of_one, of_another = (run.arrays("answers/0-effects", "answer.npz") for run in (store, other))
    assert not np.array_equal(of_one["removal"], of_another["removal"])


@pytest.mark.parametrize(
    ("setting", "is_another"),
    [
        ("images.most=2", True),
        ("images.fit=crop", True),
        ("seed=1", True),
        ("threads=1", True),
        ("model.input_range=[0, 1]", True),
        ("check.0.target=1", True),
        ("check.0.check=place", False),
        ('check.0.methods=["gradcam"]', False),
    ],
)
def test_a_setting_changes_an_answer_whose_bytes_it_decides(setting, is_another, small_file, tmp_path):
    kinds = kinds_that_change(CROSSED.format(model=small_file), tmp_path, setting)
    assert kinds == ({"answer", "evidence"} if is_another else {"evidence"})


def test_a_job_of_an_answer_and_what_needs_it_read_nothing_that_they_do_not_name(small_file, tmp_path):
    recipe = recipe_of(CROSSED.format(model=small_file), tmp_path)
    jobs, store = list_jobs(recipe, Session(Sources.of(recipe), tmp_path)), Store(tmp_path, "any", "0123")
    assert [job.kind for job in jobs] == ["answer", "evidence", "judge"]
    with store.open():
        for job in jobs:
            session = Watched(Sources.of(recipe), tmp_path)
            assert attempt(job, session, store) is None and session.asked <= set(job.reads), job.key


def test_where_an_answer_fails_each_method_says_so_and_the_run_goes_on(checked, not_measured):
    not_measured()
    store, _, error = checked(*asked("class_crossing", "sensitivity"), "--method", "gradient", code=3)
    assert "the network was measured once more" in error
    assert evidence_of(store, 1, "sensitivity", "gradient")


def test_an_answer_that_failed_is_measured_when_the_run_is_given_again(checked, monkeypatch):
    once = [RuntimeError("no memory today")]
    effects = crossing.effects

    def fail_once(*arguments, **options):
        if once:
            raise once.pop()
        return effects(*arguments, **options)

    monkeypatch.setattr(crossing, "effects", fail_once)
    words = (*asked("class_crossing"), "--method", "gradient")
    store, _, error = checked(*words, code=3)
    assert "1 of the jobs failed: answers/0-effects" in error
    measured = evidence_of(store, 0, "class_crossing", "gradient")
    store, _, error = checked(*words)
    again = evidence_of(store, 0, "class_crossing", "gradient")
    assert folders(store) == ["0-effects"] and measured.keys() == again.keys()
    assert all(np.array_equal(measured[name], again[name], equal_nan=True) for name in measured)


def test_what_is_refused_is_refused_in_the_words_of_the_check_and_no_failure(checked, monkeypatch):
    def refuse(*_, **__):
        raise Refused("Nothing can be asked. Received: a riddle.")

    monkeypatch.setattr(crossing, "effects", refuse)
    store, output, error = checked(*asked("class_crossing"), "--method", "gradient")
    assert store.arrays("answers/0-effects", "answer.npz") == {} and "failed" not in error
    assert "NOT APPLICABLE" in output and "Received: a riddle" in output


def test_evidence_is_the_same_whether_an_answer_is_read_or_measured(checked, monkeypatch):
    checked(*asked("place"), "--method", "gradient")
    others = (*asked("image_crossing", "classes"), "--method", "gradient")
    with monkeypatch.context() as patch:
        patch.setattr(crossing, "effects", None)
        store, _, _ = checked(*others)
    of_file = {path: path.read_bytes() for path in sorted(store.path.glob("jobs/check/**/evidence.*"))}
    checked(*others, "--fresh")
    assert len(of_file) == 2 * 2 * 6 and of_file == {path: path.read_bytes() for path in of_file}


def test_what_does_not_apply_asks_nothing_of_the_network(checked, command, tmp_path):
    store, _, _ = checked(*asked("truth"), "--method", "gradient")
    assert not (store.path / "jobs" / ANSWERS.rstrip("/")).exists(), "these images hold no planted cues"
    own_data.write(tmp_path)
    table = ("--model", tmp_path / "credit.keras", "--data", tmp_path / "loans.csv", "--label", "default", "--most", 8)
    _, output, _ = command("check", *table, *asked("place", "classes"), "--method", "gradient")
    path = pathlib.Path(output.strip().splitlines()[-1]).parent
    assert output.count("NOT APPLICABLE") and not (path / "jobs" / "answers").exists()


def test_without_its_networks_no_evidence_is_measured(command, monkeypatch):
    def fail(*_):
        raise RuntimeError("no networks today")

    monkeypatch.setattr(WorldNetworks, "train", fail)
    words = ("--world", "tabular", "--replicates", 4, "--samples", 8, *asked("truth"), "--method", "gradient")
    code, _, error = command("check", *words)
    assert code == 3 and "failed: networks" in error
    assert "failed: check/0-truth/gradient: waits for networks, which failed" in error
    assert error.count("no networks today") == error.count("failed: network/"), error


def test_a_check_without_an_answer_waits_for_none(checked):
    store, _, _ = checked(*asked("sensitivity"), "--method", "gradient")
    assert not (store.path / "jobs" / ANSWERS.rstrip("/")).exists()


def test_what_is_kept_is_what_is_measured():
    """An answer that a run keeps has no form but arrays, and every check names one that exists."""
    named = {row.tags["answer"] for row in registered_checks().values() if "answer" in row.tags}
    assert named == set(answers.answers) == {"effects", "cues"}
    assert answers.answers.get("cues") is cue_networks.own_answers
