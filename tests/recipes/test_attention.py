"""lab attention: the weights of every head, what each does, and a page where a head is opened."""

import csv
import json
import pathlib
import re

import keras
import numpy as np
import pytest
from PIL import Image

import lab
from lab import routines
from recipes.report.heads import LONGEST
from sanity.worlds import worlds
from tests.recipes.test_report import browser  # noqa: F401  (a fixture)

VIT = ("--import", "sanity.worlds.vit", "--allow-code", "--input-range", "-1", "1")


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """The path of an untrained vision transformer, and of two pictures."""
    folder, world = tmp_path_factory.mktemp("vit"), worlds.get("vit")()
    keras.utils.set_random_seed(0)
    world.build().save(folder / "vit.keras")
    for place, picture in enumerate(world.draw(2, 0)[0].inputs):
        Image.fromarray(np.uint8(np.round((picture[..., 0] + 1) * 127.5))).save(folder / f"picture{place}.png")
    return folder


def run(command, *arguments):
    """A run of the command: the folder of its results, and what it printed."""
    code, output, errors = command("attention", *map(str, arguments), "--json")
    assert code == 0, output + errors
    values = json.loads(output)
    return pathlib.Path(values["run"]), values


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    """The path of a model of words with one attention, and of its texts."""
    folder = tmp_path_factory.mktemp("words")
    keras.utils.set_random_seed(0)
    lookup = keras.layers.TextVectorization(vocabulary=["good", "bad", "film"], output_sequence_length=4)
    texts = keras.Input((), dtype="string")
    ids = lookup(texts)
    x = keras.layers.Embedding(6, 8, mask_zero=True, name="words")(ids)
    x = x + keras.layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    keras.Model(texts, keras.layers.Dense(2, "softmax")(keras.layers.GlobalAveragePooling1D()(x))).save(
        folder / "m.keras"
    )
    (folder / "texts.txt").write_text("good film\nbad bad film\n", encoding="utf-8")
    return folder


def test_every_head_of_a_vision_transformer(command, vit):
    pictures = [vit / "picture0.png", vit / "picture1.png"]
    folder, values = run(command, *pictures, "--model", vit / "vit.keras", *VIT)
    assert values["summary"][0] == "4 heads of 2 layers, 2 inputs"
    network = lab.load(keras.models.load_model(vit / "vit.keras"), input_range=(-1, 1))
    inputs = network.preprocess([np.asarray(Image.open(path)) for path in pictures])
    for number, address in enumerate(network.attentions):
        stored = np.load(folder / f"jobs/attention/weights-{number}.npz")["weights"]
        np.testing.assert_allclose(stored, routines.activations(network, inputs, address), atol=1e-6)
    rows = list(csv.DictReader((folder / "jobs/attention/heads.csv").open(encoding="utf-8")))
    assert len(rows) == 2 * 4 and all(float(row["entropy"]) > 0 for row in rows)
    goal = lab.logit(routines.logits(network, inputs).argmax(1).tolist())
    changes = lab.attention.knock_out(network, inputs, goal)
    stored = [float(row["change without it"]) for row in rows if row["input"] == "picture1.png"]
    expected = np.concatenate([changes[address][1] for address in network.attentions])
    np.testing.assert_allclose(stored, expected, atol=1e-5)
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "class token" in page and "row 4, column 4" in page


def test_heads_that_are_not_used_are_greyed(command, vit, tmp_path):
    """The last attention of a network that reads its first block alone adds nothing."""
    model = keras.models.load_model(vit / "vit.keras", custom_objects={})
    layer = model.get_layer("block_1_attention").output_dense
    layer.kernel.assign(0 * layer.kernel)
    model.save(tmp_path / "vit.keras")
    for place, picture in enumerate(worlds.get("vit")().draw(8, 1)[0].inputs):
        Image.fromarray(np.uint8(np.round((picture[..., 0] + 1) * 127.5))).save(tmp_path / f"{place}.png")
    folder, _ = run(command, tmp_path, "--model", tmp_path / "vit.keras", *VIT, "--check")
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert page.count('class="head unused"') == 2 * 4, "two heads, of the four inputs that are drawn"
    assert "4 inputs are drawn; 4 more are in jobs/attention" in page


