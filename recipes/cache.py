"""Cache: expensive results (trained networks, surveys of images) by the hash of all they depend on, for all runs."""

import contextlib
import hashlib
import warnings

import numpy as np
from filelock import FileLock

from lab.remote import as_path, is_remote
from recipes.lock import lock_path
from recipes.store import pack, replace, sweep

# The array in which a file says what it holds.
SEAL = "seal"


class Cache:
    """The files `root/<noun>/<hash>.npz`, safe to delete: a missing or damaged one is computed again, to the same bytes.

    Args:
        root: folder of all runs, path or address.
        noun: str, the cache's own folder.
        threads: int, how many compute the arrays, which depend on it; None: unknown.
    """

    def __init__(self, root, noun="networks", threads=None):
        self.path, self.threads = as_path(root) / noun, threads

    def get(self, key, compute):
        """The arrays under a key, computed and written where they are missing. One process computes; others wait for it.

        At a remote address two processes may compute the same, to the same bytes.

        Args:
            key: hash of all that the arrays depend on.
            compute: function without arguments -> dict of name to array.

        Returns:
            dict of name to array.
        """
        if self.threads is not None:
            key = hashlib.sha256(f"{key} {self.threads}".encode()).hexdigest()
        file = self.path / f"{key[:32]}.npz"
        arrays = _read(file, key)
        if arrays is not None:
            return arrays
        self.path.mkdir(parents=True, exist_ok=True)
        with contextlib.nullcontext() if is_remote(file) else FileLock(lock_path(file)):
            arrays = _read(file, key)
            if arrays is None and file.is_file():
                warnings.warn(f"{file} is not as this lab wrote it: it is computed again", stacklevel=2)
            return self._write(file, key, compute()) if arrays is None else arrays

    def _write(self, file, key, arrays):
        if not is_remote(self.path):
            sweep(self.path)
        sealed = {**arrays, SEAL: np.array(_seal(key, arrays))}
        replace(file, pack({name.replace("/", "|"): value for name, value in sealed.items()}))
        return arrays


def _read(file, key):
    """The arrays of a file: dict, or None where it is missing, damaged or of another key."""
    if not file.is_file():
        return None
    try:
        with file.open("rb") as content, np.load(content, allow_pickle=False) as held:
            arrays = {name.replace("|", "/"): held[name] for name in held.files}
        if str(arrays.pop(SEAL, "")) == _seal(key, arrays):
            return arrays
    except Exception:
        # A file that was cut off or overwritten may raise anything in zip, zlib and numpy. It is named, and computed again.
        return None
    return None


def _seal(key, arrays):
    """SHA-256 of a key and of named arrays, whatever their order: str."""
    digest = hashlib.sha256(key.encode())
    for name in sorted(arrays):
        value = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}{value.dtype}{value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
