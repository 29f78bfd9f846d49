"""BENCHMARKS.md has the table of every benchmark, and says what was measured and no more. Its times are not looked at."""

import dataclasses
import json
import pathlib
import re
import subprocess
import sys

import click.testing
import pytest

from tests.bench import __main__ as command
from tests.bench import clock, counted, page, table
from tests.bench.load import free_cores
from tests.bench.table import COLUMNS, MODULES, Figure, Result, Row, benchmarks

TEXT = page.PAGE.read_text(encoding="utf-8")
RESULTS = page.load_results()
ROWS = (Row("ours", "bare", 1.0), Row("ours", "theirs", None, "module_that_is_not_there"))
RESULT = Result("2026-11-27", "processor", 2, 1.95, 5, {"Python": "3"}, {"ours / bare": Figure(0.5, "1 ms")})


def cells_of(name):
    """The cells of the table of a benchmark on the page: list of list of str."""
    section = re.search(rf"^`{name}`: .*?(?=^## |\Z)", TEXT, re.S | re.M)[0]
    return [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]


@pytest.mark.parametrize("name", list(benchmarks))
def test_every_benchmark_has_its_table(name):
    head, *rows = cells_of(name)
    assert head == list(COLUMNS)
    assert [row[:2] for row in rows] == [[row.measured, row.beside] for row in table.rows_of(name)]


def test_the_page_is_that_of_the_results():
    assert page.page(RESULTS) == TEXT, "Type: python -m tests.bench --page"


def test_results_are_of_registered_benchmarks_and_rows():
    assert set(RESULTS) <= set(benchmarks)
    for name, result in RESULTS.items():
        assert set(result.figures) <= {row.name for row in table.rows_of(name)}, name


def test_every_area_has_a_row_beside_a_peer_or_a_bare_pass():
    bare = {"bare gradient", "bare forward pass"}
    for name in (
        "sampling",
        "masking",
        "attention",
        "concept_vectors",
        "dictionary_learning",
        "probe_fits",
        "relevance",
    ):
        assert any(row.needs or row.beside in bare for row in table.rows_of(name)), name
    assert any(row.needs == "ray" for row in table.rows_of("engines"))
    assert any(row.needs for row in table.rows_of("audits")) and any(row.needs for row in table.rows_of("pictures"))


def test_every_module_measures_or_is_listed_as_one_that_counts():
    known = {
        "__init__",
        "__main__",
        "clock",
        "counted",
        "gradients",
        "load",
        "page",
        "peak",
        "shares",
        "table",
    }
    modules = {path.stem for path in pathlib.Path(page.__file__).parent.glob("*.py")}
    assert modules - known == set(MODULES) | set(counted.COUNTED)
    assert not set(MODULES) & set(counted.COUNTED)
    assert all(f"`python -m tests.bench.{module}`" in TEXT for module in counted.COUNTED)


# What a table says --------------------------------------------------------------------------------------------------------


@pytest.fixture
def some(monkeypatch):
    """A registry of one benchmark alone, which measures `ours / bare`."""
    registry = table.Registry("benchmark")

    @registry.register(rows=ROWS, repeats=5)
    def some(network, repeats):
        """Some work: beside other work."""
        return {"ours / bare": Figure(0.5 * repeats, "1 ms")}

    for module in (table, page, command):
        monkeypatch.setattr(module, "benchmarks", registry)


def results_of(result, **changes):
    return [cells[4] for cells in (table.cells("some", row, dataclasses.replace(result, **changes)) for row in ROWS)]


def test_a_goal_is_met_or_missed(some):
    assert results_of(RESULT) == ["met", "not measured yet"]
    assert results_of(RESULT, figures={"ours / bare": Figure(1.01)})[0] == "missed"
    assert results_of(RESULT, figures={"ours / theirs": Figure(1.01)})[1] == "", "a row without a goal"
    assert results_of(RESULT, figures={"ours / theirs": Figure(reason="no peer")})[1] == "not run: no peer"


def test_a_busy_machine_and_few_repeats_do_not_count(some):
    assert results_of(RESULT, free=1.8)[0] == "met"
    assert results_of(RESULT, free=1.79)[0] == "not counted: the machine was busy"
    assert results_of(RESULT, free=3.5, cores=4)[0] == "not counted: the machine was busy"
    assert results_of(RESULT, repeats=4)[0] == "not counted: 4 of 5 repeats"


def test_cores_that_are_free():
    assert free_cores(2, wall=10, busy=20, by_itself=20) == 2
    assert free_cores(2, wall=10, busy=20, by_itself=5) == 0.5
    assert free_cores(2, wall=10, busy=4, by_itself=4.02) == 2
    assert free_cores(2, wall=10, busy=30, by_itself=0) == 0


