"""Engines: jobs in several processes give the bytes of one, whatever is killed on the way."""

import json
import multiprocessing
import os
import pathlib
import shutil
import signal
import time
import warnings

import pytest
from filelock import FileLock

from lab.environment import limit_threads, tf
from lab.refusal import Refused
from recipes import follow, machine
from recipes.engines import engine, processes, worker
from recipes.engines import ray as ray_engine
from recipes.engines.attempt import obstacle
from recipes.engines.local import Local
from recipes.engines.processes import Processes
from recipes.engines.waiting import Waiting
from recipes.events import Finished, Started
from recipes.job import Job
from recipes.journal import Journal, journal_path
from tests import networks
from tests.processes import FORKED_WORKERS, contents, start_run


def start(recipe, out, *words, **options):
    return start_run(recipe, out, "--set", "threads=1", *words, **options)


def events(out):
    paths = list(pathlib.Path(out).glob("*/.*.journal"))
    return [json.loads(line) for line in paths[0].read_text().split("\n")[:-1]] if paths else []


def wait_for(condition, seconds=300, run=None):
    """Until the condition holds: fails after some seconds, and at once where the run has ended without it."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        ended = run is not None and run.poll() is not None
        assert not ended or condition(), run.communicate()[1]
        time.sleep(0.05)


def is_running(process):
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


METHODS = '["gradient", "smoothgrad", "gradcam", "tf_explain.vanilla_gradients"]'
# What the recipe of some seconds lacks of the kinds of jobs.
CHECKS = """
[explain.options.smoothgrad]
samples = 3
[[check]]
methods = ["gradient", "gradcam"]
seeds = 2
[[check]]
mode = "top_down"
unit = "layer"
methods = ["gradient"]
seeds = 2
controls = false
"""


@pytest.fixture(scope="module")
def recipe(tiny, tmp_path_factory):
    """A recipe of jobs of every kind that need one another, on a small model, in seconds."""
    path = tmp_path_factory.mktemp("recipe") / "engines.toml"
    path.write_text(tiny.read_text().replace('["gradient", "gradcam"]', METHODS) + CHECKS)
    return path


@pytest.fixture(scope="module")
def local(recipe, tmp_path_factory):
    """The files of a run that one process did undisturbed."""
    out = tmp_path_factory.mktemp("local")
    run = start(recipe, out)
    _, error = run.communicate()
    assert run.returncode == 0, error
    return contents(out)


def assert_same(files, others):
    assert files.keys() == others.keys()
    assert [name for name in files if files[name] != others[name]] == []


needs_proc = pytest.mark.skipif(not pathlib.Path("/proc").is_dir(), reason="asks /proc which processes run")


@pytest.mark.slow
@needs_proc
def test_two_processes_give_the_bytes_of_one_though_one_and_then_all_are_killed(recipe, local, tmp_path):
    killed = start(recipe, tmp_path, "--workers", "2", first=FORKED_WORKERS)
    wait_for(lambda: any("process" in line for line in events(tmp_path)), run=killed)
    first = next(line for line in events(tmp_path) if "process" in line)
    os.kill(first["process"], signal.SIGKILL)
    # The job of the killed process is done by another one.
    wait_for(lambda: any(line["job"] == first["job"] for line in events(tmp_path) if "seconds" in line), run=killed)
    ended = [line for line in events(tmp_path) if "seconds" in line]
    done = next(line for line in ended if line["job"] == first["job"])
    assert done["error"] is None and done["process"] != first["process"]
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    children = {line["process"] for line in events(tmp_path) if "process" in line}
    wait_for(lambda: not any(map(is_running, children)), 30)
    resumed = start(recipe, tmp_path, "--workers", "2", first=FORKED_WORKERS)
    _, error = resumed.communicate()
    assert resumed.returncode == 0 and " 0 done before" not in error, error
    assert_same(local, contents(tmp_path))


@pytest.mark.slow
@needs_proc
def test_ctrl_c_ends_all_processes_and_says_how_to_go_on(recipe, tmp_path):
    impatient = "from recipes.engines import processes; processes.PATIENCE = 0.5"
    stopped = start(recipe, tmp_path, "--workers", "2", start_new_session=True, first=impatient)
    wait_for(lambda: any("process" in line for line in events(tmp_path)), run=stopped)
    children = {line["process"] for line in events(tmp_path) if "process" in line}
    # A process that does not listen.
    os.kill(min(children), signal.SIGSTOP)
    os.killpg(stopped.pid, signal.SIGINT)
    _, error = stopped.communicate(timeout=60)
    assert stopped.returncode == 130 and "Give the same command again to go on" in error, error
    assert "Traceback" not in error and not any(map(is_running, children))


def test_a_process_that_reads_the_script_again_is_told_of_the_guard(monkeypatch):
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: object())
    with pytest.raises(Refused, match='if __name__ == "__main__":'):
        Processes(2)


def test_a_run_whose_model_was_changed_meanwhile_is_refused():
    before = {"model": "1", "images": "2"}
    worker._refuse_changes(before, dict(before))
    with pytest.raises(Refused, match="Received: another model. Give the command again"):
        worker._refuse_changes(before, {"model": "3", "images": "2"})


def test_a_model_that_is_changed_before_its_processes_read_it_ends_the_run(recipe, small_file, tmp_path):
    model, other = tmp_path / "model.keras", tmp_path / "other.keras"
    shutil.copy(small_file, model)
    networks.flat().save(other)
    # What is asked of the memory is asked after the parent has read the model, and before a process is started.
    change = f"import shutil; from recipes.engines import processes; processes.warn_of_memory = lambda *_: shutil.copy({str(other)!r}, {str(model)!r})"
    words = ("--workers", "2", "--set", f"model.source={model}")
    run = start(recipe, tmp_path, *words, first=f"{FORKED_WORKERS}; {change}")
    _, error = run.communicate()
    assert run.returncode == 2 and "Received: another model" in error, error
    assert events(tmp_path) and not [line for line in events(tmp_path) if "seconds" in line]


# A cluster ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster():
    """A cluster of two nodes, each with one core."""
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="Ray is not installed")
    nodes = {"num_cpus": 1, "object_store_memory": 80_000_000}
    made = cluster_utils.Cluster(initialize_head=True, head_node_args={**nodes, "include_dashboard": False})
    made.second = made.add_node(**nodes)
    yield made
    made.shutdown()


@pytest.mark.slow
@needs_proc
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_gives_the_bytes_of_one_process_though_a_node_and_the_driver_are_lost(
    recipe, local, cluster, tmp_path
):
    words = ("--engine", "ray", "--address", cluster.address)
    driver = start(recipe, tmp_path, *words)
    wait_for(lambda: any("seconds" in line for line in events(tmp_path)), run=driver)
    worker = next(line for line in events(tmp_path) if "seconds" in line)["process"]
    os.kill(int(worker.rpartition(":")[2]), signal.SIGKILL)
    ended = len([line for line in events(tmp_path) if "seconds" in line])
    wait_for(lambda: len([line for line in events(tmp_path) if "seconds" in line]) > ended, run=driver)
    assert not [line for line in events(tmp_path) if line.get("error")]
    cluster.remove_node(cluster.second, allow_graceful=False)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    last = start(recipe, tmp_path, *words)
    _, error = last.communicate()
    assert last.returncode == 0 and " 0 done before" not in error, error
    assert_same(local, contents(tmp_path))


def test_an_address_where_nobody_answers_is_refused(command, quick, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed")
    code, _, error = command("run", quick, "--engine", "ray", "--address", "127.0.0.1:1")
    assert code == 2 and "--address names a running Ray cluster" in error and "127.0.0.1:1" in error


def test_engines_are_refused_with_options_of_others(command, quick):
    code, _, error = command("run", quick, "--address", "auto")
    assert code == 2 and "add --engine ray" in error
    code, _, error = command("run", quick, "--engine", "local", "--workers", 2)
    assert code == 2 and "--workers 2" in error
    code, _, error = command("run", quick, "--workers", 0)
    assert code == 2 and "--workers" in error


class Nodes:
    """What Ray says of the nodes of a cluster."""

    def __init__(self, *resources):
        self.resources = resources

    def nodes(self):
        return [{"Alive": True, "Resources": resources} for resources in self.resources]

    def cluster_resources(self):
        return {name: sum(node.get(name, 0) for node in self.resources) for name in ("CPU", "GPU")}


def test_a_job_that_no_node_can_do_is_refused_and_does_not_wait():
    cluster = Nodes({"CPU": 4.0}, {"CPU": 2.0, "GPU": 1.0})
    ray_engine._refuse_small_nodes(cluster, {"CPU": 4, "GPU": 0})
    ray_engine._refuse_small_nodes(cluster, {"CPU": 2, "GPU": 0.5})
    for needs in ({"CPU": 5, "GPU": 0}, {"CPU": 4, "GPU": 0.5}, {"CPU": 1, "GPU": 2}):
        with pytest.raises(Refused, match="nodes with at most 4 cores and 1 GPUs"):
            ray_engine._refuse_small_nodes(cluster, needs)


@pytest.mark.parametrize(
    ("needs", "limit", "count"),
    [
        ({"CPU": 1, "GPU": 0}, None, 6),
        ({"CPU": 2, "GPU": 0}, None, 3),
        ({"CPU": 1, "GPU": 0.5}, None, 2),
        ({"CPU": 1, "GPU": 0}, 4, 4),
        ({"CPU": 1, "GPU": 3}, None, 1),
    ],
)
def test_as_many_jobs_run_at_once_as_the_cluster_has_room_for(needs, limit, count):
    assert ray_engine._Slots(Nodes({"CPU": 4.0}, {"CPU": 2.0, "GPU": 1.0}), needs, limit).count() == count


# Order --------------------------------------------------------------------------------------------------------------------


class Kept:
    """A store that knows which jobs are done."""

    def __init__(self, *done):
        self.done = set(done)

    def is_done(self, key):
        return key in self.done


def test_a_process_goes_on_with_its_own_folder_and_another_takes_one_of_its_own():
    jobs = [Job(f"{folder}/{name}", "kind", {}) for folder in "ab" for name in "123"]
    waiting = Waiting(jobs, Kept("a/2"))
    assert waiting.next(None, set()).key == "a/1"
    assert waiting.next(None, {"a"}).key == "b/1"
    assert waiting.next("a", {"a", "b"}).key == "a/3", "a/2 is done"
    assert waiting.next("a", {"a", "b"}).key == "b/2"
    assert not waiting.is_over


def test_what_makes_a_gpu_deterministic_reaches_the_processes():
    for name in ("processes", "ray"):
        assert engine(name, 2, deterministic=True).deterministic and not engine(name, 2).deterministic


def test_a_job_waits_for_those_that_it_needs_and_is_begun_three_times_at_most():
    jobs = [Job("first", "kind", {}), Job("last", "kind", {}, needs=("first", "elsewhere"))]
    waiting = Waiting(jobs, Kept("elsewhere"))
    first = waiting.next(None, set())
    assert waiting.next(None, set()) is None
    assert waiting.again(first) and waiting.next(None, set()) == first
    assert waiting.again(first) and waiting.next(None, set()) == first
    assert not waiting.again(first)
    waiting.end(first)
    last = waiting.next(None, set())
    waiting.end(last)
    assert last.key == "last" and waiting.is_over


def test_of_a_family_the_longest_job_is_begun_first_and_equal_ones_in_their_order():
    passes = {"a": 2, "b": 5.0, "c": 2, "d": 0, "e": float("inf"), "f": 2}
    waiting = Waiting([Job(f"x/{key}", "kind", {}, passes=count) for key, count in passes.items()], Kept())
    assert [waiting.next("x", set()).key for _ in passes] == ["x/e", "x/b", "x/a", "x/c", "x/f", "x/d"]


def test_a_job_goes_on_without_what_is_optional_and_without_nothing_else():
    job = Job("last", "kind", {}, needs=("first", "second"), optional=("first",))
    assert obstacle(job, Kept("second")) is None
    assert obstacle(job, Kept("first")) == "waits for second, which failed"


def test_of_a_hundred_thousand_jobs_the_one_that_gathers_is_last():
    jobs = [Job(f"{place % 100}/{place}", "kind", {}) for place in range(100_000)]
    jobs.append(Job("gather", "kind", {}, needs=tuple(job.key for job in jobs), gathers=True))
    waiting, keys = Waiting(jobs, Kept()), []
    while not waiting.is_over:
        job = waiting.next(None, set())
        keys.append(job.key)
        waiting.end(job)
    assert len(keys) == 100_001 and keys[-1] == "gather"


def test_threads_are_those_of_the_recipe_or_twice_a_share_of_the_cores(monkeypatch):
    class Recipe:
        threads = None

    monkeypatch.setattr(machine, "cores", lambda: 8)
    assert [processes.threads_of(Recipe, count) for count in (2, 3, 16)] == [8, 4, 2]
    Recipe.threads = 5
    assert processes.threads_of(Recipe, 2) == 5
    assert isinstance(engine(), Local) and isinstance(engine(workers=3), Processes)


def test_more_processes_than_the_memory_holds_are_warned_of(monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: 8.0)
    with pytest.warns(UserWarning, match="8 processes may need 22 GiB, of 8 GiB here: fewer --workers"):
        processes.warn_of_memory(8, 2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        processes.warn_of_memory(2, 2.0)


def test_threads_are_refused_where_tensorflow_has_started():
    tf.constant(1.0) + 1.0
    with pytest.raises(Refused, match="Received: threads=61 in a process that has"):
        limit_threads(61)


# What a run says ----------------------------------------------------------------------------------------------------------


def test_a_run_is_followed_from_its_journal(tmp_path):
    class Store:
        path = tmp_path / "quick" / "0123"

    Store.path.mkdir(parents=True)
    journal, lines = Journal(Store, 3, 1), []
    journal.write(Started(Job("a", "kind", {}), 7))
    journal.write(Finished(Job("a", "kind", {}), 7, 1.5))
    journal.write(Started(Job("b", "kind", {}), 7))
    journal.write(Finished(Job("b", "kind", {}), 7, 0.5, "a fault"))
    journal.write(Finished(Job("c", "kind", {}), 7, 0.5, "bad\udcff.png"))
    follow.follow(Store.path, lines.append)
    assert "done    a  1.5 s  (2 of 3)" in lines and "failed  b: a fault" in lines
    assert any(line.startswith("failed  c: bad") for line in lines)
    assert lines[-1].endswith("nobody works on it; 2 of 3 jobs were done")
    journal_path(Store.path).unlink()
    with pytest.raises(Refused, match="no journal"):
        follow.follow(Store.path, lines.append)


def test_a_run_that_is_held_is_alive_and_looking_takes_nothing(tmp_path):
    folder = tmp_path / "0123"
    assert not follow._is_held(folder) and not list(tmp_path.iterdir())
    with FileLock(tmp_path / ".0123.lock"):
        assert follow._is_held(folder)
    assert not follow._is_held(folder)


def test_a_living_run_says_what_is_running(tmp_path, monkeypatch):
    class Store:
        path = tmp_path / "quick" / "0123"

    Store.path.mkdir(parents=True)
    journal, lines, held = Journal(Store, 2, 0), [], iter([True, True, False])
    monkeypatch.setattr(follow, "_is_held", lambda _: next(held))
    journal.write(Started(Job("a", "kind", {}), 7))

    def go_on(_):
        if len(lines) == 1:
            journal.write(Finished(Job("a", "kind", {}), 7, 1.5))

    monkeypatch.setattr(follow.time, "sleep", go_on)
    follow.follow(Store.path, lines.append)
    assert lines[0].startswith("0 of 2 jobs are done; running: a in process 7 for ")
    assert lines[1] == "done    a  1.5 s  (1 of 2)" and lines[-1].endswith("1 of 2 jobs were done")


# Plans --------------------------------------------------------------------------------------------------------------------


def test_a_plan_lists_the_jobs_and_writes_nothing(command, recipe, tmp_path):
    # So many gradients that their time is worth a measurement.
    words = (recipe, "--set", "explain.options.smoothgrad.samples=100")
    code, output, error = command("run", *words, "--plan", "--json")
    planned = json.loads(output)
    assert code == 0 and not (tmp_path / "artifacts").exists(), error
    assert {row["state"] for row in planned["jobs"]} == {"waiting"} and planned["seconds"] > 0
    needs = {row["key"]: row["needs"] for row in planned["jobs"]}
    assert set(needs["agreement"]) < set(needs) and planned["passes"] == sum(row["passes"] for row in planned["jobs"])
    code, output, _ = command("run", *words, "--json")
    result = json.loads(output)
    assert result["run"] == planned["run"] and [row["key"] for row in result["jobs"]] == list(needs)
    again = json.loads(command("run", *words, "--plan", "--json", "--workers", 2)[1])
    assert {row["state"] for row in again["jobs"]} == {"done"} and again["seconds"] == 0 and again["passes"] == 0
    kept = sum(path.stat().st_size for path in pathlib.Path(result["run"], "jobs").rglob("*") if path.is_file())
    assert again["bytes"] == kept and again["workers"] == 2
    lines = command("run", *words, "--plan")[1].splitlines()
    assert lines[-1].startswith(planned["run"]) and "0 of " in lines[-1] and "done" in lines[0]
    code, output, error = command("explain", "nowhere.png", "--plan")
    assert code == 2 and "nowhere.png" in error
