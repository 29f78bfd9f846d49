"""The lock of a run at an address: one process has it, the dead lose it, the living never, and no clock decides."""

import contextlib
import json
import os
import pathlib
import socket
import threading
import time
import uuid

import pytest

from lab.remote import RemotePath, as_path
from recipes import lock
from recipes.engines.attempt import attempt
from recipes.engines.local import Local
from recipes.job import Job
from recipes.lock import DiskLock, Lost, RemoteLock, lock_path
from recipes.store import Store


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Hundredths of a second in the place of seconds."""
    monkeypatch.setattr(lock, "HEARTBEAT", 0.05)
    monkeypatch.setattr(lock, "EXPIRES", 0.5)
    monkeypatch.setattr(lock, "RETRY_SECONDS", 0.02)


@pytest.fixture
def folder():
    return as_path(f"memory://{uuid.uuid4().hex}") / "recipe" / "0123"


@contextlib.contextmanager
def held(folder, wait=lambda words: None):
    owner = RemoteLock(folder)
    owner.acquire(wait)
    try:
        yield owner
    finally:
        owner.release()


def leave_lock(folder, holder="process 7 on elsewhere, since yesterday"):
    """A lock as a process leaves it that was killed."""
    lock_path(folder).write_bytes(json.dumps({"holder": holder, "token": "theirs", "beat": 3}).encode())


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_second_waits_says_who_has_it_and_goes_on_when_it_is_free(folder):
    words, order = [], []

    def second():
        with held(folder, words.append):
            order.append("second")

    with held(folder):
        thread = threading.Thread(target=second)
        thread.start()
        # Longer than a lock lives that nobody renews.
        time.sleep(3 * lock.EXPIRES)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"] and len(words) == 1
    assert f"process {os.getpid()} on {socket.gethostname()}" in words[0] and str(folder) in words[0]
    assert not lock_path(folder).exists()


def test_what_a_killed_process_left_is_taken_over_once_it_does_not_change(folder):
    leave_lock(folder)
    words, start = [], time.monotonic()
    with held(folder, words.append) as owner:
        assert time.monotonic() - start > lock.EXPIRES and owner.token in lock_path(folder).read_text()
    assert "process 7 on elsewhere" in words[0] and not lock_path(folder).exists()


@pytest.mark.parametrize("jump", [-40 * 365 * 86400, 40 * 365 * 86400])
def test_the_living_keep_it_whatever_the_clocks_say(folder, monkeypatch, jump):
    now, localtime = time.time, time.localtime
    with held(folder) as owner:
        monkeypatch.setattr(time, "time", lambda: now() + jump)
        monkeypatch.setattr(time, "strftime", lambda *_: "1970-01-01 00:00:00")
        monkeypatch.setattr(time, "localtime", lambda *_: localtime(now() + jump))
        assert not RemoteLock(folder).try_acquire()
        time.sleep(3 * lock.EXPIRES)
        owner.check()
        assert owner.token in lock_path(folder).read_text()


def test_a_dead_ones_is_taken_by_one_of_two(folder):
    leave_lock(folder)
    running, most, over = [], [], []

    def take():
        with held(folder):
            running.append(1)
            most.append(len(running))
            time.sleep(0.3)
            running.pop()
        over.append(1)

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert most == [1, 1, 1] and len(over) == 3


def test_an_owner_that_lost_it_stops_before_its_next_file(folder):
    with Store(as_path(f"memory://{folder.pure.parts[0]}"), "recipe", "0123").open() as store:
        store.put("a", {"x": b"1"})
        leave_lock(store.path, "process 8 on another machine, since now")
        wait_until(lambda: store._lock.loss)
        for write in (lambda: store.put("b", {"x": b"1"}), lambda: store.write("index.html", b"")):
            with pytest.raises(Lost, match="process 8 on another machine"):
                write()
        with pytest.raises(Lost, match="process 8"):
            list(Local().carry_out([Job("b", "kind", {})], None, store))
        assert store.is_done("a") and not store.is_done("b")
    # It is the other's now.
    assert "theirs" in lock_path(store.path).read_text()


def test_a_lost_run_is_no_failed_job(folder, monkeypatch):
    with Store(as_path(f"memory://{folder.pure.parts[0]}"), "recipe", "0123").open() as store:
        store._lock.loss = "process 9 took it over"
        monkeypatch.setattr(
            "recipes.engines.attempt.work", lambda *_: type("Outcome", (), {"files": {}, "fault": None})()
        )
        with pytest.raises(Lost, match="process 9"):
            attempt(Job("b", "kind", {}), None, store)


def test_a_lock_that_somebody_removed_is_made_again(folder):
    with held(folder) as owner:
        lock_path(folder).unlink()
        wait_until(lock_path(folder).exists)
        owner.check()


def test_an_owner_that_cannot_reach_the_store_for_too_long_stops(folder, monkeypatch):
    with held(folder) as owner:

        def fail(*_):
            raise OSError("no route to host")

        with monkeypatch.context() as patch:
            patch.setattr(RemotePath, "read_bytes", fail)
            time.sleep(lock.EXPIRES / 2)
            owner.check()
            wait_until(lambda: owner.loss)
        with pytest.raises(Lost, match="could not be renewed .*no route to host"):
            owner.check()


def test_a_store_that_cannot_be_written_is_refused_at_once(monkeypatch):
    def fail(*_, **__):
        raise PermissionError("Access Denied")

    root = as_path(f"memory://{uuid.uuid4().hex}")
    monkeypatch.setattr(type(root.filesystem), "pipe_file", fail)
    with (
        pytest.raises(ValueError, match="can be written. Received: memory://.*Access Denied"),
        Store(root, "a", "b").open(),
    ):
        pass


def test_a_damaged_lock_is_somebodys(folder):
    lock_path(folder).write_bytes(b"{")
    words = []
    with held(folder, words.append):
        assert "another process" in words[0]


def test_an_owner_whose_renewal_hangs_stops_by_its_own_clock(folder, monkeypatch):
    with held(folder) as owner:
        monkeypatch.setattr(owner, "_renew_once", lambda: time.sleep(3 * lock.EXPIRES))
        wait_until(lambda: owner._late())
        with pytest.raises(Lost, match="could not be renewed"):
            owner.check()


def test_a_lock_whose_holder_cannot_be_written_is_given_back(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "RETRY_SECONDS", 5.0)

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    owner = DiskLock(tmp_path / "0123")
    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "write_text", fail)
        with pytest.raises(OSError, match="No space left"):
            owner.acquire(pytest.fail)
    other = DiskLock(tmp_path / "0123")
    other.acquire(pytest.fail)
    other.release()
    assert not owner.lock.is_locked
