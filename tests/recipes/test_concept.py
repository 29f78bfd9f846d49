"""lab concept: sets from files, verdicts of every layer and class, examples, and what is refused."""

import json
import pathlib
import shutil

import click.testing
import keras
import numpy as np
import pytest
from PIL import Image

from recipes.claims import family_table
from recipes.cli import main
from recipes.sections.concept import _named_paths
from tests import concept_files

LAYERS = ("--layers", "first,second")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a small network and the files of concepts."""
    folder = tmp_path_factory.mktemp("concepts")
    keras.utils.set_random_seed(0)
    entry = keras.Input([32, 32, 3])
    features = keras.layers.Conv2D(6, 5, strides=2, activation="relu", name="first")(entry)
    features = keras.layers.Conv2D(12, 3, activation="relu", name="second")(features)
    means = keras.layers.GlobalAveragePooling2D(name="means")(features)
    keras.Model(entry, keras.layers.Dense(3, name="logits")(means)).save(folder / "m.keras")
    concept_files.write(folder)
    return folder


def arguments(folder, *more, concept="stripes", layers=LAYERS):
    """The words of the command."""
    model = ("--model", folder / "m.keras", "--input-range", "-1", "1")
    sets = ("--concept", folder / concept, "--pool", folder / "random", "--images", folder / "animals")
    return [str(word) for word in ("concept", *model, *sets, "--class", "0,2", *layers, *more)]


@pytest.fixture(scope="module")
def run(folder):
    """A run of both checks: its folder, and what it printed."""
    words = arguments(folder, "--untrained", "1", "--steps", "3", "--json", "--out", folder / "artifacts")
    done = click.testing.CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.stdout + done.stderr
    values = json.loads(done.stdout)
    return pathlib.Path(values["run"]), values


def test_there_is_a_verdict_for_every_concept_layer_class_and_check(run):
    _, values = run
    rows = {(row["check"], row["method"]) for row in values["verdicts"]}
    places = [f"stripes at {layer} for {target}" for layer in ("first", "second") for target in (0, 2)]
    assert rows == {(check, place) for check in ("tcav", "erasure") for place in places}
    assert all(
        "10 inputs a set, 30 random sets, 5 negative sets" in row["sentence"]
        for row in values["verdicts"]
        if row["check"] == "tcav"
    )


def test_examples_are_kept_and_the_page_shows_them(run):
    folder, _ = run
    about = json.loads((folder / "jobs/concept/examples/000-stripes/about.json").read_text())
    assert about["accuracies"]["first"] > 0.7
    arrays = np.load(folder / "jobs/concept/examples/000-stripes/examples.npz")
    assert len(arrays["top"]) == len(arrays["bottom"]) == 8 and len(arrays["drawn"]) == 2
    assert arrays["maps"].shape[:1] == (4,) and arrays["gradients"].shape == (4, 32, 32)
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert (
        "Furthest along its vector" in page
        and "Pictures that climb its vector" in page
        and "How well it is told from the pool" in page
    )


def test_masks_and_directions_change_what_is_measured(command, folder):
    def cosine(*more, **known):
        code, output, errors = command(
            *arguments(folder, "--check", "tcav", "--untrained", "0", "--json", *more, **known)
        )
        assert code == 0, output + errors
        return json.loads(output)["verdicts"][0]["effect"]["mean"]

    half = folder / "half"
    half.mkdir()
    for place in range(concept_files.EXAMPLES):
        mask = np.zeros([32, 32], "uint8")
        mask[:16] = 255
        Image.fromarray(mask).save(half / f"{place:03d}.png")
    whole = cosine()
    assert cosine("--masks", f"stripes={folder / 'masks'}") == pytest.approx(whole, abs=1e-5)
    assert cosine("--masks", f"stripes={half}") != pytest.approx(whole, abs=1e-5)
    assert cosine(concept="direction.npy", layers=("--layers", "second")) != pytest.approx(whole, abs=1e-5)


def test_an_edited_picture_is_measured_again(command, folder, tmp_path):
    shutil.copytree(folder / "stripes", tmp_path / "stripes")
    words = arguments(folder, "--check", "tcav", "--untrained", "0", "--json")
    words[words.index(str(folder / "stripes"))] = str(tmp_path / "stripes")
    first, again = json.loads(command(*words)[1]), json.loads(command(*words)[1])
    assert first["run"] == again["run"] and first["verdicts"] == again["verdicts"]
    same = json.loads(command(*words, "--baseline", first["run"], "--fail-on", "worse")[1])
    assert same["error"] is None and {row["change"] for row in same["baseline"]["rows"]} == {"same"}
    Image.fromarray(concept_files.stripes(np.random.default_rng(9))).save(tmp_path / "stripes" / "000.png")
    edited = json.loads(command(*words, "--baseline", first["run"])[1])
    assert edited["verdicts"][0]["effect"] != first["verdicts"][0]["effect"]
    rows = edited["baseline"]["rows"]
    assert [(row["change"], row["reason"]) for row in rows] == [("not comparable", "other data")] * 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "12"], "need a pool of 420 inputs"),
        (["--layers", "frist"], "Unknown layer. Received: 'frist'. Nearest: first"),
        (["--class", "7"], "between 0 and 2. Received: 7"),
        (["--check", "place"], "holds checks of concepts. Received: 'place', a check of maps"),
        (["--masks", "stripes=nowhere"], "Received: 'nowhere', which is no folder"),
        (["--masks", "dots=masks"], "Masks belong to a concept. Received: masks of 'dots'"),
        (["--concept", "stripes=random"], "Each concept has a name of its own. Received: 'stripes' twice"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(command, folder, words, message):
    code, output, errors = command(*arguments(folder, *words))
    assert code == 2 and message in errors, errors
    assert errors.strip().splitlines()[-1].startswith("Error: ")


def test_copies_are_found(command, folder, tmp_path):
    repeated = tmp_path / "repeated"
    repeated.mkdir()
    for place in range(20):
        shutil.copy(folder / "stripes" / "000.png", repeated / f"{place}.png")
    words = arguments(folder)
    words[words.index(str(folder / "stripes"))] = str(repeated)
    code, _, errors = command(*words)
    assert code == 2 and "equal inputs count once. Received: 1 of '" in errors
    shared = tmp_path / "shared"
    shutil.copytree(folder / "stripes", shared)
    shutil.copy(folder / "random" / "007.png", shared / "copy.png")
    words[words.index(str(repeated))] = str(shared)
    code, output, errors = command(*words)
    assert code == 2 and "'copy.png', there '007.png'" in output + errors


def test_erasure_alone_needs_ten_inputs_too(command, folder, tmp_path):
    """Of a concept of two pictures, or a pool of one, a direction says nothing."""
    for source, count in (("stripes", 9), ("random", 9)):
        (tmp_path / source).mkdir()
        for place in range(count):
            shutil.copy(folder / source / f"{place:03d}.png", tmp_path / source)
    words = arguments(folder, "--check", "erasure")
    for source, message in (
        ("stripes", "A concept needs 10 inputs of different sources or more"),
        ("random", "A pool needs 10 inputs of different sources or more. Received: 9."),
    ):
        place = words.index(str(folder / source))
        code, _, errors = command(*words[:place], str(tmp_path / source), *words[place + 1 :])
        assert code == 2 and message in errors, errors


def test_near_copies_are_told(command, folder, tmp_path):
    """Twelve pictures that differ by noise that nobody sees are one example; one of them is in the pool, too."""
    rng, near = np.random.default_rng(0), tmp_path / "near"
    near.mkdir()
    image = np.asarray(Image.open(folder / "random" / "003.png")).astype(int)
    for place in range(12):
        copy = np.clip(image + rng.integers(-2, 3, image.shape), 0, 255)
        Image.fromarray(copy.astype("uint8")).save(near / f"{place:03d}.png")
    words = arguments(folder, "--check", "erasure", layers=("--layers", "second"))
    words[words.index(str(folder / "stripes"))] = str(near)
    code, _, errors = command(*words)
    assert code == 0 and "12 pictures of 'near' as good as in the pool, such as '000.png'" in errors, errors
    assert "12 pictures of 'near' are copies of 1, but for small changes" in errors
    code, _, errors = command(*arguments(folder, "--check", "erasure,erasure", layers=("--layers", "second")))
    assert code == 0 and "copies" not in errors, errors


@pytest.mark.parametrize(("gate", "code"), [("fail", 0), ("inconclusive", 1)])
def test_a_gate_reads_the_verdicts(run, folder, gate, code):
    words = arguments(folder, "--untrained", "1", "--steps", "3", "--fail-on", gate, "--out", folder / "artifacts")
    done = click.testing.CliRunner().invoke(main, words)
    outcomes = {row["outcome"] for row in run[1]["verdicts"]}
    # A concept that a random network does not tell, or does not answer to, is open and no failure.
    expected = 1 if gate == "fail" and outcomes & {"FAIL", "INVALID"} else code
    assert done.exit_code == expected, done.stdout + done.stderr


def test_the_table_of_a_family_is_that_which_holds_its_check(run):
    recipe = json.loads((run[0] / "manifest.json").read_text())["recipe"]
    assert family_table(recipe, "0-tcav", {"check": "tcav", "claim": "concepts"}) == recipe["concept"]
    recipe |= {"check": [{"check": "atom_effect", "draws": 20}]}
    assert family_table(recipe, "0-atom_effect", {"check": "atom_effect", "claim": "concepts"})["draws"] == 20
    assert family_table(recipe, "0-tcav", {"check": "tcav", "claim": "concepts"}) == recipe["concept"]
    assert family_table(recipe, "1-atom_effect", {"check": "atom_effect", "claim": "concepts"}) == {}
    recipe |= {"dictionary": {"layer": "second"}, "probe": {"exchanges": 39}}
    assert family_table(recipe, "0-dictionary", {"check": "atom_effect", "claim": "concepts"}) == {"layer": "second"}
    assert family_table(recipe, "0-probe_use", {"check": "probe_use", "claim": "concepts"}) == {"exchanges": 39}


def test_a_texture_has_its_own_name():
    assert list(_named_paths(["texture:dots:12", "a/b/stripes", "mine=x.npy"])) == ["dots", "stripes", "mine"]


def test_two_concepts_whose_names_look_alike_are_both_shown(command, folder):
    words = arguments(folder, "--check", "tcav", "--untrained", "0", "--json", "--concept", f"a-b={folder / 'stripes'}")
    words[words.index(str(folder / "stripes"))] = f"a/b={folder / 'stripes'}"
    code, output, errors = command(*words)
    assert code == 0, output + errors
    examples = pathlib.Path(json.loads(output)["run"]) / "jobs/concept/examples"
    names = [json.loads((path / "about.json").read_text())["concept"] for path in sorted(examples.iterdir())]
    assert names == ["a/b", "a-b"]


def test_a_direction_of_other_channels_is_refused(command, folder):
    code, _, errors = command(*arguments(folder, concept="direction.npy", layers=("--layers", "first")))
    assert code == 2 and "not all zero. Received: an array (12,) for first" in errors


def test_textures_stand_for_pictures(command, folder):
    words = arguments(folder, "--check", "tcav", "--untrained", "0", "--json")
    words[words.index(str(folder / "stripes"))] = "stripes=texture:stripes:12"
    words[words.index(str(folder / "random"))] = "texture:mixed:350"
    code, output, errors = command(*words)
    assert code == 0, output + errors
    assert {row["method"].partition(" at ")[0] for row in json.loads(output)["verdicts"]} == {"stripes"}
    words[words.index("texture:mixed:350")] = "texture:mixed"
    code, _, errors = command(*words)
    assert code == 2 and "such as texture:stripes:40. Received: texture:mixed" in errors
