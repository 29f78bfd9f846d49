"""Killed at any moment and resumed: the same bytes."""

import random
import signal
import time

import pytest

from tests.processes import contents, start_run


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
