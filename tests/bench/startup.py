"""Start-up: commands that answer from files, and a first map, each in a process of its own."""

import functools
import os
import pathlib
import subprocess
import sys
import tempfile

from PIL import Image

import lab
from tests.bench import clock
from tests.bench.table import Figure, Row, benchmarks

# Seconds within which a command answers that has nothing to compute.
AT_ONCE = 0.6
COMMAND = "from recipes.cli import main; main()"
QUICK = ("lab show", "lab list methods", "lab list checks", "lab list models", "lab doctor", "lab explain, asked again")
BUDGET = f"{AT_ONCE} s"
FIRST_MAP = Row("lab explain --method gradcam, the first map", "import of TensorFlow and Keras", 1.25)


def start(*words, code=COMMAND):
    """What runs Python in a process of its own, with the words of a command: callable.

    Modules are compiled to bytecode once, as they are where the lab is installed, whatever this process does.
    """
    command = [sys.executable, "-c", code, *map(str, words)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(pathlib.Path(tempfile.gettempdir()) / "interpretability-lab-bytecode")
    return functools.partial(subprocess.run, command, check=True, capture_output=True, env=environment)


def quick_tasks(explain, out):
    """Commands that have nothing to compute: dict of name to callable."""
    again = (*explain, "--out", out)
    start(*again)()
    (page,) = out.glob("explain/*/index.html")
    words = (
        ("show", page.parent, "--print"),
        ("list", "methods"),
        ("list", "checks"),
        ("list", "models"),
        ("doctor",),
        again,
    )
    return {name: start(*line) for name, line in zip(QUICK, words)}


@benchmarks.register(rows=(*(Row(name, BUDGET, 1.0) for name in QUICK), FIRST_MAP), repeats=5)
def start_up(network, repeats):
    """Start-up: whole commands in processes of their own, beside a budget and beside the import of TensorFlow and Keras alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        Image.fromarray(lab.photographs(["chelsea"]).images[0]).save(folder / "photo.png")
        explain = ("explain", folder / "photo.png", "--method", "gradcam", "--quiet")
        tasks = quick_tasks(explain, folder / "again")
        tasks["first"] = start(*explain, "--out", folder / "first", "--fresh")
        tasks["imports"] = start(code="import tensorflow, keras")
        seconds = clock.interleaved(tasks, repeats)
    figures = {f"{name} / {BUDGET}": Figure(seconds[name] / AT_ONCE, f"{seconds[name]:.2f} s") for name in QUICK}
    ratio = seconds["first"] / seconds["imports"]
    return figures | {FIRST_MAP.name: Figure(ratio, f"{seconds['imports']:.1f} s an import")}
