"""Streamed: samples that networks are trained on, read piece by piece, so that there may be more of them than memory holds."""

import numpy as np

from lab.environment import keras, tf

# Samples that are read at once.
CHUNK = 32


class Streamed:
    """Inputs of a network that are read when their places are asked for, and not kept.

    Args:
        read: list of int, places -> arrays as the network takes them.
        count: int, how many samples there are.
    """

    def __init__(self, read, count):
        self.read, self.count = read, count

    def __len__(self):
        return self.count

    def chunks(self, places=None):
        """The samples in pieces.

        Args:
            places: sequence of int, in their order; None: all.

        Returns:
            iterator of (places, arrays [at most CHUNK, ...]).
        """
        places = range(self.count) if places is None else places
        for start in range(0, len(places), CHUNK):
            part = [int(place) for place in places[start : start + CHUNK]]
            yield part, self.read(part)

    def compute(self, function, places=None):
        """What a function gives for each sample, piece by piece.

        Args:
            function: arrays [batch, ...] -> arrays [batch, ...].
            places: sequence of int; None: all.

        Returns:
            arrays [samples, ...] in the structure that the function gives.
        """
        values = [function(arrays) for _, arrays in self.chunks(places)]
        return keras.tree.map_structure(lambda *leaves: np.concatenate(leaves), *values)

    def load(self):
        """All samples as arrays of their own, in the structure that the network takes."""
        return self.compute(lambda arrays: arrays)

    def dataset(self, labels, seed):
        """All samples with their labels, in an order that the seed draws and that every pass repeats.

        Args:
            labels: int [samples].
            seed: int.

        Returns:
            `tf.data.Dataset` of (inputs, label) of one sample each, and a function that gives what reading raised, or None.
        """
        order, raised = np.random.default_rng(seed).permutation(self.count), []

        def generate():
            try:
                for places, arrays in self.chunks(order):
                    yield _as_tuples(arrays), labels[places]
            except Exception as error:
                # TensorFlow keeps its words alone, in a line of its own.
                raised.append(error)
                raise

        sample = _as_tuples(self.read([0]))
        spec = keras.tree.map_structure(lambda leaf: tf.TensorSpec((None, *leaf.shape[1:]), leaf.dtype), sample)
        chunks = tf.data.Dataset.from_generator(generate, output_signature=(spec, tf.TensorSpec((None,), labels.dtype)))
        dataset = chunks.unbatch().apply(tf.data.experimental.assert_cardinality(self.count))
        return dataset, lambda: raised[0] if raised else None


def from_arrays(inputs):
    """Arrays in memory as samples that are read.

    Args:
        inputs: arrays [samples, ...].

    Returns:
        `Streamed`, each of whose pieces is a copy.
    """
    count = len(keras.tree.flatten(inputs)[0])
    return Streamed(lambda places: keras.tree.map_structure(lambda leaf: np.asarray(leaf)[places], inputs), count)


def _as_tuples(arrays):
    """Arrays with tuples in the place of lists, which TensorFlow reads as one tensor."""
    return tuple(map(_as_tuples, arrays)) if isinstance(arrays, (list, tuple)) else arrays
