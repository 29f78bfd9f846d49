"""Finished: a run that is done, asked again, is answered from its files as long as nothing that decides it has changed.

What decides it is written down when it ends: every file that was read before its jobs, with its checksum; the code of the
lab and of the user; the versions of libraries. Where one of them is another, the run is carried out as if it were new.
"""

import builtins
import contextlib
import hashlib
import json
import os
import pathlib
import sys
import warnings

from lab.model_names import is_downloaded
from lab.remote import as_path, is_remote
from recipes import provenance, schema
from recipes.journal import Journal
from recipes.reads import Reads, are_unchanged, checksum
from recipes.run import Run
from recipes.store import Store, encode, replace
from recipes.times import NAME as TIMES
from recipes.times import keep_times

# The folder beside the runs. What it holds may be deleted at any time: networks and data are then loaded again.
FOLDER = ".finished"
# Variables that decide what is imported, and from where, with what stands for them where they are not set.
VARIABLES = {"PYTHONPATH": "", "KERAS_BACKEND": "tensorflow", "KERAS_HOME": ""}


def answer(recipe, root, progress, allow_code, engine):
    """The result of a run that is done already.

    Args:
        recipe: `Recipe`.
        root: folder of all runs.
        progress: `recipes.progress.Progress`.
        allow_code: whether model files may run Python code of their own.
        engine: what would do the jobs, see `recipes.engines`.

    Returns:
        `Run`, or None where the run has to be carried out.
    """
    if is_remote(root):
        return None
    record = _read(_path(recipe, root, allow_code))
    if record is None or not _is_current(record):
        return None
    store = Store(root, recipe.name, record["digest"])
    with store.open(wait=progress.say):
        if not _is_whole(store, record):
            return None
        for category, text in record["warnings"]:
            warnings.warn(text, getattr(builtins, category, UserWarning), stacklevel=2)
        _begin_anew(store, len(record["jobs"]), progress, engine)
        result = record["result"]
        jobs = tuple((key, True) for key in record["jobs"])
        return Run(path=store.path, report=store.path / "index.html", failed=(), jobs=jobs, **result)


class Record:
    """What decides a run, written down while it is carried out.

    Args:
        recipe: `Recipe`.
        root: folder of all runs.
        allow_code: whether model files may run Python code of their own.
    """

    def __init__(self, recipe, root, allow_code):
        self.recipe, self.root = recipe, root
        self._path = None if is_remote(root) else _path(recipe, root, allow_code)
        self._reads, self._warnings = Reads(), []

    @contextlib.contextmanager
    def note_reads(self):
        """While open, files that are read are noted, with those that are known to be read without Python; and warnings."""
        with self._reads, self.note_warnings():
            _note_code(self._reads)
            _note_paths(self._reads, self.recipe)
            yield

    @contextlib.contextmanager
    def note_warnings(self):
        """While open, what the user is warned of is noted."""
        show = warnings.showwarning

        def note(message, category, *place, **options):
            self._warnings.append([category.__name__, str(message)])
            show(message, category, *place, **options)

        warnings.showwarning = note
        try:
            yield
        finally:
            warnings.showwarning = show

    def write(self, store, jobs, manifest, result):
        """Write down what decided a run, where all of it is known and all of it is done.

        Args:
            store: `Store` of the run.
            jobs: list of `Job`, all of the run.
            manifest: dict, as of `recipes.manifest.describe_run`.
            result: `Run`.
        """
        reads = self._reads.as_values() if self._path and _is_decided_by_files(self.recipe, jobs) else None
        if reads is None or result.failed or not all(done for _, done in result.jobs):
            return
        names = ("families", "messages", "summary", "photographs", "lines", "rows", "coloured")
        record = {
            "digest": manifest["digest"],
            "versions": manifest["versions"],
            "modules": {name: digest for name, digest in manifest["code"].items() if name != "lab"},
            "reads": reads,
            "jobs": [job.key for job in jobs],
            "pages": {name: checksum(store.path / name) for name in _page_names(store.path)},
            "warnings": self._warnings,
            "result": {name: getattr(result, name) for name in names},
        }
        text = json.dumps(record)
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(exist_ok=True)
            replace(self._path, f"{_seal(text)}\n{text}".encode())


