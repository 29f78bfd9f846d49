"""Shared networks: what several commands of one test process load alike is loaded once, with all that was compiled for it.

A command has a process of its own, and there it loads its network. Here hundreds of commands have one process.
"""

import contextlib
import hashlib
import inspect
import pathlib
import warnings

import pytest

import lab
from lab import models

# So many networks are kept at most.
MOST = 8
PLAIN = (str, int, float, bool, type(None))


class SharedNetworks:
    """`lab.load` that gives a network again where it is asked for alike, and nobody changed its weights.

    Args:
        load: `lab.load`.
    """

    def __init__(self, load):
        self._load, self._kept = load, {}
        self.__signature__ = inspect.signature(load)

    def __call__(self, *source, **options):
        key = _key([*source, *(part for name in sorted(options) for part in (name, options[name]))])
        network, fingerprint = self._kept.pop(key, (None, None))
        if network is None or network.fingerprint() != fingerprint:
            network, is_silent = self._load_anew(source, options)
            if key is None or not is_silent:
                return network
            fingerprint = network.fingerprint()
        network.background = None
        self._kept[key] = network, fingerprint
        for other in list(self._kept)[:-MOST]:
            del self._kept[other]
        return network

    def _load_anew(self, source, options):
        """A network, and whether nothing was said while it was loaded: a command that gets it again would not say it."""
        with warnings.catch_warnings(record=True) as messages:
            warnings.simplefilter("always")
            network = self._load(*source, **options)
        for message in messages:
            warnings.warn_explicit(message.message, message.category, message.filename, message.lineno)
        return network, not messages


def _key(values):
    """What a network is loaded from, with the bytes of files: tuple; None where that is not known, or code may run."""
    parts = [_part(value) for value in values]
    return None if None in parts or ("allow_code", True) in zip(values, values[1:]) else tuple(parts)


def _part(value):
    """One argument as what can be compared; None where it is an object."""
    if isinstance(value, (list, tuple)):
        parts = tuple(_part(item) for item in value)
        return None if None in parts else parts
    if isinstance(value, (str, pathlib.Path)):
        path = pathlib.Path(value)
        is_other = "://" in str(value) or path.is_dir()
        # Whoever listens to what a command reads hears this too.
        return None if is_other else (str(value), path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest())
    return (repr(value),) if isinstance(value, PLAIN) else None


@contextlib.contextmanager
def shared_networks():
    """While open, `lab.load` shares networks, in commands and in Python."""
    with pytest.MonkeyPatch.context() as patch:
        load = SharedNetworks(models.load)
        # First, since `lab` takes it from `models` when it is asked, and would keep what is there.
        patch.setattr(lab, "load", load)
        patch.setattr(models, "load", load)
        yield load
