"""Plant: cues in a user's pictures by command, the folder that holds the networks, and the check that reads it."""

import json
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from lab.refusal import Refused
from recipes import schema
from recipes.jobs import list_jobs
from recipes.planted import PlantedFolder, find_plantings
from recipes.session import Session
from recipes.sources import Sources
from tests.processes import contents
from tests.sanity.test_planting import build, two_outputs

CODE = """
import numpy as np


def stamp(image, rng, *, variant):
    after = image.copy()
    after[..., variant] = 255 * rng.uniform(0.8, 1)
    return after, np.ones(image.shape[:2], bool)


def breaks(image, rng):
    raise RuntimeError("no ink")
"""
# Few crops and passes: networks do not learn, which is found, and every job is done in a moment.
QUICK = ["--pictures", 50, "--passes", 5, "--samples", 8, "--size", 0.3]
MODEL = ["--model", "my.keras", "--input-range", -1, 1]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with a model, pictures and a module with cues."""
    folder = tmp_path_factory.mktemp("project")
    rng = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for place in range(6):
        Image.fromarray(rng.integers(60, 200, (30, 30, 3), dtype=np.uint8)).save(folder / "photos" / f"{place}.png")
    (folder / "one").mkdir()
    shutil.copy(folder / "photos" / "0.png", folder / "one")
    (folder / "mine_cues.py").write_text(CODE)
    build().save(folder / "my.keras")
    build(seed=1).save(folder / "other.keras")
    two_outputs().save(folder / "two.keras")
    return folder


@pytest.fixture
def here(project, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(project)
    return project


@pytest.fixture(scope="module")
def planted(project):
    """A folder that `lab plant` wrote."""
    import click.testing

    from recipes.cli import main

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        words = ["plant", "photos", "--cue", "ruler", "--cue", "text", "--out", "planted", *MODEL, *QUICK]
        done = click.testing.CliRunner().invoke(main, list(map(str, words)))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_what_no_network_learned_is_said_with_the_numbers_and_no_verdict_is_given(command, here, planted):
    assert "INVALID: " in planted and "right on 0." in planted
    report = pathlib.Path(planted.strip().splitlines()[-1])
    page = report.read_text()
    assert page.count("<td>A") == 4 and page.count("<td>B") == 4 and "Planted cues: ruler and text" in page
    assert page.count('alt="where the second cue') == 8 and "training of the whole network" in page
    about = json.loads((report.parent / "jobs" / "planted" / "planted.json").read_text())
    first, second = about["matched"]
    assert first["contrast"] == pytest.approx(second["contrast"]) and first["size"] == second["size"]
    code, output, error = command("check", "--planted", "planted", "--method", "gradcam", "--json")
    assert code == 0, error
    result = json.loads(output)
    assert {row["outcome"] for row in result["verdicts"]} == {"INVALID"}
    assert {row["check"] for row in result["verdicts"]} == {"truth"}
    assert not any("network/" in job["key"] for job in result["jobs"]), "nothing is trained again"


@pytest.mark.slow
def test_a_planting_that_was_stopped_goes_on_to_the_same_bytes(command, here, planted, monkeypatch):
    import recipes.planted_networks as work

    train, calls = work.train_network, []

    def interrupted(job, inputs, session):
        calls.append(job.key)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return train(job, inputs, session)

    words = ["plant", "photos", "--cue", "ruler", "--cue", "text", "--out", "again", *MODEL, *QUICK]
    monkeypatch.setattr(work, "train_network", interrupted)
    code, _, error = command(*words, out=False)
    assert code == 130 and "3 of 9 jobs are done and kept" in error
    code, _, error = command(*words, out=False)
    assert code == 0 and calls[4:] == calls[3:4] + [f"network/rival-{place}" for place in range(4)], error
    assert contents("again") == contents("planted")


def test_networks_that_were_changed_or_lost_are_named(here, planted, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree("planted", folder)
    networks = PlantedFolder(folder)
    assert set(networks.weights("rival", 3)) == {f"{name}/{part}" for name in NAMES for part in ("kernel", "bias")}
    path = networks.path / "jobs" / "network" / "rival-3" / "weights.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(Refused, match="where network/rival-3 is missing or was changed. Run lab plant again"):
        PlantedFolder(folder).weights("rival", 3)
    with pytest.raises(Refused, match="network/replicate-9 is missing"):
        PlantedFolder(networks.path).weights("replicate", 9)


NAMES = ("conv_8", "conv_12", "conv_16", "head")


def test_networks_are_checked_with_what_they_were_planted_in(command, here, planted, tmp_path):
    before = pathlib.Path("my.keras").read_bytes()
    check = ["check", "--planted", "planted", "--method", "gradcam"]
    shutil.copy("other.keras", "my.keras")
    try:
        code, output, error = command(*check)
        assert (code, output) == (2, "") and "another model than planted/plant/" in error
    finally:
        pathlib.Path("my.keras").write_bytes(before)
    shutil.move("photos/0.png", tmp_path)
    try:
        code, _, error = command(*check)
        assert code == 2 and "other pictures" in error
    finally:
        shutil.move(tmp_path / "0.png", "photos")
    assert len(find_plantings("planted")) == 1


PLANT = ["plant", "photos", *MODEL, *QUICK]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["plant", "one", *MODEL, "--cue", "ruler", "--cue", "text"], "Received: 1, of 1 sources"),
        ([*PLANT, "--cue", "ruler"], "Two different cues are planted"),
        ([*PLANT, "--cue", "ruler", "--cue", "ruler"], "Two different cues are planted"),
        ([*PLANT, "--cue", "rulr", "--cue", "text"], "Unknown cue. Received: 'rulr'. Nearest: ruler"),
        ([*PLANT, "--cue", "mine_cues:breaks", "--cue", "text"], "'mine_cues:breaks', RuntimeError"),
        ([*PLANT, "--cue", "mine_cues:none", "--cue", "text"], "A cue of your own is a function"),
        ([*PLANT, "--cue", "ruler", "--cue", "text", "--from", "conv_2"], "Unknown layer. Received: 'conv_2'"),
        ([*PLANT, "--cue", "ruler", "--cue", "text", "--size", 0.7], "planted.size"),
        ([*PLANT, "--cue", "ruler", "--cue", "text", "--replicates", 3], "3 is not in the range x>=4"),
        (
            ["plant", "photos", "--model", "two.keras", *MODEL[2:], "--cue", "ruler", "--cue", "text"],
            "has 2: kind, size",
        ),
        (["check", "--planted", "photos"], "which holds no planted networks"),
        (["check", "--planted", "photos", "--model", "my.keras"], "--model is brought by --planted"),
        (["check", "--planted", "photos", "--world", "ruler"], "--world is brought by --planted"),
    ],
)
def test_what_cannot_be_planted_is_one_line_and_writes_nothing(command, here, words, expected, tmp_path):
    code, output, error = command(*words)
    assert (code, output) == (2, "") and expected in error, error
    assert error.strip().splitlines()[-1].startswith("Error: ") and not list(
        tmp_path.glob("artifacts/*/*/manifest.json")
    )


def test_a_folder_of_another_model_or_of_other_cues_is_refused(command, here, planted):
    words = ["plant", "photos", "--out", "planted", *QUICK]
    pair = ["--cue", "ruler", "--cue", "text"]
    code, _, error = command(*words, "--model", "other.keras", *MODEL[2:], *pair, out=False)
    assert code == 2 and "has another model: my.keras. Name another folder" in error
    code, _, error = command(*words, *MODEL, "--cue", "ruler", "--cue", "sticker", out=False)
    assert code == 2 and "has another cues" in error
    code, output, error = command(*words, *MODEL, *pair, "--plan", out=False)
    assert code == 0 and "0 of 9 jobs to do" in output


RECIPE = """
name = "mine"
[model]
source = "my.keras"
input_range = [-1, 1]
[images]
folder = "photos"
[planted]
cues = ["mine_cues:stamp", "ruler"]
samples = 50
passes = 5
images = 8
[[check]]
check = "truth"
methods = ["gradient"]
controls = false
"""


def identities(here, *settings):
    (here / "mine.toml").write_text(RECIPE)
    recipe = schema.read("mine.toml", settings)
    jobs = list_jobs(recipe, Session(Sources.of(recipe), here / "artifacts"))
    return {job.key: job.identity for job in jobs}


def test_each_setting_changes_the_networks_or_what_is_asked(here):
    before = identities(here)
    assert set(before) >= {"network/replicate-3", "network/rival-3", "planted", "check/0-truth/gradient", "verdicts"}
    networks = ('planted.cues=["text","ruler"]', "planted.size=0.3", "planted.contrast=30", "planted.layer=conv_12")
    networks += ("planted.samples=60", "planted.passes=10", "planted.rate=0.1", "seed=1")
    for setting in networks:
        assert not set(before.values()) & set(identities(here, setting).values()), setting
    other = identities(here, "planted.images=9")
    assert other["network/rival-0"] == before["network/rival-0"] and other["planted"] != before["planted"]


def test_a_recipe_that_names_code_needs_leave(command, here):
    (here / "mine.toml").write_text(RECIPE)
    code, _, error = command("run", "mine.toml")
    assert code == 2 and "runs code" in error and "mine_cues:stamp" in error
    code, output, error = command("run", "mine.toml", "--allow-code", "--plan")
    assert code == 0 and "network" in output, error
    sources = Sources.of(schema.read("mine.toml"))
    assert Sources.from_values(json.loads(json.dumps(sources.as_values()))).planted == sources.planted


@pytest.mark.parametrize("setting", ["world.name=ruler", "explain.methods=['gradient']", "training.files=['b.keras']"])
def test_planted_cues_stand_beside_checks_alone(here, setting):
    (here / "mine.toml").write_text(RECIPE)
    with pytest.raises(Refused, match=r"holds \[\[check\]\] tables beside them|either a world, or a model"):
        schema.read("mine.toml", [setting])
