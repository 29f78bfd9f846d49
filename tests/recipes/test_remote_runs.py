"""Runs on S3, against a server of the tests' own: the same bytes as on a disk, whatever happens on the way."""

import contextlib
import json
import signal
import time

import numpy as np
import pytest
from PIL import Image

import lab
from lab.remote import as_path
from recipes import follow, lock
from recipes.cache import Cache
from recipes.engines.worker import Orders
from recipes.events import Finished, Started
from recipes.job import Job
from recipes.journal import Journal, journal_path
from recipes.lock import RemoteLock, lock_path
from recipes.sources import Sources
from recipes.store import Store, encode
from tests import s3_server
from tests.processes import FORKED_WORKERS, contents, start_run

pytestmark = pytest.mark.skipif(
    bool(s3_server.MISSING), reason=f"needs {', '.join(s3_server.MISSING)}: pip install 'interpretability-lab[test]'"
)
# Half a minute would pass in every test of a killed process.
SHORT_LOCK = "from recipes import lock; lock.HEARTBEAT, lock.EXPIRES = 0.5, 4.0"


@pytest.fixture(scope="module")
def server():
    with s3_server.running() as url, s3_server.spoken_to(url):
        yield url


@pytest.fixture
def bucket(server):
    return s3_server.make_bucket()


@pytest.fixture
def quick_lock(monkeypatch):
    """Tenths of a second in the place of seconds."""
    for name, seconds in (("HEARTBEAT", 0.15), ("EXPIRES", 1.0), ("RETRY_SECONDS", 0.05)):
        monkeypatch.setattr(lock, name, seconds)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for name, image in zip(("chelsea", "coffee"), lab.photographs(["chelsea", "coffee"]).images, strict=True):
        Image.fromarray(image).resize((48, 40)).save(folder / f"{name}.png")
    return folder


def start(recipe, out, *words):
    """Begin `lab run` in a process of its own: `subprocess.Popen`."""
    return start_run(recipe, out, "--set", "threads=1", *words, first=f"{SHORT_LOCK}; {FORKED_WORKERS}")


def end(process):
    """Wait for a process: (exit code, standard output, error stream)."""
    output, error = process.communicate(timeout=400)
    return process.returncode, output, error


@pytest.fixture(scope="module")
def on_disk(tiny, server, tmp_path_factory):
    """The files of an undisturbed run on a disk."""
    out = tmp_path_factory.mktemp("out")
    code, _, error = end(start(tiny, out))
    assert code == 0, error
    return contents(out)


# Whole runs ---------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_on_s3_has_the_bytes_of_one_on_a_disk_though_it_was_killed(tiny, on_disk, bucket):
    out = f"{bucket}/runs"
    killed = start(tiny, out)
    while not as_path(out).rglob("done.json"):
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    done = len(as_path(out).rglob("done.json"))
    assert 0 < done < len([name for name in on_disk if name.endswith("done.json")])
    code, output, error = end(start(tiny, out, "--workers", "2"))
    assert code == 0, error
    assert f"is being written by process {killed.pid} on" in error and f"{done} done before" in error
    assert contents(out) == on_disk
    report = output.splitlines()[-1]
    assert report.startswith(f"{out}/tiny/") and as_path(report).is_file()
    everything = output + error + "".join(content.decode("latin1") for content in contents(out).values())
    assert s3_server.SECRET not in everything and s3_server.KEY not in everything
    assert not as_path(out).rglob(".*.lock")


@pytest.mark.slow
def test_two_processes_on_one_run_both_end_well(tiny, on_disk, bucket):
    processes = [start(tiny, bucket) for _ in range(2)]
    ends = [end(process) for process in processes]
    assert [code for code, _, _ in ends] == [0, 0], ends
    words = [
        f"is being written by process {process.pid} on" in error
        for process, (_, _, error) in zip(processes, reversed(ends), strict=True)
    ]
    assert sorted(words) == [False, True]
    assert contents(bucket) == on_disk


@pytest.mark.slow
def test_a_cluster_writes_to_a_bucket(tiny, on_disk, bucket):
    pytest.importorskip("ray", reason="needs Ray: pip install 'interpretability-lab[ray]'")
    code, _, error = end(start(tiny, bucket, "--engine", "ray", "--workers", "1"))
    assert code == 0, error
    assert contents(bucket) == on_disk


