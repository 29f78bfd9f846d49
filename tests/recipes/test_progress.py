"""What a run says of the time that is left is within ten times of it, compiling counted, however wrong the first guess was."""

import io
import re

import pytest

from recipes import estimate, progress
from recipes.events import Finished, Started
from recipes.job import Job
from recipes.progress import Progress


class Session:
    """A run whose gradient was measured, on a machine whose clock the test turns."""

    class sources:
        world = None

    class network:
        size = (8, 8)

        @staticmethod
        def places():
            return [("inputs", None)]

    def __init__(self, gradient, compiling):
        self.measured = gradient, compiling

    def seconds_per_gradient(self):
        return self.measured


def run(monkeypatch, jobs, seconds, session):
    """Do the jobs, each taking its seconds -> after each, what was said to be left and what was, in minutes."""
    clock, stream = [0.0], io.StringIO()
    monkeypatch.setattr(progress.time, "perf_counter", lambda: clock[0])
    bar, pairs = Progress(stream=stream), []
    bar.begin(jobs, 0, session)
    for place, (job, taken) in enumerate(zip(jobs, seconds), start=1):
        bar.take(Started(job, 1))
        clock[0] += taken
        bar.take(Finished(job, 1, taken))
        match = re.search(r"about (\d+) min left", stream.getvalue().splitlines()[-1])
        pairs.append((float(match[1]) if match else 0.0, sum(seconds[place:]) / 60))
    return pairs, stream.getvalue()


MAPS = [
    Job(f"explain/{name}", "maps", {}, passes=passes)
    for name, passes in zip("abcdefgh", (4, 4, 200, 4, 4, 200, 4, 200))
]
PICTURES = [Job(f"gallery/0-layer/{start:05d}", "pictures", {}, passes=4000) for start in range(12)]
CASES = {
    "compiling weighs most": (MAPS, [40, 41, 60, 40, 40, 60, 40, 60], Session(0.1, 40.0)),
    "compiling was not measured": (MAPS, [40, 41, 60, 40, 40, 60, 40, 60], Session(0.1, 0.0)),
    "networks take a hundred times as long as expected": (
        [*(Job(f"network/{place}", "network", {}) for place in range(6)), *MAPS],
        [9, 9, 9, 9, 9, 9, 40, 41, 60, 40, 40, 60, 40, 60],
        Session(0.1, 40.0),
    ),
    "one trace for many batches": (PICTURES, [160, *[120] * 11], Session(0.03, 40.0)),
    "the gradient was ten times too cheap": (PICTURES, [160, *[120] * 11], Session(0.003, 4.0)),
    "the gradient was ten times too dear": (PICTURES, [160, *[120] * 11], Session(0.3, 400.0)),
}


@pytest.mark.parametrize("case", CASES)
def test_time_left_is_never_ten_times_off(monkeypatch, case):
    pairs, _ = run(monkeypatch, *CASES[case])
    for said, left in pairs[:-1]:
        assert left < 1.5 or left / 10 < said < 10 * left, (case, pairs)


def test_compiling_is_announced_and_counted(monkeypatch):
    _, messages = run(monkeypatch, MAPS, [1] * 8, Session(0.1, 40.0))
    assert "gradients and compiling, roughly 6 min" in messages.splitlines()[0]


def test_what_compiles_is_named_and_costs_no_time_where_nothing_does(monkeypatch):
    jobs = [Job("photographs", "photographs", {}), *MAPS[:2], *PICTURES[:2], Job("agreement", "agreement", {})]
    expected = estimate.expected_seconds(jobs, {False: estimate.Speed(1e-9, 40.0)})
    assert [round(expected[job.key]) for job in jobs] == [0, 40, 40, 40, 0, 0]

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    bar, names = Progress(stream=Terminal()), []
    bar.begin(jobs, 0, Session(0.01, 40.0))
    monkeypatch.setattr(bar.bar, "set_description", names.append)
    for job in jobs:
        bar.take(Started(job, 1))
        bar.take(Finished(job, 1, 0.0))
    bar.end()
    assert [name.endswith("(compiling)") for name in names] == [False, True, True, True, False, False]
