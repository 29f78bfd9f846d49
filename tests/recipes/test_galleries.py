"""Galleries and studies as a user runs them: pictures, what stands beside them, flags, comparisons, and pages of any size."""

import contextlib
import json
import pathlib
import shutil
import types

import keras
import numpy as np
import pytest
from PIL import Image

import lab
from lab.images import read
from lab.visualization import examples
from recipes import schema
from recipes.callbacks import Gallery
from recipes.errors import Gated
from recipes.gate import refuse_shortfall
from recipes.progress import Progress
from recipes.report import tiles
from recipes.runs import carry_out
from recipes.sections.gallery import block_outputs
from sanity.worlds import worlds
from tests import networks
from tests.recipes.test_report import browser  # noqa: F401  (a fixture)
from tests.sanity.test_picture_checks import stripes_network, textures

STEPS = 40
LOOK = ["--transforms", "textbook", "--steps", str(STEPS)]


@pytest.fixture(scope="module")
def stripes(tmp_path_factory):
    """A model file and a folder of the images that it answers to."""
    folder = tmp_path_factory.mktemp("stripes")
    stripes_network().model.save(folder / "stripes.keras")
    (folder / "images").mkdir()
    for name, image in zip(*[(data := textures(90, 0)[0]).names, data.images]):
        Image.fromarray(image).save(folder / "images" / f"{int(name):03d}.png")
    return ["--model", folder / "stripes.keras", "--input-range", -1, 1, "--images", folder / "images"]


def units_of(report):
    return json.loads(report.read_text().split('id="units">')[1].split("</script>")[0])


def more_of(report):
    parts = report.read_text().split('data-kind="more">')[1:]
    return {key: value for part in parts for key, value in json.loads(part.split("</script>")[0]).items()}


def test_a_gallery_shows_what_stands_beside_its_pictures(command, stripes):
    code, output, _ = command(
        "gallery", *stripes, "--layer", "units", "--units", "0-5", *LOOK, "--facets", 2, "--animate", "--relevant"
    )
    report = pathlib.Path(output.strip())
    assert code == 0
    units, more = units_of(report), more_of(report)
    assert [unit["unit"] for unit in units] == list(range(6)) and all(unit["percentile"] > 50 for unit in units)
    for number, unit in enumerate(units):
        details = more[unit["id"]]
        # Stripes of one kind are every sixth image.
        assert all(int(image["name"][:3]) % 6 == number for image in details["top"])
        assert len(details["pictures"]) == 2 and details["animation"].startswith("data:image/png")
        assert sum(details["histogram"]["counts"]) == details["images"] == 90
        assert {link[1] // 4 for link in details["links"][0][:4]} == {number}, (
            "the four phases of its kind come before it"
        )
        lossless = read(report.parent / details["file"])
        assert lossless.shape == (32, 32, 3)
    network = lab.load(stripes[1], input_range=(-1, 1))
    by_relevance = examples.survey(network, lab.folder(stripes[-1]), layer="units", composite="epsilon_plus")
    for unit, row, scores in zip(units, by_relevance.top, by_relevance.top_scores):
        relevant = more[unit["id"]]["relevant"]
        assert [int(image["name"][:3]) for image in relevant] == row.tolist()
        assert np.allclose([image["score"] for image in relevant], scores, rtol=1e-2)
    drawn = lab.maximize(network, lab.channel("units", range(6)), steps=STEPS, seed=0, transforms="textbook", facets=2)
    assert np.array_equal(lossless, np.round(255 * drawn.images[10]).astype("uint8"))
    moving = Image.open(report.parent / "jobs" / "gallery" / "0-units" / "00000" / "00005.anim.png")
    assert moving.n_frames == len(np.unique(np.geomspace(1, STEPS, 24).round()))


