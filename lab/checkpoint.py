"""Checkpoint: a legacy torch.save file read with numpy alone, through an unpickler that accepts five names only."""

import hashlib
import pickle
from collections import OrderedDict

import numpy as np

from lab.refusal import Refused

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


def read(path, sha256):
    """The tensors of a checkpoint: dict of name to array.

    Args:
        path: `pathlib.Path` of the file.
        sha256: str, the SHA-256 that the file must have, in hexadecimal.

    Returns:
        dict of str to array.

    Raises:
        Refused: where the file's SHA-256 is not the expected one, or where it holds anything but tensors.
    """
    checked_bytes(path, sha256)
    with path.open("rb") as file:
        if _load(file) != _MAGIC or _load(file) != _PROTOCOL:
            raise Refused(f"The file is a legacy torch.save file. Received: {path}, which does not begin like one.")
        _load(file)
        views = _load(file)
        storages = dict.fromkeys(_load(file))
        dtypes = {view.key: view.dtype for view in views.values()}
        for key in storages:
            count = int(np.fromfile(file, "<i8", 1)[0])
            storages[key] = np.fromfile(file, dtypes[key], count)
    return {name: view.array(storages[view.key]) for name, view in views.items()}


def checked_bytes(path, sha256):
    """The bytes of a file of weights.

    Args:
        path: `pathlib.Path` of the file.
        sha256: str, the SHA-256 that the file must have, in hexadecimal.

    Returns:
        bytes.

    Raises:
        Refused: where the file's SHA-256 is another one.
    """
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise Refused(f"A weights file is read only if its SHA-256 is {sha256}. Received: {digest} of {path}.")
    return content


def _load(file):
    return _Unpickler(file).load()


class _View:
    """A tensor's place in its storage, until the storage itself has been read."""

    def __init__(self, storage, offset, size, stride, *unused):
        self.key, self.dtype = storage
        self.offset, self.size, self.stride = offset, size, stride

    def array(self, storage):
        steps = [step * storage.itemsize for step in self.stride]
        return np.lib.stride_tricks.as_strided(storage[self.offset :], self.size, steps).copy()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _View
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise Refused(f"A weights file holds tensors and nothing else. Received: a request for {module}.{name}.")

    def persistent_load(self, identity):
        kind, dtype, key, device, *_ = identity
        if kind != "storage" or device != "cpu":
            raise Refused(f"A weights file holds CPU storages. Received: {kind!r} on {device!r}.")
        return key, dtype
