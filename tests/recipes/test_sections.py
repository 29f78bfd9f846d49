"""Sections: a noun of a run is one file, with its table, jobs, work, page, lines and command."""

import importlib
import json
import pathlib
import subprocess
import sys

import pytest

from lab.refusal import Refused
from recipes import schema
from recipes.commands import find_commands
from recipes.jobs import work
from recipes.section import Deferred, Section
from recipes.sections import in_order, in_story_order, register, sections

ROOT = pathlib.Path(__file__).parent.parent.parent

BRIGHTNESS = '''
"""Brightness: how bright the photographs are."""

import click

from recipes.fields import Table
from recipes.help import PlainCommand
from recipes.job import Job
from recipes.launch import launch_tables
from recipes.options import model_options, run_options
from recipes.section import Piece, Section
from recipes.sections import register


class Brightness(Table):
    """The mean of each photograph."""

    scale: float = 1.0


def list_jobs(recipe, session):
    return [Job("brightness", "means", {"scale": recipe.brightness.scale}, reads=("images",))]


def measure_means(job, inputs, session):
    from recipes.store import encode

    images = session.images
    means = {name: job.arguments["scale"] * float(image.mean()) for name, image in zip(images.names, images.images)}
    return {"means.json": encode(means)}


def summarize(jobs, store):
    return [f"{len(store.values('brightness', 'means.json'))} means"] if store.exists("brightness") else []


def show(recipe, jobs, store):
    # The summary of the page reads values of this name from the piece of verdicts, and must not read them here.
    return {"families": store.values("brightness", "means.json")} if store.exists("brightness") else None


PIECE = """<section id="bright"><h2>Brightness</h2>
{% for name, mean in families.items() %}<p>{{ name }} {{ "%.1f"|format(mean) }} <b></p>{% endfor %}
</section>"""


@click.command("brightness", cls=PlainCommand, headings={"Light": ("scale",)}, examples=(("lab brightness", "all"),))
@model_options
@run_options
@click.option("--scale", type=float, default=1.0, help="Factor of all means.")
@click.pass_context
def command(context, scale, **options):
    """Measure how bright photographs are."""
    tables = {"brightness": {"scale": scale}, "images": {"photographs": ["chelsea", "coffee"]}}
    launch_tables(context, "bright", options, tables)


register(
    Section(
        name="brightness",
        table=Brightness,
        list_jobs=list_jobs,
        work={"means": measure_means},
        many=False,
        summary=summarize,
        pieces=(Piece("bright", "How bright", PIECE, show),),
    )
)
'''
RECIPE = """
name = "light"
[model]
source = "{model}"
input_range = [-1, 1]
[images]
photographs = ["chelsea", "coffee", "rocket"]
[brightness]
scale = 0.5
"""
# The package with one more folder, and then some commands in one process.
RUN = """
import importlib.util, json, sys
spec = importlib.util.find_spec("recipes.sections")
spec.submodule_search_locations.append(sys.argv[1])
sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
from recipes.cli import main
for words in json.loads(sys.argv[2]):
    main(words, standalone_mode=False)
    print("done")
"""


def test_a_section_is_added_by_one_file(tmp_path, small_file):
    folder = tmp_path / "sections"
    folder.mkdir()
    (folder / "brightness.py").write_text(BRIGHTNESS)
    (tmp_path / "light.toml").write_text(RECIPE.format(model=small_file))
    out = ["--out", str(tmp_path / "artifacts"), "--quiet"]
    model = ["--model", str(small_file), "--input-range", "-1", "1"]
    commands = [
        ["--help"],
        ["brightness", "--help"],
        ["run", str(tmp_path / "light.toml"), *out],
        ["brightness", *model, *out],
    ]
    words = [sys.executable, "-c", RUN, str(folder), json.dumps(commands)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lab_help, help_text, run_text, command_text, _ = done.stdout.split("done\n")
    assert "brightness  Measure how bright photographs are." in lab_help
    assert "Light:" in help_text and "Factor of all means." in help_text and "lab brightness" in help_text
    for text, count in ((run_text, 3), (command_text, 2)):
        *lines, report = text.strip().splitlines()
        page = pathlib.Path(report).read_text()
        assert lines == [f"{count} means"]
        assert '<a href="#bright">How bright</a>' in page and page.count(" <b></p>") == count


def test_a_name_and_a_kind_of_job_belong_to_one_section():
    gallery = sections.get("gallery")
    with pytest.raises(Refused, match="name of its own. Received: 'gallery' twice"):
        register(gallery)
    with pytest.raises(Refused, match="belongs to one section. Received: 'pictures' in gallery and in other"):
        register(Section("other", gallery.table, gallery.list_jobs, {"pictures": print}))
    assert "other" not in sections


def test_a_command_has_a_name_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "run.py").write_text("import click\n\n\ndef command():\n    pass\n")
    assert "run" in find_commands()
    monkeypatch.setattr(importlib.util.find_spec("recipes.sections"), "submodule_search_locations", [str(tmp_path)])
    with pytest.raises(Refused, match="name of its own. Received: 'run' twice"):
        find_commands()


def test_tables_stand_in_one_order_and_the_page_in_another():
    fields = list(schema.Recipe.model_fields)
    assert fields[fields.index("model") :] == [
        *(
            "model",
            "images",
            "data",
            "world",
            "planted",
            "attention",
            "probe",
            "gallery",
            "dictionary",
            "features",
            "atlas",
            "explain",
            "training",
            "check",
        ),
        "shortcuts",
        "concept",
        "audit",
    ]
    story = [section.name for section in in_story_order()]
    pictures = ["dictionary", "gallery", "atlas", "features", "training"]
    middle = ["audit", "attention", "shortcuts", "probe", "concept", "check"]
    assert story == ["explain", "world", "planted", *middle, *pictures]


def test_what_is_deferred_is_there():
    for section in in_order():
        functions = [*section.work.values(), section.list_jobs, section.messages, section.lines, section.summary]
        for function in functions:
            if isinstance(function, Deferred):
                module, _, name = function.address.partition(":")
                assert callable(getattr(importlib.import_module(module), name)), function.address


def test_a_command_imports_no_heavy_library():
    code = "import sys\nimport recipes.sections\nprint([name for name in ('tensorflow', 'numpy', 'scipy', 'PIL', 'sanity') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_kind_of_job_is_an_error():
    from recipes.job import Job

    with pytest.raises(KeyError, match="nothing"):
        work(Job("a", "nothing", {}), None, None)