def test_images_without_relevance_are_not_shown_as_the_most_relevant(command, stripes, tmp_path):
    """Of a unit that nothing behind reads, and of a network whose answer has positions."""
    pixels = keras.Input((32, 32, 3))
    values = keras.layers.Conv2D(2, 3, activation="relu", name="units")(pixels)
    pooled = keras.layers.Dense(2, name="classes")(keras.layers.GlobalAveragePooling2D()(values))
    model = networks.filled(keras.Model(pixels, pooled))
    model.get_layer("classes").set_weights([np.float32([[1, 2], [0, 0]]), np.zeros(2, "float32")])
    model.get_layer("units").set_weights([np.full((3, 3, 3, 2), 0.1, "float32"), np.full(2, 3, "float32")])
    model.save(tmp_path / "unread.keras")
    networks.filled(keras.Model(pixels, keras.layers.Conv2D(3, 1)(values))).save(tmp_path / "places.keras")
    words = ("--layer", "units", "--units", "0-1", *stripes[2:], "--steps", 1, "--relevant")
    code, output, _ = command("gallery", "--model", tmp_path / "unread.keras", *words)
    details = list(more_of(pathlib.Path(output.strip().splitlines()[-1])).values())
    assert code == 0 and details[0]["relevant"] and details[0]["without_relevance"] is None
    assert not details[1]["relevant"] and "In no natural image" in details[1]["without_relevance"]
    code, output, _ = command("gallery", "--model", tmp_path / "places.keras", *words)
    details = list(more_of(pathlib.Path(output.strip().splitlines()[-1])).values())
    assert code == 0 and "relevance through units  refused: An output with positions" in output
    assert details[0]["top"] and "An output with positions" in details[0]["without_relevance"]


def test_all_layers_are_the_outputs_of_all_blocks(command, stripes):
    code, output, error = command("gallery", *stripes, "--all-layers", "--steps", 1)
    network = lab.load(stripes[1], input_range=(-1, 1))
    expected = {path: network.shapes[path][-1] for path in block_outputs(network)}
    units = units_of(pathlib.Path(output.strip()))
    assert code == 0 and {layer: sum(unit["layer"] == layer for unit in units) for layer in expected} == expected
    code, _, error = command("gallery", *stripes, "--all-layers", "--layers", "zzz*", "--steps", 1)
    assert code == 2 and "pattern of block outputs" in error
    code, _, error = command("gallery", *stripes, "--layer", "logits", "--units", "0-1", "--relevant")
    assert code == 2 and "units of a layer" in error
    assert command("gallery", *stripes, "--steps", 1)[0] == 2
    assert command("gallery", *stripes, "--layer", "units", "--all-layers")[0] == 2


def test_block_outputs_of_a_vision_transformer_are_its_tokens():
    # Whether a layer of random weights holds the patches depends on the weights.
    keras.utils.set_random_seed(0)
    network = worlds.get("vit")().network()
    assert block_outputs(network) == ["patches", "sequence", "tokens", "block_0_output", "block_1_output", "norm"]


def test_block_outputs_of_the_default_network(lite0):
    blocks = block_outputs(lite0)
    assert blocks[0] == "stem_relu" and blocks[3] == "block_2_add" and blocks[-1] == "head_relu" and len(blocks) == 18


@pytest.fixture(scope="module")
def studied(stripes, tmp_path_factory):
    """A study of the honest network and of the one built to fool it."""
    recipe = schema.recipe(
        {
            "name": "study",
            "model": {"source": str(stripes[1]), "input_range": [-1, 1]},
            "images": {"folder": str(stripes[-1]), "most": 90},
            "gallery": [{"layer": "units", "units": "0-5", "steps": 60, "transforms": "textbook"}],
            "features": [
                {
                    "layer": "units",
                    "units": "0-5",
                    "steps": 60,
                    "pictures": 3,
                    "transforms": "textbook",
                    "networks": 1,
                    "fooled": True,
                    "detector": "early",
                }
            ],
        }
    )
    return recipe, carry_out(recipe, tmp_path_factory.mktemp("out"), Progress(quiet=True))


