"""Products: attention while a graph is being traced, a softmax that is multiplied with values, whoever wrote it.

The operations of the graph are watched, not the layers. So attention of any layer is read and replaced where its weights meet
its values, and nothing is computed twice.
"""

import contextlib
import math
from dataclasses import dataclass, replace

from lab.address import Address
from lab.environment import tf

# Operations between a softmax and the product with values that keep the numbers.
_PASSING = {
    "Identity",
    "Cast",
    "StopGradient",
    "Reshape",
    "Transpose",
    "ExpandDims",
    "Squeeze",
    "StridedSlice",
    "Slice",
    "SelectV2",
    "Mul",
    "RealDiv",
}
PRODUCTS = {"Einsum", "BatchMatMulV2", "BatchMatMulV3", "Mul"}
# Added to the square of a length.
TINY = 1e-12
# A walk back from a factor to its softmax takes few steps.
_STEPS = 12


@dataclass(frozen=True)
class Layout:
    """How a factor of a product lies: its axes in the order batch, heads, queries or keys, keys or channels.

    Args:
        order: tuple of int, the factor's axes in that order.
        groups: how many axes each of the four has.
        unmerged: tensor whose shape the factor had before axes of it were merged; None: none were.
    """

    order: tuple
    groups: tuple
    unmerged: object = None

    @property
    def plain(self):
        """Whether the factor is [batch, heads, queries, keys] as it is: bool."""
        return self.groups == (1, 1, 1, 1) and self.order == (0, 1, 2, 3) and self.unmerged is None

    def standard(self, factor):
        """The factor as [batch, heads, queries, keys], or [batch, heads, keys, channels]."""
        if self.plain:
            return factor
        whole = factor if self.unmerged is None else tf.reshape(factor, tf.shape(self.unmerged))
        turned = tf.transpose(whole, self.order)
        shape, sides, start = tf.shape(turned), turned.shape.as_list(), 0
        lengths = []
        for count in self.groups:
            known = sides[start : start + count]
            lengths.append(math.prod(known) if None not in known else tf.reduce_prod(shape[start : start + count]))
            start += count
        return tf.reshape(turned, lengths)

    def original(self, values, factor):
        """What `standard` gave, or other values of its shape, in the layout and dtype of the factor.

        Args:
            values: tensor in the standard layout.
            factor: the tensor that `standard` was given.

        Returns:
            tensor of the factor's shape.
        """
        values = tf.cast(values, factor.dtype)
        if self.plain:
            return values
        whole = factor if self.unmerged is None else self.unmerged
        turned = tf.reshape(values, tf.gather(tf.shape(whole), self.order))
        inverse = sorted(range(len(self.order)), key=self.order.__getitem__)
        return tf.ensure_shape(tf.reshape(tf.transpose(turned, inverse), tf.shape(factor)), factor.shape)


@dataclass(frozen=True)
class Attention:
    """One row of `network.attentions`: the type of its layer, and how many heads, queries and keys it has, None where free."""

    layer: str
    type: str
    heads: int
    queries: int
    keys: int


@dataclass(frozen=True)
class Product:
    """One attention of a trace.

    Args:
        tensors: dict of port to tensor, "weights" [batch, heads, queries, keys] and "values" [batch, heads, keys, channels].
            Heads may share values, which have fewer heads then.
        operation: the operation that multiplies them.
        keys: int, the axis of the keys in the weights as they lie.
    """

    tensors: dict
    operation: object = None
    keys: int = -1


