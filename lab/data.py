"""Data: named inputs of one kind, with labels and masks where there are any."""

import functools
import hashlib
import importlib.util
import os
import pathlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lab import displays
from lab.images import SUFFIXES, read
from lab.refusal import Refused
from lab.registry import nearest
from lab.remote import as_path, is_folder, is_remote, refuse_unreadable
from lab.sequences import Lazy, Texts, Values

# RGB photographs whose files come inside the wheels of scikit-image (CC0 or public domain), matplotlib (public domain),
# and scikit-learn (CC BY 2.0: china by danielbuechele, flower by vultilion).
_SKIMAGE = {
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "astronaut": "astronaut.png",
    "rocket": "rocket.jpg",
    "motorcycle": "motorcycle_left.png",
}
_MATPLOTLIB = {"grace_hopper": "grace_hopper.jpg"}
_SKLEARN = {"china": "china.jpg", "flower": "flower.jpg"}
PHOTOGRAPHS = (*_SKIMAGE, *_MATPLOTLIB, *_SKLEARN)


@dataclass(frozen=True)
class Data:
    """Named inputs of one kind, such as images or the rows of a table, with labels and masks where there are any.

    Args:
        names: tuple of str. Of many images names, labels and groups may be other sequences, which take less memory.
        inputs: of images, a sequence of uint8 [rows, columns, 3], each of its own size; `lab.images.read` can also give other
            channels, and float32 in 0..255. Of text, a tuple of str. Else an array [samples, ...] as a network takes it.
        labels: tuple of class names, or None.
        masks: bool [samples, ...] over positions where the relevant ones are known, or None.
        table: float32 [images, columns], what a network takes beside each image, or None.
        columns: the names of a table's columns, or of a series' channels.
        groups: tuple of str or int, the source of each input, equal for crops of one photograph; None: every input
            is its own source.
        stamps: sequence of str, what becomes another text when the file of an image changes, and is known without reading the
            image; None for inputs that lie in memory.
        paths: sequence of paths, the file of each image; None for images that have no file of their own.
        kind: str, a name of `lab.kinds.KINDS`, or "text".
        label: str, the name of the column that the labels come from, or None.

    Raises:
        Refused: where the number of groups, labels or names is not that of the inputs.
    """

    names: tuple
    inputs: Sequence
    labels: tuple | None = None
    masks: np.ndarray | None = None
    table: np.ndarray | None = None
    columns: tuple = ()
    groups: Sequence | None = None
    stamps: Sequence | None = None
    paths: Sequence | None = None
    kind: str = "image"
    label: str | None = None

    def __post_init__(self):
        groups = tuple(range(len(self.inputs))) if self.groups is None else self.groups
        groups = groups if isinstance(groups, (range, Values)) else tuple(groups)
        noun = "image" if self.kind == "image" else "input"
        if len(groups) != len(self.inputs):
            raise Refused(
                f"Every {noun} has one group, its source. Received: {len(groups)} groups for {len(self.inputs)} {noun}s. Leave groups out where every {noun} is its own source."
            )
        object.__setattr__(self, "groups", groups)

    def __len__(self):
        return len(self.inputs)

    def __repr__(self):
        return displays.as_text(displays.data_title(self), displays.data_rows(self))

    def _repr_html_(self):
        pictures = displays.thumbnails(self) if self.kind == "image" else ""
        return displays.as_html(displays.data_title(self), displays.data_rows(self)) + pictures

    @property
    def images(self):
        """The inputs, where these are images."""
        return self.inputs

    def part(self, places):
        """Some of the inputs, in their order.

        Args:
            places: slice.

        Returns:
            `Data` with all that is known of them. Sequences that are lazy remain so.
        """
        values = {name: getattr(self, name) for name in _ONE_EACH}
        return replace(self, **{name: None if value is None else value[places] for name, value in values.items()})

    def spread(self, most):
        """At most so many of the inputs, of different sources, at equal distances, so that data sorted by class keep their classes.

        Of several inputs of one source, such as equal rows or the rows of one customer, the first is taken.

        Args:
            most: int.

        Returns:
            `Data`.
        """
        first = {}
        for place, group in enumerate(self.groups):
            first.setdefault(group, place)
        sources = np.array(list(first.values()))
        return choose(self, sources[np.linspace(0, len(sources) - 1, min(most, len(sources))).round().astype(int)])

    def inputs_of(self, network, fit="squash"):
        """The inputs as a network takes them.

        Args:
            network: a `Network`.
            fit: how images are brought to the network's size.

        Returns:
            arrays in the structure that the network takes.

        Raises:
            Refused: for inputs that the network does not take, and for columns that it names and the table does not have.
        """
        if self.kind == "image":
            return self._pictures_of(network, fit)
        if self.kind == "text":
            return network.tokenize(self.inputs)
        _refuse_other_columns(network, self)
        return network.inputs(
            self.inputs[:, network.find_columns(self.columns)] if self.columns and network.columns else self.inputs
        )

    def _pictures_of(self, network, fit):
        pictures = network.preprocess(self.inputs, fit=fit)
        if self.table is not None:
            return network.with_table(pictures, self.table)
        if len(network.places()) > 1:
            raise Refused(
                f"A network of several inputs needs all of them: pass those besides the images with table=. Received: {network.name}, which takes {', '.join(name for name, _ in network.places())}, and images alone."
            )
        return pictures