def test_a_text_has_its_words_and_no_padding(command, text_model):
    folder, values = run(command, "--text", text_model / "texts.txt", "--model", text_model / "m.keras")
    about = json.loads((folder / "jobs/attention/about.json").read_text(encoding="utf-8"))
    assert about["words"] == [["good", "film", "", ""], ["bad", "bad", "film", ""]]
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "[&#34;good&#34;, &#34;film&#34;]" in page
    rows = list(csv.DictReader((folder / "jobs/attention/heads.csv").open(encoding="utf-8")))
    weights = np.load(folder / "jobs/attention/weights-0.npz")["weights"][0, :, :2, :2]
    expected = -(weights * np.log(weights)).sum(-1).mean(-1)
    np.testing.assert_allclose([float(row["entropy"]) for row in rows[:2]], expected, atol=1e-5)


def test_an_open_head_shows_its_lines_in_a_browser(command, text_model, vit, browser):  # noqa: F811
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    folder, _ = run(command, "--text", text_model / "texts.txt", "--model", text_model / "m.keras")
    browser.get((folder / "index.html").as_uri())
    heads = browser.find_elements(By.CSS_SELECTOR, ".head")
    assert len(heads) == 2 * 2 and not browser.find_element(By.CSS_SELECTOR, ".detail").is_displayed()
    heads[0].send_keys(Keys.ENTER)
    detail = browser.find_element(By.CSS_SELECTOR, ".detail")
    assert detail.is_displayed() and "attention:weights, head 0" in detail.text
    weights = np.load(folder / "jobs/attention/weights-0.npz")["weights"][0, 0, :2, :2]
    assert len(detail.find_elements(By.CSS_SELECTOR, "path")) == (weights > 0.01).sum()
    browser.execute_script("arguments[0].focus()", detail.find_elements(By.CSS_SELECTOR, ".query")[1])
    assert "film attends to" in detail.text
    for name, value in zip(("good", "film"), weights[1]):
        shown = float(re.search(rf"attends to .*{name} ([0-9.]+)", detail.text)[1])
        assert abs(shown - value) < 0.015, "a picture holds 256 steps of the square root"
    heads[0].click()
    assert not detail.is_displayed()

    folder, _ = run(command, vit / "picture0.png", "--model", vit / "vit.keras", *VIT)
    browser.get((folder / "index.html").as_uri())
    browser.find_elements(By.CSS_SELECTOR, ".head")[3].click()
    assert len(browser.find_elements(By.CSS_SELECTOR, ".patches i")) == 16
    browser.find_elements(By.CSS_SELECTOR, ".patches i")[5].click()
    assert "row 2, column 2 attends to" in browser.find_element(By.CSS_SELECTOR, ".detail").text
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_what_has_no_attention_or_no_single_score(command, small_file, vit, text_model):
    code, _, errors = command("attention", vit / "picture0.png", "--model", small_file, "--input-range", "0", "1")
    assert code == 2 and "Heads belong to attention" in errors
    arguments = ("--text", text_model / "texts.txt", "--model", text_model / "m.keras", "--layers", "atention:weights")
    code, _, errors = command("attention", *map(str, arguments))
    assert code == 2 and "Nearest: attention:weights" in errors


def test_long_inputs_are_read_and_not_drawn(command, tmp_path):
    keras.utils.set_random_seed(0)
    x = keras.Input((LONGEST + 1, 2))
    mixed = keras.layers.MultiHeadAttention(1, 2, name="attention")(x, x)
    outputs = [keras.layers.Dense(2, name=name)(keras.layers.Flatten()(mixed)) for name in ("one", "two")]
    keras.Model(x, outputs).save(tmp_path / "m.keras")
    np.savez(tmp_path / "series.npz", x=np.random.default_rng(0).normal(size=(2, LONGEST + 1, 2)).astype("float32"))
    folder, values = run(command, "--data", tmp_path / "series.npz", "--model", tmp_path / "m.keras")
    assert "several outputs" in values["summary"][1]
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert f"More than {LONGEST} tokens are not drawn" in page and "without it" not in page
