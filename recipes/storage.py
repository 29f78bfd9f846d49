"""Storage: what lies in a folder of runs: runs, trained networks and surveys, by size and age; and how to remove it."""

import contextlib
import json
import pathlib
import re
import shutil
import time
import warnings
from dataclasses import dataclass

from lab.refusal import Refused
from lab.remote import RemotePath, as_path, reason, refuse_unreadable
from recipes import finished, index
from recipes.journal import journal_path
from recipes.lock import lock_of

# What a folder of runs holds beside the runs: the folders of its caches.
CACHES = ("networks", "surveys")
KINDS = (*CACHES, "runs")
DAY = 24 * 3600.0


@dataclass(frozen=True)
class Item:
    """A run, or a file of a cache.

    Args:
        kind: "networks", "surveys" or "runs".
        path: `pathlib.Path` or `lab.remote.RemotePath`.
        bytes: int, its size.
        age: float, days since it was last written.
    """

    kind: str
    path: pathlib.Path | RemotePath
    bytes: int
    age: float


def items(root):
    """What the lab has written into a folder of runs. Files of others are left out, and links.

    Args:
        root: path or address.

    Returns:
        list of `Item`, the caches first.

    Raises:
        Refused: for an address that cannot be read.
    """
    root = as_path(root)
    with refuse_unreadable("A folder of runs is one that can be read.", root):
        return _items(root)


def _items(root):
    caches = [(kind, path) for kind in CACHES for path in sorted((root / kind).glob("*.npz")) if _is_cached(path)]
    runs = [("runs", path.parent) for path in sorted(root.glob("*/*/manifest.json")) if _is_run(path.parent)]
    return [_item(kind, path) for kind, path in (*caches, *runs) if not path.is_symlink()]


def _is_cached(path):
    """Whether a file has a name that only a cache gives: bool."""
    return re.fullmatch(r"[0-9a-f]{32}", path.stem) is not None


def _is_run(folder):
    """Whether a folder is that of a run, by its manifest: bool."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        return manifest["digest"] == folder.name and manifest["recipe"]["name"] == folder.parent.name
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _item(kind, path):
    facts = [*_facts([path] if path.is_file() else path.rglob("*"))]
    newest = max((fact.st_mtime for fact in facts), default=time.time())
    return Item(kind, path, sum(fact.st_size for fact in facts), max(0.0, time.time() - newest) / DAY)


def _facts(paths):
    """Size and time of files; one that vanishes meanwhile is left out: iterator of `os.stat_result`."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                yield path.stat()


def remove(selected):
    """Remove items. What a process writes at the moment is left; what cannot be removed is warned of.

    Args:
        selected: list of `Item`.

    Returns:
        list of `Item`, those that were removed.
    """
    removed = [item for item in selected if _remove(item.path)]
    for root in {item.path.parent.parent for item in removed if item.kind == "runs"}:
        index.sweep(root)
        finished.sweep(root)
    return removed


def _remove(path):
    """Remove a run or a file of a cache: bool, whether it was. Its lock stays, which others may wait for."""
    lock = lock_of(path)
    try:
        if not lock.try_acquire():
            return False
        try:
            _remove_files(path)
        finally:
            lock.release()
    except OSError as error:
        warnings.warn(f"{path} could not be removed: {error.strerror or reason(error)}", stacklevel=2)
        return False
    return True


def _remove_files(path):
    if path.is_file():
        path.unlink()
        return
    shutil.rmtree(path) if isinstance(path, pathlib.Path) else path.remove_folder()
    journal_path(path).unlink(missing_ok=True)


def choose(everything, kinds, days):
    """Those of some items that are of some kinds and older than some days.

    Args:
        everything: list of `Item`.
        kinds: tuple of str; see `KINDS`.
        days: float.

    Returns:
        list of `Item`.

    Raises:
        Refused: for another kind.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise Refused(f"What can be removed is {', '.join(KINDS)}. Received: {kind!r}.")
    return [item for item in everything if item.kind in kinds and item.age >= days]


def as_values(everything):
    """Items as plain values: list of dict of kind, path, bytes and days.

    Args:
        everything: list of `Item`.

    Returns:
        list of dict.
    """
    return [
        {"kind": item.kind, "path": str(item.path), "bytes": item.bytes, "days": round(item.age, 3)}
        for item in everything
    ]


def as_lines(everything):
    """Items as lines of text: one for each, the largest first in its kind, and one for each kind.

    Args:
        everything: list of `Item`.

    Returns:
        list of str.
    """
    lines = []
    for kind in KINDS:
        group = sorted((item for item in everything if item.kind == kind), key=lambda item: -item.bytes)
        total = sum(item.bytes for item in group)
        lines.append(f"{kind:<9} {len(group):>6}  {_size(total)}")
        lines += [f"  {_size(item.bytes)}  {_age(item.age):>8}  {item.path}" for item in group]
    return lines


def _size(count):
    return f"{count / 1e6:10,.1f} MB"


def _age(days):
    return f"{days:.0f} days" if days >= 2 else f"{24 * days:.0f} hours"
