"""Data: named images, with labels and masks where there are any."""

import pathlib
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
    """names: tuple of str. images: sequence of uint8 [rows, columns, 3], each of its own size. labels: tuple of class names, or None.
    masks: bool [images, rows, columns] where the truth is planted, or None.
    """

    names: tuple
    images: Sequence
    labels: tuple | None = None
    masks: np.ndarray | None = None

    def __len__(self):
        return len(self.images)


class Files(Sequence):
    """Images that stay in their files until one is asked for: any number of them takes no memory."""

    def __init__(self, paths):
        self.paths = tuple(paths)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return Files(self.paths[index]) if isinstance(index, slice) else read(self.paths[index])


def photographs(names=PHOTOGRAPHS):
    """Photographs that come with the installed packages -> `Data`. Raises Refused for an unknown name."""
    return Data(tuple(names), tuple(read(_photograph(name)) for name in names))


def _photograph(name):
    if name in _SKIMAGE:
        return pathlib.Path(skimage.__file__).parent / "data" / _SKIMAGE[name]
    if name in _MATPLOTLIB:
        return matplotlib.cbook.get_sample_data(_MATPLOTLIB[name], asfileobj=False)
    raise Refused(f"Unknown photograph. Received: {name!r}. {nearest(name, PHOTOGRAPHS)}")


def folder(path):
    """The images of a folder in order of their names -> `Data`; where they lie in subfolders, these are the labels.

    A file is read when its image is asked for. Raises Refused for a missing or empty folder, and then for a file that
    cannot be read.
    """
    root = pathlib.Path(path)
    if not root.is_dir():
        raise Refused(f"Images come from a folder. Received: {str(path)!r}, which is none.")
    files = sorted(each for each in root.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())
    if not files:
        raise Refused(
            f"A folder of images holds at least one ({', '.join(SUFFIXES)}). Received: {str(path)!r}, which holds none."
        )
    labels = tuple(each.parent.name for each in files) if all(each.parent != root for each in files) else None
    return Data(tuple(each.relative_to(root).as_posix() for each in files), Files(files), labels)


def files(paths):
    """Image files -> `Data`, named by their file names."""
    return Data(tuple(pathlib.Path(path).name for path in paths), tuple(read(path) for path in paths))


def crops(data, parts=(1, 2, 3)):
    """Square windows of every image at several scales, half overlapping: a small stock of natural images -> `Data`.

    parts: how many windows fit side by side along the shorter side; 1 is the largest square.
    """
    named = [
        (f"{name}[{top}:{top + side},{left}:{left + side}]", image[top : top + side, left : left + side])
        for name, image in zip(data.names, data.images)
        for part in parts
        for top, left, side in _windows(image.shape, part)
    ]
    return Data(tuple(name for name, _ in named), tuple(crop for _, crop in named))


def _windows(shape, part):
    side = min(shape[:2]) // part
    step = max(1, side // 2)
    for top in range(0, shape[0] - side + 1, step):
        for left in range(0, shape[1] - side + 1, step):
            yield top, left, side
