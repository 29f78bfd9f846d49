"""Data: named images, with labels and masks where there are any."""

import hashlib
import os
import pathlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.cbook
import numpy as np
import skimage

from lab.images import SUFFIXES, read
from lab.refusal import Refused
from lab.registry import nearest

# RGB photographs whose files come inside the wheels of scikit-image (CC0 or public domain) and matplotlib.
_SKIMAGE = {
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "astronaut": "astronaut.png",
    "rocket": "rocket.jpg",
    "motorcycle": "motorcycle_left.png",
}
_MATPLOTLIB = {"grace_hopper": "grace_hopper.jpg"}
PHOTOGRAPHS = (*_SKIMAGE, *_MATPLOTLIB)


@dataclass(frozen=True)
class Data:
    """names: tuple of str. images: sequence of uint8 [rows, columns, 3], each of its own size; other channels and float32 in
    0..255 where `read` was asked for them. labels: tuple of class names, or None.
    masks: bool [images, rows, columns] where the truth is planted, or None. table: float32 [images, columns], what a network
    takes beside each image, or None; columns: their names. groups: what each image was taken from, tuple of str or int, equal for
    crops of one photograph; None: every image is its own. Raises Refused for another number of groups than of images.
    """

    names: tuple
    images: Sequence
    labels: tuple | None = None
    masks: np.ndarray | None = None
    table: np.ndarray | None = None
    columns: tuple = ()
    groups: tuple | None = None

    def __post_init__(self):
        groups = tuple(range(len(self.images))) if self.groups is None else tuple(self.groups)
        if len(groups) != len(self.images):
            raise Refused(
                f"Every image has one group, its source. Received: {len(groups)} groups for {len(self.images)} images; leave groups out where every image is its own."
            )
        object.__setattr__(self, "groups", groups)

    def __len__(self):
        return len(self.images)


class Files(Sequence):
    """Images that stay in their files until one is asked for: any number of them takes no memory. channels, levels: of `lab.images.read`."""

    def __init__(self, paths, *, channels=3, levels=None):
        self.paths = tuple(paths)
        self.channels, self.levels = channels, levels

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        options = {"channels": self.channels, "levels": self.levels}
        return Files(self.paths[index], **options) if isinstance(index, slice) else read(self.paths[index], **options)


def photographs(names=PHOTOGRAPHS):
    """Photographs that come with the installed packages -> `Data`. Raises Refused for an unknown name."""
    return Data(tuple(names), tuple(read(_photograph(name)) for name in names), groups=tuple(names))


def _photograph(name):
    if name in _SKIMAGE:
        return pathlib.Path(skimage.__file__).parent / "data" / _SKIMAGE[name]
    if name in _MATPLOTLIB:
        return matplotlib.cbook.get_sample_data(_MATPLOTLIB[name], asfileobj=False)
    raise Refused(f"Unknown photograph. Received: {name!r}. {nearest(name, PHOTOGRAPHS)}")


def folder(path, *, channels=3, levels=None):
    """The images of a folder in order of their names -> `Data`; where they lie in subfolders, these are the labels.

    A file is read when its image is asked for. Copies of a file are of one group. Links to folders are followed, but not back into themselves. channels,
    levels: of `lab.images.read`. Raises Refused for a missing or empty folder, and then for a file that cannot be read.
    """
    root = pathlib.Path(path)
    if not os.path.isdir(root):
        raise Refused(f"Images come from a folder. Received: {str(path)!r}, which is none.")
    paths = sorted(file for file in _below(root) if file.suffix.lower() in SUFFIXES)
    if not paths:
        raise Refused(
            f"A folder of images holds at least one ({', '.join(SUFFIXES)}). Received: {str(path)!r}, which holds none."
        )
    labels = tuple(_text(file.parent.name) for file in paths) if all(file.parent != root for file in paths) else None
    names = tuple(_text(file.relative_to(root).as_posix()) for file in paths)
    return Data(names, Files(paths, channels=channels, levels=levels), labels, groups=_originals(paths))


def _originals(paths):
    """The place of the first file that each one is a copy of, its own where there is none: tuple of int. What has a size of its own is not read."""
    sizes, first = [_size(path) for path in paths], {}
    counts = Counter(sizes)
    known = [
        _content(path, place) if counts[size] > 1 else place for place, (path, size) in enumerate(zip(paths, sizes))
    ]
    return tuple(first.setdefault(content, place) for place, content in enumerate(known))


def _size(path):
    """Bytes of a file; nothing for one that cannot be read, which is told when its image is asked for."""
    try:
        return os.path.getsize(path)
    except OSError:
        return None


def _content(path, place):
    """What two copies have alike: SHA-256 of a file; its place where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return place


def _below(place, above=frozenset()):
    """Every file below a folder; a link to a folder that it lies in is passed by."""
    real = os.path.realpath(place)
    if real in above:
        return
    try:
        entries = list(os.scandir(place))
    except OSError as error:
        raise Refused(f"A folder of images can be read. Received: {str(place)!r}: {error}.") from error
    for entry in entries:
        if os.path.isdir(entry.path):
            yield from _below(entry.path, above | {real})
        else:
            yield pathlib.Path(entry.path)


def _text(name):
    """A file's name as text that can be written anywhere: bytes that are no UTF-8 as question marks in a diamond."""
    return os.fsencode(name).decode("utf-8", "replace")


def files(paths, *, channels=3, levels=None):
    """Image files -> `Data`, named by their file names. channels, levels: of `lab.images.read`."""
    return Data(
        tuple(_text(pathlib.Path(path).name) for path in paths),
        tuple(read(path, channels=channels, levels=levels) for path in paths),
    )


def crops(data, parts=(1, 2, 3)):
    """Square windows of every image at several scales, half overlapping: a small stock of natural images -> `Data`.

    parts: how many windows fit side by side along the shorter side; 1 is the largest square. The windows of one image have its group.
    """
    named = [
        (f"{name}[{top}:{top + side},{left}:{left + side}]", image[top : top + side, left : left + side], group)
        for name, image, group in zip(data.names, data.images, data.groups)
        for part in parts
        for top, left, side in _windows(image.shape, part)
    ]
    names, windows, groups = zip(*named) if named else ((), (), ())
    return Data(names, windows, groups=groups)


def _windows(shape, part):
    side = min(shape[:2]) // part
    step = max(1, side // 2)
    for top in range(0, shape[0] - side + 1, step):
        for left in range(0, shape[1] - side + 1, step):
            yield top, left, side
