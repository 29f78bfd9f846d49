"""Training: attention that is replaced in every graph that is traced, also by a training function that knows nothing of it."""

import collections
import contextlib
import functools

from lab import taps
from lab.environment import tf
from lab.products import PRODUCTS, Watcher


@contextlib.contextmanager
def replaced_in_graphs(network, intervention):
    """While open, attention is replaced in all graphs that this thread traces, such as those of `keras.Model.fit`.

    It is attention of as many heads, queries and keys as a network has. What is computed without a graph stays as it is.

    Args:
        network: a `Network`, whose architecture is trained.
        intervention: traceable `(weights [batch, heads, queries, keys]) -> weights`.

    Returns:
        context manager of a `TrainedAttention`, which counts.
    """
    watcher = TrainedAttention(network, intervention)
    with taps.wrapped_function(tf.__internal__.FuncGraph, "_create_op_internal", watcher.create):
        yield watcher


class TrainedAttention(Watcher):
    """Replaces attention in graphs, and counts in how many products of a graph gradients run through the values.

    Args:
        network: as of `replaced_in_graphs`.
        intervention: as of `replaced_in_graphs`.
    """

    def __init__(self, network, intervention):
        super().__init__(_NoLayers())
        self.rows, self.intervention = list(network.attentions.values()), intervention
        self.trained = collections.Counter()

    @property
    def count(self):
        """The number of products in one graph that were replaced and trained through: int."""
        return max(self.trained.values(), default=0)

    def create(self, create, graph, kind, inputs, *args, **kwargs):
        """Add an operation to a graph, a product of attention weights with others in their place.

        Args:
            create: function that adds an operation.
            graph: the graph.
            kind: str, the type of the operation.
            inputs: list of tensors.
            args: further arguments of `create`.
            kwargs: further arguments of `create`.

        Returns:
            the operation.
        """
        layouts = self._layouts(kind, inputs, kwargs.get("attrs")) if kind in PRODUCTS else None
        return create(graph, kind, self._replace(graph, inputs, *layouts) if layouts else inputs, *args, **kwargs)

    def _replace(self, graph, inputs, place, of_weights, _):
        factors, weights = list(inputs), of_weights.standard(inputs[place])
        if not self._is_listed(weights.shape):
            return inputs
        factors[place] = of_weights.original(self.intervention(weights), factors[place])
        factors[1 - place] = _noticed(factors[1 - place], functools.partial(self._count, graph))
        return factors

    def _count(self, graph):
        self.trained[id(graph)] += 1

    def _is_listed(self, shape):
        """Whether the network has attention of as many heads, queries and keys: bool."""
        sides = shape.as_list()[1:]
        rows = [(row.heads, row.queries, row.keys) for row in self.rows]
        return any(all(None in pair or pair[0] == pair[1] for pair in zip(row, sides)) for row in rows)


class _NoLayers:
    """Stands for the reader of a trace where no layer is known."""

    def is_softmax(self, tensor):
        del tensor
        return False


def _noticed(tensor, notice):
    """A tensor, where `notice()` is called when a gradient through it is traced."""

    @tf.custom_gradient
    def passed_on(values):
        def gradient(upstream):
            notice()
            return upstream

        return tf.identity(values), gradient

    return passed_on(tensor)
