"""A disk that is full, read-only, failing or emptied under a run: one line, no exit code 0, and the same bytes at last."""

import pathlib
import shutil
import subprocess
import uuid

import click.testing
import fsspec
import pytest

from lab.remote import as_path
from recipes import store
from recipes.cli import main
from recipes.engines import local
from tests.processes import contents


@pytest.fixture(scope="module")
def run(tiny):
    """Run the recipe into a folder: exit code, and the lines of the error stream that name an error."""

    def run_into(out):
        done = click.testing.CliRunner().invoke(main, ["run", str(tiny), "--out", str(out), "--quiet"])
        assert "Traceback" not in done.stderr
        return done.exit_code, [line for line in done.stderr.splitlines() if line.startswith("Error: ")]

    return run_into


@pytest.fixture(scope="module")
def undisturbed(run, tmp_path_factory):
    """The files of a run that nothing disturbs."""
    out = tmp_path_factory.mktemp("undisturbed")
    assert run(out) == (0, [])
    return contents(out)


def fail_again_and_again(write):
    """A function that writes, but fails after nine times, then after ten, and so on: at even distances an attempt of ten writes never ends."""
    count, distance = 0, 10

    def fail(*arguments, **options):
        nonlocal count, distance
        count += 1
        if count == distance:
            count, distance = 0, distance + 1
            raise OSError(5, "Input/output error")
        return write(*arguments, **options)

    return fail


@pytest.mark.parametrize("kind", ["disk", "address"])
def test_a_store_that_fails_again_and_again(run, undisturbed, tmp_path, monkeypatch, kind):
    memory = type(fsspec.filesystem("memory"))
    monkeypatch.setattr(store, "write_durably", fail_again_and_again(store.write_durably))
    monkeypatch.setattr(memory, "pipe_file", fail_again_and_again(memory.pipe_file))
    out = tmp_path / "failing" if kind == "disk" else f"memory://{uuid.uuid4().hex}"
    codes = []
    while not codes or codes[-1]:
        code, errors = run(out)
        codes.append(code)
        assert len(errors) == bool(code), errors
        assert not code or "Input/output error" in errors[0]
        assert len(codes) < 12
    assert set(codes) == {0, 3} or set(codes) == {0, 2, 3}
    assert contents(out) == undisturbed


@pytest.mark.parametrize("kind, moment", [("disk", 3), ("address", 3), ("disk", 0), ("address", 0)])
def test_a_folder_that_is_removed_under_a_run(run, undisturbed, tmp_path, monkeypatch, kind, moment):
    """After some jobs, whose files others need; and after the last one, when nothing is left to fail."""
    last = sum(name.endswith("/done.json") for name in undisturbed)
    out = as_path(tmp_path / "removed" if kind == "disk" else f"memory://{uuid.uuid4().hex}")
    attempt, jobs = local.attempt, []

    def attempt_and_remove(job, session, opened):
        error = attempt(job, session, opened)
        jobs.append(job.key)
        if len(jobs) == (moment or last):
            store.remove_folder(opened.path)
        return error

    with monkeypatch.context() as patch:
        patch.setattr(local, "attempt", attempt_and_remove)
        code, errors = run(out)
    assert code == 3 and len(errors) == 1 and "of the jobs" in errors[0], (code, errors)
    assert ("were removed or changed: run it again" if moment == 0 else "") in errors[0]
    assert run(out) == (0, [])
    assert contents(out) == undisturbed


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own: its folder, and a function that mounts it anew with other options."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        return subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True
        ).returncode

    if shutil.which("mount") is None or mount("size=40m"):
        pytest.skip("a disk can be mounted by the superuser alone")
    try:
        yield folder, mount
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(folder, left):
    """Leave so many bytes on a disk."""
    free = shutil.disk_usage(folder).free
    (pathlib.Path(folder) / "filling").write_bytes(b"\0" * (free - left))


def test_a_disk_that_is_full_at_one_write_after_another(run, undisturbed, small_disk):
    folder, _ = small_disk
    codes = []
    for left in (0, 4096, 16_000, 40_000, 120_000, 300_000):
        fill(folder, left)
        code, errors = run(folder / "out")
        assert code in (2, 3) and len(errors) == 1 and "No space left on device" in errors[0], (left, errors)
        codes.append(code)
        (folder / "filling").unlink()
    assert codes[0] == 2 and codes[-1] == 3
    assert run(folder / "out") == (0, [])
    assert contents(folder / "out") == undisturbed
    assert not list((folder / "out").rglob(".part-*"))


def test_a_disk_that_is_read_only(run, small_disk):
    folder, mount = small_disk
    assert mount("remount,ro") == 0
    code, errors = run(folder / "out")
    assert code == 2 and len(errors) == 1 and "Read-only file system" in errors[0]
    assert mount("remount,rw") == 0 and run(folder / "out") == (0, [])
