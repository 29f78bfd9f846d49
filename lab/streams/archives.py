"""Archives: images in a tar file such as webdataset writes, found by their offsets and read without unpacking it.

Members that follow each other and share a name up to its first dot are one sample: 0001.jpg with 0001.cls. The class is the
text of the member .cls, the entry "label" of .json, or the text of .txt, the first of these that there is.
"""

import functools
import itertools
import json
import re
import tarfile
import warnings
from array import array

from lab.data import Data, file_stamp
from lab.images import SUFFIXES, read
from lab.refusal import Refused
from lab.remote import is_file
from lab.sequences import Lazy, Texts
from lab.streams.ranges import open_to_list, read_range

LABELS = ("cls", "json", "txt")
# webdataset's own rule: the name of a sample ends at the first dot of the file name.
_MEMBER = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]*)")
_BLOCK = 512


class Archive:
    """Where the images of a tar file, and their labels, lie in it.

    Args:
        path: `pathlib.Path` of the file.
    """

    def __init__(self, path):
        self.path, self.names, self.written = path, Texts(), file_stamp(path)
        self.images, self.labels = (array("q"), array("q")), (array("q"), array("q"))
        self.label_kinds = array("b")

    def append(self, images, labels):
        """Add the images of a sample.

        Args:
            images: list of `tarfile.TarInfo`.
            labels: dict of the kind of a label to `tarfile.TarInfo`.
        """
        kind = next((kind for kind in LABELS if kind in labels), None)
        offset, size = (0, 0) if kind is None else (labels[kind].offset_data, labels[kind].size)
        for image in images:
            self.names.append(image.name)
            _extend(self.images, image.offset_data, image.size)
            _extend(self.labels, offset, size)
            self.label_kinds.append(-1 if kind is None else LABELS.index(kind))

    def image(self, place):
        """The content of an image's file.

        Args:
            place: int, which image.

        Returns:
            bytes.

        Raises:
            Refused: where the archive has become shorter than it was.
        """
        return self._read(self.images, place)

    def label(self, place):
        """The label of an image.

        Args:
            place: int, which image.

        Returns:
            str, or None where it has none.

        Raises:
            Refused: for a label that is no text.
        """
        kind = self.label_kinds[place]
        if kind < 0:
            return None
        try:
            text = self._read(self.labels, place).decode("utf-8-sig").strip()
            return _label_in_json(json.loads(text)) if LABELS[kind] == "json" else text
        except (ValueError, RecursionError) as error:
            raise Refused(
                f"A label is a text, or the entry label of JSON. Received: the .{LABELS[kind]} of {self.names[place]} in {self.path}: {error}."
            ) from error

    def required_label(self, place):
        """The label of an image in an archive whose first image has one.

        Args:
            place: int, which image.

        Returns:
            str.

        Raises:
            Refused: where it has none.
        """
        label = self.label(place)
        if not label:
            raise Refused(
                f"Every image of an archive has a label, or none has. Received: {self.path}: {self.names[place]} has none, and {self.names[0]} has. Write its .cls."
            )
        return label

    def stamp(self, place):
        """What becomes another text when the archive changes: where image and label lie in it, and when it was written.

        Args:
            place: int, which image.

        Returns:
            str.
        """
        numbers = [values[place] for values in (*self.images, *self.labels)]
        return f"{' '.join(map(str, numbers))} {self.written}"

    def _read(self, segments, place):
        offsets, sizes = segments
        return read_range(self.path, offsets[place], sizes[place])


def _extend(segments, offset, size):
    segments[0].append(offset)
    segments[1].append(size)


def _label_in_json(value):
    """The label in the .json of a sample: str, or None where it has no entry "label"."""
    label = value.get("label") if isinstance(value, dict) else value
    if label is not None and (not isinstance(label, (str, int)) or isinstance(label, bool)):
        raise ValueError(f'"label" is a text or a whole number, and here {label!r}')
    return None if label is None else str(label).strip()


def open_archive(path, most, *, channels, levels):
    """The images of a tar file -> `Data`, named by their members.

    Args:
        path: `pathlib.Path` of a .tar file, not packed.
        most: int, how many images are listed at most.
        channels: as of `lab.images.read`.
        levels: as of `lab.images.read`.

    Returns:
        `Data`, with labels where every image has a member for it.

    Raises:
        Refused: for a file that is no tar, is cut short or damaged, or holds no images.
    """
    if not is_file(path):
        raise Refused(f"A shard is a file. Received: {str(path)!r}, which is not a file.")
    archive = _index(path, most)
    places = range(len(archive.names))
    if not places:
        raise Refused(
            f"A tar of images holds at least one ({', '.join(SUFFIXES)}). Received: {path}, which holds none."
        )
    labelled = min(archive.label_kinds) >= 0 and archive.label(0) is not None
    image = functools.partial(_read_image, archive, channels, levels)
    labels = Lazy(archive.required_label, places) if labelled else None
    return Data(archive.names, Lazy(image, places), labels, groups=places, stamps=Lazy(archive.stamp, places))


def _read_image(archive, channels, levels, place):
    name = f"{archive.path.name}: {archive.names[place]}"
    return read(archive.image(place), channels=channels, levels=levels, name=name)


def _index(path, most):
    archive, several = Archive(path), None
    with open_to_list(path) as file:
        for images, labels in _samples(_members(path, file)):
            archive.append(images[: most - len(archive.names)], labels)
            several = several or (images if len(images) > 1 else None)
            if len(archive.names) >= most:
                break
    if several:
        names = " and ".join(image.name for image in several[:2])
        warnings.warn(f"{path}: a sample with several images ({names}). Every one of them is taken.", stacklevel=2)
    return archive


def _samples(members):
    """(images, label members by kind) of every sample."""
    matches = ((_MEMBER.fullmatch(member.name), member) for member in members)
    members = ((match, member) for match, member in matches if match and member.isreg() and not member.issparse())
    for _, sample in itertools.groupby(members, lambda pair: pair[0][1]):
        sample = [(match[2].lower(), member) for match, member in sample]
        images = [member for kind, member in sample if f".{kind}".endswith(SUFFIXES)]
        if images:
            yield images, {kind: member for kind, member in sample if kind in LABELS}


def _members(path, file):
    """Every member of a tar file, and none is kept."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            while (member := archive.next()) is not None:
                yield member
                archive.members.clear()
            _refuse_open_end(path, file, archive.offset)
    except tarfile.TarError as error:
        raise Refused(
            f"A shard is a whole tar file, and not packed. Received: {path}: {error}. Copy it again, or unpack it (gunzip)."
        ) from error


def _refuse_open_end(path, file, offset):
    """Refuse an archive that ends anywhere else than at the block of zeros that closes it; tarfile stops there in silence."""
    file.seek(offset)
    block = file.read(_BLOCK)
    if block != bytes(_BLOCK):
        trouble = "is damaged" if block else "ends without the zeros that close a tar: it was cut short"
        raise Refused(
            f"A shard is a whole tar file. Received: {path}, which at byte {offset:,} {trouble}. Copy it again."
        )
    while block := file.read(_BLOCK * 64):
        if block.strip(b"\0"):
            raise Refused(
                f"A shard is one tar file. Received: {path}, in which more follows the zeros that close it. Keep archives in files of their own."
            )
