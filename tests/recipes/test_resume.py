"""Killed at any moment and resumed: the same bytes."""

import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent


def run(quick, out):
    code = "import sys; from recipes.cli import main; main(sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-c", code, "run", str(quick), "--out", str(out)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def contents(out):
    folder = next(pathlib.Path(out).glob("quick/*"))
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "timings.json"
    }


@pytest.mark.slow
def test_five_kills_and_a_resume_give_the_bytes_of_an_undisturbed_run(quick, tmp_path):
    undisturbed = run(quick, tmp_path / "undisturbed")
    start = time.monotonic()
    begun = None
    for line in undisturbed.stderr:
        begun = begun or (time.monotonic() - start if "jobs to do" in line else None)
    assert undisturbed.wait() == 0
    length = time.monotonic() - start
    moments = random.Random(0)
    for _ in range(5):
        killed = run(quick, tmp_path / "killed")
        # Somewhere between the loading of the network and the end.
        time.sleep(moments.uniform(0.8 * begun, begun + 0.6 * (length - begun)))
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    last = run(quick, tmp_path / "killed")
    last.communicate()
    assert last.returncode == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")
