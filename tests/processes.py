"""Processes: the `lab` command in a process of its own, and the files that it leaves."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent


def start_run(recipe, out, *words, **options):
    """Begin `lab run` in a process of its own: `subprocess.Popen`."""
    code = "import sys; from recipes.cli import main; main(sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-c", code, "run", str(recipe), "--out", str(out), *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def contents(out):
    """The files of the one run of the recipe `quick` in a folder, but for its times: dict of name to bytes."""
    folder = next(path for path in pathlib.Path(out).glob("quick/*") if path.is_dir())
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "timings.json"
    }
