"""Store: the folder of a run. Files appear whole or not at all, and every finished job is sealed with checksums."""

import contextlib
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import socket
import time

import numpy as np
from filelock import FileLock, Timeout

from lab.refusal import Refused

SEAL = "done.json"
# Seconds between two looks at whether another process has let go of a run.
PATIENCE = 1.0


class Store:
    """The folder `root/<recipe>/<digest>` of one run."""

    def __init__(self, root, recipe, digest):
        self.path = pathlib.Path(root) / recipe / digest

    @contextlib.contextmanager
    def open(self, *, fresh=False, wait=lambda words: None):
        """While open, the folder is there and this process alone writes to it; what killed processes left half-written is gone.

        fresh: everything that the run has made goes first. wait: told, once, who has the run, before waiting for it. Raises Refused
        where the folder cannot be written.
        """
        lock = self.path.with_name(f".{self.path.name}.lock")
        with _refusing_unwritable(self.path):
            lock.parent.mkdir(parents=True, exist_ok=True)
            patient = FileLock(lock)
            _take(patient, lock.with_suffix(".holder"), self.path, wait)
        try:
            with _refusing_unwritable(self.path):
                self._prepare(fresh)
            yield self
        finally:
            lock.with_suffix(".holder").unlink(missing_ok=True)
            patient.release()

    def _prepare(self, fresh):
        if fresh:
            shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(exist_ok=True)
        probe = self.path / f".part-{os.getpid()}"
        probe.write_bytes(b"")
        # The run is ours alone: whatever is half-written was left by processes that are no more.
        for left in list(self.path.rglob(".part-*")):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)

    def done(self, key):
        """Whether a job is finished without a fault, its files are what they were sealed as, and so is what it was made from: bool."""
        seal = self._seal(key)
        return (
            seal is not None
            and not seal["fault"]
            and all(self._sealed(need) == digest for need, digest in seal["needs"].items())
        )

    def there(self, key):
        """Whether a job's files are what they were sealed as, its fault among them or not: bool."""
        return self._seal(key) is not None

    def fault(self, key):
        """The fault that a job's files tell of, in a line: str, or None."""
        seal = self._seal(key)
        return seal["fault"] if seal else None

    def put(self, key, files, *, fault=None, needs=()):
        """Write a job's files (dict of name to bytes) and seal them; whoever looks sees the old files or the new ones.

        fault: what went wrong, where these files tell of that; such a job is done again by the next run. needs: keys of the jobs it
        was made from; where one of them changes, or was missing and comes, it is done again.
        """
        sums = {name: _sum(content) for name, content in sorted(files.items())}
        seal = {"files": sums, "fault": fault, "needs": {need: self._sealed(need) for need in needs}}
        folder = self.folder(key)
        if folder.exists():
            _overwrite(folder, {**files, SEAL: encode(seal)})
            return
        part = self.path / f".part-{os.getpid()}-{key.replace('/', '+')}"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name, content in {**files, SEAL: encode(seal)}.items():
            durable(part / name, content)
        folder.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, folder)

    def write(self, name, content):
        """Write one file of the run itself, whole or not at all."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        replace(target, content)

    def folder(self, key):
        """Where a job's files lie: Path. Raises Refused for a key that climbs out of the run."""
        folder = (self.path / "jobs" / key).resolve()
        if not folder.is_relative_to((self.path / "jobs").resolve()):
            raise Refused(f"A job's files lie inside its run. Received: {key!r}.")
        return folder

    def arrays(self, key, name):
        """A job's .npz file as a dict of arrays."""
        with np.load(self.folder(key) / name, allow_pickle=False) as file:
            return dict(file)

    def values(self, key, name):
        """A job's .json file as plain values."""
        return json.loads((self.folder(key) / name).read_text(encoding="utf-8"))

    def _seal(self, key):
        """The seal of a job, or None where it is missing, cannot be read, or does not fit the files."""
        folder = self.folder(key)
        try:
            seal = json.loads((folder / SEAL).read_text(encoding="utf-8"))
            sums = seal["files"]
            whole = all(_sum((folder / name).read_bytes()) == value for name, value in sums.items())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # Whatever a broken disk or another version has left there: the job is made again.
            return None
        return {"fault": None, "needs": {}, **seal} if whole else None

    def _sealed(self, key):
        """SHA-256 of a job's seal, or None where there is none."""
        seal = self.folder(key) / SEAL
        return _sum(seal.read_bytes()) if seal.is_file() else None


@contextlib.contextmanager
def _refusing_unwritable(path):
    try:
        yield
    except OSError as error:
        raise Refused(
            f"Artifacts go to a folder that can be written. Received: {path}: {error.strerror or error}."
        ) from error


def _take(lock, holder, path, wait):
    told = False
    while True:
        try:
            lock.acquire(timeout=PATIENCE if told else 0)
        except Timeout:
            if not told:
                wait(f"{path} is being written by {_holder(holder)}: waiting for it")
                told = True
            continue
        holder.write_text(
            f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}",
            encoding="utf-8",
        )
        return


def _holder(path):
    try:
        return path.read_text(encoding="utf-8") or "another process"
    except OSError:
        return "another process"


def _overwrite(folder, files):
    """Put new files in the place of old ones, each at once, the seal last: what is read meanwhile is never missing."""
    for name, content in files.items():
        replace(folder / name, content)
    for left in folder.iterdir():
        if left.name not in files:
            left.unlink()


def replace(target, content):
    """Write bytes to a path, whole or not at all."""
    part = target.with_name(f".part-{socket.gethostname()}-{os.getpid()}-{target.name}")
    durable(part, content)
    os.replace(part, target)


def sweep(folder):
    """Remove what processes of this machine that are no more have left half-written in a folder that several share."""
    for left in pathlib.Path(folder).glob(".part-*"):
        named = re.fullmatch(r"\.part-(.+)-(\d+)-.+", left.name)
        if named and named[1] == socket.gethostname() and not _lives(int(named[2])):
            left.unlink(missing_ok=True)


def _lives(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def encode(values):
    """Plain values as JSON bytes, sorted and indented, not-a-numbers as null."""
    return (json.dumps(_plain(values), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode(
        "utf-8", "backslashreplace"
    )


def digest(values):
    """SHA-256 of plain values, in which nan, inf and -inf are three different ones: str."""
    return hashlib.sha256(
        json.dumps(_numbers(values), sort_keys=True, ensure_ascii=True, default=str).encode()
    ).hexdigest()


def _numbers(value):
    if isinstance(value, dict):
        return {str(key): _numbers(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_numbers(each) for each in value]
    return repr(value) if isinstance(value, float) and not np.isfinite(value) else value


def pack(arrays):
    """A dict of arrays as .npz bytes, the same for the same arrays."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def durable(path, content):
    """Write bytes to a path and wait until they are on the disk."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sum(content):
    return hashlib.sha256(content).hexdigest()


def _plain(value):
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
