"""The store: whole files or none, checksums, no way out of the run's folder."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from hashlib import sha256

import numpy as np
import pytest

from recipes.store import Store, encode, pack, sweep


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path, "recipe", "digest").open() as opened:
        yield opened


def test_a_job_is_done_only_whole_and_unchanged(store):
    assert not store.is_done("a/b")
    store.put("a/b", {"x.bin": b"123", "y.json": encode({"k": 1})})
    assert store.is_done("a/b") and store.values("a/b", "y.json") == {"k": 1}
    (store.folder("a/b") / "x.bin").write_bytes(b"124")
    assert not store.is_done("a/b")
    store.put("a/b", {"x.bin": b"123"})
    assert store.is_done("a/b") and not (store.folder("a/b") / "y.json").exists()
    (store.folder("a/b") / "x.bin").unlink()
    assert not store.is_done("a/b")


def test_files_that_lie_still_are_compared_with_their_checksums_once(store, monkeypatch):
    store.put("a", {"x": b"1", "y": b"2"})
    compared = []
    monkeypatch.setattr(
        "recipes.store._sha256", lambda content: compared.append(content) or sha256(content).hexdigest()
    )
    assert store.is_done("a") and store.is_done("a")
    assert compared.count(b"1") == 2, "files that were just written may be written again within one tick of the clock"
    for path in store.folder("a").iterdir():
        os.utime(path, (time.time() - 60, time.time() - 60))
    compared.clear()
    assert store.is_done("a") and store.is_done("a") and store.exists("a")
    assert compared.count(b"1") == compared.count(b"2") == 1
    (store.folder("a") / "x").write_bytes(b"3")
    assert not store.is_done("a") and b"3" in compared


def test_left_parts_are_swept(tmp_path):
    path = tmp_path / "recipe" / "digest"
    for part in (path / ".part-1-a", path / "jobs" / "a" / ".part-2"):
        part.mkdir(parents=True)
    with Store(tmp_path, "recipe", "digest").open():
        assert list(path.rglob(".part-*")) == []


def test_a_job_is_done_again_when_what_it_was_made_from_changes(store):
    store.put("a", {"x": b"1"})
    store.put("sum", {"y": b"1"}, needs=["a", "missing"])
    assert store.is_done("sum")
    store.put("a", {"x": b"2"})
    assert not store.is_done("sum") and store.exists("sum")
    store.put("sum", {"y": b"2"}, needs=["a", "missing"])
    store.put("missing", {"z": b"3"})
    assert not store.is_done("sum")


def test_a_job_with_a_fault_is_there_and_never_done(store):
    store.put("a", {"x": b"1"}, fault="ValueError: no")
    assert store.exists("a") and not store.is_done("a") and store.fault("a") == "ValueError: no"
    store.put("a", {"x": b"1"})
    assert store.is_done("a") and store.fault("a") is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"files": 3}', b"\xff\xfe"])
def test_a_damaged_seal_means_not_done(store, damage):
    store.put("a", {"x": b"1"})
    (store.folder("a") / "done.json").write_bytes(damage)
    assert not store.is_done("a") and not store.exists("a")


def test_seals_are_those_that_can_be_read(store):
    for key in ("a", "b", "c"):
        store.put(key, {"x": b"1"})
    (store.folder("b") / "done.json").write_text('{"files": {"x"')
    (store.folder("c") / "done.json").write_text("[1, 2]")
    assert list(store.seals()) == ["a"] and not store.is_done("b") and not store.is_done("c")


def test_a_reader_never_meets_a_gap_while_a_finished_job_is_written_again(store):
    """Read as fast as can be while the same job is put a hundred times: its file is always there, and always whole."""
    store.put("a", {"x": b"0" * 1000})
    gaps, over = [], threading.Event()

    def read():
        while not over.is_set():
            try:
                content = (store.folder("a") / "x").read_bytes()
            except OSError as error:
                gaps.append(error)
            else:
                gaps.extend([content] if len(content) != 1000 or len(set(content)) != 1 else [])

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(100):
        store.put("a", {"x": str(turn % 10).encode() * 1000})
    over.set()
    reader.join()
    assert gaps == [] and store.is_done("a")


def test_a_second_process_waits_for_a_run_and_says_who_has_it(tmp_path):
    code = "import sys, time; from recipes.store import Store\nwith Store(sys.argv[1], 'recipe', 'digest').open() as store:\n    (store.path / '.part-here').write_text(''); print('open', flush=True); time.sleep(3); assert (store.path / '.part-here').exists(); store.put('a', {'x': b'1'})"
    first = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "open\n"
    messages, start = [], time.monotonic()
    with Store(tmp_path, "recipe", "digest").open(wait=messages.append) as store:
        assert store.is_done("a") and time.monotonic() - start > 1
    assert first.wait() == 0
    assert len(messages) == 1 and f"process {first.pid} on {socket.gethostname()}" in messages[0]


def test_a_run_whose_process_was_killed_is_free(tmp_path):
    code = "import sys, time; from recipes.store import Store\nwith Store(sys.argv[1], 'recipe', 'digest').open():\n    print('open', flush=True); time.sleep(60)"
    first = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "open\n"
    first.kill()
    first.wait()
    messages = []
    with Store(tmp_path, "recipe", "digest").open(wait=messages.append):
        assert messages == []


def test_fresh_forgets_what_was_made(tmp_path):
    with Store(tmp_path, "recipe", "digest").open() as store:
        store.put("a", {"x": b"1"})
    with Store(tmp_path, "recipe", "digest").open(fresh=True) as store:
        assert not store.exists("a") and store.path.is_dir()


def test_shared_folders_are_swept_of_the_dead_alone(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    here = socket.gethostname()
    names = {
        f".part-{here}-{dead.pid}-a.npz": False,
        f".part-{here}-{os.getpid()}-a.npz": True,
        ".part-elsewhere-1-a.npz": True,
    }
    for name in names:
        (tmp_path / name).write_text("")
    sweep(tmp_path)
    assert {name: (tmp_path / name).exists() for name in names} == names


def test_text_that_is_no_unicode_is_written_and_read(store):
    store.put("a", {"x.json": encode({"name": "caf\udce9.png"})})
    assert store.values("a", "x.json") == {"name": "caf\udce9.png"}


@pytest.mark.parametrize("key", ["../../up", "/etc", "a/../../../x"])
def test_keys_stay_inside(store, key):
    with pytest.raises(ValueError, match="inside its run"):
        store.put(key, {"x": b""})


def test_bytes_are_the_same_for_the_same_values():
    arrays = {"a": np.arange(5.0), "b": np.eye(3, dtype="float32")}
    assert pack(arrays) == pack({key: value.copy() for key, value in arrays.items()})
    assert json.loads(encode({"x": np.float32(0.5), "y": [np.nan, np.int64(2)], "z": np.arange(2)})) == {
        "x": 0.5,
        "y": [None, 2],
        "z": [0, 1],
    }


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", "/proc/nowhere"):
        with pytest.raises(ValueError, match="can be written"), Store(root, "recipe", "digest").open():
            pass
