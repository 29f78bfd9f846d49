"""Reads: the files and folders that this process opens for reading, as Python's audit events tell them (PEP 578).

Imports and looks for packages are left out: modules are known by their hashes, and installed packages by their versions. What libraries
open without Python, such as HDF5, is not seen, and has to be noted.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import stat
import sys
import threading
import time

EVENTS = ("open", "os.listdir", "os.scandir")
# Nanoseconds after which a file that is written again has another time on any file system.
STILL = 3_000_000_000
# What the system says of itself is no input.
SYSTEM = ("/proc/", "/sys/", os.devnull)
# States of what is no file: there is nothing, or something that can be read once, such as a pipe.
ABSENT, PIPE = "absent", "pipe"
# What stands in the place of a name for the sizes of all files in a folder.
SIZES = "**"
_IMPORTS = ("<frozen importlib._bootstrap_external>", importlib.metadata.__file__)
_open_reads, _thread = [], threading.local()


class Reads:
    """The files and folders that are read while it is entered, each as it was just before."""

    def __init__(self):
        self._states, self._written = {}, set()

    def __enter__(self):
        _add_hook()
        _open_reads.append(self)
        return self

    def __exit__(self, *error):
        _open_reads.remove(self)

    def note(self, path):
        """Add a file or a folder, or a path where there is none yet."""
        path = os.path.abspath(os.fsdecode(path))
        if path not in self._written and path not in self._states and not path.startswith(SYSTEM):
            self._states[path] = _state(path)

    def note_folder(self, folder):
        """Add all files and folders in a folder, and the folder itself."""
        for path, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if name != "__pycache__"]
            for entry in (path, *(os.path.join(path, name) for name in names)):
                self.note(entry)

    def note_sizes(self, folder):
        """Add the names and sizes of all files in a folder, whether or not they are opened."""
        self.note(os.path.join(folder, SIZES))

    def ignore(self, path):
        """Leave out a file that this process writes itself."""
        self._written.add(os.path.abspath(os.fsdecode(path)))

    def as_values(self):
        """What was read, with checksums: dict of path to [checksum, stat].

        Returns:
            dict; None where something was changed after it was read, or was a pipe.
        """
        # A file that has just been written may be written again within the same tick of the clock.
        now = time.time_ns()
        values = {
            path: [checksum(path), state if _is_still(state, now) else None] for path, state in self._states.items()
        }
        # Compared after the checksums, which are then those of what was read.
        is_changed = any(state == PIPE or _state(path) != state for path, state in self._states.items())
        return None if is_changed else values


def are_unchanged(values):
    """Whether files and folders are as they were read: bool. A file whose stat is another is compared by its checksum.

    Args:
        values: dict, as of `Reads.as_values`.
    """
    return all(
        (state is not None and _state(path) == state) or checksum(path) == digest
        for path, (digest, state) in values.items()
    )


def checksum(path):
    """SHA-256 of a file's bytes, or of the names in a folder: str; "absent" where there is neither."""
    state = _state(path)
    if isinstance(state, str):
        return state
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ABSENT


def _state(path):
    """What becomes another when a file is written again, as numbers; of anything else its checksum."""
    try:
        if os.path.basename(path) == SIZES:
            return _sizes_hash(os.path.dirname(path))
        facts = os.stat(path)
        if stat.S_ISDIR(facts.st_mode):
            return _names_hash(path)
    except (OSError, ValueError):
        return ABSENT
    return [facts.st_ino, facts.st_size, facts.st_ctime_ns, facts.st_mtime_ns] if stat.S_ISREG(facts.st_mode) else PIPE


def _names_hash(folder):
    with _unheard():
        names = sorted(name for name in os.listdir(folder) if name != "__pycache__")
    return hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).hexdigest()


def _sizes_hash(folder):
    with _unheard():
        paths = sorted(os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)
    sizes = ((path, os.stat(path).st_size) for path in paths)
    return hashlib.sha256(repr(list(sizes)).encode("utf-8", "surrogateescape")).hexdigest()


def _is_still(state, now):
    return isinstance(state, str) or now - max(state[-2:]) > STILL


@contextlib.contextmanager
def _unheard():
    """While open, this thread's own reads are none that count."""
    _thread.is_unheard = True
    try:
        yield
    finally:
        _thread.is_unheard = False


@functools.cache
def _add_hook():
    """Listen to this process's events from now on. A hook cannot be removed."""
    sys.addaudithook(_hear)


def _hear(event, arguments):
    if not _open_reads or event not in EVENTS or getattr(_thread, "is_unheard", False):
        return
    path = "." if arguments[0] is None else arguments[0]
    if isinstance(path, int) or sys._getframe(1).f_code.co_filename in _IMPORTS:
        return
    is_written = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    for reads in list(_open_reads):
        (reads.ignore if is_written else reads.note)(path)