class Watcher:
    """Keeps and replaces the attention of every layer's calls: `products`, dict of (id(layer), call, number) to `Product`.

    Args:
        reader: the `lab.taps.Reader` of the same trace, which knows the layer that is running.
        replaced: dict of (id(layer), call, number, port) to a tensor in the standard layout, or to a function of that
            which is replaced.
    """

    def __init__(self, reader, replaced=None):
        self.reader, self.replaced = reader, replaced or {}
        self.products, self._counts = {}, {}

    @contextlib.contextmanager
    def watch(self):
        """While open, products that are added to the graph of the reader pass through the watcher."""
        graph, create = self.reader.graph, self.reader.graph._create_op_internal

        def watched(kind, inputs, *args, **kwargs):
            layouts = self._layouts(kind, inputs, kwargs.get("attrs")) if kind in PRODUCTS else None
            inputs, key = self._pass_through(inputs, layouts) if layouts else (inputs, None)
            operation = create(kind, inputs, *args, **kwargs)
            if key:
                self.products[key] = replace(self.products[key], operation=operation)
            return operation

        graph._create_op_internal = watched
        try:
            yield self
        finally:
            del graph._create_op_internal

    def _layouts(self, kind, inputs, attributes):
        """The place of the weights among two factors, and the layouts of weights and values; None for another product."""
        if len(inputs) != 2 or any(factor.shape.rank is None for factor in inputs):
            return None
        for place in (0, 1):
            softmax = self._softmax_of(inputs[place])
            if softmax is not None and not _is_constant(inputs[1 - place]):
                axes = _axes(kind, inputs, place, attributes)
                return axes and (place, _unmerged(axes[0], inputs[place], softmax), axes[1])
        return None

    def _softmax_of(self, tensor):
        """The result of the softmax that a factor was made of, or None."""
        waiting = [tensor]
        for _ in range(_STEPS):
            if not waiting:
                return None
            tensor = waiting.pop()
            if tensor.op.type == "Softmax" or self.reader.is_softmax(tensor):
                return tensor
            if tensor.op.type in _PASSING and not any(
                tensor.op is product.operation for product in self.products.values()
            ):
                waiting += _data_of(tensor.op)
        return None

    def _pass_through(self, inputs, layouts):
        place, *by_port = layouts
        key = self._next_key()
        factors, tensors = list(inputs), {}
        for port, position, layout in zip(("weights", "values"), (place, 1 - place), by_port):
            factor = factors[position]
            tensor = tensors[port] = layout.standard(factor)
            if (*key, port) in self.replaced:
                other = self.replaced[*key, port]
                tensor = other(tensor) if callable(other) else other
            if tensor is not factor:
                factors[position] = layout.original(tensor, factor)
        self.products[key] = Product(tensors, keys=by_port[0].order[-1])
        return factors, key

    def _next_key(self):
        running = self.reader.running[-1]
        number = self._counts[running] = self._counts.get(running, -1) + 1
        return (*running, number)


def attentions(watcher, tree, samples, fixed=None):
    """The attention that a watcher met in one call of a model.

    Args:
        watcher: a `Watcher`.
        tree: dict of path to layer, all layers of the model.
        samples: int, the number of samples of the call.
        fixed: the `Watcher` of a call whose lengths are fixed, which tells where the first axis is unknown; None: none.

    Returns:
        dict of str, the address of the weights, to `Attention`. Weights without a row for each sample are left out, and
        products that are not summed over the keys.
    """
    paths = {id(layer): path for path, layer in tree.items()}
    rows = {}
    for (layer, call, number), product in watcher.products.items():
        weights = product.tensors["weights"].shape
        twin = fixed.products.get((layer, call, number)) if fixed and weights[0] is None else None
        first = twin.tensors["weights"].shape[0] if twin else weights[0]
        if first in (samples, None) and _is_summed(product):
            address = Address(paths[layer], call, "weights", number)
            rows[str(address)] = Attention(str(address.layer), type(tree[paths[layer]]).__name__, *weights[1:])
    return rows


def head_lengths(product):
    """The length of what each head passes on at each query, its weights times its values: float [batch, queries, heads].

    Args:
        product: `Product`.

    Returns:
        tensor, which no other one depends on.
    """
    weights, values = product.tensors["weights"], product.tensors["values"]
    # Heads may share values.
    shared = tf.shape(weights)[1] // tf.shape(values)[1]
    passed = tf.matmul(weights, tf.repeat(values, shared, axis=1))
    # Inside the root, because a norm has no gradient at zero.
    lengths = tf.sqrt(tf.reduce_sum(tf.square(tf.cast(passed, tf.float32)), axis=-1) + TINY)
    return tf.ensure_shape(tf.transpose(lengths, (0, 2, 1)), [None, weights.shape[2], weights.shape[1]])


def _is_summed(product):
    """Whether a product number by number is summed over its keys, as every product of matrices is: bool."""
    if product.operation.type != "Mul":
        return True
    result = product.operation.outputs[0]
    sums = [consumer for consumer in result.consumers() if consumer.type in ("Sum", "Mean")]
    return any(_is_over(consumer.inputs[1], product.keys, result.shape.rank) for consumer in sums)


def _is_over(axes, axis, rank):
    """Whether a sum runs over an axis, or over axes that are not known: bool."""
    known = tf.get_static_value(axes)
    return known is None or axis in {int(number) % rank for number in known.reshape(-1)}


def _data_of(operation):
    """The inputs of an operation that its result is made of number by number: list of tensors."""
    if operation.type == "SelectV2":
        return list(operation.inputs[1:])
    if operation.type == "Mul":
        first, second = operation.inputs
        return [first] * _is_mask(second) + [second] * _is_mask(first)
    return list(operation.inputs[:1])


