"""Store: the folder of a run. Files appear whole or not at all, and every finished job is sealed with checksums."""

import hashlib
import io
import json
import os
import pathlib
import shutil

import numpy as np

from lab.refusal import Refused

SEAL = "done.json"


class Store:
    """The folder `root/<recipe>/<digest>` of one run."""

    def __init__(self, root, recipe, digest):
        self.path = pathlib.Path(root) / recipe / digest

    def open(self):
        """Make the folder. Raises Refused where it cannot be written."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / f".probe-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise Refused(
                f"Artifacts go to a folder that can be written. Received: {self.path}: {error.strerror}."
            ) from error
        for left in self.path.glob(".part-*"):
            shutil.rmtree(left, ignore_errors=True)

    def clear(self):
        """Forget everything the run has made."""
        shutil.rmtree(self.path, ignore_errors=True)

    def done(self, key):
        """Whether a job is finished and its files are what they were sealed as: bool."""
        folder = self.folder(key)
        seal = folder / SEAL
        if not seal.is_file():
            return False
        sums = json.loads(seal.read_text(encoding="utf-8"))
        return all(
            (folder / name).is_file() and _sum((folder / name).read_bytes()) == value for name, value in sums.items()
        )

    def put(self, key, files):
        """Write a job's files (dict of name to bytes), seal them and make them appear at once."""
        part = self.path / f".part-{os.getpid()}-{key.replace('/', '+')}"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name, content in files.items():
            durable(part / name, content)
        durable(part / SEAL, encode({name: _sum(content) for name, content in sorted(files.items())}))
        folder = self.folder(key)
        folder.parent.mkdir(parents=True, exist_ok=True)
        # A folder cannot be renamed onto another: a stale one, which failed its checksums, goes first.
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(part, folder)

    def write(self, name, content):
        """Write one file of the run itself, whole or not at all."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}-{os.getpid()}")
        durable(part, content)
        os.replace(part, target)

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


def encode(values):
    """Plain values as JSON bytes, sorted and indented, not-a-numbers as null."""
    return (json.dumps(_plain(values), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


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
