"""Processes: the `lab` command in a process of its own, and the files that it leaves."""

import pathlib
import subprocess
import sys

from lab.remote import as_path

ROOT = pathlib.Path(__file__).parent.parent


def start_run(recipe, out, *words, first="", **options):
    """Begin `lab run` in a process of its own, which does `first`, Python code, before it: `subprocess.Popen`."""
    code = f"{first}; import sys; from recipes.cli import main; main(sys.argv[1:])".removeprefix("; ")
    return subprocess.Popen(
        [sys.executable, "-c", code, "run", str(recipe), "--out", str(out), *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def contents(out):
    """The files of the one run in a folder or at an address, but for its times: dict of name to bytes."""
    (manifest,) = as_path(out).glob("*/*/manifest.json")
    return {
        path.relative_to(manifest.parent).as_posix(): path.read_bytes()
        for path in manifest.parent.rglob("*")
        if path.is_file() and path.name != "timings.json"
    }
