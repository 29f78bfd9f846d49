"""Records: images in a TFRecord file of `tf.train.Example`, found by the lengths of its records.

A record is its length (8 bytes), the checksum of that (4), an example, and the checksum of that (4). To list the records,
lengths alone are read.
"""

import functools
import os
from array import array

from lab.data import Data, file_stamp
from lab.images import read
from lab.refusal import Refused
from lab.registry import nearest
from lab.remote import is_file, is_remote
from lab.sequences import Lazy
from lab.streams.checksum import masked_crc32c
from lab.streams.ranges import open_to_list, read_range

IMAGES = ("image/encoded", "image")
# The text comes first: whether numbers begin at 0 or at 1 depends on who wrote the file.
LABELS = ("image/class/text", "image/class/label", "label")
_HEADER, _FOOTER = 12, 4


class Records:
    """The records of a TFRecord file.

    Args:
        path: `pathlib.Path` of the file.
        starts: int array [records + 1], the offset of every record, and the end of the last.
    """

    def __init__(self, path, starts):
        self.path, self.starts, self.written = path, starts, file_stamp(path)

    def __len__(self):
        return len(self.starts) - 1

    def features(self, place):
        """The features of a record.

        Args:
            place: int, which record.

        Returns:
            dict of name to list of values, bytes or numbers.

        Raises:
            Refused: for a wrong checksum, and for what is no `tf.train.Example`.
        """
        # The list of records needs no TensorFlow.
        from google.protobuf.message import DecodeError

        from lab.environment import tf

        try:
            features = tf.train.Example.FromString(self._content(place)).features.feature
        except DecodeError as error:
            raise Refused(
                f"A record is a tf.train.Example. Received: {self.where(place)}, which is none: {error}."
            ) from error
        return {name: _values(feature) for name, feature in features.items()}

    def _content(self, place):
        start, end = self.starts[place], self.starts[place + 1]
        data = read_range(self.path, start + _HEADER, end - start - _HEADER)
        content, footer = data[:-_FOOTER], data[-_FOOTER:]
        if masked_crc32c(content) != int.from_bytes(footer, "little"):
            raise Refused(
                f"A record has the checksum that was written with it. Received: {self.where(place)} with another one: it is damaged. Copy the file again."
            )
        return content

    def stamp(self, place):
        """What becomes another text when the record changes: its size, and the checksum that was written with it.

        At an address each checksum would be a request: there it is the place of the record, and when the file was written.

        Args:
            place: int, which record.

        Returns:
            str.
        """
        start, end = self.starts[place], self.starts[place + 1]
        if is_remote(self.path):
            return f"{start} {end} {self.written}"
        return f"{end - start} {read_range(self.path, end - _FOOTER, _FOOTER).hex()}"

    def where(self, place):
        """The place of a record, in words: str."""
        return f"{self.path}, record {place} at byte {self.starts[place]:,}"

    def image(self, place):
        """The content of an image's file.

        Args:
            place: int, which record.

        Returns:
            bytes.

        Raises:
            Refused: for a record without an encoded image.
        """
        features = self.features(place)
        values = next((features[name] for name in IMAGES if name in features), None)
        if values is None:
            raise Refused(
                f"A record has an image file as {' or '.join(IMAGES)}. Received: {self.where(place)} with {', '.join(sorted(features)) or 'no features'}. {nearest(IMAGES[0], features)}"
            )
        if len(values) != 1 or not isinstance(values[0], bytes):
            raise Refused(
                f"The image of a record is the bytes of one JPEG, PNG, GIF, BMP, TIFF or WEBP file. Received: {self.where(place)} with {len(values)} values. Write tf.io.encode_png(image)."
            )
        return values[0]

    def label(self, place):
        """The label of an image.

        Args:
            place: int, which record.

        Returns:
            str, or None where it has none.

        Raises:
            Refused: where it has several.
        """
        features = self.features(place)
        values = next((features[name] for name in LABELS if features.get(name)), [])
        if not values:
            return None
        if len(values) > 1:
            raise Refused(
                f"A record has one label. Received: {self.where(place)} with {len(values)}. Write one, or give labels=none."
            )
        return values[0].decode("utf-8", "replace") if isinstance(values[0], bytes) else str(values[0])

    def required_label(self, place):
        """The label of an image in a file whose first image has one.

        Args:
            place: int, which record.

        Returns:
            str.

        Raises:
            Refused: where it has none.
        """
        label = self.label(place)
        if label is None:
            raise Refused(
                f"Every record has a label, or none has. Received: {self.where(place)} without {', '.join(LABELS[:-1])} or {LABELS[-1]}; record 0 has one."
            )
        return label


def _values(feature):
    kind = feature.WhichOneof("kind")
    return list(getattr(feature, kind).value) if kind else []


def open_records(path, most, *, channels, levels):
    """The images of a TFRecord file -> `Data`, named by their numbers.

    Args:
        path: `pathlib.Path` of the file, not packed.
        most: int, how many records are listed at most.
        channels: as of `lab.images.read`.
        levels: as of `lab.images.read`.

    Returns:
        `Data`, with labels where the first record has one.

    Raises:
        Refused: for a file that is no TFRecord file, is damaged, cut short or empty.
    """
    if not is_file(path):
        raise Refused(f"A shard is a file. Received: {str(path)!r}, which is not a file.")
    records = Records(path, _index(path, most))
    places = range(len(records))
    if not places:
        raise Refused(f"A TFRecord file holds at least one record. Received: {path}, which is empty.")
    labels = Lazy(records.required_label, places) if records.label(0) is not None else None
    image = functools.partial(_read_image, records, channels, levels)
    names, stamps = Lazy("record-{}".format, places), Lazy(records.stamp, places)
    return Data(names, Lazy(image, places), labels, groups=places, stamps=stamps)


def _read_image(records, channels, levels, place):
    name = f"{records.path.name}: record {place}"
    return read(records.image(place), channels=channels, levels=levels, name=name)


def _index(path, most):
    """The offset of every record, and the end of the last: int array."""
    starts = array("q", [0])
    with open_to_list(path) as file:
        size = file.seek(0, os.SEEK_END)
        while starts[-1] < size and len(starts) <= most:
            file.seek(starts[-1])
            starts.append(starts[-1] + _record_size(path, starts, file.read(_HEADER)))
    if starts[-1] > size:
        _refuse_cut(path, starts[:-1])
    return starts


def _record_size(path, starts, header):
    """Bytes of a record, by its header; Refused where this has another checksum than was written with it."""
    if len(header) < _HEADER:
        _refuse_cut(path, starts)
    if masked_crc32c(header[:8]) == int.from_bytes(header[8:], "little"):
        return _HEADER + int.from_bytes(header[:8], "little") + _FOOTER
    if len(starts) == 1:
        raise Refused(
            f"A shard of records is a TFRecord file, and not packed. Received: {path}, which does not begin as one. Unpack it (gunzip), or copy it again."
        )
    raise Refused(
        f"A TFRecord file is whole. Received: {path}, in which the length of record {len(starts) - 1} at byte {starts[-1]:,} is damaged. Copy it again."
    )


def _refuse_cut(path, starts):
    raise Refused(
        f"A TFRecord file is whole. Received: {path}, which ends in its record {len(starts) - 1} at byte {starts[-1]:,}: it was cut short. Copy it again."
    )
