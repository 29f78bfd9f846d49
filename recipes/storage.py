"""Storage: what lies in a folder of runs: runs, trained networks and surveys, by size and age; and how to remove it."""

import contextlib
import pathlib
import shutil
import time
from dataclasses import dataclass

from filelock import FileLock, Timeout

from lab.refusal import Refused
from recipes.journal import journal_path

# What a folder of runs holds beside the runs: the folders of its caches.
CACHES = ("networks", "surveys")
KINDS = (*CACHES, "runs")
DAY = 24 * 3600.0


@dataclass(frozen=True)
class Item:
    """A run, or a file of a cache.

    Args:
        kind: "networks", "surveys" or "runs".
        path: `pathlib.Path`.
        bytes: int, its size.
        age: float, days since it was last written.
    """

    kind: str
    path: pathlib.Path
    bytes: int
    age: float


def items(root):
    """Everything in a folder of runs.

    Args:
        root: path.

    Returns:
        list of `Item`, the caches first.
    """
    root = pathlib.Path(root)
    caches = [(kind, path) for kind in CACHES for path in sorted((root / kind).glob("*.npz"))]
    runs = [("runs", path.parent) for path in sorted(root.glob("*/*/manifest.json"))]
    return [_item(kind, path) for kind, path in (*caches, *runs)]


def _item(kind, path):
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    facts = [file.stat() for file in files]
    newest = max((fact.st_mtime for fact in facts), default=0.0)
    return Item(kind, path, sum(fact.st_size for fact in facts), (time.time() - newest) / DAY)


def remove(selected):
    """Remove items. What a process writes at the moment is left.

    Args:
        selected: list of `Item`.

    Returns:
        list of `Item`, those that were removed.
    """
    return [item for item in selected if (_remove_run(item.path) if item.kind == "runs" else _remove_file(item.path))]


def _remove_run(path):
    if not _remove_locked(path, path.with_name(f".{path.name}.lock")):
        return False
    journal_path(path).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        # The folder of a recipe without a run.
        path.parent.rmdir()
    return True


def _remove_file(path):
    return _remove_locked(path, path.with_name(f".{path.stem}.lock"))


def _remove_locked(path, lock):
    """Remove a folder or a file and its lock, unless a process holds it: bool, whether it was removed."""
    try:
        with FileLock(lock).acquire(timeout=0):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
    except Timeout:
        return False
    return True


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