def test_a_study_tells_the_fooled_network_from_the_honest_one(studied):
    _, run = studied
    assert not run.failed
    verdicts = {(row["check"], row["method"]): row for family in run.families.values() for row in family["verdicts"]}
    for check in ("path", "predictivity"):
        outcomes = [verdicts[check, method]["outcome"] for method in ("fourier, textbook", "fooled network")]
        assert outcomes == ["PASS", "FAIL"]
    assert run.families["0-path"]["blind"] == ["fooled network"] and run.families["0-path"]["controls"][0]["held"]
    findings = {check: row["finding"] for (check, method), row in verdicts.items() if method != "fooled network"}
    assert findings["reach"] == "MEASURED" and findings["transfer"] == "NOT APPLICABLE" and "recovery" in findings
    page = run.report.read_text()
    assert "largest difference 0" in page and "unit by unit" in page
    for word in ("faithful", "trustworthy", "proves"):
        assert word not in page.lower().split("<script>")[0]
    assert 'id="0-path-fooled-network"' in page and 'href="#0-path-fooled-network"' in page
    junit = (run.path / "jobs/verdicts/junit.xml").read_text()
    assert 'testsuite name="0-path" tests="2" failures="0"' in junit, "the control fails, as it must"
    assert "0-path,fooled network,path,FAIL,ANOTHER PATH" in (run.path / "jobs/verdicts/verdicts.csv").read_text()


def test_every_tile_shows_the_verdicts_on_its_unit(studied):
    _, run = studied
    for unit in units_of(run.report):
        assert {check for check, *_ in unit["verdicts"]} >= {"path", "reach", "stability", "prior", "predictivity"}
    shown = {
        f"unit {unit['unit']}": {check: outcome for check, outcome, *_ in unit["verdicts"]}["path"]
        for unit in units_of(run.report)
    }
    parts = [part for part in run.families["0-path"]["parts"] if part["method"] != "fooled network"]
    assert shown == {part["scope"]: part["outcome"] for part in parts}


def test_a_study_again_is_the_same_and_costs_nothing(studied):
    recipe, run = studied
    before = {path: path.read_bytes() for path in run.path.rglob("*.json") if path.name != "timings.json"}
    again = carry_out(recipe, run.path.parent.parent, Progress(quiet=True))
    assert {path: path.read_bytes() for path in before} == before and again.families == run.families


def test_features_are_checked_from_the_command_line(command, stripes):
    words = [
        "check",
        "--subject",
        "features",
        *stripes,
        "--layer",
        "units",
        "--units",
        "0-2",
        *LOOK,
        "--check",
        "reach,path",
    ]
    code, output, _ = command(*words)
    assert code == 0 and "MEASURED" in output and "of the highest natural score" in output
    assert command("check", "--subject", "features", *stripes, "--check", "path")[0] == 2
    assert "is an option of --subject maps" in command(*words, "--method", "gradient")[2]
    assert "add --subject features" in command("check", *stripes, "--layer", "units")[2]
    assert "Unknown check" in command(*words[:-1], "pathh")[2]
    assert "a check of maps; put it into [[check]]" in command(*words[:-1], "parameters")[2]
    assert "a check of pictures; put it into [[features]]" in command("check", *stripes, "--check", "path")[2]
    code, _, error = command(
        *words, "--fail-on", "fail", "--transforms", "none", "--parameterization", "pixels", "--steps", 1
    )
    assert code == 1 and "0-path: pixels, none fell short" in error, "three units are too few to be crossed"


def a_family(outcome, finding, *, held=True):
    """Verdicts of the path on pictures of a network, and on those of the one built to fool it."""
    rows = [{"method": "fourier", "outcome": outcome, "finding": finding}]
    control = {"control": "fooled network", "outcome": "PASS", "held": held}
    blind = {"method": "fooled network", "outcome": "FAIL", "finding": "ANOTHER PATH"}
    return {"verdicts": [*rows, blind], "controls": [control], "blind": ["fooled network"], "parts": []}


@pytest.mark.parametrize(
    "family, message",
    [
        (a_family("PASS", "NATURAL PATH"), None),
        (a_family("PASS", "NATURAL PATH", held=False), "the check is broken, control fooled network"),
        (a_family("FAIL", "ANOTHER PATH"), "0-path: fourier fell short"),
        (a_family("INVALID", "GATE FAILED"), "0-path: fourier fell short"),
        (a_family("INVALID", "NOT APPLICABLE"), "fourier: no check applied"),
        (a_family("INCONCLUSIVE", "MEASURED"), "fourier: no check applied"),
    ],
)
def test_a_gate_is_for_pictures_as_for_maps(family, message):
    done = types.SimpleNamespace(families={"0-path": family}, rows={})
    for fail_on in ("fail", "inconclusive"):
        with contextlib.nullcontext() if message is None else pytest.raises(Gated, match=message):
            refuse_shortfall(done, fail_on)


