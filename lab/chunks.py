"""Chunks: a compiled function run over any number of samples within a memory budget.

`map_rows(function, batched, shared, size, ...)` calls `function(batched rows, shared)` on equal parts and joins the rows.
"""

import math

import numpy as np

from lab.environment import tf

# Larger chunks gain nothing on a CPU, and fill a GPU: on 2 cores chunks of 40 to 80 are the fastest.
MOST = 64


def size(network, samples=1):
    """Rows of a chunk that stay within the network's memory budget when each row makes `samples` passes: int.

    Args:
        network: a `Network`, with its memory budget in bytes.
        samples: int, passes that each row makes.

    Returns:
        int of 1 or more.
    """
    return int(np.clip(network.memory // (network.sample_bytes() * samples), 1, network.most_rows))


def map_rows(function, batched, shared, most, *, pad=False, halved=None):
    """Run rows through a function, in parts that fit.

    Where the device runs out of memory, the part is halved and the run goes on.

    Args:
        function: `(batched rows, shared) -> structure of tensors [rows, ...]`.
        batched: structure of arrays [rows, ...].
        shared: passed to every call.
        most: rows of a part at most.
        pad: whether every part is filled up to one size, for compilers that specialize on shapes.
        halved: list to which the sizes of halved parts are appended, or None.

    Returns:
        the structure that the function returns, as numpy arrays [rows, ...].
    """
    rows = len(tf.nest.flatten(batched)[0])
    results, start, step = None, 0, _step_size(rows, most, pad)
    while start < rows:
        stop = min(start + step, rows)
        part = _take_part(batched, start, stop, step if pad else stop - start)
        try:
            outputs = tf.nest.map_structure(lambda tensor: tensor.numpy(), function(part, shared))
        except tf.errors.ResourceExhaustedError:
            if step == 1:
                raise
            step = step // 2
            if halved is not None:
                halved.append(step)
            continue
        results = _write(results, outputs, start, stop, rows)
        start = stop
    return results


def even_size(rows, most):
    """Rows of a part when they are split evenly into parts of at most `most`: int.

    Args:
        rows: int of 1 or more, rows in all.
        most: int, rows of a part at most.

    Returns:
        int.
    """
    return math.ceil(rows / math.ceil(rows / most))


def slices(rows, most):
    """Even parts of so many rows, at most `most` each: list of slices.

    Args:
        rows: int of 1 or more, rows in all.
        most: int, rows of a part at most.

    Returns:
        list of slice, in order.
    """
    step = even_size(rows, most)
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def take(structure, rows):
    """Some rows of every array of a structure, by a slice or by indices, which may repeat.

    Args:
        structure: structure of arrays [rows, ...].
        rows: a slice, or a list or array of int.

    Returns:
        arrays in the same structure.
    """
    return tf.nest.map_structure(lambda array: array[rows], structure)


def _step_size(rows, most, pad):
    if rows > most:
        return even_size(rows, most)
    return min(most, 1 << (rows - 1).bit_length()) if pad else rows


def _take_part(batched, start, stop, length):
    return tf.nest.map_structure(lambda array: _pad(array[start:stop], length), batched)


def _pad(array, length):
    return (
        array if len(array) == length else np.concatenate([array, np.repeat(array[-1:], length - len(array), axis=0)])
    )


def _write(results, outputs, start, stop, rows):
    if results is None:
        results = tf.nest.map_structure(lambda array: np.empty((rows, *array.shape[1:]), array.dtype), outputs)
    for result, output in zip(tf.nest.flatten(results), tf.nest.flatten(outputs)):
        result[start:stop] = output[: stop - start]
    return results
