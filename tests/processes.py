"""Processes: the `lab` command in a process of its own, and the files that it leaves."""

import atexit
import concurrent.futures
import contextlib
import functools
import gc
import multiprocessing
import multiprocessing.forkserver
import os
import pathlib
import subprocess
import sys
import types
from unittest import mock

import numpy as np

from lab.remote import as_path

ROOT = pathlib.Path(__file__).parent.parent
COMMAND = "import sys; from recipes.cli import main; main(sys.argv[1:])"
# Code to do `first`: processes of `--workers` are forked as well, and are no new interpreters.
FORKED_WORKERS = "from tests.processes import forked_workers; workers = forked_workers(); workers.__enter__()"

# What every run imports.
MODULES = (
    "recipes.cli",
    "recipes.commands.run",
    "recipes.session",
    "recipes.runs",
    "recipes.galleries",
    "recipes.explanations",
    "recipes.report.page",
    "recipes.report.published",
    "recipes.results",
)


def start_run(recipe, out, *words, first="", **options):
    """Begin `lab run` in a process of its own, which does `first`, Python code, before it: as `start_code`."""
    code = f"{first}; {COMMAND}".removeprefix("; ")
    return start_code(code, "run", recipe, "--out", out, *words, **options)


def start_code(code, *words, cwd=ROOT, **options):
    """Begin Python code in a process of its own: `Forked` where TensorFlow's libraries can be forked, else `subprocess.Popen`.

    What is tested of imports, of memory, of the order of sets or of the interpreter itself needs a new interpreter, and is no case
    for this.
    """
    if sys.platform == "linux":
        return Forked(code, *map(str, words), cwd=cwd, **options)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code, *map(str, words)], cwd=cwd, **streams, **options)


def _forks():
    """The context of processes that are forked from one that has imported what every run imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lab.environment", *MODULES])
    return context


@contextlib.contextmanager
def forked_workers():
    """While open, processes of `--workers` that this process starts are forked, and are no new interpreters."""
    if sys.platform != "linux":
        yield
        return
    forks, work = _forks(), functools.partial(_work_off, dict(os.environ))
    context = multiprocessing.get_context
    with (
        mock.patch.object(
            multiprocessing, "get_context", lambda method=None: forks if method == "spawn" else context(method)
        ),
        mock.patch("recipes.engines.processes.work_off", work),
    ):
        yield


def _work_off(environment, connection, orders):
    """Do jobs in the environment of the process that asked for them, and not of the one that it is forked from."""
    from recipes.engines.worker import work_off

    os.environ.clear()
    os.environ.update(environment)
    work_off(connection, orders)


class Forked:
    """Python code in a process that is forked from one that has imported TensorFlow, and has computed nothing.

    Five seconds of imports are saved. It has the attributes and methods of `subprocess.Popen` that the tests use.
    """

    def __init__(self, code, *words, cwd, env=None, start_new_session=False):
        context = _forks()
        pipes = [context.Pipe(duplex=False) for _ in ("stdout", "stderr")]
        multiprocessing.forkserver.ensure_running()
        server = multiprocessing.forkserver._forkserver._forkserver_address
        place = (str(cwd), dict(os.environ if env is None else env), start_new_session, server)
        self.process = context.Process(target=_run_code, args=(code, words, *place, [end for _, end in pipes]))
        self.process.start()
        self.pid = self.process.pid
        self.stdout, self.stderr = (os.fdopen(os.dup(end.fileno())) for end, _ in pipes)
        for end in (end for pipe in pipes for end in pipe):
            end.close()

    @property
    def returncode(self):
        return self.process.exitcode

    def poll(self):
        return self.process.exitcode

    def wait(self, timeout=None):
        self.process.join(timeout)
        return self.process.exitcode

    def send_signal(self, number):
        """Nothing where it has ended before, as of `subprocess.Popen`."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def communicate(self, timeout=None):
        """Wait until it has ended: (standard output, error stream)."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            readers = [pool.submit(stream.read) for stream in (self.stdout, self.stderr)]
            try:
                texts = tuple(reader.result(timeout) for reader in readers)
            except TimeoutError:
                self.process.kill()
                raise
        self.wait()
        return texts


def _run_code(code, words, cwd, env, start_new_session, server, streams):
    """In a forked process: become what `python -c` would have become."""
    if start_new_session:
        os.setsid()
    for number, stream in enumerate(streams, start=1):
        os.dup2(stream.fileno(), number)
        stream.close()
    os.chdir(cwd)
    multiprocessing.process.ORIGINAL_DIR = cwd
    os.environ.clear()
    os.environ.update(env)
    sys.argv, sys.path[:0] = ["-c", *words], [""]
    # A new interpreter draws from a state of its own. Hashes stay those of the process that it is forked from.
    np.random.seed()
    # Nor does the collector look through what was imported.
    gc.freeze()
    # It may start processes itself, and these read no script of the tests.
    multiprocessing.process._parent_process = None
    # Where it forks, it does so from the same process, and imports nothing again.
    forks = multiprocessing.forkserver._forkserver
    forks._forkserver_address, forks.ensure_running = server, lambda: None
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        exec(compile(code, "<string>", "exec"), sys.modules["__main__"].__dict__)
    finally:
        atexit._run_exitfuncs()


def contents(out):
    """The files of the one run in a folder or at an address, but for its times: dict of name to bytes."""
    (manifest,) = as_path(out).glob("*/*/manifest.json")
    return {
        path.relative_to(manifest.parent).as_posix(): path.read_bytes()
        for path in manifest.parent.rglob("*")
        if path.is_file() and path.name != "timings.json"
    }
