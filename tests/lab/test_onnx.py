"""ONNX: a file that is written here byte by byte, as the format says."""

import hashlib

import numpy as np
import pytest

import lab
from lab import onnx


def integer(value):
    """An integer of 7 bits a byte, the lowest first."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + integer(rest) if rest else bytes([low])


def field(number, value):
    if isinstance(value, int):
        return integer(8 * number) + integer(value)
    content = value.encode() if isinstance(value, str) else value
    return integer(8 * number + 2) + integer(len(content)) + content


def tensor(name, array, code):
    sides = b"".join(field(1, side) for side in array.shape)
    return field(5, sides + field(2, code) + field(8, name) + field(9, array.tobytes()))


def node(name, *inputs):
    return field(1, b"".join(field(1, source) for source in inputs) + field(2, "out") + field(3, name))


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return rng.normal(size=(3, 200)).astype("<f4"), np.array([-7, 2**40], "<i8"), rng.normal(size=2).astype("<f4")


@pytest.fixture
def path(tmp_path, arrays):
    matrix, counts, bias = arrays
    nodes = node("/block.0/query/MatMul", "image", "onnx::MatMul_7") + node("/block.0/query/Add", "bias", "x")
    tensors = tensor("onnx::MatMul_7", matrix, 1) + tensor("counts", counts, 7) + tensor("bias", bias, 1)
    # Fields that are not read, of every wire type, lie between those that are.
    unread = field(1, 7) + integer(8 * 3 + 5) + bytes(4) + integer(8 * 4 + 1) + bytes(8) + field(2, "producer")
    path = tmp_path / "network.onnx"
    path.write_bytes(unread + field(7, nodes + field(2, "graph") + tensors) + field(8, b"\x10\x0e"))
    return path


def test_tensors_of_a_file(path, arrays):
    tensors = onnx.read(path, hashlib.sha256(path.read_bytes()).hexdigest())
    assert list(tensors) == ["block.0.query.MatMul", "counts", "bias"]
    for read, array in zip(tensors.values(), arrays):
        np.testing.assert_array_equal(read, array)


def test_a_changed_file_is_refused(path):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(lab.Refused, match="SHA-256"):
        onnx.read(path, digest)