def test_what_is_measured_fails_no_gate_beside_what_passes():
    families = {"0-path": a_family("PASS", "NATURAL PATH"), "0-reach": a_family("INCONCLUSIVE", "MEASURED")}
    refuse_shortfall(types.SimpleNamespace(families=families, rows={}), "inconclusive")
    # Figures of a dictionary have no outcome, and fail no gate.
    figures = {"dictionary": [{"network": "trained"}]}
    refuse_shortfall(types.SimpleNamespace(families=families, rows=figures), "inconclusive")


def test_verdicts_on_pictures_are_compared_with_a_baseline(command, stripes):
    words = [
        "check",
        "--subject",
        "features",
        *stripes,
        "--layer",
        "units",
        "--units",
        "0-5",
        *LOOK,
        "--check",
        "stability",
    ]
    run = pathlib.Path(command(*words)[1].strip().splitlines()[-1]).parent
    code, output, error = command(*words, "--baseline", run, "--fail-on", "worse", "--json")
    assert code == 0, error
    result = json.loads(output)
    counts = result["baseline"]["counts"]
    assert counts["same"] == 2 and sum(counts.values()) == 2, "stability, and recovery"
    assert {part["scope"] for part in result["parts"]} == {f"unit {unit}" for unit in range(6)}
    assert {row["check"] for row in result["verdicts"]} == {"stability", "recovery"} and "flags" not in result
    rows = json.loads(command("list", "checks", "--json", out=False)[1])["checks"]
    assert {row["claim"] for row in rows} >= {"maps", "pictures", "attention"}
    assert {"path", "recovery"} < {row["name"] for row in rows if row["claim"] == "pictures"}


def test_pictures_are_checked_by_the_fixture(lab_check, stripes):
    model, folder = stripes[1], stripes[-1]
    study = {"layer": "units", "units": "0-5", "pictures": 2, "steps": 20, "transforms": "textbook"}
    words = {"input_range": (-1, 1), "most": 90, "settings": study}
    verdict = lab_check(model, folder, "fourier", check="stability", **words)
    assert (verdict.check, verdict.method) == ("stability", "fourier, textbook") and verdict.sizes["units"] == 6
    with pytest.raises(AssertionError, match="GATE FAILED"):
        lab_check(model, folder, "fourier", check="path", fail_on="fail", **{**words, "most": 6})
    with pytest.raises(lab.Refused, match="a check of attention"):
        lab_check(model, folder, "fourier", check="attention_use", **words)


def test_two_galleries_are_compared_and_changed_units_come_first(command, stripes, tmp_path):
    model = keras.models.load_model(stripes[1], compile=False)
    mix = model.get_layer("mix")
    weights = mix.get_weights()[0]
    weights[..., [0, 1]] = weights[..., [1, 0]]
    mix.set_weights([weights])
    model.save(tmp_path / "changed.keras")
    other = ["--model", tmp_path / "changed.keras", *stripes[2:]]
    runs = [
        pathlib.Path(command("gallery", *words, "--layer", "units", "--units", "0-5", "--steps", 5)[1].strip()).parent
        for words in (stripes, other)
    ]
    code, output, _ = command("compare", *runs, out=False)
    page = pathlib.Path(output.strip()).read_text()
    order = [int(part.split('"')[0].rpartition("-")[2]) for part in page.split('class="pair" id="')[1:]]
    assert code == 0 and set(order[:2]) == {0, 1} and "agreement 1.00" in page and page.count("<img") == 12
    alone = pathlib.Path(
        command("gallery", *stripes, "--layer", "phases", "--units", "0", "--steps", 1)[1].strip()
    ).parent
    assert "share none" in command("compare", runs[0], alone, out=False)[2]


