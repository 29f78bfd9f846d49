"""Storage: caches are sealed, and what lies in a folder of runs is listed and removed as asked."""

import json
import os
import threading
import time
import warnings

import numpy as np
import pytest
from filelock import FileLock

from recipes import index
from recipes.cache import Cache
from recipes.journal import journal_path
from recipes.storage import items, remove
from recipes.store import Store, encode

KEY = "c0" * 32
ARRAYS = {"a/b": np.arange(6.0).reshape(2, 3), "c": np.array([1, 2])}


def test_a_cache_computes_once(tmp_path):
    cache, calls = Cache(tmp_path), []

    def compute():
        calls.append(1)
        return ARRAYS

    for arrays in (cache.get(KEY, compute), cache.get(KEY, compute)):
        assert list(arrays) == ["a/b", "c"] and all((arrays[name] == ARRAYS[name]).all() for name in ARRAYS)
    assert len(calls) == 1


def cut(path):
    path.write_bytes(path.read_bytes()[:-50])


def empty(path):
    path.write_bytes(b"")


def spoil(path):
    with np.load(path) as held:
        arrays = dict(held)
    np.savez_compressed(path, **{**arrays, "a|b": np.full((2, 3), np.nan)})


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 255
    path.write_bytes(content)


def take_another(path):
    Cache(path.parent.parent).get("d" * 64, lambda: {"a/b": np.zeros((2, 3)), "c": np.zeros(2, int)})
    other = next(file for file in path.parent.glob("*.npz") if file != path)
    os.replace(other, path)


@pytest.mark.parametrize("damage", [cut, empty, spoil, flip, take_another])
def test_a_damaged_file_of_a_cache_is_named_and_computed_again(tmp_path, damage):
    cache = Cache(tmp_path)
    cache.get(KEY, lambda: ARRAYS)
    path = cache.path / f"{KEY[:32]}.npz"
    before = path.read_bytes()
    damage(path)
    with pytest.warns(UserWarning, match=f"{path.name} is not as this lab wrote it"):
        arrays = cache.get(KEY, lambda: ARRAYS)
    assert all((arrays[name] == ARRAYS[name]).all() for name in ARRAYS) and path.read_bytes() == before


def test_whichever_byte_of_a_cache_is_flipped_it_is_computed_again(tmp_path):
    cache = Cache(tmp_path)
    cache.get(KEY, lambda: ARRAYS)
    path = cache.path / f"{KEY[:32]}.npz"
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            arrays = cache.get(KEY, lambda: ARRAYS)
        assert all(np.array_equal(arrays[name], ARRAYS[name]) for name in ARRAYS), place


def test_what_other_numbers_of_threads_compute_is_kept_apart(tmp_path):
    Cache(tmp_path, threads=1).get(KEY, lambda: {"threads": np.array(1)})
    Cache(tmp_path, threads=2).get(KEY, lambda: {"threads": np.array(2)})
    assert [int(Cache(tmp_path, threads=threads).get(KEY, dict)["threads"]) for threads in (1, 2)] == [1, 2]


def test_two_that_want_the_same_compute_it_once(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        time.sleep(0.2)
        return ARRAYS

    threads = [threading.Thread(target=lambda: Cache(tmp_path).get(KEY, compute)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


@pytest.fixture
def artifacts(tmp_path):
    """A folder of two runs and two caches."""
    root = tmp_path / "artifacts"
    Cache(root).get("a" * 64, lambda: ARRAYS)
    Cache(root, "surveys").get("b" * 64, lambda: ARRAYS)
    for name in ("one", "two"):
        folder = root / name / "0123"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"digest": "0123", "recipe": {"name": name}}))
        journal_path(folder).write_text("")
    return root


def test_what_lies_in_a_folder_of_runs_is_listed_and_nothing_is_removed(command, artifacts):
    code, output, error = command("gc", "--json")
    listed = json.loads(output)
    assert code == 0 and [row["kind"] for row in listed["items"]] == ["networks", "surveys", "runs", "runs"], error
    assert listed["removed"] == [] and all(row["bytes"] > 0 for row in listed["items"])
    assert "runs           2" in command("gc")[1]


def test_what_is_asked_for_is_removed(command, artifacts):
    old = time.time() - 10 * 24 * 3600
    os.utime(artifacts / "one" / "0123" / "manifest.json", (old, old))
    code, output, _ = command("gc", "--remove", "runs,networks", "--older-than", 5)
    assert code == 0 and output.splitlines()[-1].startswith("removed 1 of 1 selected")
    assert not (artifacts / "one" / "0123").exists()
    assert (artifacts / "two" / "0123").is_dir() and len(list((artifacts / "networks").glob("*.npz"))) == 1
    command("gc", "--remove", "networks")
    assert list((artifacts / "networks").glob("*.npz")) == [] and len(list((artifacts / "surveys").glob("*.npz"))) == 1


def test_what_is_not_the_labs_is_neither_listed_nor_removed(command, artifacts):
    others = [artifacts / name for name in ("app/public/manifest.json", "networks/mine.npz", "site/0123/manifest.json")]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"name": "an app", "digest": "0123"}')
    (artifacts / "one" / "link").symlink_to(artifacts / "one" / "0123")
    assert len(json.loads(command("gc", "--json")[1])["items"]) == 4
    command("gc", "--remove", "runs,networks,surveys")
    assert all(path.is_file() for path in others) and not (artifacts / "one" / "0123").exists()


def test_what_is_narrowed_is_removed_or_refused(command, artifacts):
    code, _, error = command("gc", "--older-than", 5)
    assert code == 2 and "add --remove" in error


def test_a_run_that_is_being_written_is_left(command, artifacts):
    with FileLock(artifacts / "two" / ".0123.lock"):
        output = command("gc", "--remove", "runs")[1]
    assert output.splitlines()[-1].startswith("removed 1 of 2 selected") and (artifacts / "two" / "0123").is_dir()


def test_what_cannot_be_removed_is_refused(command, artifacts):
    code, _, error = command("gc", "--remove", "pictures")
    assert code == 2 and "networks, surveys, runs" in error and "'pictures'" in error
    code, output, _ = command("gc", "--json")
    assert code == 0 and len(json.loads(output)["items"]) == 4


def test_with_a_run_goes_what_the_index_says_of_it(tmp_path):
    kept, removed = (Store(tmp_path, "any", digest) for digest in ("0123", "4567"))
    for store, identity in ((kept, "a" * 64), (removed, "b" * 64)):
        with store.open():
            store.put("job", {"a.txt": b"a"}, identity=identity)
            store.write("manifest.json", encode({"digest": store.path.name, "recipe": {"name": "any"}}))
    runs = [item for item in items(tmp_path) if item.path.name == "4567"]
    assert remove(runs) == runs
    assert kept.earlier("a" * 64) == {"a.txt": b"a"}
    assert [path.name for path in (tmp_path / index.FOLDER).glob("*/*")] == ["a" * 64]
