"""Remote: paths at an address do what `pathlib` does, and what is refused says why, without a password."""

import pathlib
import pickle
import shutil
import sys
import uuid

import fsspec
import numpy as np
import pytest
from PIL import Image

from lab import class_names, data
from lab.images import read
from lab.refusal import Refused
from lab.remote import RemotePath, as_path, is_folder, is_remote, on_this_machine

FILES = {
    "a.txt": b"one",
    "sub/b.txt": b"three",
    "sub/deep/c.bin": b"\0\1",
    "sub-way/d.txt": b"",
    "Zoo/e.txt": b"utf \xc3\xa4",
}


@pytest.fixture
def folders(tmp_path):
    """The same files on the disk and in the memory of this process: two paths."""
    remote = as_path(f"memory://{uuid.uuid4().hex}/root")
    local = tmp_path / "root"
    for name, content in FILES.items():
        (remote / name).write_bytes(content)
        (local / name).parent.mkdir(parents=True, exist_ok=True)
        (local / name).write_bytes(content)
    return local, remote


def test_text_without_a_scheme_is_a_path_of_this_machine():
    for text in ("photos", "/a/b.png", "a:b", "file:///a/b.png", pathlib.Path("s3://bucket/x")):
        assert isinstance(as_path(text), pathlib.Path) and not is_remote(text)
    assert as_path("file:///a/b.png") == pathlib.Path("/a/b.png")
    assert str(as_path("memory://bucket/photos/")) == "memory://bucket/photos" and is_remote("S3://bucket")


@pytest.mark.parametrize("pattern", ["*", "*.txt", "*/*", "sub*/*.txt", "*/*/*", "sub/deep/*.bin", "no/*"])
def test_what_a_pattern_matches_is_what_it_matches_on_a_disk(folders, pattern):
    local, remote = folders
    expected = sorted(path.relative_to(local).as_posix() for path in local.glob(pattern))
    assert sorted(path.relative_to(remote).as_posix() for path in remote.glob(pattern)) == expected
    files = sorted(path.relative_to(local).as_posix() for path in local.rglob(pattern) if path.is_file())
    if "/" not in pattern:
        assert sorted(path.relative_to(remote).as_posix() for path in remote.rglob(pattern)) == files


def test_names_order_and_contents_are_those_of_a_disk(folders):
    local, remote = folders
    assert [path.relative_to(remote).as_posix() for path in sorted(remote.rglob("*"))] == [
        path.relative_to(local).as_posix() for path in sorted(local.rglob("*")) if path.is_file()
    ]
    assert sorted(path.name for path in remote.iterdir()) == sorted(path.name for path in local.iterdir())
    for name, content in FILES.items():
        path, other = remote / name, local / name
        assert path.read_bytes() == content and path.open().read() == content
        assert (path.name, path.stem, path.suffix, path.parent.name) == (
            other.name,
            other.stem,
            other.suffix,
            other.parent.name,
        )
        assert path.is_file() and not path.is_dir() and path.stat().st_size == len(content)
        assert abs(path.stat().st_mtime - other.stat().st_mtime) < 60
    assert (remote / "sub").is_dir() and not (remote / "sub").is_file() and not (remote / "none").exists()
    assert (remote / "Zoo/e.txt").read_text() == "utf ä"
    assert pickle.loads(pickle.dumps(remote)) == remote


def test_files_are_made_once_replaced_and_removed(folders):
    _, remote = folders
    (remote / "lock").create(b"mine")
    with pytest.raises(FileExistsError):
        (remote / "lock").create(b"yours")
    assert (remote / "lock").read_bytes() == b"mine"
    (remote / "lock").write_bytes(b"new")
    assert (remote / "lock").read_bytes() == b"new"
    (remote / "lock").unlink()
    (remote / "lock").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (remote / "lock").unlink()
    (remote / "sub").remove_folder()
    assert not (remote / "sub").exists() and (remote / "sub-way/d.txt").is_file()


def test_a_file_and_a_folder_are_copied_for_a_library_that_reads_disks(folders):
    local, remote = folders
    with on_this_machine(remote / "a.txt") as path:
        assert path.name == "a.txt" and path.read_bytes() == b"one"
    assert not path.exists()
    with on_this_machine(remote) as path:
        assert sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()) == sorted(FILES)


