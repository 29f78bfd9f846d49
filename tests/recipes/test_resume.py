"""Killed at any moment and resumed: the same bytes."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.processes import COMMAND, ROOT, contents, start_code, start_run


@pytest.fixture(scope="module")
def undisturbed(tiny, tmp_path_factory):
    """An undisturbed run: its files, the seconds until its jobs began, and those until it ended."""
    out = tmp_path_factory.mktemp("undisturbed")
    # The first process of all waits for what the others have imported.
    start_code("").communicate()
    run = start_run(tiny, out)
    start = time.monotonic()
    begun = None
    for line in run.stderr:
        begun = begun or (time.monotonic() - start if "jobs to do" in line else None)
    assert run.wait() == 0
    return contents(out), begun, time.monotonic() - start


@pytest.mark.slow
def test_five_kills_and_a_resume_give_the_bytes_of_an_undisturbed_start_run(tiny, undisturbed, tmp_path):
    files, begun, length = undisturbed
    moments = random.Random(0)
    for _ in range(5):
        killed = start_run(tiny, tmp_path)
        # Somewhere between the loading of the network and the end.
        time.sleep(moments.uniform(0.8 * begun, begun + 0.6 * (length - begun)))
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    last = start_run(tiny, tmp_path)
    last.communicate()
    assert last.returncode == 0
    assert contents(tmp_path) == files


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_order_of_sets(tiny, undisturbed, tmp_path):
    """By a new interpreter: processes that are forked share the seed of their hashes, and with it the order of sets."""
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    words = [sys.executable, "-c", COMMAND, "run", str(tiny), "--out", str(tmp_path)]
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path) == undisturbed[0]
