"""Remote: files at an address such as s3://bucket/folder, with those methods of `pathlib.Path` that the lab uses.

An address is whatever fsspec can open: s3://, gs://, az://, sftp://, https:// and others, each by a library of its own.
"""

import contextlib
import datetime
import fnmatch
import io
import os
import pathlib
import re
import tempfile
import types

from lab.refusal import Refused, describe
from lab.registry import nearest

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# Where folders are a part of names alone. Making one there could make a bucket.
BUCKETS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss")
# Scheme -> the extra of the lab that installs its library.
EXTRAS = {"s3": "s3", "s3a": "s3"}
# Scheme -> options of its filesystem. With one connection a file of S3 is read by one request; with more, its size is asked first.
OPTIONS = dict.fromkeys(("s3", "s3a"), {"max_concurrency": 1})
# Names of values in an address that give access.
SECRETS = re.compile(r"[?&](x-amz-\w+|sig|signature|token|key|secret|password)=", re.IGNORECASE)


def is_remote(address):
    """Whether an address has a scheme, and is not of this machine's own files: bool."""
    if isinstance(address, (RemotePath, pathlib.PurePath)):
        return isinstance(address, RemotePath)
    scheme = SCHEME.match(str(address))
    return scheme is not None and scheme[1].lower() != "file"


def as_path(address):
    """The path at an address.

    Args:
        address: str, `pathlib.Path` or `RemotePath`.

    Returns:
        `pathlib.Path` for files of this machine, else `RemotePath`.

    Raises:
        Refused: for an unknown scheme, one whose library is missing, and an address with a password.
    """
    if isinstance(address, RemotePath):
        return address
    if not is_remote(address):
        return pathlib.Path(re.sub(r"^file://", "", address) if isinstance(address, str) else address)
    refuse_credentials(address)
    scheme, place = address.split("://", 1)
    return RemotePath(_filesystem(scheme.lower(), address), scheme.lower(), pathlib.PurePosixPath(place))


def refuse_credentials(address):
    """Raise Refused for an address with a password, which would be printed and kept. The address is not repeated."""
    if not is_remote(address):
        return
    scheme, place = str(address).split("://", 1)
    host = re.sub(r"\[[^]]*\]", "", place.partition("/")[0])
    if re.search(r":(?!\d*$)", host) or SECRETS.search(place):
        raise Refused(
            f"An address holds no password, key or signature, because it is printed and kept. Received: an address of {scheme}:// with one. "
            "Put it where the library of the scheme looks for it, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment."
        )


def _filesystem(scheme, address):
    """The filesystem of fsspec that an address belongs to."""
    import fsspec

    try:
        return fsspec.core.url_to_fs(address, **OPTIONS.get(scheme, {}))[0]
    except ImportError as error:
        remedy = f"Type: pip install 'interpretability-lab[{EXTRAS[scheme]}]'" if scheme in EXTRAS else error
        raise Refused(f"Addresses of {scheme}:// need a library. Received: {address}, without it. {remedy}.") from error
    except ValueError as error:
        known = nearest(scheme, sorted(fsspec.available_protocols()))
        raise Refused(f"An address has a scheme that fsspec knows. Received: {address}. {known}") from error
    except Exception as error:
        # Some filesystems connect at once, and each library raises errors of its own kinds.
        raise Refused(f"An address is one that answers. Received: {address}: {reason(error)}.") from error


def reason(error):
    """What an error of a filesystem says, in one line and without a password: str."""
    text = str(error) if isinstance(error, OSError) and str(error) else describe(error)
    hint = " (check the keys in the environment)" if isinstance(error, PermissionError) else ""
    return " ".join(re.sub(r"//[^/@\s]+@", "//***@", text).split()).rstrip(".") + hint


@contextlib.contextmanager
def refuse_unreadable(rule, address):
    """Turn errors of reading into Refused.

    Args:
        rule: str, what may stand at the address, as a sentence.
        address: str or path.

    Returns:
        context manager.
    """
    try:
        yield
    except OSError as error:
        raise Refused(f"{rule} Received: {str(address)!r}: {reason(error)}.") from error