@pytest.mark.slow
def test_images_and_model_of_a_bucket_give_the_files_of_those_on_a_disk(command, small_file, photos, bucket, tmp_path):
    for file in photos.iterdir():
        (as_path(bucket) / "photos" / file.name).write_bytes(file.read_bytes())
    (as_path(bucket) / "my.keras").write_bytes(small_file.read_bytes())
    words = ["--all-layers", "--steps", 2, "--input-range", -1, 1]
    code, output, error = command(
        "gallery",
        "--images",
        f"{bucket}/photos",
        "--model",
        f"{bucket}/my.keras",
        "--out",
        f"{bucket}/runs",
        *words,
        out=False,
    )
    assert code == 0, error
    code, _, error = command("gallery", "--images", photos, "--model", small_file, *words)
    assert code == 0, error
    remote, local = contents(f"{bucket}/runs"), contents(tmp_path / "artifacts")
    # The seals name the model and the images, which lie elsewhere.
    names = [name for name in local if name.startswith("jobs/") and not name.endswith("done.json")]
    assert len(names) > 20 and [name for name in names if remote.get(name) != local[name]] == []

    report = output.splitlines()[-1]
    folder = report.removesuffix("/index.html")
    assert command("show", folder, "--print", out=False)[1].splitlines() == [report]
    code, output, error = command("show", folder, "--follow", out=False)
    assert code == 0 and "nobody works on it" in output, error
    other = next((tmp_path / "artifacts").glob("gallery/*/index.html")).parent
    code, output, error = command("compare", folder, other, "--out", f"{bucket}/page.html", "--json", out=False)
    units = json.loads(output)["units"]
    agree = [row["agree"] for row in units if row["agree"] is not None]
    assert code == 0 and agree == pytest.approx([1.0] * len(agree)) and len(agree) > 8, error
    assert b"<html" in (as_path(bucket) / "page.html").read_bytes()
    code, output, error = command("gc", "--out", f"{bucket}/runs", "--json", out=False)
    assert code == 0 and "runs" in [row["kind"] for row in json.loads(output)["items"]], error
    command("gc", "--out", f"{bucket}/runs", "--remove", "runs,surveys,networks", out=False)
    left = [path for path in as_path(f"{bucket}/runs").rglob("*") if "/.jobs/" not in str(path)]
    assert not left and as_path(f"{bucket}/photos").is_dir()


def test_single_images_of_a_bucket_are_explained(command, user, photos, bucket):
    address = f"{bucket}/photos/coffee.png"
    as_path(address).write_bytes((photos / "coffee.png").read_bytes())
    code, _, error = command("explain", address, "--method", "gradient", *user, "--out", f"{bucket}/runs", out=False)
    assert code == 0, error
    (about,) = as_path(f"{bucket}/runs").glob("explain/*/jobs/explain/gradient/about.json")
    assert json.loads(about.read_text())["names"] == ["coffee.png"]


# What can go wrong --------------------------------------------------------------------------------------------------------


def refused(command, user, photo, out):
    """The one line with which a command ends that cannot write to an address."""
    code, output, error = command("explain", photo, "--method", "gradient", *user, "--out", out, out=False)
    lines = [line for line in error.splitlines() if line.startswith("Error: ")]
    assert code == 2 and output == "" and len(lines) == 1 and "Traceback" not in error, error
    assert s3_server.SECRET not in error and s3_server.KEY not in error
    return lines[0]


def test_a_bucket_that_does_not_exist_is_refused_and_not_made(command, user, photo, bucket):
    for words in (
        refused(command, user, photo, f"{bucket}-none/runs"),
        refused(command, user, f"{bucket}-none/photos", bucket),
    ):
        assert f"{bucket}-none" in words
    assert "bucket does not exist" in refused(command, user, photo, f"{bucket}-none/runs")
    assert not as_path(f"{bucket}-none").exists()


def test_an_address_that_does_not_answer_is_refused_in_seconds(command, user, photo, monkeypatch):
    import s3fs

    start = time.monotonic()
    with s3_server.spoken_to("http://127.0.0.1:9"):
        assert "127.0.0.1:9" in refused(command, user, photo, "s3://bucket/runs")
        assert time.monotonic() - start < 45
        # How long the library itself tries is known now.
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        s3fs.S3FileSystem.clear_instance_cache()
        assert "127.0.0.1:9" in refused(command, user, "s3://bucket/photos", "s3://bucket/runs")
    assert time.monotonic() - start < 90