# The fields that have one entry an input.
_ONE_EACH = ("names", "inputs", "labels", "masks", "table", "groups", "stamps", "paths")


def _refuse_other_columns(network, data):
    """Raise Refused for a table with more or fewer columns than a network takes."""
    place = network.table_place
    count = None if place is None or len(network.places()) > 1 else network.places()[place][1].shape[1]
    if data.kind == "table" and count not in (None, len(data.columns)) and not network.columns:
        raise Refused(
            f"A table has the columns that a network takes. Received: {len(data.columns)} ({displays.join_names(data.columns)}) for {network.name}, which takes {count}. Name them in their order with columns=, and the column of classes with label=."
        )


class Files(Sequence):
    """Images that stay in their files until they are indexed, so that any number of them takes no memory.

    Args:
        paths: the files.
        channels: as of `lab.images.read`.
        levels: as of `lab.images.read`.
    """

    def __init__(self, paths, *, channels=3, levels=None):
        self.paths = paths if isinstance(paths, Values) else tuple(paths)
        self.channels, self.levels = channels, levels

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        options = {"channels": self.channels, "levels": self.levels}
        return Files(self.paths[index], **options) if isinstance(index, slice) else read(self.paths[index], **options)


def photographs(names=PHOTOGRAPHS):
    """Photographs that come with the installed packages -> `Data`.

    Args:
        names: names in `PHOTOGRAPHS`.

    Raises:
        Refused: for an unknown name.
    """
    return Data(tuple(names), tuple(read(_photograph_path(name)) for name in names), groups=tuple(names))


def _photograph_path(name):
    # As paths alone: importing the packages takes seconds.
    if name in _SKIMAGE:
        return _package_folder("skimage") / "data" / _SKIMAGE[name]
    if name in _MATPLOTLIB:
        return _package_folder("matplotlib") / "mpl-data" / "sample_data" / _MATPLOTLIB[name]
    if name in _SKLEARN:
        return _package_folder("sklearn") / "datasets" / "images" / _SKLEARN[name]
    raise Refused(f"Unknown photograph. Received: {name!r}. {nearest(name, PHOTOGRAPHS)}")


def _package_folder(package):
    return pathlib.Path(importlib.util.find_spec(package).origin).parent


def folder(path, *, channels=3, levels=None):
    """The images of a folder in order of their names -> `Data`; subfolders are the labels.

    A file is read when its image is indexed. Copies of a file are one source. Links to folders are followed, but not back
    into themselves.

    Args:
        path: the folder, or its address, such as s3://bucket/photos.
        channels: as of `lab.images.read`.
        levels: as of `lab.images.read`.

    Returns:
        `Data`, with labels where every file lies in a subfolder.

    Raises:
        Refused: for a missing or empty folder, and later for a file that cannot be read.
    """
    root = as_path(path)
    if not is_folder(root):
        raise Refused(f"Images come from a folder. Received: {str(path)!r}, which is not a folder.")
    files = (file for file in _walk_files(root) if file.suffix.lower() in SUFFIXES)
    # What the listing of an address says of each file is kept, since it would be asked for file by file.
    rows = [(file.relative_to(root).as_posix(), file_stamp(file) if is_remote(root) else "") for file in files]
    if not rows:
        raise Refused(
            f"A folder of images holds at least one ({', '.join(SUFFIXES)}). Received: {str(path)!r}, which holds none."
        )
    # Names are compared part by part, as paths are, and no name has a zero.
    rows.sort(key=lambda row: row[0].replace("/", "\0"))
    names = [name for name, _ in rows]
    paths = Lazy(functools.partial(_join, root, Texts(names)), range(len(names)))
    labels = (
        Texts(_readable_name(name.split("/")[-2]) for name in names) if all("/" in name for name in names) else None
    )
    form = {"channels": channels, "levels": levels}
    names = Texts(map(_readable_name, names))
    stamps = Texts(stamp for _, stamp in rows) if is_remote(root) else _file_stamps(paths)
    return Data(names, Files(paths, **form), labels, groups=_Originals(paths), stamps=stamps, paths=paths)


