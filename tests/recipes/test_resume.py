"""Killed at any moment and resumed: the same bytes."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.processes import COMMAND, ROOT, contents, start_run


@pytest.mark.slow
def test_five_kills_and_a_resume_give_the_bytes_of_an_undisturbed_start_run(tiny, tmp_path):
    undisturbed = start_run(tiny, tmp_path / "undisturbed")
    start = time.monotonic()
    begun = None
    for line in undisturbed.stderr:
        begun = begun or (time.monotonic() - start if "jobs to do" in line else None)
    assert undisturbed.wait() == 0
    length = time.monotonic() - start
    moments = random.Random(0)
    for _ in range(5):
        killed = start_run(tiny, tmp_path / "killed")
        # Somewhere between the loading of the network and the end.
        time.sleep(moments.uniform(0.8 * begun, begun + 0.6 * (length - begun)))
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    last = start_run(tiny, tmp_path / "killed")
    last.communicate()
    assert last.returncode == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_order_of_sets(tiny, tmp_path):
    """By new interpreters: processes that are forked from one share the seed of its hashes, and with it the order of sets."""
    for seed in "12":
        words = [sys.executable, "-c", COMMAND, "run", str(tiny), "--out", str(tmp_path / seed)]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