def test_wrong_keys_are_refused_and_never_printed(command, user, photo, bucket, server):
    with s3_server.spoken_to(server):
        s3_server.check_keys(server, 0)
        try:
            assert "Access Key Id you provided does not exist" in refused(command, user, photo, f"{bucket}/runs")
            assert "Received: " in refused(command, user, f"{bucket}/photos", f"{bucket}/runs")
        finally:
            s3_server.check_keys(server, "inf")
    assert not as_path(bucket).rglob("*")


def test_keys_in_an_address_are_refused_before_anything_is_said(command, user, photo, tmp_path):
    address = f"s3://{s3_server.KEY}:{s3_server.SECRET}@bucket/x"
    assert "holds no password" in refused(command, user, photo, address)
    assert "holds no password" in refused(command, user, address, tmp_path)
    assert "holds no password" in refused(command, ["--model", address], photo, tmp_path)


# The store ----------------------------------------------------------------------------------------------------------------


def opened(bucket):
    """The store of another process."""
    return Store(bucket, "recipe", "0123")


def test_a_job_is_done_once_its_seal_is_there_and_fits(bucket):
    with opened(bucket).open() as store:
        store.put("a/b", {"x.bin": b"123", "y.json": encode({"k": 1})})
        assert store.is_done("a/b") and store.values("a/b", "y.json") == {"k": 1}
    assert opened(bucket).is_done("a/b") and list(opened(bucket).seals()) == ["a/b"]
    (store.folder("a/b") / "x.bin").write_bytes(b"124")
    assert not opened(bucket).is_done("a/b") and not opened(bucket).exists("a/b")
    with opened(bucket).open() as store:
        store.put("a/b", {"x.bin": b"124"})
    assert opened(bucket).is_done("a/b") and not (store.folder("a/b") / "y.json").exists()
    (store.folder("a/b") / "x.bin").unlink()
    assert not opened(bucket).is_done("a/b")
    # Killed before the seal.
    (store.folder("c") / "x.bin").write_bytes(b"1")
    assert not opened(bucket).exists("c") and list(opened(bucket).seals()) == ["a/b"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"files": 3}', b"\xff\xfe"])
def test_a_damaged_seal_means_not_done(bucket, damage):
    with opened(bucket).open() as store:
        store.put("a", {"x": b"1"})
    (store.folder("a") / "done.json").write_bytes(damage)
    assert not opened(bucket).is_done("a") and opened(bucket).seals() == {}


def test_a_job_is_done_again_when_what_it_needs_changes(bucket):
    with opened(bucket).open() as store:
        store.put("a", {"x": b"1"})
        store.put("sum", {"y": b"1"}, needs=["a"])
        assert store.is_done("sum")
        # A process of --workers writes it.
        opened(bucket).put("a", {"x": b"2"})
        assert not store.is_done("sum") and store.exists("sum")


def test_seals_of_an_older_lab_are_read(bucket):
    store, content = opened(bucket), b"1"
    (store.folder("a") / "x").write_bytes(content)
    seal = {"files": {"x": "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"}, "host": "older"}
    (store.folder("a") / "done.json").write_bytes(encode(seal))
    assert store.is_done("a") and store.fault("a") is None


def test_fresh_removes_what_was_there(bucket):
    with opened(bucket).open() as store:
        store.put("a", {"x": b"1"})
    with opened(bucket).open(fresh=True) as store:
        assert not store.exists("a")


