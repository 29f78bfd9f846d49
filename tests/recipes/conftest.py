import functools
import os
import shutil

import click.testing
import numpy as np
import pytest
from PIL import Image

import lab
from lab import data
from recipes.cli import main
from tests.shared_networks import shared_networks

BROWSER = next((name for name in ("chromium", "chromium-browser", "google-chrome") if shutil.which(name)), None)


@pytest.fixture(scope="package", autouse=True)
def networks_of_commands():
    """A network that commands name alike is loaded once."""
    with shared_networks():
        yield


@pytest.fixture(scope="package", autouse=True)
def few_crops():
    """Natural images are the largest crops of the packaged photographs: a tenth of them all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "crops", functools.partial(data.crops, parts=(1,)))
        yield


@pytest.fixture
def user(small_file):
    """The words that name a small user's model."""
    return ["--model", small_file, "--input-range", -1, 1]


@pytest.fixture
def photo(tmp_path):
    """A photograph on disk, of no particular size."""
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def command(tmp_path):
    """Run the `lab` command in-process -> (exit code, standard output, error stream)."""

    def run(*words, out=True):
        where = ["--out", str(tmp_path / "artifacts")] if out else []
        done = click.testing.CliRunner().invoke(main, [*map(str, words), *where])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.stdout, done.stderr

    return run


@pytest.fixture
def quick(small_file, tmp_path):
    """A recipe that does everything, on a small model, in seconds."""
    return write_quick_recipe(small_file, tmp_path)


@pytest.fixture(scope="module")
def tiny(small_file, tmp_path_factory):
    """A recipe of some seconds, whose jobs need one another."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    # Beside packaged photographs the natural images would be hundreds of their crops.
    save_photographs(path.parent / "photos", "chelsea", "coffee")
    path.write_text(f"""
name = "tiny"
[model]
source = "{small_file}"
input_range = [-1, 1]
[images]
folder = "{path.parent / "photos"}"
[[gallery]]
layer = "last"
units = "0-3"
steps = 2
batch = 1
natural = 2
[explain]
methods = ["gradient", "gradcam"]
""")
    return path


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A browser that is started once for a module."""
    if BROWSER is None or not shutil.which("chromedriver"):
        if os.environ.get("LAB_REQUIRE_BROWSER"):
            pytest.fail("LAB_REQUIRE_BROWSER is set and there is no Chromium with chromedriver")
        pytest.skip("no Chromium with chromedriver here")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which(BROWSER)
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
        "--window-size=1200,900",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def save_photographs(folder, *names):
    """Save photographs into a new folder, small."""
    folder.mkdir()
    for name, image in zip(names, lab.photographs(names).images, strict=True):
        Image.fromarray(image).resize((96, 80)).save(folder / f"{name}.png")


def write_quick_recipe(small_file, folder):
    """Write the recipe of `quick` into a folder: its path."""
    path = folder / "quick.toml"
    path.write_text(f"""
name = "quick"
[model]
source = "{small_file}"
input_range = [-1, 1]
[images]
photographs = ["chelsea", "coffee", "rocket"]
[[gallery]]
layer = "last"
units = "0-4"
steps = 3
batch = 2
natural = 2
[[gallery]]
logits = [0, 3]
steps = 2
natural = 0
[explain]
methods = ["gradient", "smoothgrad", "integrated_gradients", "gradcam", "tf_explain.vanilla_gradients"]
[explain.options.smoothgrad]
samples = 3
[[check]]
methods = ["gradient", "gradcam"]
seeds = 2
[[check]]
mode = "top_down"
unit = "layer"
methods = ["gradient"]
seeds = 2
controls = false
""")
    return path
