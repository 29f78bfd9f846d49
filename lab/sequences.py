"""Sequences that take little memory: values that are computed when they are indexed, and texts that are kept as bytes."""

import bisect
import functools
import itertools
import operator
from array import array
from collections.abc import Sequence


class Values(Sequence):
    """A sequence that is equal to any other of the same values."""

    def __eq__(self, other):
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(operator.eq, self, other))

    __hash__ = None


class Lazy(Values):
    """Values that are computed when they are indexed, and not kept; so are those of a slice.

    Args:
        compute: (place) -> value.
        places: range, the places of the values.
    """

    def __init__(self, compute, places):
        self.compute, self.places = compute, places

    def __len__(self):
        return len(self.places)

    def __getitem__(self, index):
        return Lazy(self.compute, self.places[index]) if isinstance(index, slice) else self.compute(self.places[index])


class Texts(Values):
    """Texts that are kept as bytes, one after the other, in a fraction of the memory that a tuple of them takes.

    Args:
        texts: iterable of str. Bytes that are no UTF-8, as Python has them in file names, are kept.
    """

    def __init__(self, texts=()):
        self.content, self.ends = bytearray(), array("q", [0])
        for text in texts:
            self.append(text)

    def append(self, text):
        """Add a text at the end."""
        self.content += text.encode("utf-8", "surrogateescape")
        self.ends.append(len(self.content))

    def __len__(self):
        return len(self.ends) - 1

    def __getitem__(self, index):
        places = range(len(self))[index]
        if isinstance(places, range):
            return Lazy(self.__getitem__, places)
        return self.content[self.ends[places] : self.ends[places + 1]].decode("utf-8", "surrogateescape")


def chain(sequences):
    """The values of several sequences, one after the other.

    Args:
        sequences: list of `Sequence`.

    Returns:
        `Lazy`.
    """
    ends = list(itertools.accumulate(map(len, sequences)))
    return Lazy(functools.partial(_at, sequences, ends), range(ends[-1] if ends else 0))


def _at(sequences, ends, place):
    part = bisect.bisect_right(ends, place)
    return sequences[part][place - ends[part] + len(sequences[part])]
