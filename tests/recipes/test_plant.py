"""Plant: cues in a user's pictures by command, the folder that holds the networks, and the check that reads it."""

import json
import pathlib
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from lab.refusal import Refused
from recipes import schema
from recipes.jobs import list_jobs
from recipes.planted import PlantedFolder, find_plantings
from recipes.session import Session
from recipes.sources import Sources
from tests import own_data
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
    assert "INVALID: " in planted and "right on 0." in planted and "more --passes help" in planted
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


def test_what_networks_learned_is_read_by_a_run_that_asks_more_methods(command, here, planted, monkeypatch):
    def verdicts(*methods):
        code, output, error = command("check", "--planted", "planted", "--method", ",".join(methods), "--json")
        assert code == 0, error
        return {row["method"]: row["sentence"] for row in json.loads(output)["verdicts"]}

    before = verdicts("gradcam")
    monkeypatch.setattr("sanity.cue_networks._use_gates", None)
    after = verdicts("gradcam", "gradient")
    assert "right on 0." in before["gradcam"] and after["gradient"] == before["gradcam"] == after["gradcam"]


@pytest.mark.slow
def test_the_fixture_takes_a_planted_folder(lab_check, here, planted):
    verdict = lab_check(planted="planted", method="gradcam", check="truth")
    assert verdict.outcome == "INVALID" and "GATE FAILED" in verdict.sentence
    with pytest.raises(ValueError, match="brings its own model and data"):
        lab_check("my.keras", planted="planted", method="gradcam")


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


# Tables, series and texts -------------------------------------------------------------------------------------------------

SMALL = ["--pictures", 50, "--passes", 5, "--samples", 8]
TABLE = ["--data", "loans.csv", "--label", "default", "--model", "credit.keras"]
SERIES = ["--data", "beats.npz", "--model", "ecg.keras"]
TEXTS = ["--data", "reviews.txt", "--model", "sentiment.keras"]


@pytest.fixture
def own(here):
    """The folder of the project with a table, series and texts, and a network of each."""
    if not (here / "loans.csv").is_file():
        own_data.write(here)
        (here / "few.txt").write_text("a great film\ngreat\na dull plot\nso so\n")
        (here / "flat.csv").write_text("age,flat,default\n" + "\n".join(f"{row},3,0" for row in range(9)))
        (here / "one.csv").write_text("age,default\n" + "\n".join(f"{row},{row % 2}" for row in range(9)))
        np.savez(here / "short.npz", x=np.random.default_rng(0).normal(size=(9, 6, 1)).astype("float32"))
        np.savez(here / "ids.npz", x=np.random.default_rng(0).integers(1, 4, (9, 5)))
        for name, layers in NETWORKS.items():
            keras.Sequential([*layers(), keras.layers.Dense(2)]).save(here / f"{name}.keras")
    return here


