"""Start-up: seconds of commands that answer from files, and a first map against the import of TensorFlow and Keras alone.

python -m tests.bench.startup
"""

import functools
import pathlib
import subprocess
import sys
import tempfile

from PIL import Image

import lab
from tests.bench import clock

REPEATS = 5
# Seconds within which a command answers that has nothing to compute.
AT_ONCE = 0.6
# A first map, in imports of TensorFlow and Keras.
FIRST_MAP = 1.25
COMMAND = "from recipes.cli import main; main()"


def start(*words, code=COMMAND):
    """What runs Python in a process of its own, with the words of a command: callable."""
    command = [sys.executable, "-c", code, *map(str, words)]
    return functools.partial(subprocess.run, command, check=True, capture_output=True)


def quick_tasks(explain, out):
    """Commands that have nothing to compute: dict of name to callable."""
    again = (*explain, "--out", out)
    start(*again)()
    (page,) = out.glob("explain/*/index.html")
    words = {
        "lab show": ("show", page.parent, "--print"),
        "lab list methods": ("list", "methods"),
        "lab list checks": ("list", "checks"),
        "lab list models": ("list", "models"),
        "lab doctor": ("doctor",),
        "lab explain, asked again": again,
    }
    return {name: start(*line) for name, line in words.items()}


def main():
    """Time every command in turn."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        Image.fromarray(lab.photographs(["chelsea"]).images[0]).save(folder / "photo.png")
        explain = ("explain", folder / "photo.png", "--method", "gradcam", "--quiet")
        quick = quick_tasks(explain, folder / "again")
        first = start(*explain, "--out", folder / "first", "--fresh")
        seconds = clock.interleaved(
            {**quick, "first": first, "imports": start(code="import tensorflow, keras")}, REPEATS
        )
    for task in quick:
        clock.row(f"{task} / {AT_ONCE} s", seconds[task] / AT_ONCE, 1.0, f"{seconds[task]:.2f} s")
    ratio = seconds["first"] / seconds["imports"]
    clock.row("a first map / import of TensorFlow and Keras", ratio, FIRST_MAP, f"{seconds['imports']:.1f} s an import")


if __name__ == "__main__":
    main()