def _join(root, names, place):
    return root / names[place]


def file_stamp(path):
    """The size of a file, and when it was last changed: str; empty for one that cannot be read, which is told when its image is asked for."""
    try:
        stat = as_path(path).stat()
    except OSError:
        return ""
    return f"{stat.st_size} {stat.st_mtime}"


def _file_stamps(paths):
    return Lazy(functools.partial(_file_stamp_at, paths), range(len(paths)))


def _file_stamp_at(paths, place):
    return file_stamp(paths[place])


class _Originals(Values):
    """The place of the first file that each one is a copy of. Files are compared when a place is asked for, and not before."""

    def __init__(self, paths):
        self.paths = paths

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return _Originals(self.paths[index]) if isinstance(index, slice) else self._places[index]

    @functools.cached_property
    def _places(self):
        return _originals(self.paths)


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
        return path.stat().st_size
    except OSError:
        return None


def _content(path, place):
    """What two copies have alike: SHA-256 of a file; its place where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return place


def _walk_files(place, above=frozenset()):
    """Every file below a folder; a link to a folder that contains it is skipped."""
    if is_remote(place):
        with refuse_unreadable("An image folder must be readable.", place):
            yield from place.rglob("*")
        return
    real = os.path.realpath(place)
    if real in above:
        return
    try:
        entries = list(os.scandir(place))
    except OSError as error:
        raise Refused(f"An image folder must be readable. Received: {str(place)!r}: {error}.") from error
    for entry in entries:
        if os.path.isdir(entry.path):
            yield from _walk_files(entry.path, above | {real})
        else:
            yield pathlib.Path(entry.path)


def _readable_name(name):
    """A file's name as text that can be written anywhere; bytes that are not UTF-8 become replacement characters."""
    return os.fsencode(name).decode("utf-8", "replace")


def files(paths, *, channels=3, levels=None):
    """Image files -> `Data`, named by their file names; by their paths where two files have one name.

    Args:
        paths: the files.
        channels: as of `lab.images.read`.
        levels: as of `lab.images.read`.

    Returns:
        `Data` without labels.
    """
    names = [as_path(path).name for path in paths]
    counts = Counter(names)
    return Data(
        tuple(_readable_name(str(path) if counts[name] > 1 else name) for path, name in zip(paths, names)),
        Files(paths, channels=channels, levels=levels),
        stamps=_file_stamps(tuple(paths)),
        paths=tuple(paths),
    )


def choose(data, places):
    """Some of the inputs, in any order -> `Data`. What lies in files is read when it is indexed.

    Args:
        data: `Data`.
        places: sequence of int.

    Returns:
        `Data` with all that is known of them.
    """
    values = {name: getattr(data, name) for name in _ONE_EACH}
    return replace(
        data, **{name: None if value is None else _at_places(value, places) for name, value in values.items()}
    )


def _at_places(values, places):
    if isinstance(values, np.ndarray):
        return values[places]
    if isinstance(values, tuple):
        return tuple(values[place] for place in places)
    return Lazy(lambda place: values[places[place]], range(len(places)))


def crops(data, parts=(1, 2, 3)):
    """Square windows of every image at several scales, half overlapping -> `Data`, a small set of natural images.

    Args:
        data: the images. The windows of one image have its group.
        parts: how many windows fit side by side along the shorter side; 1 is the largest square.

    Returns:
        `Data` without labels, named "image[top:bottom,left:right]".
    """
    crops_of_images = [
        (f"{name}[{top}:{top + side},{left}:{left + side}]", image[top : top + side, left : left + side], group)
        for name, image, group in zip(data.names, data.images, data.groups)
        for part in parts
        for top, left, side in _windows(image.shape, part)
    ]
    names, windows, groups = zip(*crops_of_images) if crops_of_images else ((), (), ())
    return Data(names, windows, groups=groups)


def _windows(shape, part):
    side = min(shape[:2]) // part
    step = max(1, side // 2)
    for top in range(0, shape[0] - side + 1, step):
        for left in range(0, shape[1] - side + 1, step):
            yield top, left, side