def test_errors_of_every_library_are_os_errors_without_passwords():
    class Library(Exception):
        """What a library raises."""

    class Filesystem:
        def invalidate_cache(self):
            """Nothing is cached."""

        def cat_file(self, path):
            raise Library("no answer from http://key:secret@host/x")

    path = RemotePath(Filesystem(), "memory", pathlib.PurePosixPath("bucket/x"))
    with pytest.raises(OSError, match="no answer") as caught:
        path.read_bytes()
    assert "secret" not in str(caught.value) and "key" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "s3://AKIAKEY:hushhush@bucket/photos",
        "s3://AKIAKEY:hush/hush@bucket/photos",
        "sftp://me:hushhush@host:22/photos",
        "https://host/photo.png?X-Amz-Signature=hushhush",
        "https://host/photo.png?width=3&token=hushhush",
    ],
)
def test_an_address_with_a_password_is_refused_and_not_repeated(address):
    with pytest.raises(Refused, match="holds no password") as caught:
        as_path(address)
    assert "hush" not in str(caught.value) and "AKIAKEY" not in str(caught.value)


def test_a_port_and_a_user_are_no_password(monkeypatch):
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda address, **options: (None, address))
    for address in ("sftp://me@host:22/photos", "https://[::1]:8080/photo.png", "s3://bucket/a:b@c.png"):
        assert str(as_path(address)) == address


def test_a_scheme_without_its_library_names_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] in ("s3fs", "gcsfs")]:
        monkeypatch.delitem(sys.modules, name)
    for scheme in ("s3", "s3a", "gs", "gcs"):
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, scheme, raising=False)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(Refused, match=r"pip install 'interpretability-lab\[s3\]'"):
        as_path("s3://bucket/photos")
    with pytest.raises(Refused, match="gcsfs"):
        as_path("gs://bucket/photos")


def test_an_unknown_scheme_names_the_nearest():
    with pytest.raises(Refused, match="Received: memry://bucket. Nearest: memory"):
        as_path("memry://bucket")


def test_images_of_an_address_are_those_of_the_disk(tmp_path):
    generator, remote = np.random.default_rng(0), as_path(f"memory://{uuid.uuid4().hex}/photos")
    for place, name in enumerate(("cat/b.png", "cat/a.jpg", "dog/c.tif", "dog/copy of c.tif")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if place < 3:
            Image.fromarray(generator.integers(0, 256, (9, 7 + place, 3), dtype="uint8")).save(tmp_path / name)
    shutil.copy(tmp_path / "dog/c.tif", tmp_path / "dog/copy of c.tif")
    for file in (file for file in tmp_path.rglob("*") if file.is_file()):
        (remote / file.relative_to(tmp_path).as_posix()).write_bytes(file.read_bytes())
    local, other = data.folder(tmp_path), data.folder(str(remote))
    assert (other.names, other.labels, other.groups) == (local.names, local.labels, local.groups)
    assert local.groups[2] == local.groups[3] and local.labels == ("cat", "cat", "dog", "dog")
    for first, second in zip(local.images, other.images, strict=True):
        assert np.array_equal(first, second)
    single = data.files([str(remote / "cat/a.jpg")])
    assert single.names == ("a.jpg",) and np.array_equal(single.images[0], local.images[0])


def test_a_tiff_of_16_bits_is_read_from_an_address(tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "deep.tif", np.arange(120, dtype="uint16").reshape(5, 6, 4) * 500)
    remote = as_path(f"memory://{uuid.uuid4().hex}/deep.tif")
    remote.write_bytes((tmp_path / "deep.tif").read_bytes())
    options = {"channels": 4, "levels": 65535}
    assert np.array_equal(read(str(remote), **options), read(tmp_path / "deep.tif", **options))


def test_what_is_missing_or_broken_at_an_address_is_refused():
    root = as_path(f"memory://{uuid.uuid4().hex}")
    (root / "broken.png").write_bytes(b"no picture")
    with pytest.raises(Refused, match="which is not a folder"):
        data.folder(str(root / "none"))
    with pytest.raises(Refused, match="holds at least one"):
        (root / "empty/x.txt").write_bytes(b"")
        data.folder(str(root / "empty"))
    with pytest.raises(Refused, match="which is not a file"):
        read(str(root / "none.png"))
    with pytest.raises(Refused, match="Pillow does not recognize"):
        read(str(root / "broken.png"))


def test_names_of_classes_are_read_from_an_address():
    path = as_path(f"memory://{uuid.uuid4().hex}/names.txt")
    path.write_bytes(b"cat\ndog\n")
    assert class_names.read(str(path)) == ["cat", "dog"]


def test_an_address_that_lets_nobody_in_is_not_called_empty(monkeypatch):
    path = as_path(f"memory://{uuid.uuid4().hex}/photos")

    def forbid(*_, **__):
        raise PermissionError("Access Denied")

    monkeypatch.setattr(type(path.filesystem), "info", forbid)
    with pytest.raises(Refused, match="Access Denied"):
        is_folder(path)
    with pytest.raises(Refused, match="Access Denied"):
        data.folder(str(path))
