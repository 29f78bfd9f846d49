"""Store: the folder of a run. Files appear whole or not at all, and every finished job is sealed with checksums.

The folder may lie at any address (`lab.remote`). Where files cannot be renamed, each is written by one request, and the
seal of a job last.
"""

import contextlib
import hashlib
import io
import json
import math
import os
import pathlib
import re
import shutil
import socket
import time

from lab.refusal import Refused
from lab.remote import as_path, is_remote, reason
from recipes import index
from recipes.lock import lock_of

SEAL = "done.json"
# Nanoseconds after which a file that is written again has another time on any file system.
STILL = 3_000_000_000


class Store:
    """The folder `root/<recipe>/<digest>` of one run."""

    def __init__(self, root, recipe, digest):
        self.root = as_path(root)
        self.path = self.root / recipe / digest
        # What is closed before the run is given back to others; how a process knows that it still has the run.
        self.closing, self._lock = contextlib.ExitStack(), None
        # Which seals were compared with their files, as those were by their sizes and times. At a remote address each comparison
        # is a download, and is made once.
        self._compared = {}

    @contextlib.contextmanager
    def open(self, *, fresh=False, wait=lambda words: None):
        """While open, the folder exists, and this process alone writes to it.

        Half-written files of killed processes are removed first.

        Args:
            fresh: whether to remove all earlier files of the run.
            wait: called once with a text that says who holds the run, before waiting for it.

        Returns:
            context manager that gives the store itself.

        Raises:
            Refused: where the folder cannot be written.
        """
        lock = lock_of(self.path)
        with _refuse_unwritable(self.path):
            lock.acquire(wait)
        self._lock = lock
        try:
            with _refuse_unwritable(self.path):
                self._prepare(fresh)
            with self.closing:
                yield self
        finally:
            lock.release()

    def _prepare(self, fresh):
        if fresh:
            remove_folder(self.path)
        if is_remote(self.path):
            # Nothing is half-written there, and the lock shows that it can be written.
            return
        self.path.mkdir(exist_ok=True)
        probe = self.path / f".part-{os.getpid()}"
        probe.write_bytes(b"")
        # This process alone holds the run: half-written files were left by processes that have ended.
        for path in list(self.path.rglob(".part-*")):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def check_lock(self):
        """Raise `recipes.lock.Lost` where another process took the run over from this one."""
        if self._lock is not None:
            self._lock.check()

    def is_done(self, key):
        """Whether a job is finished without a fault: bool.

        Its files, and those of the jobs that it needs, have to be unchanged since.
        """
        seal = self._seal(key)
        return (
            seal is not None
            and not seal["fault"]
            and all(self._seal_hash(need) == digest for need, digest in seal["needs"].items())
        )

    def seals(self):
        """What was written down of every finished job, without looking at its files again.

        Returns:
            dict of key to dict, with the checksums under `files` and an error or None under `fault`.
        """
        root = self.path / "jobs"
        seals = {path.parent.relative_to(root).as_posix(): _read_seal(path) for path in sorted(root.rglob(SEAL))}
        return {key: seal for key, seal in seals.items() if seal is not None}

    def exists(self, key):
        """Whether a job's files exist and are unchanged, with or without a fault: bool."""
        return self._seal(key) is not None

    def fault(self, key):
        """The fault that a job's files report, in one line: str, or None."""
        seal = self._seal(key)
        return seal["fault"] if seal else None

    def bytes(self, key):
        """How much a job's files take on the disk: int, 0 where there are none."""
        return sum(path.stat().st_size for path in self.folder(key).glob("*") if path.is_file())

    def put(self, key, files, *, fault=None, needs=(), identity=""):
        """Write a job's files and seal them. A reader sees the old files or the new ones, and nothing between.

        Args:
            key: of the job.
            files: dict of name to bytes.
            fault: the fault that these files report, or None. Such a job is done again by the next run.
            needs: keys of the jobs that it was computed from. Where one of them changes, or appears, it is done again.
            identity: of the job, by which other runs find it; "" for none. What was gathered without a job that failed is not
                what this identity stands for, and is found by none.
        """
        identity = identity if all(map(self._is_sealed_clean, needs)) else ""
        sums = {name: _sha256(content) for name, content in sorted(files.items())}
        seal = {"files": sums, "fault": fault, "needs": {need: self._seal_hash(need) for need in needs}}
        seal |= {"identity": identity}
        self._write_job(key, files, seal)
        if identity and not fault:
            index.write(self.root, identity, self.folder(key))

    def _is_sealed_clean(self, key):
        """Whether a job has a seal without a fault: bool. Its files are not compared with it."""
        seal = _read_seal(self.folder(key) / SEAL)
        return seal is not None and not seal["fault"]

    def _write_job(self, key, files, seal):
        folder = self.folder(key)
        self.check_lock()
        if is_remote(folder) or folder.exists():
            _overwrite(folder, {**files, SEAL: encode(seal)})
            return
        part = self.path / f".part-{os.getpid()}-{key.replace('/', '+')}"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name, content in {**files, SEAL: encode(seal)}.items():
            write_durably(part / name, content)
        folder.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, folder)

    def earlier(self, identity):
        """The files of a job that any run has done without a fault, by its identity.

        Args:
            identity: str.

        Returns:
            dict of name to bytes, or None where there is none, or its files are not as they were sealed.
        """
        folder = index.read(self.root, identity) if identity else None
        seal = None if folder is None else _read_seal(folder / SEAL)
        if seal is None or seal["identity"] != identity or seal["fault"]:
            return None
        try:
            files = {name: (folder / name).read_bytes() for name in seal["files"]}
        except OSError:
            return None
        return files if all(_sha256(files[name]) == value for name, value in seal["files"].items()) else None

    def keep(self, job):
        """Take the files of a job from an earlier run that has done the same one.

        Args:
            job: `Job`. Those that it needs are done.

        Returns:
            bool, whether there was one.
        """
        files = self.earlier(job.identity)
        if files is not None:
            self.put(job.key, files, needs=job.needs, identity=job.identity)
        return files is not None

    def write(self, name, content):
        """Write one file of the run itself, whole or not at all.

        Args:
            name: str, the file's path inside the folder of the run.
            content: bytes.
        """
        path = self.path / name
        self.check_lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        replace(path, content)

    def folder(self, key):
        """The folder of a job's files: Path. Raises Refused for a key that leads out of the run."""
        if ".." in key.split("/") or os.path.isabs(key):
            raise Refused(f"A job's key is a path inside its run. Received: {key!r}.")
        return self.path / "jobs" / key

    def arrays(self, key, name):
        """A job's .npz file as a dict of arrays.

        Args:
            key: str, the key of the job.
            name: str, the name of the file.

        Returns:
            dict of name to array.
        """
        import numpy as np

        with (self.folder(key) / name).open("rb") as content, np.load(content, allow_pickle=False) as file:
            return dict(file)

    def values(self, key, name):
        """A job's .json file as plain values.

        Args:
            key: str, the key of the job.
            name: str, the name of the file.

        Returns:
            dict, list or other value of JSON.
        """
        return json.loads((self.folder(key) / name).read_text(encoding="utf-8"))

    def _seal(self, key):
        """The seal of a job, or None where it is missing, cannot be read, or does not fit the files."""
        # Asked of every job of a run: text is joined much faster than a `Path`.
        if not is_remote(self.path) and not os.path.exists(f"{self.path}/jobs/{key}/{SEAL}"):
            return None
        folder = self.folder(key)
        seal = _read_seal(folder / SEAL)
        if seal is None:
            return None
        try:
            stats = () if is_remote(folder) else tuple(_stat(folder / name) for name in seal["files"])
            # A number, because a run may have a hundred thousand seals.
            compared = hash((repr(seal), stats))
            if self._compared.get(key) == compared:
                return seal
            unchanged = all(_sha256((folder / name).read_bytes()) == value for name, value in seal["files"].items())
        except OSError as error:
            _raise_unless_damaged(folder, error)
            return None
        if unchanged and all(time.time_ns() - changed > STILL for *_, changed in stats):
            self._compared[key] = compared
        return seal if unchanged else None

    def _seal_hash(self, key):
        """SHA-256 of a job's seal, or None where there is none."""
        try:
            return _sha256((self.folder(key) / SEAL).read_bytes())
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None


