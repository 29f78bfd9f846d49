"""Safetensors: a file of weights that holds tensors and no code, read with numpy alone."""

import json

import numpy as np

from lab.checkpoint import checked_bytes

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}


def read(path, sha256):
    """The tensors of a file.

    Args:
        path: `pathlib.Path` of the file.
        sha256: str, the SHA-256 that the file must have, in hexadecimal.

    Returns:
        dict of str to array.

    Raises:
        Refused: where the file's SHA-256 is not the expected one.
    """
    content = checked_bytes(path, sha256)
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    return {name: _tensor(content, start, about) for name, about in header.items()}


def _tensor(content, start, about):
    first, last = (start + offset for offset in about["data_offsets"])
    return np.frombuffer(content[first:last], _DTYPES[about["dtype"]]).reshape(about["shape"])
