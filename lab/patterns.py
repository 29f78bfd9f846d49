"""Patterns: addresses of many files, "train-{000..099}.tar" and "photos/*.jpg", as the paths that they stand for."""

import glob
import pathlib
import re

from lab.refusal import Refused
from lab.remote import as_path, is_file, is_folder, is_remote

MOST_SHARDS = 1_000_000
_BRACES = re.compile(r"\{[^{}]*(\.\.|,)[^{}]*\}")


def expand(address):
    """The paths that an address stands for.

    An address with braces stands for every number of a range, or every text of a list. One with *, ? or [] stands for the files
    that match it, in order of their names. A file or folder whose own name has such characters is itself.

    Args:
        address: str or path.

    Returns:
        list of `pathlib.Path` or `lab.remote.RemotePath`, one for an address without a pattern.

    Raises:
        Refused: where a file of a range is missing, and where no file matches.
    """
    text = str(address)
    if not is_pattern(text):
        return [as_path(text)]
    if _BRACES.search(text):
        return [path for name in _alternatives(text) for path in _refuse_missing(name, text)]
    return _matches(text)


def is_pattern(address):
    """Whether an address stands for other files than one of its own name: bool."""
    text = str(address)
    return bool(_BRACES.search(text) or _has_magic(text)) and not _exists(text)


def _has_magic(text):
    # In an address, a question mark begins a query.
    return bool(re.search(r"[*[]", text)) if is_remote(text) else glob.has_magic(text)


def _exists(text):
    path = as_path(text)
    return is_file(path) or is_folder(path)


def _alternatives(text):
    """All texts that one with braces stands for, the last braces counting fastest: list of str."""
    braces = _BRACES.search(text)
    if braces is None:
        return [text]
    rest = _alternatives(text[braces.end() :])
    words = _words(braces[0][1:-1], text)
    if len(words) * len(rest) > MOST_SHARDS:
        raise Refused(f"A pattern stands for at most {MOST_SHARDS:,} files. Received: {text!r}.")
    return [text[: braces.start()] + word + end for word in words for end in rest]


def _words(inside, text):
    """What one pair of braces stands for: list of str."""
    ends = re.fullmatch(r"(\d+)\.\.(\d+)", inside)
    if ends is None:
        return inside.split(",")
    first, last = int(ends[1]), int(ends[2])
    if not 0 <= last - first < MOST_SHARDS:
        raise Refused(
            f"A range of shards is {{first..last}}, of at most {MOST_SHARDS:,}. Received: {text!r} with {{{inside}}}."
        )
    width = max(map(len, ends.groups())) if any(re.match("0.", end) for end in ends.groups()) else 1
    return [f"{number:0{width}}" for number in range(first, last + 1)]


def _refuse_missing(name, pattern):
    """The paths of one file of a range, which may have *, ? or [] too."""
    if not _has_magic(name) and not _exists(name):
        raise Refused(
            f"A range of shards is there as a whole. Received: {pattern!r}, of which {name!r} is missing. Copy it, or give the ranges without it."
        )
    return expand(name)


def _matches(pattern):
    if is_remote(pattern):
        # The folder is what comes before the first part with such characters.
        folder = re.match(r"(?:[^*?[/]*/)*", pattern)[0]
        paths = sorted(as_path(folder).glob(pattern.removeprefix(folder)))
    else:
        paths = sorted(map(pathlib.Path, glob.glob(pattern, recursive=True)))
    if not paths:
        raise Refused(f"A pattern matches at least one file. Received: {pattern!r}, which matches none.")
    return paths