def test_a_large_gallery_lies_beside_its_page_and_scrolls(tmp_path, browser):  # noqa: F811
    """Hundreds of units: the page holds few tiles at a time, loads shards as they come into sight, and asks for nothing else."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    inputs = keras.Input((16, 16, 3))
    outputs = keras.layers.Dense(2)(
        keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(512, 3, name="wide")(inputs))
    )
    networks.filled(keras.Model(inputs, outputs)).save(tmp_path / "wide.keras")
    recipe = schema.recipe(
        {
            "name": "wide",
            "model": {"source": str(tmp_path / "wide.keras"), "input_range": [-1, 1]},
            "images": {"photographs": ["chelsea"]},
            "gallery": [
                {"layer": "wide", "units": "0-511", "steps": 1, "batch": 64, "natural": 1, "connections": False}
            ],
        }
    )
    run = carry_out(recipe, tmp_path / "artifacts", Progress(quiet=True))
    assert len(list((run.path / "tiles").glob("*-thumbs.js"))) == 8 and run.report.stat().st_size < 600_000
    browser.get("about:blank")
    browser.get_log("performance")
    browser.get(run.report.as_uri())
    find = lambda selector: browser.find_elements(By.CSS_SELECTOR, selector)  # noqa: E731
    loaded = (
        "return [...document.querySelectorAll('.tile img')].every(image => image.complete && image.naturalWidth > 0)"
    )
    wait(lambda: browser.execute_script(loaded))
    assert find("#count")[0].text == "512 of 512" and 10 < len(find(".tile")) < 200
    assert len(find("script[src]")) < 4
    # Every frame of a long scroll is drawn: none waits for more than a few of its neighbours' time.
    longest = browser.execute_async_script(SCROLL)
    assert longest["drawn"] > 20 and longest["tiles"] < 250, longest
    wait(lambda: browser.execute_script(loaded))
    assert find(".tile")[-1].text.startswith("unit 511")
    find("#filter")[0].send_keys("wide 377")
    wait(lambda: find("#count")[0].text == "1 of 512")
    find(".tile")[0].send_keys(Keys.ENTER)
    wait(
        lambda: (
            find("#inside .big")
            and browser.execute_script("return document.querySelector('#inside .big').naturalWidth") == 16
        )
    )
    assert browser.current_url.endswith("#unit-0-wide-377") and "highest" in find("#inside")[0].text
    browser.get(run.report.as_uri() + "#unit-0-wide-3")
    browser.refresh()
    wait(lambda: "wide 3" in find("#inside")[0].text and find("#inside .big"))
    complaints = [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [entry["params"]["request"]["url"] for entry in sent if entry["method"] == "Network.requestWillBeSent"]
    assert complaints == [] and [url for url in urls if not url.startswith(("file:", "data:"))] == []


SCROLL = """
const done = arguments[0];
let drawn = 0, tiles = 0;
const step = () => {
  scrollBy(0, 400);
  drawn += 1;
  tiles = Math.max(tiles, document.querySelectorAll('.tile').length);
  if (scrollY + innerHeight < document.documentElement.scrollHeight - 5 && drawn < 500) requestAnimationFrame(step);
  else setTimeout(() => { document.querySelector('#tiles').scrollIntoView(false); setTimeout(() => done({drawn, tiles}), 300); }, 100);
};
requestAnimationFrame(step);
"""


def wait(condition, seconds=20):
    import time

    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def test_what_stands_in_a_script_cannot_leave_it():
    assert "</script" not in tiles.as_script_json({"name": "</script><script>alert(1)"})


def test_a_gallery_grows_with_training(tmp_path):
    model = networks.flat()
    model.compile("sgd", "mse")
    rng = np.random.default_rng(0)
    inputs, goals = rng.normal(size=(32, 16, 16, 3)).astype("float32"), rng.normal(size=(32, 5))
    gallery = Gallery(
        tmp_path / "g", "last", [1, 4], every=2, steps=3, images=inputs[:4], model_options={"input_range": (-1, 1)}
    )
    history = model.fit(inputs, goals, epochs=4, verbose=0, callbacks=[gallery])
    assert len(history.history["loss"]) == 4
    assert sorted(folder.name for folder in (tmp_path / "g").glob("epoch-*")) == [
        "epoch-00000",
        "epoch-00002",
        "epoch-00004",
    ]
    assert Image.open(tmp_path / "g" / "00004.anim.png").n_frames == 3
    rows = (tmp_path / "g" / "scores.csv").read_text().splitlines()
    assert rows[0] == "epoch,unit,picture,highest_natural" and len(rows) == 7
    network = lab.load(model, input_range=(-1, 1))
    pictures = lab.maximize(network, lab.channel("last", [1, 4]), steps=3, seed=0)
    assert np.array_equal(
        read(tmp_path / "g" / "epoch-00004" / "00004.png"), np.round(255 * pictures.images[1]).astype("uint8")
    )
    with pytest.raises(ValueError, match="Unknown layer"):
        model.fit(
            inputs,
            goals,
            verbose=0,
            callbacks=[Gallery(tmp_path / "h", "lst", [1], model_options={"input_range": (-1, 1)})],
        )
    with pytest.raises(ValueError, match="every="):
        Gallery(tmp_path, "last", [0], every=0)


def test_a_gallery_lies_in_a_folder_named_from_here(command, stripes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("gallery", *stripes[:-2], "--layer", "phases_relu", "--units", "0-1", "--steps", 2, "--out", "artifacts")
    code, output, error = command(*words, out=False)
    assert code == 0 and pathlib.Path(output.splitlines()[-1]).is_file() and "artifacts/" in output, error


def test_an_atlas_over_a_photograph_and_over_folders(command, stripes, tmp_path):
    photo = stripes[-1] / "003.png"
    more = tmp_path / "more"
    more.mkdir()
    for name in ("one.png", "two.png"):
        shutil.copy(photo, more / name)
    words = [*stripes[:-2], "--layer", "phases_relu", "--steps", 2]
    code, output, _ = command("atlas", *words, "--image", photo, "--groups", 2)
    report = pathlib.Path(output.strip())
    channels = np.load(report.parent / "jobs" / "atlas" / "0" / "atlas.npz")["channels"]
    assert code == 0 and channels.shape == (25, 25, 4) and report.read_text().count('<i title="channels') == 625
    # The stripes of this photograph are of the fourth kind: its four phases are the strongest nearly everywhere.
    assert (channels[..., 0] // 4 == 3).mean() > 0.8
    code, output, _ = command("atlas", *words, "--images", stripes[-1], "--side", 3)
    assert code == 0 and "over 90 images" in pathlib.Path(output.strip()).read_text()
    code, output, error = command("atlas", *words, "--images", stripes[-1], "--images", more, "--side", 3)
    assert code == 0 and "over 92 images" in pathlib.Path(output.strip()).read_text(), error
    assert "Received: both" in command("atlas", *words, "--image", photo, "--images", stripes[-1])[2]
    assert "rows and columns" in command("atlas", *stripes[:-2], "--layer", "out")[2]
    assert "Unknown layer" in command("atlas", *stripes[:-2], "--layer", "phase")[2]


def test_facets_are_counted_and_spectra_measured_on_ones_own_images(command, stripes, tmp_path):
    recipe = tmp_path / "facets.toml"
    recipe.write_text(f"""
name = "facets"
[model]
source = "{stripes[1]}"
input_range = [-1, 1]
[images]
folder = "{stripes[-1]}"
most = 30
[[gallery]]
layer = "units"
units = "0-2"
steps = 30
facets = 3
diversity = 1.0
transforms = "none"
[[gallery]]
layer = "units"
units = "0-1"
steps = 3
parameterization = "maco"
spectrum = "images"
[[gallery]]
layer = "units"
units = "0-1"
steps = 3
parameterization = "maco"
""")
    code, output, _ = command("run", recipe)
    report = pathlib.Path(output.strip())
    more = more_of(report)
    assert code == 0 and all(1 <= more[f"unit-0-units-{unit}"]["modes"] <= 3 for unit in range(3))
    measured, packaged = (read(report.parent / more[f"unit-{number}-units-0"]["file"]) for number in (1, 2))
    assert not np.array_equal(measured, packaged)
    for setting, expected in (("gallery.0.facets=1", "two or more"), ("gallery.0.spectrum='images'", "maco alone")):
        code, _, error = command("run", recipe, "--set", setting)
        assert code == 2 and expected in error
