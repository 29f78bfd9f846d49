"""Lock: one process alone writes to a run, and others can read who it is.

On a disk the system holds the lock, and releases it when the process ends. Elsewhere it is a file that its owner renews.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid

from filelock import FileLock, Timeout

from lab.remote import is_remote

# Seconds between two attempts to lock a run that another process writes to.
RETRY_SECONDS = 1.0
# Seconds between two renewals of a lock that is a file, and after how many without one its owner counts as dead.
HEARTBEAT, EXPIRES = 5.0, 30.0


class Lost(OSError):
    """Another process took a run over, because this one could not renew its lock for too long."""


def lock_of(path):
    """The lock of a run, or of a file of a cache.

    Args:
        path: `pathlib.Path` or `lab.remote.RemotePath`.

    Returns:
        `DiskLock` or `RemoteLock`.
    """
    return RemoteLock(path) if is_remote(path) else DiskLock(path)


def lock_path(path):
    """The file of the lock, beside what it locks: path."""
    return path.with_name(f".{path.stem}.lock")


def _describe_process():
    return f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}"


class DiskLock:
    """A lock of the system, with a file beside it that says who has it.

    Args:
        path: `pathlib.Path` of what is locked.
    """

    def __init__(self, path):
        self.path, self.lock = path, FileLock(lock_path(path))
        self.holder = lock_path(path).with_suffix(".holder")

    def acquire(self, wait):
        """Take the lock. While another process has it, say so once and wait.

        Args:
            wait: function of a text.
        """
        self.holder.parent.mkdir(parents=True, exist_ok=True)
        seconds = 0
        while not self._acquire(seconds):
            if not seconds:
                wait(_waiting_words(self.path, self._holder()))
            seconds = RETRY_SECONDS
        try:
            self.holder.write_text(_describe_process(), encoding="utf-8")
        except OSError:
            # On a full disk. The traceback keeps this object, which would have the lock for as long.
            self.release()
            raise

    def try_acquire(self):
        """Take the lock unless another process has it: bool."""
        return self._acquire(0)

    def _acquire(self, seconds):
        try:
            self.lock.acquire(timeout=seconds)
        except Timeout:
            return False
        return True

    def _holder(self):
        try:
            return self.holder.read_text(encoding="utf-8") or "another process"
        except OSError:
            return "another process"

    def check(self):
        """Nothing: the system takes no lock away."""

    def release(self):
        """Give the lock back."""
        try:
            self.holder.unlink(missing_ok=True)
        finally:
            self.lock.release()


def _waiting_words(path, holder):
    return f"{path} is being written by {holder}: waiting for it"


class Watch:
    """Whether the owner of a lock that is a file is alive: whether its text changes. No clock of another machine is asked.

    Args:
        path: `RemotePath` of the lock.
    """

    def __init__(self, path):
        self.path, self.text, self.since = path, None, time.monotonic()

    def look(self):
        """The text of the lock now: str, or None where there is no lock."""
        text = _read(self.path)
        if text != self.text:
            self.text, self.since = text, time.monotonic()
        return text

    def is_held(self):
        """Look whether somebody has the lock: bool."""
        return self.look() is not None and not self.is_expired

    @property
    def is_expired(self):
        """Whether the text has not changed for too long: bool."""
        return time.monotonic() - self.since > EXPIRES


class RemoteLock:
    """A lock that is a file, made by one process alone and renewed by it, with the words of who has it.

    A lock that is not renewed is taken over. Its owner, should it live, finds another's token there and stops.

    Args:
        path: `RemotePath` of what is locked.
    """

    def __init__(self, path):
        self.folder, self.path, self.token = path, lock_path(path), uuid.uuid4().hex
        self.watch, self.beats, self.loss, self.renewed = Watch(self.path), 0, None, 0.0
        self.stop, self.thread = threading.Event(), threading.Thread(target=self._renew, daemon=True)

    def acquire(self, wait):
        """Take the lock. While another process has it, say so once and wait.

        Args:
            wait: function of a text.
        """
        reported = False
        while not self._take():
            if not reported:
                wait(_waiting_words(self.folder, _holder_of(self.watch.text)))
                reported = True
            time.sleep(RETRY_SECONDS)
        self._begin()

    def try_acquire(self):
        """Take the lock unless its owner is alive: bool. That nobody renews it is seen after `EXPIRES` seconds."""
        before = self.watch.look()
        while not self._take():
            if self.watch.text != before:
                return False
            time.sleep(RETRY_SECONDS)
        self._begin()
        return True

    def _begin(self):
        self.renewed = time.monotonic()
        self.thread.start()

    def _take(self):
        text = self.watch.look()
        if text is None:
            return self._create()
        if not self.watch.is_expired:
            return False
        self.path.write_bytes(self._text())
        # Another process may do the same now, and the owner may be slow and not dead. Whoever wrote last has it, and the others
        # see so at their next renewal.
        time.sleep(2 * HEARTBEAT)
        return self._is_mine()

    def _create(self):
        try:
            self.path.create(self._text())
        except OSError:
            # Another process made it at the same moment, or nothing can be written here.
            if self.watch.look() is None:
                raise
            return False
        return True

    def _text(self):
        self.beats += 1
        values = {"holder": _describe_process(), "token": self.token, "beat": self.beats}
        return (json.dumps(values) + "\n").encode()

    def _is_mine(self):
        text = _read(self.path)
        return text is not None and self.token in text

    def _renew(self):
        """Renew the lock until it is released or lost."""
        while not self.stop.wait(HEARTBEAT) and self.loss is None:
            try:
                begun = time.monotonic()
                loss = self._renew_once()
                # A renewal that took too long may have come after another process took the lock.
                self.loss, self.renewed = self._late() or loss, begun
            except OSError as error:
                if self._late():
                    self.loss = f"{self._late()} ({error})"

    def _late(self):
        """That the lock was not renewed for so long that another process may have taken it, in words; else None."""
        late = self.thread.is_alive() and time.monotonic() - self.renewed > EXPIRES
        return f"its lock could not be renewed for {EXPIRES:.0f} s" if late else None

    def _renew_once(self):
        """Write the next text of the lock: None, or why it is lost."""
        text = _read(self.path)
        if text is None:
            # Whoever removed the folder of the run removed it too.
            return None if self._create() else "another process took it over"
        if self.token not in text:
            return f"{_holder_of(text)} took it over"
        self.path.write_bytes(self._text())
        return None

    def check(self):
        """Raise Lost where another process has the run now."""
        loss = self.loss or self._late()
        if loss is not None:
            raise Lost(f"{self.folder} is no longer written by this process: {loss}")

    def release(self):
        """Remove the lock, unless another process has it now."""
        self.stop.set()
        self.thread.join()
        # A lock that cannot be removed expires.
        with contextlib.suppress(OSError):
            if self._is_mine():
                self.path.unlink(missing_ok=True)


def _read(path):
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def _holder_of(text):
    """Who has a lock, from its text: str."""
    try:
        return str(json.loads(text)["holder"])
    except (ValueError, TypeError, KeyError):
        return "another process"
