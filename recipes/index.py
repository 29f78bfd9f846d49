"""Index: where a folder of runs holds the files of a job, by the job's identity."""

import contextlib
import os
import pathlib

from lab.remote import is_remote

# The folder of the index beside the runs. What it holds may be deleted at any time: jobs are then done again.
FOLDER = ".jobs"


def write(root, identity, folder):
    """Note that a folder holds the files of a job. Where that fails, the job is not known to other runs.

    Args:
        root: path, folder of all runs.
        identity: str, of the job.
        folder: path below the root.
    """
    path, content = _path(root, identity), os.fsencode(folder.relative_to(root).as_posix())
    with contextlib.suppress(OSError):
        if is_remote(path):
            path.write_bytes(content)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".part-{os.getpid()}-{path.name}")
        part.write_bytes(content)
        os.replace(part, path)


def read(root, identity):
    """The folder that holds the files of a job.

    Args:
        root: path, folder of all runs.
        identity: str, of the job.

    Returns:
        path, or None where no run has done it.
    """
    try:
        name = os.fsdecode(_path(root, identity).read_bytes())
    except OSError:
        return None
    place = pathlib.PurePosixPath(name)
    return None if place.is_absolute() or ".." in place.parts else root / place


def sweep(root):
    """Remove what names folders that are gone.

    Args:
        root: path, folder of all runs.
    """
    for path in list((root / FOLDER).glob("*/*")):
        folder = None if path.name.startswith(".part-") else read(root, path.name)
        if folder is None or not folder.is_dir():
            path.unlink(missing_ok=True)


def _path(root, identity):
    return root / FOLDER / identity[:2] / identity
