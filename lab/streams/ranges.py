"""Ranges: parts of a file, of this machine or at an address, without the rest of it."""

from lab.refusal import Refused
from lab.remote import is_remote


def open_to_list(path):
    """A file to find what lies in it, as an open file of bytes; of an address, blocks are read as they are needed."""
    return path.open_blocks() if is_remote(path) else path.open("rb")


def read_range(path, start, size):
    """Some bytes of a file.

    Args:
        path: `pathlib.Path` or `lab.remote.RemotePath`.
        start: int, the first byte.
        size: int, how many.

    Returns:
        bytes.

    Raises:
        Refused: where the file has become shorter than it was.
    """
    if is_remote(path):
        content = path.read_range(start, start + size)
    else:
        with path.open("rb") as file:
            file.seek(start)
            content = file.read(size)
    if len(content) < size:
        raise Refused(f"A shard does not change while it is read. Received: {path}, which became shorter.")
    return content