def is_file(path):
    """Whether there is a file: bool. Raises Refused where an address does not answer or lets nobody in."""
    if not is_remote(path):
        return os.path.isfile(path)
    with refuse_unreadable("A file is read from an address that answers.", path):
        return path.is_file()


def is_folder(path):
    """Whether there is a folder: bool. Raises Refused where an address does not answer or lets nobody in."""
    if not is_remote(path):
        return os.path.isdir(path)
    with refuse_unreadable("Files are read from an address that answers.", path):
        return path.is_dir()


@contextlib.contextmanager
def on_this_machine(path):
    """While open, a file or folder lies on this machine, for a library that reads nothing else.

    Args:
        path: `RemotePath`.

    Returns:
        context manager that gives a `pathlib.Path` of the same name.
    """
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        copy = pathlib.Path(folder) / path.name
        path.download(copy)
        yield copy


class RemotePath:
    """A file or folder of a filesystem of fsspec. All its errors are OSErrors. Nothing that it says is remembered.

    Args:
        filesystem: of fsspec.
        scheme: str, such as "s3".
        pure: `pathlib.PurePosixPath`, what follows the scheme.
        facts: dict, what a listing said of the file, such as its size; None: asked for when needed.
    """

    def __init__(self, filesystem, scheme, pure, facts=None):
        self.filesystem, self.scheme, self.pure, self.facts = filesystem, scheme, pure, facts

    # Names ----------------------------------------------------------------------------------------------------------------

    def _with(self, pure, facts=None):
        return RemotePath(self.filesystem, self.scheme, pure, facts)

    def __str__(self):
        return f"{self.scheme}://{self.pure}"

    def __repr__(self):
        return f"RemotePath({str(self)!r})"

    def __eq__(self, other):
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __hash__(self):
        return hash(str(self))

    def __lt__(self, other):
        return (self.scheme, self.pure) < (other.scheme, other.pure)

    def __truediv__(self, name):
        return self._with(self.pure / name)

    @property
    def name(self):
        """The last part: str."""
        return self.pure.name

    @property
    def stem(self):
        """The last part without its ending: str."""
        return self.pure.stem

    @property
    def suffix(self):
        """The ending of the last part: str."""
        return self.pure.suffix

    @property
    def parent(self):
        """The folder around it: `RemotePath`."""
        return self._with(self.pure.parent)

    def with_name(self, name):
        """The path beside it with another name: `RemotePath`."""
        return self._with(self.pure.with_name(name))

    def relative_to(self, other):
        """What follows another path: `pathlib.PurePosixPath`."""
        return self.pure.relative_to(other.pure)

    def as_posix(self):
        """The whole address: str."""
        return str(self)

    def resolve(self):
        """The path itself, which is absolute: `RemotePath`."""
        return self

    # Looking --------------------------------------------------------------------------------------------------------------

    def _call(self, method, *arguments, **options):
        """What a method of the filesystem returns for this path. Other processes write, so that no listing is kept."""
        import fsspec

        self.filesystem.invalidate_cache()
        try:
            return getattr(self.filesystem, method)(fsspec.core.strip_protocol(str(self)), *arguments, **options)
        except OSError:
            raise
        except Exception as error:
            # Each library raises errors of its own kinds. Who stores files expects an OSError.
            raise OSError(reason(error)) from error

    def _facts(self):
        """What the filesystem says of it: dict, or None where it does not exist."""
        if self.facts is None:
            try:
                return self._call("info")
            except FileNotFoundError:
                return None
        return self.facts

    def exists(self):
        """Whether a file or folder is there: bool."""
        return self._facts() is not None

    def is_file(self):
        """Whether a file is there: bool."""
        return (self._facts() or {}).get("type") == "file"

    def is_dir(self):
        """Whether a folder is there, or files whose names begin like one: bool."""
        return (self._facts() or {}).get("type") == "directory"

    def is_symlink(self):
        """Whether it is a link: False."""
        return False

    def stat(self):
        """Its size in bytes, and when it was last written: an object with `st_size` and `st_mtime`.

        Raises:
            FileNotFoundError: where it does not exist.
        """
        facts = self._facts()
        if facts is None:
            raise FileNotFoundError(str(self))
        return types.SimpleNamespace(st_size=facts.get("size") or 0, st_mtime=_written(facts))

    def iterdir(self):
        """What lies in the folder: list of `RemotePath`."""
        return [self._with(self.pure / _last(facts["name"]), facts) for facts in self._call("ls", detail=True)]

    def rglob(self, pattern):
        """The files in the folder and below it with a name that fits a pattern: list of `RemotePath`."""
        return [path for path in self._files() if fnmatch.fnmatchcase(path.name, pattern)]

    def glob(self, pattern):
        """The files and folders with a path from here that fits a pattern, part by part: list of `RemotePath`."""
        patterns, matches = pattern.split("/"), {}
        if "**" in patterns:
            raise Refused(
                f"A pattern at an address names each folder: ** is not known there. Received: {pattern}. Name the folder itself."
            )
        for path in self._files():
            parts = path.relative_to(self).parts
            if len(parts) >= len(patterns) and all(map(fnmatch.fnmatchcase, parts, patterns)):
                place = self.pure.joinpath(*parts[: len(patterns)])
                matches[place] = path if place == path.pure else self._with(place, {"type": "directory"})
        return list(matches.values())

    def _files(self):
        """All files in the folder and below it: list of `RemotePath`."""
        facts_by_name = self._call("find", detail=True)
        # Some filesystems list the empty files that stand for folders.
        files = [facts for name, facts in sorted(facts_by_name.items()) if not name.endswith("/")]
        return [self._with(self._pure_of(facts["name"]), facts) for facts in files]

    def _pure_of(self, name):
        """The path of a file that a listing of this folder names."""
        import fsspec

        return self.pure / name.removeprefix(fsspec.core.strip_protocol(str(self))).strip("/")

    # Reading and writing --------------------------------------------------------------------------------------------------

    def open(self, mode="rb"):
        """The file's bytes, read at once, as an open file. Raises ValueError for another mode than "rb"."""
        if mode != "rb":
            raise ValueError(f"a remote file is opened to be read as bytes; received the mode {mode!r}")
        return io.BytesIO(self.read_bytes())

    def read_bytes(self):
        """The file's content: bytes."""
        return self._call("cat_file")

    def read_range(self, start, stop):
        """The file's bytes from one place to another: bytes, fewer where the file ends before.

        Args:
            start: int, the first byte.
            stop: int, the byte after the last one.

        Returns:
            bytes.
        """
        return self._call("cat_file", start=start, end=stop)

    def open_blocks(self):
        """The file, of which blocks are read as they are needed, as an open file of bytes that can be sought in."""
        return self._call("open", "rb")

    def read_text(self, encoding="utf-8"):
        """The file's content: str."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, content):
        """Write the whole file in one request, in the place of an earlier one."""
        self._make_parent()
        self._call("pipe_file", content)

    def create(self, content):
        """Write a file that does not exist yet. Raises OSError where it does, or where it cannot be written."""
        self._make_parent()
        self._call("pipe_file", content, mode="create")

    def _make_parent(self):
        if self.scheme not in BUCKETS:
            self.parent._call("makedirs", exist_ok=True)

    def mkdir(self, **options):
        """Nothing: a folder appears with the first file in it."""

    def unlink(self, missing_ok=False):
        """Remove the file."""
        try:
            self._call("rm_file")
        except FileNotFoundError:
            if not missing_ok:
                raise

    def remove_folder(self):
        """Remove the folder with all that lies in it, where there is one."""
        with contextlib.suppress(FileNotFoundError):
            self._call("rm", recursive=True)

    def download(self, target):
        """Copy the file or folder to a path of this machine."""
        self._call("get", str(target), recursive=self.is_dir())


def _last(name):
    return name.rstrip("/").rpartition("/")[2]


def _written(facts):
    """When a file was last written, in seconds since 1970: float; 0 where the filesystem does not say."""
    moment = next(
        (facts[name] for name in ("LastModified", "mtime", "updated", "last_modified", "created") if facts.get(name)),
        0.0,
    )
    if isinstance(moment, str):
        moment = datetime.datetime.fromisoformat(moment)
    return moment.timestamp() if isinstance(moment, datetime.datetime) else float(moment)
