"""The store: whole files or none, checksums, no way out of the run's folder."""

import json

import numpy as np
import pytest

from recipes.store import Store, encode, pack


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path, "recipe", "digest")
    made.open()
    return made


def test_a_job_is_done_only_whole_and_unchanged(store):
    assert not store.done("a/b")
    store.put("a/b", {"x.bin": b"123", "y.json": encode({"k": 1})})
    assert store.done("a/b") and store.values("a/b", "y.json") == {"k": 1}
    (store.folder("a/b") / "x.bin").write_bytes(b"124")
    assert not store.done("a/b")
    store.put("a/b", {"x.bin": b"123"})
    assert store.done("a/b") and not (store.folder("a/b") / "y.json").exists()
    (store.folder("a/b") / "x.bin").unlink()
    assert not store.done("a/b")


def test_left_parts_are_swept(store):
    part = store.path / ".part-1-a"
    part.mkdir()
    store.open()
    assert not part.exists()


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
        with pytest.raises(ValueError, match="can be written"):
            Store(root, "recipe", "digest").open()