# In a process of its own, whose children are these alone.
CHILDREN = """
import subprocess, sys, time
import psutil
from tests.bench.load import Load

burn = "import time\\nwhile time.process_time() < 0.5: pass"
orphan = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {burn!r}])"
with Load() as load:
    subprocess.run([sys.executable, "-c", burn if sys.platform != "linux" else orphan], check=True)
    # An orphan has become a child, and ends.
    while any(child.status() != psutil.STATUS_ZOMBIE for child in psutil.Process().children()):
        time.sleep(0.02)
assert load.by_itself >= 0.5 and 0 <= load.free <= load.cores, (load.by_itself, load.free)
"""
# A child that does not wait for its own child, whose work the system then counts for nobody.
CARELESS = """
import subprocess, sys
from tests.bench.load import Load

burn = "import time\\nwhile time.process_time() < 3: pass"
careless = f"import signal, subprocess, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); subprocess.Popen([sys.executable, '-c', {burn!r}]).wait()"
with Load() as load:
    subprocess.run([sys.executable, "-c", careless], check=True)
assert load.by_itself >= 1, load.by_itself
"""


# A child that worked before the block, and ended within it.
EARLIER = """
import subprocess, sys
from tests.bench.load import Load

burn = "import time\\nwhile time.process_time() < 2: pass\\nprint(flush=True)\\ninput()"
worker = subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
worker.stdout.readline()
with Load() as load:
    worker.communicate(b"end")
assert load.by_itself < 1, load.by_itself
"""


@pytest.mark.parametrize("script", [CHILDREN, CARELESS, EARLIER])
def test_the_work_of_children_is_no_load(script):
    pytest.importorskip("psutil")
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120, cwd=page.PAGE.parent)


def test_rows_that_were_left_out_are_refused(some):
    figures = table.complete("some", {"ours / bare": Figure(1.0)})
    assert figures["ours / theirs"].ratio is None and "was not installed" in figures["ours / theirs"].reason
    assert table.complete("some", {"ours / bare": "it fails"})["ours / bare"] == Figure(reason="it fails")
    for wrong in ({}, {"ours / bare": Figure(1.0), "ours / other": Figure(1.0)}):
        with pytest.raises(ValueError, match="some measures"):
            table.complete("some", wrong)


def test_results_come_back_from_their_file(some, tmp_path):
    path = tmp_path / "results.json"
    assert page.load_results(path) == {}
    page.save_results({"some": RESULT, "gone": RESULT}, path)
    assert page.load_results(path) == {"some": RESULT}
    assert "reason" not in json.loads(path.read_text())["some"]["figures"]["ours / bare"]


def test_the_page_says_what_was_not_run(some):
    result = dataclasses.replace(RESULT, figures=table.complete("some", {"ours / bare": Figure(0.5)}))
    text = page.page({"some": result})
    assert "- Not run: module-that-is-not-there was not installed: `some` (1 of 2 rows)." in text
    assert "2026-11-27, processor, 1.95 of 2 cores free, 5 repeats. Python 3." in text
    assert "- Not measured yet: `some`." in page.page({})


# The command --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(monkeypatch, tmp_path):
    """The page and the results in a folder of their own, and no network."""
    results, text = tmp_path / "results.json", tmp_path / "BENCHMARKS.md"
    monkeypatch.setattr(command, "load_results", lambda: page.load_results(results))
    monkeypatch.setattr(command, "save_results", lambda values: page.save_results(values, results))
    monkeypatch.setattr(command, "write_page", lambda values: page.write_page(values, text))
    monkeypatch.setattr(command.lab, "load", lambda: None)
    return results, text


def run(*words):
    return click.testing.CliRunner().invoke(command.main, words)


def test_a_run_replaces_its_own_table(some, files):
    pytest.importorskip("psutil")

    @command.benchmarks.register(rows=ROWS[:1], by_name=True)
    def other(network, repeats):
        """Other work: that takes long."""
        return {"ours / bare": Figure(7.0)}

    assert run("other").exit_code == 0 and set(page.load_results(files[0])) == {"other"}
    assert run("--repeats", "2").exit_code == 0, "without a name, all but those by name"
    results = page.load_results(files[0])
    assert results["other"].figures["ours / bare"].ratio == 7 and results["some"].figures["ours / bare"].ratio == 1
    assert results["some"].repeats == 2 and "not counted" in files[1].read_text()
    before = files[1].read_text()
    files[1].unlink()
    assert run("--page").exit_code == 0 and files[1].read_text() == before


def test_what_cannot_be_measured_here_stays(some, files):
    pytest.importorskip("psutil")

    @command.benchmarks.register(rows=ROWS[1:])
    def elsewhere(network, repeats):
        """Elsewhere: in another environment."""
        raise AssertionError("its peer is not here")

    assert run("elsewhere").exit_code == 0
    assert "was not installed" in page.load_results(files[0])["elsewhere"].figures["ours / theirs"].reason
    kept = dataclasses.replace(RESULT, figures={"ours / theirs": Figure(0.4)})
    page.save_results({"elsewhere": kept}, files[0])
    done = run("elsewhere")
    assert "stays as it was" in done.output and page.load_results(files[0]) == {"elsewhere": kept}


def test_unknown_benchmarks_are_refused(some):
    done = run("sampling")
    assert done.exit_code == 2 and "Benchmarks are some. Received: sampling." in done.output


def test_works_take_turns(monkeypatch):
    calls, ticks = [], iter(range(100))
    monkeypatch.setattr(clock.time, "perf_counter", lambda: next(ticks))
    works = {name: lambda name=name: calls.append(name) for name in "ab"}
    assert clock.interleaved(works, 2) == {"a": 1, "b": 1} and "".join(calls) == "ab" * 3
    clock.interleaved(works, 2, warm=False)
    assert len(calls) == 10