NETWORKS = {
    "two_columns": lambda: [keras.Input((2,))],
    "one_column": lambda: [keras.Input((1,))],
    "short": lambda: [keras.Input((6, 1)), keras.layers.Flatten()],
    "ids": lambda: [keras.Input((5,), dtype="int32"), keras.layers.Embedding(9, 2), keras.layers.Flatten()],
}


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (
            [*TABLE, "--cue", "mean_radius", "--cue", "mean_texture"],
            ["Planted cues: column mean_radius and column mean_texture", "<td>lower</td>", "<td>upper</td>"],
        ),
        (SERIES, ["Planted cues: bump and oscillation", '<svg class="series"', "6 steps, 1."]),
        (TEXTS, ["No words were named, so these were taken", '<p class="words">', "background:rgba(33,102,172"]),
    ],
    ids=["table", "series", "texts"],
)
def test_other_data_are_planted_in_and_checked(command, own, tmp_path, words, shown):
    code, output, error = command("plant", *words, *SMALL)
    assert code == 0 and ("INVALID: " in output or "as swaps show" in output), error
    page = pathlib.Path(output.strip().splitlines()[-1]).read_text()
    assert all(text in page for text in shown) and page.count("<td>A") == 4 and page.count("<td>B") == 4
    assert len(find_plantings(tmp_path / "artifacts")) == 1
    if words is not TEXTS:
        return
    check = ["check", "--planted", tmp_path / "artifacts", "--method", "gradient", "--json"]
    code, output, error = command(*check)
    result = json.loads(output)
    assert code == 0 and {row["check"] for row in result["verdicts"]} == {"truth"}, error
    assert not any("network/" in job["key"] for job in result["jobs"]), "nothing is trained again"
    before = pathlib.Path("reviews.txt").read_bytes()
    pathlib.Path("reviews.txt").write_bytes(before + b"a great plot\n")
    try:
        code, _, error = command(*check[:-1])
        assert code == 2 and "other data, or a cue of other code, than" in error
        code, output, error = command("plant", *words, *SMALL)
        assert (code, output) == (2, "") and "other data, or a cue of other code, than" in error
        assert error.strip().splitlines()[-1].endswith("Name another folder with --out.")
        assert len(find_plantings(tmp_path / "artifacts")) == 1
    finally:
        pathlib.Path("reviews.txt").write_bytes(before)
    code, _, error = command("plant", *TABLE, *SMALL)
    assert code == 2 and "has another model: sentiment.keras. Name another folder" in error


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model", "credit.keras"], "Cues are planted in pictures, or in other data by --data. Received: none"),
        (["photos", *TABLE], "Received: both photos and --data loans.csv"),
        ([*TABLE, "--levels", 255], "--levels is an option of pictures"),
        ([*TABLE, "--cue", "mean_radius", "--cue", "mean_radios"], "Received: 'mean_radios'. Nearest: mean_radius"),
        ([*TABLE, "--cue", "mean_radius", "--cue", "default"], "Received: 'default'. Nearest:"),
        ([*TABLE, "--cue", "mean_radius"], "Two different cues are planted"),
        ([*TABLE, "--cue", "ruler", "--cue", "text"], "one of its columns that the network takes. Received: 'ruler'"),
        ([*TABLE, "--size", 0.2], "size is a setting of cues in image, series. Received: 0.2 for table"),
        (
            [
                "--data",
                "flat.csv",
                "--label",
                "default",
                "--model",
                "two_columns.keras",
                "--cue",
                "age",
                "--cue",
                "flat",
            ],
            "a table of 2 columns, of which 1 vary",
        ),
        (
            ["--data", "one.csv", "--label", "default", "--model", "one_column.keras"],
            "a table of 1 column, of which 1 vary",
        ),
        (["--data", "short.npz", "--model", "short.keras"], "series of 6 steps, of which 6 in a row"),
        ([*SERIES, "--cue", "ruler", "--cue", "bump"], "'ruler', a cue of the kind image. Those of series: bump"),
        (["--data", "ids.npz", "--model", "ids.keras"], "5 different ones at the least. Received: 3"),
        (["--data", "few.txt", "--model", "sentiment.keras"], "Received: text 2, with 1 word. Leave out"),
        ([*TEXTS, "--cue", "great/dul", "--cue", "a/the"], "Received: 'dul'. Nearest: dull"),
    ],
)
def test_other_data_that_cannot_be_planted_in_are_one_line_and_write_nothing(command, own, tmp_path, words, expected):
    code, output, error = command("plant", *words)
    assert (code, output) == (2, "") and expected in error, error
    assert error.strip().splitlines()[-1].startswith("Error: ")
    assert not list(tmp_path.glob("artifacts/*/*/manifest.json"))


def test_a_planted_folder_brings_its_data(command, own):
    code, _, error = command("check", "--planted", "photos", "--data", "loans.csv")
    assert code == 2 and "--data is brought by --planted" in error


def test_cues_are_listed_with_their_kind(command):
    code, output, _ = command("list", "cues", "--json", out=False)
    listed = {row["name"]: row["kind"] for row in json.loads(output)["cues"]}
    assert code == 0 and listed["ruler"] == "image" and listed["bump"] == "series"
    assert (listed["COLUMN"], listed["WORD/WORD"]) == ("table", "tokens")
