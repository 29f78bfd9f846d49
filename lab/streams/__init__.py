"""Streams: images by their address, read piece by piece, so that there may be more of them than memory or disk holds.

open_images(address)  -> Data    of a folder, image files, lists in CSV, tar and TFRecord shards, and patterns of them

Every kind of address has a function (path, most, *, channels, levels) -> `Data`, whose images are read when they are indexed.
"""

import functools
import itertools
import os
import sys

from lab import data
from lab.patterns import expand
from lab.refusal import Refused
from lab.remote import RemotePath, is_file, is_folder
from lab.sequences import Lazy, chain
from lab.sources import LIST, SHARD, is_record_file
from lab.streams.archives import open_archive
from lab.streams.lists import open_list
from lab.streams.records import open_records

KINDS = {LIST: open_list, SHARD: open_archive}
PACKED = (".gz", ".tgz", ".bz2", ".xz", ".zst", ".zip", ".7z")


def open_images(addresses, *, channels=3, levels=None, most=None):
    """The images that lie at an address, or at several, in this order -> `Data`.

    An address is a folder, whose subfolders are the labels; an image file; a CSV list with the columns path and label; a
    webdataset shard (.tar); a TFRecord shard of `tf.train.Example`; each on this machine or such as s3://bucket/photos; or a pattern of these, such as "train-{000..099}.tar" or
    "photos/*.jpg". Names and places are listed, and an image is read when it is indexed.

    Args:
        addresses: str or path, or a list of them.
        channels: as of `lab.images.read`.
        levels: as of `lab.images.read`.
        most: int, how many images are listed at most; None: all.

    Returns:
        `Data`, with labels where every image has one. Names, images and labels may be lazy sequences.

    Raises:
        Refused: for what is missing, empty, damaged or no source of images; and later, for an image that cannot be read.
    """
    addresses = [addresses] if isinstance(addresses, (str, os.PathLike, RemotePath)) else addresses
    paths = [path for address in addresses for path in expand(address)]
    if not paths:
        raise Refused("Images come from at least one address. Received: none.")
    parts, left = [], sys.maxsize if most is None else most
    for path, open_part in _openers(paths):
        if left > 0:
            parts.append((path, open_part(left, channels=channels, levels=levels)))
            left -= len(parts[-1][1])
    return _join(parts)


def _openers(paths):
    """(path, function that opens it) of every source; of image files that follow each other, one for all."""
    for kind, members in itertools.groupby(paths, _kind):
        if kind is _open_files:
            yield None, functools.partial(_open_files, list(members))
        else:
            yield from ((path, functools.partial(kind, path)) for path in members)


def _kind(path):
    """The function that opens a path."""
    if is_folder(path):
        return _open_folder
    if not (path.suffix or is_file(path)):
        raise Refused(
            f"Images come from a folder, image files, a CSV list or shards (.tar, .tfrecord). Received: {str(path)!r}, which is not a folder."
        )
    if path.suffix.lower() in PACKED:
        raise Refused(
            f"Images lie in files that can be read from any place. Received: {path}, which is packed; unpack it."
        )
    return _opener_of_name(path) or _open_files


def _opener_of_name(path):
    return open_records if is_record_file(path) else KINDS.get(path.suffix.lower())


def _open_files(paths, most, *, channels, levels):
    return data.files(paths, channels=channels, levels=levels).part(slice(most))


def _open_folder(path, most, *, channels, levels):
    try:
        images = data.folder(path, channels=channels, levels=levels)
    except Refused as error:
        shards = sorted(file.name for file in path.iterdir() if _kind(file) in (open_records, *KINDS.values()))
        if not shards:
            raise
        pattern = f"{path}/*{os.path.splitext(shards[0])[1]}"
        raise Refused(f"{error} It holds {len(shards)} shards or lists: give {pattern!r}, in quotes.") from error
    return images.part(slice(most))


def _join(parts):
    """Several sources as one `Data`; the names of shards come before those of their images."""
    if len(parts) == 1:
        return parts[0][1]
    prefixes = _prefixes([path for path, _ in parts])
    several = [part for _, part in parts]
    labelled = all(part.labels is not None for part in several)
    return data.Data(
        chain([_with_prefix(part.names, prefix) for part, prefix in zip(several, prefixes)]),
        chain([part.images for part in several]),
        chain([part.labels for part in several]) if labelled else None,
        groups=_join_groups([part.groups for part in several]),
        stamps=chain([part.stamps for part in several]),
        paths=chain([part.paths for part in several]) if all(part.paths is not None for part in several) else None,
    )


def _prefixes(paths):
    """What tells the images of several sources apart: the names of these, or their paths where two have one name."""
    stems = ["" if path is None else f"{path.stem}/" for path in paths]
    distinct = len({*stems}) == len(stems)
    return stems if distinct else ["" if path is None else f"{path}/" for path in paths]


def _with_prefix(names, prefix):
    return Lazy(functools.partial(_prefixed, names, prefix), range(len(names))) if prefix else names


def _prefixed(names, prefix, place):
    return prefix + names[place]


def _join_groups(groups):
    """The groups of several sources; where images of one share a group, as (source, group)."""
    if all(isinstance(part, range) for part in groups):
        return range(sum(map(len, groups)))
    return chain([Lazy(functools.partial(_pair, part, number), range(len(part))) for number, part in enumerate(groups)])


def _pair(groups, number, place):
    return number, groups[place]
