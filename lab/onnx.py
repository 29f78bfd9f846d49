"""ONNX: the weights of a network in this format, read with numpy alone.

The file is a protocol buffer, https://protobuf.dev/programming-guides/encoding/. Of its fields those of weights are read,
and which node takes them: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

import numpy as np

from lab.checkpoint import checked_bytes

# Numbers of fields in onnx.proto: of a model, of its graph, of a node and of a tensor.
_GRAPH = 7
_NODE, _INITIALIZER = 1, 5
_NODE_INPUT, _NODE_NAME = 1, 3
_DIMENSION, _TYPE, _TENSOR_NAME, _RAW_DATA = 1, 2, 8, 9
_DTYPES = {1: "<f4", 7: "<i8", 10: "<f2", 11: "<f8"}
# Bytes of a value by the wire type of its field, where it says no length.
_FIXED = {1: 8, 5: 4}
# What names begin with that an exporter makes up.
_ANONYMOUS = "onnx::"


def read(path, sha256):
    """The tensors of a file, each raw in the file itself.

    An exporter gives a matrix that it has transposed a number for a name. The name of the node that takes it does instead.

    Args:
        path: `pathlib.Path` of the file.
        sha256: str, the SHA-256 that the file must have, in hexadecimal.

    Returns:
        dict of str to array; of a node `/encoder/query/MatMul` the name is "encoder.query.MatMul".

    Raises:
        Refused: where the file's SHA-256 is not the expected one.
    """
    graph = _values(_values(memoryview(checked_bytes(path, sha256)))[_GRAPH][0])
    tensors = dict(_tensor(_values(content)) for content in graph[_INITIALIZER])
    takers = _takers(graph[_NODE])
    return {takers.get(name, name): tensor for name, tensor in tensors.items()}


def _takers(nodes):
    """The name of the node that takes a nameless tensor, by the name of the tensor: dict."""
    takers = {}
    for values in map(_values, nodes):
        for source in map(_text, values.get(_NODE_INPUT, ())):
            if source.startswith(_ANONYMOUS):
                takers[source] = _text(values[_NODE_NAME][0]).strip("/").replace("/", ".")
    return takers


def _tensor(values):
    """The name and the array of a tensor."""
    array = np.frombuffer(values[_RAW_DATA][0], _DTYPES[values[_TYPE][0]])
    return _text(values[_TENSOR_NAME][0]), array.reshape(values.get(_DIMENSION, ()))


def _text(content):
    return bytes(content).decode("utf-8")


def _values(content):
    """The values of a message by the number of their field: dict of int to list of int or memoryview."""
    values, place = {}, 0
    while place < len(content):
        key, place = _integer(content, place)
        field, wire = divmod(key, 8)
        if wire == 0:
            value, place = _integer(content, place)
        else:
            size, place = (_FIXED[wire], place) if wire in _FIXED else _integer(content, place)
            value, place = content[place : place + size], place + size
        values.setdefault(field, []).append(value)
    return values


def _integer(content, place):
    """An integer of 7 bits a byte, the lowest first, and the place behind it."""
    value = shift = 0
    while content[place] & 0x80:
        value, shift, place = value | (content[place] & 0x7F) << shift, shift + 7, place + 1
    return value | content[place] << shift, place + 1