def test_a_store_that_stops_answering_is_no_missing_job(bucket, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with opened(bucket).open() as store:
        store.put("a", {"x": b"1"})
    with s3_server.spoken_to("http://127.0.0.1:9"), pytest.raises(OSError, match="127.0.0.1:9"):
        opened(bucket).is_done("a")


def test_workers_open_a_store_by_its_address(bucket):
    class Session:
        allow_code = False

        sources = Sources()
        hash_of = str

    orders = Orders.of([], Session, opened(bucket), 1)
    assert orders.root == bucket and Store(orders.root, *orders.run).path == opened(bucket).path


# Caches -------------------------------------------------------------------------------------------------------------------

ARRAYS = {"a/b": np.arange(6.0).reshape(2, 3), "c": np.array([1, 2])}


def test_a_cache_on_s3_is_that_of_a_disk_and_is_computed_once(bucket, tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return ARRAYS

    for root in (bucket, bucket, tmp_path):
        arrays = Cache(root).get("c0" * 32, compute)
        assert all(np.array_equal(arrays[name], ARRAYS[name]) for name in ARRAYS)
    assert len(calls) == 2
    name = f"networks/{'c0' * 16}.npz"
    assert as_path(f"{bucket}/{name}").read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize("damage", ["cut", "empty", "older"])
def test_a_damaged_file_of_a_cache_is_named_and_computed_again(bucket, tmp_path, damage):
    cache = Cache(bucket)
    cache.get("c0" * 32, lambda: ARRAYS)
    path = cache.path / f"{'c0' * 16}.npz"
    content = path.read_bytes()
    np.savez_compressed(tmp_path / "older.npz", **{"a|b": ARRAYS["a/b"], "c": ARRAYS["c"]})
    path.write_bytes({"cut": content[:-50], "empty": b"", "older": (tmp_path / "older.npz").read_bytes()}[damage])
    with pytest.warns(UserWarning, match=f"{path.name} is not as this lab wrote it"):
        cache.get("c0" * 32, lambda: ARRAYS)
    assert path.read_bytes() == content


# The lock -----------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def held(path, wait=lambda words: None):
    owner = RemoteLock(path)
    owner.acquire(wait)
    try:
        yield owner
    finally:
        owner.release()


def test_a_lock_is_made_by_one_alone_and_taken_over_from_the_dead(bucket, quick_lock):
    path, words = as_path(bucket) / "recipe" / "0123", []
    with held(path) as owner:
        with pytest.raises(OSError):
            lock_path(path).create(b"mine too")
        assert owner.token in lock_path(path).read_text()
        assert not RemoteLock(path).try_acquire()
    assert not lock_path(path).exists()
    lock_path(path).write_bytes(json.dumps({"holder": "process 7 on elsewhere", "token": "x", "beat": 1}).encode())
    with held(path, words.append) as owner:
        time.sleep(1.5 * lock.EXPIRES)
        owner.check()
    assert "is being written by process 7 on elsewhere" in words[0]


def test_what_is_being_written_is_left_by_gc(command, bucket, quick_lock):
    store = Store(bucket, "one", "0123")
    with store.open():
        store.write("manifest.json", json.dumps({"digest": "0123", "recipe": {"name": "one"}}).encode())
        output = command("gc", "--remove", "runs", "--out", bucket, out=False)[1]
        assert (
            output.splitlines()[-1].startswith("removed 0 of 1 selected") and (store.path / "manifest.json").is_file()
        )
    lock_path(store.path).write_bytes(b"of a killed process")
    output = command("gc", "--remove", "runs", "--out", bucket, out=False)[1]
    assert output.splitlines()[-1].startswith("removed 1 of 1 selected") and not as_path(bucket).rglob("*")


# The journal --------------------------------------------------------------------------------------------------------------


def test_a_run_on_s3_is_followed_from_its_journal(bucket, quick_lock, monkeypatch):
    monkeypatch.setattr("recipes.journal.PAUSE", 0.0)
    monkeypatch.setattr("recipes.journal.SHARE", float("inf"))
    lines = []
    with opened(bucket).open() as store:
        journal = Journal(store, 2, 0)
        journal.write(Started(Job("a", "kind", {}), 7))
        journal.write(Finished(Job("a", "kind", {}), 7, 1.5))
        monkeypatch.setattr("recipes.journal.PAUSE", 60.0)
        journal.write(Started(Job("b", "kind", {}), 7))
        # Not written before the run is closed.
        journal.write(Finished(Job("b", "kind", {}), 7, 1.5, "a fault"))
    follow.follow(store.path, lines.append, pause=0.1)
    assert "done    a  1.5 s  (1 of 2)" in lines and "failed  b: a fault" in lines
    assert lines[-1].endswith("nobody works on it; 1 of 2 jobs were done") and journal_path(store.path).is_file()


def test_whether_somebody_works_on_a_run_is_seen_by_its_lock(bucket, quick_lock):
    with opened(bucket).open() as store:
        Journal(store, 1, 0)
        watch = lock.Watch(lock_path(store.path))
        for _ in range(5):
            assert watch.is_held()
            time.sleep(0.3 * lock.EXPIRES)
    assert not watch.is_held()