def _is_mask(tensor):
    """Whether a factor says which numbers stay, or is a constant: bool. All else makes other numbers of weights."""
    while tensor.op.type in _PASSING - {"Mul", "RealDiv", "SelectV2"} and tensor.op.inputs:
        if not tensor.dtype.is_floating:
            return True
        tensor = tensor.op.inputs[0]
    return not tensor.dtype.is_floating or tensor.shape.rank == 0 or tensor.op.type in ("Const", "ReadVariableOp")


def _is_constant(tensor):
    """Whether a factor is a weight or a constant, and not computed from the inputs: bool."""
    while tensor.op.type in {"Identity", "Cast", "Reshape", "Transpose", "ExpandDims"} and tensor.op.inputs:
        tensor = tensor.op.inputs[0]
    return tensor.op.type in {"ReadVariableOp", "Const", "VariableV2"} or tensor.dtype == tf.resource


def _axes(kind, inputs, place, attributes):
    """The layouts of the weights and of the values: a pair of `Layout`, or None where the product is no sum over keys."""
    ranks = [factor.shape.rank for factor in inputs]
    if kind == "Mul":
        return _axes_of_pooling(inputs[place].shape, inputs[1 - place].shape)
    if kind == "Einsum":
        factors, result = _labels(attributes["equation"].s.decode(), ranks)
    else:
        factors, result = _matrix_labels(ranks, attributes["adj_x"].b, attributes["adj_y"].b)
    return _axes_of_labels(factors[place], factors[1 - place], result)


def _labels(equation, ranks):
    """The labels of two factors and of the result of an equation, an ellipsis as labels of its own: ((str, str), str)."""
    left, result = equation.split("->")
    factors = left.split(",")
    hidden = max(rank - len(factor.replace("...", "")) for factor, rank in zip(factors, ranks))
    expanded = [
        factor.replace("...", "0123456789"[hidden - (rank - len(factor.replace("...", ""))) : hidden])
        for factor, rank in zip(factors, ranks)
    ]
    return expanded, result.replace("...", "0123456789"[:hidden])


def _matrix_labels(ranks, first_adjoint, second_adjoint):
    outer = "0123456789"[: max(ranks) - 2]
    first, second = (outer[len(outer) - (rank - 2) :] for rank in ranks)
    return [first + ("sr" if first_adjoint else "rs"), second + ("cs" if second_adjoint else "sc")], outer + "rc"


def _axes_of_labels(weights, values, result):
    batch = result[:1]
    shared = [label for label in weights if label in values and label in result and label != batch]
    alone = [label for label in weights if label not in values and label in result and label != batch]
    keys = [label for label in weights if label in values and label not in result]
    channels = [label for label in values if label not in weights and label in result]
    # There are as many axes of queries as of keys. Those before them are heads that share their values.
    heads = [label for label in weights if label in (*shared, *alone[: -len(keys)])]
    queries = alone[-len(keys) :]
    complete = [len(heads) + len(queries) + len(keys), len(shared) + len(keys) + len(channels)]
    if not keys or complete != [len(weights) - 1, len(values) - 1] or weights[0] != batch or batch not in values:
        return None
    return _layout(weights, [batch], heads, queries, keys), _layout(values, [batch], shared, keys, channels)


def _layout(labels, *groups):
    return Layout(tuple(labels.index(label) for group in groups for label in group), tuple(map(len, groups)))


def _unmerged(layout, factor, softmax):
    """The layout of weights whose softmax had more axes of heads, which were merged with those of queries for a product of matrices."""
    rank, keys = softmax.shape.rank, softmax.shape[-1]
    if not layout.plain or rank is None or rank < 5 or keys != factor.shape[-1]:
        return layout
    return Layout(tuple(range(rank)), (1, rank - 3, 1, 1), softmax)


def _axes_of_pooling(weights, values):
    """The layouts where weights of one axis are multiplied with values number by number, to be summed."""
    rank = weights.rank
    wide = [axis for axis in range(1, rank) if weights[axis] != 1]
    narrow = [axis for axis in range(1, rank) if weights[axis] == 1]
    if rank != values.rank or len(wide) != 1 or not any(values[axis] != 1 for axis in narrow):
        return None
    of_weights = Layout((0, *narrow, wide[0]), (1, 0, len(narrow), 1))
    return of_weights, Layout((0, wide[0], *narrow), (1, 0, 1, len(narrow)))