def _stat(path):
    """What becomes another when a file is written again: its number, size and time."""
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_ctime_ns, stat.st_mtime_ns


def _read_seal(path):
    """A seal as it was written: dict, or None where a broken disk or another version left something else there."""
    try:
        seal = {"fault": None, "needs": {}, "identity": "", **json.loads(path.read_text(encoding="utf-8"))}
    except (ValueError, TypeError):
        return None
    except OSError as error:
        _raise_unless_damaged(path, error)
        return None
    return seal if isinstance(seal.get("files"), dict) and isinstance(seal["needs"], dict) else None


def _raise_unless_damaged(path, error):
    """Raise an error again where it means that a remote address did not answer, and not that a file is missing or broken."""
    if is_remote(path) and not isinstance(error, FileNotFoundError):
        raise error


@contextlib.contextmanager
def _refuse_unwritable(path):
    try:
        yield
    except OSError as error:
        raise Refused(
            f"The folder of a run must be one that can be written. Received: {path}: {error.strerror or reason(error)}."
        ) from error


def _overwrite(folder, files):
    """Replace old files by new ones, each at once and the seal last, so that a reader finds every file."""
    for name, content in files.items():
        replace(folder / name, content)
    for path in folder.iterdir():
        if path.name not in files:
            path.unlink()


def replace(path, content):
    """Write bytes to a path, whole or not at all.

    Args:
        path: `pathlib.Path`, in a folder that exists, or `lab.remote.RemotePath`.
        content: bytes.
    """
    if is_remote(path):
        path.write_bytes(content)
        return
    part = path.with_name(f".part-{socket.gethostname()}-{os.getpid()}-{path.name}")
    write_durably(part, content)
    os.replace(part, path)


def remove_folder(path):
    """Remove a folder with all that lies in it, where there is one."""
    if is_remote(path):
        path.remove_folder()
    else:
        shutil.rmtree(path, ignore_errors=True)


def sweep(folder):
    """Remove half-written files of ended processes of this machine from a folder that several share."""
    for path in pathlib.Path(folder).glob(".part-*"):
        match = re.fullmatch(r"\.part-(.+)-(\d+)-.+", path.name)
        if match and match[1] == socket.gethostname() and not _is_running(int(match[2])):
            path.unlink(missing_ok=True)


def _is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def encode(values):
    """Plain values as JSON bytes, with sorted keys and indentation. Numbers that are not finite become null."""
    return (json.dumps(_plain(values), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode(
        "utf-8", "backslashreplace"
    )


def digest(values):
    """SHA-256 of plain values: str."""
    return hashlib.sha256(encode(values)).hexdigest()


def pack(arrays):
    """A dict of arrays as .npz bytes. The same arrays give the same bytes."""
    import numpy as np

    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def write_durably(path, content):
    """Write bytes to a path and wait until they are on the disk.

    Args:
        path: `pathlib.Path`, in a folder that exists.
        content: bytes.
    """
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sha256(content):
    return hashlib.sha256(content).hexdigest()


def _plain(value):
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if hasattr(value, "tolist"):
        # An array or a number of numpy.
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