def sweep(root):
    """Remove what was written down of runs that are gone.

    Args:
        root: path, folder of all runs.
    """
    for path in [] if is_remote(root) else (as_path(root) / FOLDER).glob("*.json"):
        record = _read(path)
        if record is None or not any(as_path(root).glob(f"*/{record['digest']}")):
            path.unlink(missing_ok=True)


def _path(recipe, root, allow_code):
    """The file of what decided a recipe's run, as it is asked for from this folder by this Python."""
    variables = [os.environ.get(name, default) for name, default in VARIABLES.items()]
    request = [schema.plain_values(recipe), os.getcwd(), allow_code, sys.version, sys.prefix, variables]
    return as_path(root) / FOLDER / f"{hashlib.sha256(encode(request)).hexdigest()}.json"


def _read(path):
    """What was written down: dict, or None where there is nothing, or not what this very code wrote."""
    try:
        seal, _, text = path.read_text(encoding="utf-8").partition("\n")
    except (OSError, ValueError):
        return None
    return json.loads(text) if seal == _seal(text) else None


def _seal(text):
    return hashlib.sha256(pathlib.Path(__file__).read_bytes() + text.encode()).hexdigest()


def _is_current(record):
    """Whether versions, files and the user's modules are as they were: bool."""
    return (
        all(provenance.current_version(name) == version for name, version in record["versions"].items())
        and are_unchanged(record["reads"])
        and all(_module_hash(name) == digest for name, digest in record["modules"].items())
    )


def _module_hash(name):
    provenance.look_here_first()
    return provenance.module_hash(name)


def _is_whole(store, record):
    """Whether the jobs are done and the page is as it was written: bool."""
    pages = record["pages"].items()
    return all(map(store.is_done, record["jobs"])) and all(
        checksum(store.path / name) == digest for name, digest in pages
    )


def _page_names(folder):
    """The names of a run's files that are no job's: list of str."""
    names = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())
    return [name for name in names if not name.startswith("jobs/") and name != TIMES]


def _begin_anew(store, count, progress, engine):
    """Report and write down that a run was asked for again, which makes it the latest of its recipe."""
    progress.begin([], count, None)
    progress.end()
    Journal(store, count, count)
    keep_times(store, [], engine)
    for name in ("manifest.json", "index.html"):
        os.utime(store.path / name)


def _is_decided_by_files(recipe, jobs):
    """Whether what decides a run are files of this machine that Python reads, or that the recipe names: bool.

    A function in the place of a network is asked again. Of photographs in shards, and of those that a function trains on, only
    sizes and times are known. A baseline is the latest run of its name.
    """
    if recipe.model.function or recipe.baseline or (recipe.training and recipe.training.function):
        return False
    if any(name.startswith("images:") for job in jobs for name in job.reads) or any(map(is_remote, _texts(recipe))):
        return False
    return recipe.model.weights == "random" or not is_downloaded(recipe.model.source)


def _note_code(reads):
    """Note the code of the lab, which packages are installed, and how Keras is set up."""
    for package in ("lab", "sanity", "recipes"):
        reads.note_folder(pathlib.Path(__file__).parent.parent / package)
    for folder in provenance.installed_folders():
        reads.note(folder)
    reads.note(pathlib.Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "keras.json")


def _note_paths(reads, recipe):
    """Note what a recipe names, whether or not it is there; models with all files in their folders."""
    for text in _texts(recipe):
        if text and not is_remote(text):
            reads.note(as_path(text))
    # Copies among photographs are told by their sizes, also of those that are not opened.
    if recipe.images.folder and os.path.isdir(recipe.images.folder):
        reads.note_sizes(recipe.images.folder)
    models = [recipe.model.source, *(recipe.training.files if recipe.training else ())]
    models += [recipe.planted.folder] if recipe.planted and recipe.planted.folder else []
    for model in models:
        if os.path.isdir(model):
            reads.note_folder(model)


def _texts(recipe):
    """Every text in a recipe: list of str."""
    waiting, texts = [schema.plain_values(recipe)], []
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, (dict, list, tuple)):
            waiting += value.values() if isinstance(value, dict) else value
    return texts
