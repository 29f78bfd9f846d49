"""Every example of README, docs and help runs as it is written, in a folder such as a newcomer has."""

import pathlib
import re
import shlex

import click.testing
import keras
import pytest
from PIL import Image

import lab
from lab.data import PHOTOGRAPHS
from recipes.cli import main

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Minutes each: their words are read, and their options parsed, and nothing is run.
LONG = ("lab run sanity-", "lab run fooled", "lab check --world ruler", "--subject features", "lab run tf-explain")


def python_blocks(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)


def commands(text):
    """Indented lines that call the command, without their comments."""
    lines = re.findall(r"^ {4,}((?:lab) .*)$", text, re.M)
    return [re.sub(r"\s+#.*", "", line) for line in lines]


def page_commands():
    return [(page.name, line) for page in PAGES for line in commands(page.read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory):
    """A folder with a model, its class names, photographs, and the names that examples use."""
    folder = tmp_path_factory.mktemp("newcomer")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="conv1"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(12, 3, padding="same", activation="relu", name="conv2"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4, activation="softmax"),
        ]
    )
    model.save(folder / "my.keras")
    (folder / "names.txt").write_text("cat\ndog\ncup\nrocket\n")
    (folder / "photos").mkdir()
    for name, image in zip(PHOTOGRAPHS, lab.photographs().images):
        # As long as a folder is made of subfolders, their names are the labels.
        place = folder / "photos" / ("cat" if name == "chelsea" else "cup")
        place.mkdir(exist_ok=True)
        Image.fromarray(image).resize((96, 96)).save(place / f"{name}.jpg")
    Image.fromarray(lab.photographs(["chelsea"]).images[0]).save(folder / "photo.jpg")
    return folder


@pytest.fixture
def here(newcomer, monkeypatch):
    monkeypatch.chdir(newcomer)
    return newcomer


@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)], ids=lambda page: page.stem)
def test_the_python_of_a_page_runs_as_it_is_written(here, page):
    names = {"__name__": "example"}
    for block in python_blocks(page):
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("page, line", page_commands(), ids=lambda word: word[:60])
def test_the_commands_of_a_page_run_as_they_are_written(here, page, line):
    words = shlex.split(line)[1:]
    if any(long in line for long in LONG):
        command = main.commands[words[0]]
        parsed = command.make_context(words[0], words[1:])
        assert parsed.params
        return
    done = click.testing.CliRunner().invoke(main, words)
    assert done.exit_code == 0, (done.output, done.exception)


def test_a_picture_or_page_that_is_linked_is_there():
    for page in PAGES:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_sentences_of_pages_are_short():
    """At most 25 words, tables and code left out."""
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
        lines = [line for line in text.splitlines() if not line.startswith(("|", "    ", "!", "#"))]
        for sentence in re.split(r"(?<=[.?!:])\s+|\n\n|\n(?=- )", "\n".join(lines)):
            words = re.findall(r"[A-Za-z][\w'-]*", re.sub(r"`[^`]*`|\([^)]*\)", "", sentence))
            assert len(words) <= 25, f"{page.name}: {len(words)} words: {sentence}"
